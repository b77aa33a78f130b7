"""The stream of dead letters, read and cleared over JetStream's plain API, in bounded memory whatever its length.

Many letters are read through an ephemeral consumer without acknowledgements, in pulls that are bounded in messages and
bytes. Every call has a time-out; a server that does not answer is UnavailableError.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from domain.errors import RulestreamError, UnavailableError
from domain.language import parse_timestamp
from streams import subjects
from streams.dead_letters import DeadLetter, Kind, read_letter
from streams.jetstream import CALL_TIMEOUT_S, MESSAGE_NOT_FOUND, call
from streams.messages.decisions import time_text

# A pull ends at either bound; the bytes must leave room for the largest message that the server takes.
PULL_LETTERS: Final = 500
PULL_BYTES: Final = 8 * 1024 * 1024
_ROOM_BYTES: Final = 64 * 1024
# How many sequences of the stream are looked through at once when the newest are wanted first.
WINDOW: Final = 5_000
# The server forgets a consumer that nobody has pulled from for so long: one left behind by a process that was killed.
_CONSUMER_KEPT_NS: Final = 600 * 1_000_000_000
# JetStream's error code for a message that it did not delete, among others because there is none.
_NOT_DELETED: Final = 10057
_SIZE_HEADER: Final = "Nats-Msg-Size"


@dataclass(frozen=True, slots=True)
class LetterCriteria:
    """Which letters are meant: every given criterion must hold.

    ``fact_type`` may have NATS wildcards; the type ``_invalid`` also stands for facts whose subject has no type.
    ``since_ns`` and ``until_ns`` bound the times at which letters were buried, the latter exclusively.
    """

    kind: Kind | None = None
    fact_type: str | None = None
    reasons: frozenset[str] = frozenset()
    since_ns: int | None = None
    until_ns: int | None = None

    @property
    def subject(self) -> str:
        """The subjects that the letters lie under."""
        if self.fact_type is not None:
            return subjects.DEAD_FACT_PREFIX + self.fact_type
        if self.kind is None:
            return subjects.DEAD
        return (subjects.DEAD_FACT_PREFIX if self.kind == "fact" else subjects.DEAD_COMMAND_PREFIX) + ">"

    def admits(self, letter: DeadLetter) -> bool:
        """Say whether a letter under the subject is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since_ns is None or letter.buried_at_ns >= self.since_ns)
            and (self.until_ns is None or letter.buried_at_ns < self.until_ns)
        )


class _Place(NamedTuple):
    """What JetStream says of a delivered message in its acknowledgement subject, with or without a domain."""

    sequence: int
    stored_at_ns: int
    pending: int

    @classmethod
    def of(cls, message: Msg) -> _Place:
        tokens = message.reply.split(".")
        at = 5 if len(tokens) == 9 else 7
        return cls(int(tokens[at]), int(tokens[at + 2]), int(tokens[at + 3]))


