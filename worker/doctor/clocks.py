"""The servers' clocks against this machine's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from worker.doctor.findings import Code, Finding

# By NTP machines are within milliseconds; what is further off is not kept by it.
SKEW_MAX_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """How far a server's clock is ahead of ours, and how far that may be off: half of the time it took to ask."""

    ahead_s: float
    within_s: float


def judge(seen: Mapping[str, ClockSeen]) -> Iterator[Finding]:
    """Say which clocks are off for certain."""
    for server, one in seen.items():
        if abs(one.ahead_s) - one.within_s > SKEW_MAX_S:
            direction = "ahead of" if one.ahead_s > 0 else "behind"
            yield Finding(
                Code.CLOCK_OFF,
                f"the clock of {server} is {abs(one.ahead_s):.1f} s {direction} this machine's",
                "keep every machine's clock by NTP (chronyc tracking, timedatectl), and look which of them is wrong",
            )
