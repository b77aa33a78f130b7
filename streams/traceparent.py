"""The header ``traceparent`` of W3C Trace Context: which trace a message belongs to, and what it comes from there.

One that does not have the form of https://www.w3.org/TR/trace-context/ is as good as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from streams import headers

_SAMPLED: Final = 0x01
_FLAGS_AT: Final = 54  # the last digit of the flags
_ODD: Final = frozenset("13579bdf")
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})((?:-[0-9a-f-]{0,63})?)\Z")


class TraceParent(NamedTuple):
    """A step of a trace: both ids in hexadecimal, and the flags."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether who sent it records it."""
        return bool(self.flags & _SAMPLED)


def is_sampled(traceparent: str) -> bool:
    """Say whether who sent a valid header's value records its own step; quick, since every fact may have one."""
    return traceparent[_FLAGS_AT] in _ODD


def read_traceparent(text: str) -> TraceParent | None:
    """Read a header's value; None for one that is not valid. Versions to come are read as far as they are known."""
    found = _FORM.match(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceParent(trace_id, span_id, int(flags, 16))


def traceparent_of(found: Mapping[str, str] | None) -> str | None:
    """Return the valid ``traceparent`` among a message's headers, whatever their spelling."""
    text = headers.lowered(dict(found) if found else None).get(headers.TRACEPARENT)
    return text if text is not None and read_traceparent(text) is not None else None
