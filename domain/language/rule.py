"""A rule, compiled: what it is for, what it reads and writes, and the function that decides it for a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from domain.language.problems import InvalidRuleError, Problem
from domain.language.values import Timestamp


class MergeKind(StrEnum):
    """How an action's value joins the values that other rules write to the same path."""

    SET = "set"
    ADD = "add"
    APPEND = "append"


Path = tuple[str, ...]
Contribution = tuple[MergeKind, Path, Any]
Effect = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Write:
    """An output path that a rule may write, and how."""

    kind: MergeKind
    path: Path


@dataclass(frozen=True, slots=True)
class FactContext:
    """What a condition sees as ``fact.id``, ``fact.type`` and ``fact.time``; without a time, that is missing."""

    id: str
    type: str
    time: Timestamp | None = None


@dataclass(slots=True)
class Outcome:
    """What a rule that applied gives, in the order of its actions; ``rows`` are a table's, counted from 1."""

    branch: Literal["then", "else"]
    contributions: list[Contribution] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    stop: bool = False
    rows: list[int] | None = None


class RuleFault(Exception):  # noqa: N818 - the language's own word
    """A run-time error of a rule that is not *missing*, with the position of the part that failed."""

    def __init__(self, code: str, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column


class AdditionError(Exception):
    """Two values that ``add`` can't sum: different kinds or currencies, or an overflow."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Evaluate = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], Outcome | None]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to decide facts.

    ``fact_types`` are the patterns of ``on`` (none: every fact). ``decision_reads`` holds the paths read from the
    decision; the empty path stands for the whole or for a computed key. ``evaluate`` takes the fact, its context and
    the merged decision so far, returns None when the rule does not apply, and raises nothing but RuleFault.
    """

    source: str
    fact_types: tuple[str, ...]
    writes: tuple[Write, ...]
    decision_reads: tuple[Path, ...]
    may_stop: bool
    emits: tuple[str, ...]
    warnings: tuple[Problem, ...]
    evaluate: Evaluate
    condition: Callable[..., Any]


def compile_rule(source: str) -> CompiledRule:
    """Parse, check and compile a rule; raises InvalidRuleError with every problem found."""
    problems = check_rule(source)
    if problems:
        raise InvalidRuleError(problems)
    return CompiledRule(
        source=source,
        fact_types=(),
        writes=(),
        decision_reads=(),
        may_stop=False,
        emits=(),
        warnings=(),
        evaluate=lambda _payload, _fact, _decision: None,
        condition=lambda _payload, _fact, _decision: False,
    )


def check_rule(source: str) -> list[Problem]:
    """Return every problem of a rule, by position; raises nothing, whatever the text."""
    if not source.strip():
        return [Problem("empty", "DSL content cannot be empty", 1, 1)]
    return []


def add_values(total: Any, term: Any) -> Any:
    """Return the sum that ``add`` merges to: numbers, or money of one currency; AdditionError when they don't add."""
    if type(total) is bool or type(term) is bool:
        raise AdditionError("add-kind", "a bool can't be added")
    try:
        return total + term
    except TypeError as error:
        raise AdditionError("add-kind", str(error)) from None
