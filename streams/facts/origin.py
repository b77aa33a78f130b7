"""Where a fact that is sent again was stored first: what keeps the identity and the time of a fact without its own.

A dead letter's fact is published again with the header ``Rulestream-Origin: <stream>:<sequence>@<stored time in
nanoseconds>``. Anyone who may publish facts may write it, as anyone may write an id; docs/decisions.md says what that
allows.
"""

from __future__ import annotations

import re
from typing import Final

from domain.ports import FactPlace

ORIGIN_PATTERN: Final = r"([^\s.*>/\\]{1,255}):([1-9][0-9]{0,18})@([1-9][0-9]{0,18})"
_ORIGIN: Final = re.compile(ORIGIN_PATTERN)


def origin_text(place: FactPlace) -> str:
    """Write a place as the header has it."""
    return f"{place.stream}:{place.sequence}@{place.stored_at_ns}"


def parse_origin(text: str) -> FactPlace | None:
    """Read a place from its header; None for any other text."""
    found = _ORIGIN.fullmatch(text)
    return None if found is None else FactPlace(found[1], int(found[2]), int(found[3]))
