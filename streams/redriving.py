"""Sending the facts of dead letters again, and hearing what the stream made of each."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Final

import msgspec
import nats.errors
from nats.aio.msg import Msg

from domain.errors import UnavailableError
from domain.language import parse_timestamp
from streams.connection import LenientClient
from streams.jetstream import MESSAGE_NOT_FOUND, call
from streams.wire import Publication, publish_frame, send

_TIMEOUT_S: Final = 10.0


class _Refusal(msgspec.Struct):
    description: str = ""


class _Acknowledgement(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Refusal | None = None


_DECODER: Final = msgspec.json.Decoder(_Acknowledgement)


@dataclass(frozen=True, slots=True)
class Stored:
    """The stream has stored a message, at this sequence."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Known:
    """The stream dropped a message: it remembers its message id, of the message at this sequence."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class NotStored:
    """The server took no message, and why."""

    reason: str


Outcome = Stored | Known | NotStored


@dataclass(frozen=True, slots=True)
class Remembered:
    """The stream's duplicate window, and the end of it for one message; None where the message is gone."""

    window_ns: int
    until_ns: int | None


class Redriver:
    """Publishes messages one at a time, each with its acknowledgement; any number may be on their way."""

    def __init__(self, client: LenientClient, timeout_s: float = _TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._inbox = client.new_inbox()
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Begin to listen for acknowledgements."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._heard, pending_msgs_limit=0, pending_bytes_limit=0)

    async def publish(self, publication: Publication) -> Outcome:
        """Publish a message and return what became of it; raises UnavailableError when nobody knows."""
        number = str(next(self._numbers))
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await send(self._client, publish_frame(publication, f"{self._inbox}.{number}"))
            async with asyncio.timeout(self._timeout_s):
                return _outcome(await answer)
        except (OSError, TimeoutError, nats.errors.Error, msgspec.MsgspecError) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError("nats", f"a message was not acknowledged: {reason}") from error
        finally:
            del self._waiting[number]

    async def remembered(self, known: Known) -> Remembered:
        """Say how long the stream drops repeats of a message that it knows."""
        info = await call(self._client, f"STREAM.INFO.{known.stream}", timeout_s=self._timeout_s)
        assert info is not None
        window_ns = info["config"].get("duplicate_window", 0)
        wanted = {"seq": known.sequence}
        name = f"STREAM.MSG.GET.{known.stream}"
        found = await call(self._client, name, wanted, none=MESSAGE_NOT_FOUND, timeout_s=self._timeout_s)
        return Remembered(
            window_ns, None if found is None else parse_timestamp(found["message"]["time"]).ns + window_ns
        )

    async def _heard(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message)


def _outcome(message: Msg) -> Outcome:
    if not message.data:
        return NotStored("no stream listens on the subject")
    found = _DECODER.decode(message.data)
    if found.error is not None:
        return NotStored(found.error.description)
    return (Known if found.duplicate else Stored)(found.stream, found.seq)
