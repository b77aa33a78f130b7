"""What was decided about a fact. Values are JSON data already: what is here is what is stored and published."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from domain.decisions.fact import Fact
from domain.rules.content import Priority

Branch = Literal["then", "else"]


class Match(msgspec.Struct, frozen=True, gc=False):
    """One rule that took a branch for the fact, and what it alone contributed."""

    rule_id: str
    name: str
    version: int
    priority: Priority
    branch: Branch
    output: dict[str, Any]
    rows: list[int] | None = None


class FixedMatch(Match, frozen=True, gc=False):
    """A match of a rule that gives the same for every fact: one object for all of them.

    ``written`` is room for the bytes that whoever writes decisions makes of it, once (by ``force_setattr``);
    it is no part of the value.
    """

    written: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedMatch) and _values(self) == _values(other)

    __hash__ = None  # type: ignore[assignment]  # outputs are dictionaries


class Effect(NamedTuple):
    """A message that a decision causes, published on ``effects.<name>``."""

    name: str
    effect_id: str
    payload: dict[str, Any]


class Fault(NamedTuple):
    """A rule that failed on the fact; line and column are of its DSL, counted from 1."""

    rule_id: str
    code: str
    message: str
    line: int
    column: int


def _values(match: Match) -> tuple[Any, ...]:
    return match.rule_id, match.name, match.version, match.priority, match.branch, match.output, match.rows


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The whole decision on one fact under one ruleset; ``matched`` when some rule took its ``then``.

    ``matches`` are by priority, then name, then id of their rules. A rule that gives the same for every fact has one
    ``Match`` for all of them.
    """

    fact: Fact
    revision: int
    digest: bytes
    matched: bool
    output: dict[str, Any]
    matches: tuple[Match, ...]
    effects: tuple[Effect, ...]
    faults: tuple[Fault, ...]
    fault_count: int

    @property
    def id(self) -> str:
        return self.fact.key.hex()
