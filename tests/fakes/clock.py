"""A clock that the test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Clock that stands still until it is moved."""

    def __init__(self, moment: datetime = datetime(2026, 1, 31, 12, tzinfo=UTC)) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        """Move on by some seconds."""
        self.moment += timedelta(seconds=seconds)
