"""The facts of a stream, in memory."""

from __future__ import annotations

import itertools

from domain.decisions.fact import Fact
from domain.errors import UnavailableError
from streams.facts.intake import Accepted, Delivery, read_fact

STORED_AT_NS = 1_769_860_800_000_000_000


class FakeFacts:
    """FactReader in memory, of a stream called FACTS. ``is_away`` is for tests to set."""

    def __init__(self) -> None:
        self.is_away = False
        self._messages: dict[int, Delivery] = {}
        self._sequences = itertools.count(1)

    def put(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, int]:
        """Store a message and give its sequence and when it was stored."""
        sequence = next(self._sequences)
        stored_at_ns = STORED_AT_NS + sequence
        self._messages[sequence] = Delivery(subject, "", data, headers, "FACTS", sequence, stored_at_ns, 1)
        return sequence, stored_at_ns

    def remove(self, sequence: int) -> None:
        """Take a message out of the stream."""
        del self._messages[sequence]

    async def find(self, sequence: int, stored_at_ns: int) -> Fact | None:
        if self.is_away:
            raise UnavailableError("nats", "the fake stream is away")
        message = self._messages.get(sequence)
        if message is None or message.stored_at_ns != stored_at_ns:
            return None
        outcome = read_fact(message, bytes_max=len(message.data))
        return outcome.fact if isinstance(outcome, Accepted) else None
