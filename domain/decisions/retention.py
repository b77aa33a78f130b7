"""How long decisions must be kept so that a fact is decided once (contract section 5), and in which spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from domain.errors import ValidationError

RETENTION_SETTING: Final = "RULESTREAM_DECISION_RETENTION_S"


class RetentionError(ValidationError):
    """A fact could outlive its decision, and be decided twice."""


def require_retention(retention_s: int, facts_stream: str, max_age_s: float, duplicate_window_s: float) -> None:
    """Raise RetentionError unless decisions outlive the facts of a stream and its memory of duplicates.

    ``max_age_s`` 0 is a stream without an age limit, as JetStream has it: no retention is long enough for that.
    """
    if max_age_s <= 0:
        raise RetentionError(
            f"the stream {facts_stream} has no age limit (max_age 0), so that a fact could outlive its decision and be"
            f" decided twice: give the stream a max_age below {RETENTION_SETTING} ({retention_s} s)"
        )
    needed_s = max_age_s + duplicate_window_s
    if retention_s <= needed_s:
        raise RetentionError(
            f"{RETENTION_SETTING}: {retention_s} s must exceed the age limit of {facts_stream} plus its duplicate"
            f" window ({_text(max_age_s)} s and {_text(duplicate_window_s)} s), or a fact could be decided twice:"
            f" raise it above {_text(needed_s)}, or lower the stream's max_age"
        )


def _text(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Span:
    """Stored times from one to another, exclusively, in nanoseconds since 1970 UTC."""

    since_ns: int
    until_ns: int


def missing_spans(taken: Iterable[Span], wanted: Span, length_ns: int) -> list[Span]:
    """Return, by time, the spans to be added to those that are taken, so that together they hold all of a wanted one.

    They are as long as ``length_ns`` and begin at its multiples, as far as what is taken leaves room; the first and
    the last may reach beyond what is wanted.
    """
    found = []
    others = sorted(taken, key=lambda span: span.since_ns)
    for since_ns in range(wanted.since_ns // length_ns * length_ns, wanted.until_ns, length_ns):
        free_ns, until_ns = since_ns, since_ns + length_ns
        for other in others:
            if other.until_ns <= free_ns or other.since_ns >= until_ns:
                continue
            found.append(Span(free_ns, other.since_ns))
            free_ns = other.until_ns
        found.append(Span(free_ns, until_ns))
    return [one for one in found if max(one.since_ns, wanted.since_ns) < min(one.until_ns, wanted.until_ns)]
