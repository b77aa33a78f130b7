"""Publishing many messages at once and knowing that JetStream stored each.

This is the one place where raw protocol frames are written: ``HPUB`` frames of a whole batch are joined and handed to
nats-py's send buffer in one piece, which is what nats-py's own publish costs most of its time for. nats-py's version is
bounded for it (pyproject.toml). Frames: https://docs.nats.io/reference/reference-protocols/nats-protocol.

Where a stream allows it (``allow_batched``, nats-server 2.14 and newer), a batch goes as one *fast batch*: each message
is stored as it comes, and one acknowledgement at the end stands for all. Else each message is acknowledged by itself.
Fast batches: ADR-50 of nats-io/nats-architecture-and-design.

What may have been sent before never goes as a fast batch. A leader of a replicated stream that hung and does not know
yet that it was replaced still holds the first copies as on their way, passes the second ones over as known,
acknowledges the batch, and drops the first when it steps down: seen with nats-server 2.15.1. Sent by itself, such a
message is refused until it is decided what became of the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

import msgspec
import structlog
from nats.aio.client import Client

from domain.errors import UnavailableError
from streams.connection import LenientClient, Listening
from streams.hearing import read_headers

SUBJECT_BYTES_MAX: Final = 2048
_FORBIDDEN: Final = frozenset("\r\n\x00")
_HEADER_START: Final = "NATS/1.0\r\n"
# Fast batches of fewer messages than this gain nothing: their beginning is acknowledged too.
BATCH_MESSAGES_MIN: Final = 4
BATCH_MESSAGES_MAX: Final = 1_000
PUBLISH_TIMEOUT_S: Final = 5.0
_BATCHES_ARE_OFF: Final = 10205  # JetStream's code for a stream without allow_batched

_log = structlog.get_logger(__name__)


class Publication(msgspec.Struct, frozen=True, gc=False):
    """A message to publish; ``head`` is ``header_block``'s result."""

    subject: str
    head: bytes
    payload: bytes


class _Answer(msgspec.Struct):
    """An acknowledgement, or what a fast batch is told on its way: its ``type`` is then ack, gap or err."""

    type: str = ""
    error: dict[str, Any] | None = None
    batch: str | None = None
    count: int = 0


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def header_block(headers: Mapping[str, str]) -> bytes:
    """Write headers as they go over the wire; raises ValueError for a name or value that would break the frame."""
    lines = [_HEADER_START]
    for name, value in headers.items():
        if not _FORBIDDEN.isdisjoint(value) or not _FORBIDDEN.isdisjoint(name) or ":" in name:
            raise ValueError(f"header {name!r} holds a line break")
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("utf-8", "replace")


def publish_frame(publication: Publication, reply: str) -> bytes:
    """Write one HPUB frame; raises ValueError for a subject that is empty, too long or has white space."""
    return b"".join(_frame(publication, reply))


