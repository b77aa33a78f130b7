"""Settling: the frame of each outcome."""

from __future__ import annotations

import pytest

from streams.settling import HANDLED, Poison, Retry, Settlement, settle, settlement_frame


@pytest.mark.parametrize(
    ("settlement", "frame"),
    [
        (HANDLED, b"+ACK"),
        (Retry(0.0), b'-NAK {"delay":0}'),
        (Retry(1.5), b'-NAK {"delay":1500000000}'),
        (Retry(30), b'-NAK {"delay":30000000000}'),
        (Poison("NOT_JSON"), b"+TERM NOT_JSON"),
        (Poison("é" * 3), b"+TERM ???"),
        (Poison("x" * 300), b"+TERM " + b"x" * 200),
    ],
)
def test_each_outcome_has_its_frame(settlement: Settlement, frame: bytes) -> None:
    assert settlement_frame(settlement) == frame


async def test_a_message_is_settled_by_one_answer() -> None:
    class Message:
        def __init__(self) -> None:
            self.answers: list[bytes] = []

        async def respond(self, data: bytes) -> None:
            self.answers.append(data)

    message = Message()
    await settle(message, Retry(2))  # type: ignore[arg-type]
    assert message.answers == [b'-NAK {"delay":2000000000}']
