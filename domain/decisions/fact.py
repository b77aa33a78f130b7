"""A fact as the engine sees it."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.language import Timestamp, timestamp_from_ns


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One event to decide: its identity, its type, its place in the stream and its data.

    ``key`` is the 16 bytes of ``domain.identifiers.fact_key``; in hexadecimal it is the decision's id. ``time_ns`` is
    in nanoseconds since 1970 UTC, None only offline, where a fact may have no time. ``payload`` is decoded JSON.
    """

    key: bytes
    id: str
    type: str
    sequence: int
    time_ns: int | None
    payload: dict[str, Any]

    @property
    def time(self) -> Timestamp | None:
        """The fact's time as rules see it."""
        return None if self.time_ns is None else timestamp_from_ns(self.time_ns)