def _frame(publication: Publication, reply: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a frame: those of a whole batch are joined at once, as copying them twice is what costs."""
    subject, head, payload = publication.subject, publication.head, publication.payload
    if not _is_subject(subject):
        raise ValueError(f"not a subject to publish on: {subject[:80]!r}")
    size = len(head)
    return f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode(), head, payload, b"\r\n"


@lru_cache(maxsize=4096)
def _is_subject(subject: str) -> bool:
    return 0 < len(subject) <= SUBJECT_BYTES_MAX and subject.isascii() and subject.split() == [subject]


class _Flight:
    """Messages on their way: how many are still to be acknowledged, and what was refused."""

    __slots__ = ("count", "done", "is_batch", "missing", "refusal", "refusal_code")

    def __init__(self, count: int, *, is_batch: bool) -> None:
        self.count = count
        self.missing = count
        self.is_batch = is_batch
        self.refusal: str | None = None
        self.refusal_code = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self, refusal: str | None, code: int) -> None:
        """Take one message's answer into account."""
        if refusal is not None:
            self._refuse(refusal, code)
        self.missing -= 1
        if self.missing == 0:
            self.end()

    def told(self, answer: _Answer | None, refusal: str | None, code: int) -> None:
        """Take an answer to a fast batch into account: the first refusal ends it, and its end that counts them all."""
        if refusal is None and answer is not None:
            if answer.type == "ack":
                return
            if answer.batch is None or answer.count != self.count:
                refusal = f"of a batch of {self.count} messages {answer.count} were stored"
        if refusal is not None:
            self._refuse(refusal, code)
        else:
            self.missing = 0
        self.end()

    def _refuse(self, refusal: str, code: int) -> None:
        if self.refusal is None:  # the first says why; those behind it in a batch are refused for its sake
            self.refusal, self.refusal_code = refusal, code

    def end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class BatchPublisher:
    """Publishes batches to JetStream over one connection, with any number of batches in flight.

    ``batched`` names the first tokens of subjects whose stream allows fast batches.
    """

    def __init__(
        self, client: LenientClient, timeout_s: float = PUBLISH_TIMEOUT_S, batched: Collection[str] = ()
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._batched = set(batched)
        self._inbox = client.new_inbox()
        self._token_at = len(self._inbox) + 1
        self._flights: dict[bytes, _Flight] = {}
        self._number = 0
        self._listening: Listening | None = None

    async def start(self) -> None:
        """Begin to listen for acknowledgements; a second call does nothing."""
        if self._listening is None:
            self._listening = await self._client.listen(f"{self._inbox}.>", self._heard)

    async def publish(self, publications: Sequence[Publication], *, is_first: bool = False) -> None:
        """Publish messages and return when JetStream has stored, or knew, every one of them.

        ``is_first`` vouches for that none of them was ever sent before, by anybody: only then they go as fast batches.

        Raises UnavailableError when some are not known to be stored: not connected, refused (a full stream), or no
        answer in time. The whole batch may then be published again: message ids make the server drop repeats.
        """
        if not publications:
            return
        if not self._client.is_connected:
            raise UnavailableError("nats", "not connected to NATS")
        frames: list[bytes] = []
        flights: dict[bytes, tuple[str, _Flight]] = {}
        for lane, messages in self._lanes(publications) if is_first else [("", publications)]:
            self._number += 1
            token = b"%d" % self._number
            reply = f"{self._inbox}.{self._number}"
            is_batch = lane != ""
            flights[token] = lane, _Flight(len(messages), is_batch=is_batch)
            replies = batch_replies(len(messages), reply) if is_batch else repeat(reply)
            for one, each in zip(messages, replies, strict=False):
                frames += _frame(one, each)
        self._flights.update({token: flight for token, (_, flight) in flights.items()})
        try:
            async with asyncio.timeout(self._timeout_s):
                await send(self._client, b"".join(frames))
                for _, flight in flights.values():
                    await flight.done
        except TimeoutError:
            missing = sum(flight.missing for _, flight in flights.values())
            message = f"{missing} of {len(publications)} messages were not acknowledged in {self._timeout_s:g} s"
            raise UnavailableError("nats", message) from None
        finally:
            for token in flights:
                del self._flights[token]
        self._raise_refusals(list(flights.values()))

    def _lanes(self, publications: Sequence[Publication]) -> list[tuple[str, Sequence[Publication]]]:
        """Part messages into fast batches, by the first token of their subjects, and those that go one by one ("")."""
        if not self._batched:
            return [("", publications)]
        by_stream: dict[str, list[Publication]] = {}
        for one in publications:
            by_stream.setdefault(one.subject.partition(".")[0], []).append(one)
        alone: list[Publication] = []
        parts: list[tuple[str, Sequence[Publication]]] = []
        for lane, messages in by_stream.items():
            if lane not in self._batched or len(messages) < BATCH_MESSAGES_MIN:
                alone += messages
                continue
            starts = range(0, len(messages), BATCH_MESSAGES_MAX)
            parts.extend((lane, messages[start : start + BATCH_MESSAGES_MAX]) for start in starts)
        if alone:
            parts.append(("", alone))
        return parts

    def _raise_refusals(self, flights: Sequence[tuple[str, _Flight]]) -> None:
        refused = [(lane, flight) for lane, flight in flights if flight.refusal is not None]
        if not refused:
            return
        for lane, flight in refused:
            if lane and flight.refusal_code == _BATCHES_ARE_OFF:
                self._batched.discard(lane)
                _log.warning("fast_batches_off", subjects=f"{lane}.>", meaning="messages are acknowledged one by one")
        raise UnavailableError("nats", f"JetStream refused a message: {refused[0][1].refusal}")

    def _heard(self, subject: bytes, _reply: bytes, data: bytes, head: bytes | None) -> None:
        flight = self._flights.get(subject[self._token_at :].partition(b".")[0])
        if flight is None:
            return
        answer, refusal, code = _read_answer(data, head)
        if flight.is_batch:
            flight.told(answer, refusal, code)
        else:
            flight.acknowledged(refusal, code)


def batch_replies(count: int, reply: str) -> Iterator[str]:
    """Give the reply subjects of a fast batch: how often to acknowledge, the place in the batch, and the operation."""
    begin = f"{reply}.{max(count, 2)}.fail."
    for number in range(1, count + 1):
        # 2 ends the batch, 0 begins it, 1 adds to it.
        yield f"{begin}{number}.{2 if number == count else 0 if number == 1 else 1}.$FI"


async def send(client: Client, frames: bytes) -> None:
    """Hand protocol frames to the client's buffer; waits where the buffer is full (nats-py's own back-pressure)."""
    await client._send_command(frames)  # noqa: SLF001  # the reason for this module
    await client._flush_pending()  # noqa: SLF001


async def send_settlements(client: Client, settlements: Sequence[tuple[str, bytes]]) -> None:
    """Settle many deliveries at once: pairs of acknowledgement subject and payload (``streams.settling``)."""
    await send(client, b"".join([b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(what), what) for to, what in settlements]))


def _read_answer(data: bytes, head: bytes | None) -> tuple[_Answer | None, str | None, int]:
    """Read an answer to a publish: it, and where it is a refusal its reason and JetStream's code."""
    if not data:
        status = read_headers(head).get("Status") if head else None
        return None, "no stream listens on the subject" if status == "503" else "an empty answer", 0
    try:
        answer = _ANSWER.decode(data)
    except msgspec.MsgspecError:
        return None, "an answer that is no acknowledgement", 0
    if answer.error is not None:
        return answer, str(answer.error.get("description", answer.error)), int(answer.error.get("err_code", 0))
    return answer, None, 0
