"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Clock by the operating system, to the microsecond."""

    def now(self) -> datetime:
        return datetime.now(UTC)