class DeadLetterStream:
    """Dead letters by their sequence in the stream, oldest first or newest first."""

    def __init__(self, client: Client, stream: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._client = client
        self._stream = stream
        self._timeout_s = timeout_s

    async def find(self, sequence: int) -> DeadLetter | None:
        """Return the letter at a sequence, whole; None when there is none (any more)."""
        answer = await self._ask(f"STREAM.MSG.GET.{self._stream}", {"seq": sequence}, none=MESSAGE_NOT_FOUND)
        if answer is None:
            return None
        found = answer["message"]
        head, data = base64.b64decode(found.get("hdrs", "")), base64.b64decode(found.get("data", ""))
        named = await self._client._process_headers(head)  # noqa: SLF001  # the client's own reading, as of the delivered
        return read_letter(sequence, parse_timestamp(found["time"]).ns, found["subject"], named or {}, data, len(data))

    async def remove(self, sequence: int) -> None:
        """Take a letter out of the stream; one that is gone already stays gone."""
        body = {"seq": sequence, "no_erase": True}
        done = await self._ask(f"STREAM.MSG.DELETE.{self._stream}", body, none=_NOT_DELETED)
        if done is None and await self.find(sequence) is not None:
            raise UnavailableError("nats", f"the dead letter {sequence} cannot be removed")

    async def oldest_first(self, criteria: LetterCriteria) -> AsyncGenerator[DeadLetter, None]:
        """Give the letters that are meant and in the stream now, whole; those that come meanwhile are left."""
        first, last = await self._ends()
        async with aclosing(self._between(first, last, criteria.subject, criteria.since_ns)) as letters:
            async for letter in letters:
                if criteria.admits(letter):
                    yield letter

    async def newest_first(self, criteria: LetterCriteria) -> AsyncGenerator[DeadLetter, None]:
        """Give the letters that are meant and in the stream now, without their data."""
        first, last = await self._ends()
        while last >= first:
            start = max(first, last - WINDOW + 1)
            found = [one async for one in self._between(start, last, criteria.subject, None, headers_only=True)]
            for letter in reversed(found):
                if criteria.admits(letter):
                    yield letter
            if found and criteria.since_ns is not None and found[0].buried_at_ns < criteria.since_ns:
                return
            last = start - 1

    async def _ends(self) -> tuple[int, int]:
        answer = await self._ask(f"STREAM.INFO.{self._stream}", None)
        assert answer is not None
        state = answer["state"]
        return max(state["first_seq"], 1), state["last_seq"]

    async def _between(
        self, first: int, last: int, subject: str, since_ns: int | None, *, headers_only: bool = False
    ) -> AsyncGenerator[DeadLetter, None]:
        if last < first:
            return
        async with self._consumer(first, subject, since_ns, headers_only=headers_only) as (name, count):
            pending = count
            inbox = self._client.new_inbox()
            arriving = await self._client.subscribe(f"{inbox}.*", pending_msgs_limit=0, pending_bytes_limit=0)
            try:
                for number in itertools.count():
                    if pending == 0:
                        return
                    # Each pull has a subject of its own: a status may come after the messages that it speaks of.
                    reply = f"{inbox}.{number}"
                    messages = await self._pull(name, arriving, reply, min(pending, PULL_LETTERS))
                    for message in messages:
                        if _Place.of(message).sequence > last:
                            return
                        yield _letter(message, headers_only=headers_only)
                    pending = _Place.of(messages[-1]).pending if messages else await self._left(name)
            finally:
                if self._client.is_connected:
                    await arriving.unsubscribe()

    @asynccontextmanager
    async def _consumer(
        self, first: int, subject: str, since_ns: int | None, *, headers_only: bool
    ) -> AsyncIterator[tuple[str, int]]:
        """Make a consumer for the length of a block; gives its name and how many messages it has."""
        name = f"dead-{self._client._nuid.next().decode()}"  # noqa: SLF001  # nats-py's own unique names
        start = (
            {"deliver_policy": "by_start_sequence", "opt_start_seq": first}
            if since_ns is None
            else {"deliver_policy": "by_start_time", "opt_start_time": time_text(since_ns)}
        )
        config = {
            **start,
            "name": name,
            "ack_policy": "none",
            "filter_subject": subject,
            "headers_only": headers_only,
            "inactive_threshold": _CONSUMER_KEPT_NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        answer = await self._ask(f"CONSUMER.CREATE.{self._stream}.{name}", body)
        assert answer is not None
        try:
            yield name, answer["num_pending"]
        finally:
            with suppress(RulestreamError):  # the server forgets it by itself
                await self._ask(f"CONSUMER.DELETE.{self._stream}.{name}", None)

    async def _pull(self, consumer: str, arriving: Subscription, reply: str, wanted: int) -> list[Msg]:
        request = {
            "batch": wanted,
            "max_bytes": max(PULL_BYTES, self._client.max_payload + _ROOM_BYTES),
            "expires": round(self._timeout_s * 500_000_000),
        }
        messages: list[Msg] = []
        try:
            body = msgspec.json.encode(request)
            await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}", body, reply=reply)
            while len(messages) < wanted:
                message = await arriving.next_msg(timeout=self._timeout_s)
                if message.subject == reply:
                    _check_status(message, is_first=not messages)
                    break
                if message.reply:  # else a status of an earlier pull
                    messages.append(message)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise self._away(error) from error
        return messages

    async def _left(self, consumer: str) -> int:
        """Return 0 where a pull brought nothing because all letters expired or were removed meanwhile."""
        answer = await self._ask(f"CONSUMER.INFO.{self._stream}.{consumer}", None)
        if answer is None or answer["num_pending"]:
            raise UnavailableError("nats", "the dead letters cannot be read: the server sends none")
        return 0

    async def _ask(self, name: str, body: Mapping[str, Any] | None, none: int | None = None) -> dict[str, Any] | None:
        return await call(self._client, name, body, none=none, timeout_s=self._timeout_s)

    def _away(self, error: Exception) -> UnavailableError:
        reason = str(error) or type(error).__name__
        return UnavailableError("nats", f"the dead letters cannot be read: {reason}")


def _letter(message: Msg, *, headers_only: bool) -> DeadLetter:
    place, found = _Place.of(message), message.headers or {}
    data = None if headers_only else message.data
    size = int(found.get(_SIZE_HEADER, "0")) if headers_only else len(message.data)
    return read_letter(place.sequence, place.stored_at_ns, message.subject, found, data, size)


def _check_status(message: Msg, *, is_first: bool) -> None:
    """Pass over a status that only ends a pull; raises UnavailableError for another."""
    found = message.headers or {}
    status, description = found.get("Status", ""), found.get("Description", "").strip()
    if status in {"404", "408"} or (status == "409" and not is_first):
        return
    raise UnavailableError("nats", f"the dead letters cannot be read: {status} {description}".strip())
