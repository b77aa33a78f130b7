"""Settling: what becomes of a delivered message, decided in one place.

A handler returns one of three outcomes and never acknowledges by itself. Handled is only returned for what is durable;
an unexpected exception is a Retry, so that nothing is acknowledged on an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

import msgspec
from nats.aio.msg import Msg

ACK: Final = b"+ACK"
IN_PROGRESS: Final = b"+WPI"
TERMINATE: Final = b"+TERM"


@dataclass(frozen=True, slots=True)
class Handled:
    """Done, and durable: acknowledge."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not done: deliver again, no sooner than after ``delay_s`` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Poison:
    """Can never be done, and is stored as a dead letter: terminate, with the reason for the server's advisory."""

    reason: str


Settlement = Handled | Retry | Poison

HANDLED: Final = Handled()


def settlement_frame(settlement: Settlement) -> bytes:
    """Return the payload with which a message is settled on its reply subject."""
    match settlement:
        case Handled():
            return ACK
        case Retry(delay_s):
            return negative_acknowledgement(delay_s)
        case Poison(reason):
            return TERMINATE + b" " + reason.encode("ascii", "replace")[:200]
        case _:
            assert_never(settlement)


def negative_acknowledgement(delay_s: float) -> bytes:
    """Return a NAK with its delay; a NAK without one would ignore the consumer's backoff."""
    return b"-NAK " + msgspec.json.encode({"delay": round(delay_s * 1_000_000_000)})


async def settle(message: Msg, settlement: Settlement) -> None:
    """Tell the server what became of a message."""
    await message.respond(settlement_frame(settlement))
