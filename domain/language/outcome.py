"""What a rule is given and what it gives: the fact's context, contributions, effects, faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from domain.language.values import Timestamp


class MergeKind(StrEnum):
    """How an action's value joins the values that other rules write to the same path."""

    SET = "set"
    ADD = "add"
    APPEND = "append"


Path = tuple[str, ...]


@lru_cache(maxsize=4_096)
def shared_path(path: Path) -> Path:
    """Return one object for a path that many rules write."""
    return path


Contribution = tuple[MergeKind, Path, Any]
Effect = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Write:
    """An output path that a rule may write, and how."""

    kind: MergeKind
    path: Path


class FactAttributes(Protocol):
    """What a condition sees as ``fact.id``, ``fact.type`` and ``fact.time``; without a time, that is missing."""

    @property
    def id(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def time(self) -> Timestamp | None: ...


class FactContext(NamedTuple):
    """A fact's attributes by themselves."""

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
