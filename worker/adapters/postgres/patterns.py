"""Senders' texts in searches: what Postgres takes for text, and what its LIKE gives a meaning."""

from __future__ import annotations

from typing import Final

_NUL: Final = "\0"  # in no text of Postgres, which refuses even to look for it


def holds_nul(*texts: str | None) -> bool:
    """Say whether some text can be found nowhere, since Postgres stores no NUL."""
    return any(_NUL in text for text in texts if text)


def pattern_of(part: str | None) -> str | None:
    """Return the LIKE pattern of the texts that contain a part, whatever signs are in it; None for None."""
    if part is None:
        return None
    literal = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"
