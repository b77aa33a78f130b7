"""Publishing many messages at once and knowing that JetStream stored each.

This is the one place where raw protocol frames are written: ``HPUB`` frames of a whole batch are joined and handed to
nats-py's send buffer in one piece, which is what nats-py's own publish costs most of its time for. nats-py's version is
bounded for it (pyproject.toml). Frames: https://docs.nats.io/reference/reference-protocols/nats-protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from domain.errors import UnavailableError

SUBJECT_BYTES_MAX: Final = 2048
_FORBIDDEN: Final = frozenset("\r\n\x00")
_HEADER_START: Final = "NATS/1.0\r\n"


class Publication(NamedTuple):
    """A message to publish; ``head`` is ``header_block``'s result."""

    subject: str
    head: bytes
    payload: bytes


class _PublishAcknowledgement(msgspec.Struct):
    error: dict[str, object] | None = None


_ACKNOWLEDGEMENT: Final = msgspec.json.Decoder(_PublishAcknowledgement)


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
    subject, head, payload = publication
    if not subject or len(subject) > SUBJECT_BYTES_MAX or not subject.isascii() or subject.split() != [subject]:
        raise ValueError(f"not a subject to publish on: {subject[:80]!r}")
    size = len(head)
    return b"%b%b%b\r\n" % (f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode(), head, payload)


class _Flight:
    """A batch that is on its way: how many acknowledgements it still waits for, and what was refused."""

    __slots__ = ("done", "missing", "refusals")

    def __init__(self, count: int) -> None:
        self.missing = count
        self.refusals: list[str] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class BatchPublisher:
    """Publishes batches to JetStream over one connection, with any number of batches in flight."""

    def __init__(self, client: Client, timeout_s: float = 10.0) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._inbox = client.new_inbox()
        self._flights: dict[str, _Flight] = {}
        self._number = 0
        self._is_listening = False

    async def start(self) -> None:
        """Begin to listen for acknowledgements; a second call does nothing."""
        if self._is_listening:
            return
        self._is_listening = True
        await self._client.subscribe(
            f"{self._inbox}.*", cb=self._acknowledged, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish messages and return when JetStream has stored, or knew, every one of them.

        Raises UnavailableError when some are not known to be stored: not connected, refused (a full stream), or no
        answer in time. The whole batch may then be published again: message ids make the server drop repeats.
        """
        if not publications:
            return
        if not self._client.is_connected:
            raise UnavailableError("nats", "not connected to NATS")
        self._number += 1
        token = str(self._number)
        reply = f"{self._inbox}.{token}"
        frames = b"".join([publish_frame(publication, reply) for publication in publications])
        flight = _Flight(len(publications))
        self._flights[token] = flight
        try:
            await send(self._client, frames)
            async with asyncio.timeout(self._timeout_s):
                await flight.done
        except TimeoutError:
            message = f"{flight.missing} of {len(publications)} messages were not acknowledged in {self._timeout_s:g} s"
            raise UnavailableError("nats", message) from None
        finally:
            del self._flights[token]
        if flight.refusals:
            raise UnavailableError("nats", f"JetStream refused a message: {flight.refusals[0]}")

    async def _acknowledged(self, message: Msg) -> None:
        flight = self._flights.get(message.subject.rpartition(".")[2])
        if flight is None:
            return
        refusal = _refusal(message)
        if refusal is not None:
            flight.refusals.append(refusal)
        flight.missing -= 1
        if flight.missing == 0 and not flight.done.done():
            flight.done.set_result(None)


async def send(client: Client, frames: bytes) -> None:
    """Hand protocol frames to the client's buffer; waits where the buffer is full (nats-py's own back-pressure)."""
    await client._send_command(frames)  # noqa: SLF001  # the reason for this module
    await client._flush_pending()  # noqa: SLF001


async def send_settlements(client: Client, settlements: Sequence[tuple[str, bytes]]) -> None:
    """Settle many deliveries at once: pairs of acknowledgement subject and payload (``streams.settling``)."""
    frames = b"".join(
        [b"PUB %b %d\r\n%b\r\n" % (reply.encode(), len(payload), payload) for reply, payload in settlements]
    )
    await send(client, frames)


def _refusal(message: Msg) -> str | None:
    if not message.data:
        return "no stream listens on the subject" if message.headers else "an empty answer"
    try:
        error = _ACKNOWLEDGEMENT.decode(message.data).error
    except msgspec.MsgspecError:
        return "an answer that is no acknowledgement"
    return None if error is None else str(error.get("description", error))
