"""The checked tree: names resolved, macros expanded, functions chosen. Both the compiler and ``explain`` work on it.

``tainted`` tells whether fact data takes part: only then is a type that no overload takes *missing*, not a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from domain.language.tree import Span
from domain.language.types import Type


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression, checked."""

    span: Span
    mark: Span
    type: Type
    tainted: bool


@dataclass(frozen=True, slots=True)
class Const(Part):
    """A value known before any fact is."""

    value: Any


@dataclass(frozen=True, slots=True)
class Variable(Part):
    """``payload``, ``decision``, ``fact.id`` and so on, a ``let`` (``let:n``), or a macro's variable (``v1``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Part):
    """A field."""

    operand: Part
    field: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Has(Part):
    """``has(operand.field)``."""

    operand: Part
    field: str


@dataclass(frozen=True, slots=True)
class Invoke(Part):
    """An operator or function; ``call`` takes the arguments' values. A ``metered`` one takes steps for their size."""

    name: str
    call: Callable[..., Any]
    arguments: tuple[Part, ...]
    metered: bool = False


@dataclass(frozen=True, slots=True)
class Logic(Part):
    """``&&`` or ``||`` over two or more parts; errors of some are absorbed by the others."""

    operator: str
    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choose(Part):
    """``?:``, as pairs of test and value, and the last value."""

    branches: tuple[tuple[Part, Part], ...]
    otherwise: Part


@dataclass(frozen=True, slots=True)
class MakeList(Part):
    """A list; ``optional`` tells which items are optionals that are left out when none."""

    items: tuple[Part, ...]
    optional: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class MakeMap(Part):
    """A map: key, value, whether the value is an optional that is left out when none."""

    entries: tuple[tuple[Part, Part, bool], ...]


@dataclass(frozen=True, slots=True)
class Bind(Part):
    """``cel.bind(variable, value, body)``."""

    variable: str
    value: Part
    body: Part


@dataclass(frozen=True, slots=True)
class OptionalMap(Part):
    """``operand.optMap(variable, body)``, or ``optFlatMap`` when ``flat``."""

    operand: Part
    variable: str
    body: Part
    flat: bool


@dataclass(frozen=True, slots=True)
class Loop(Part):
    """A macro over a list or a map.

    ``kind`` is all, exists, exists_one, list, map or entries (a map built from maps). ``variables`` are the element, or
    index (key) and element; ``test`` is the predicate or filter; ``result`` makes what a list or map is built from.
    """

    kind: str
    source: Part
    variables: tuple[str, ...]
    test: Part | None
    result: Part | None


@dataclass(frozen=True, slots=True)
class Failure(Part):
    """An expression that can only fail; only where static checks are off."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """``set``, ``add`` or ``append``."""

    kind: str
    path: tuple[str, ...]
    value: Part


@dataclass(frozen=True, slots=True)
class PlannedEffect:
    """``emit``."""

    name: str
    value: Part


@dataclass(frozen=True, slots=True)
class PlannedBranch:
    """The actions of ``then`` or ``else``, in order, and whether one of them is ``stop``."""

    actions: tuple[PlannedAction | PlannedEffect, ...]
    stop: bool


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A table's row, counted from 1: a test for each cell that is not ``-``, and its outputs."""

    number: int
    span: Span
    tests: tuple[Part, ...]
    branch: PlannedBranch


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table; its columns are lets."""

    hit: str
    mark: Span
    rows: tuple[PlannedRow, ...]


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """A rule, checked. A rule without a condition has None there; a bare condition has no branches."""

    fact_types: tuple[str, ...]
    lets: tuple[tuple[str, Part], ...]
    condition: Part | None
    then: PlannedBranch | None
    otherwise: PlannedBranch | None
    decision_reads: tuple[tuple[str, ...], ...]
    table: PlannedTable | None = None

    @property
    def branches(self) -> tuple[PlannedBranch, ...]:
        """Every branch: ``then`` and ``else``, or a table's rows."""
        rows = () if self.table is None else self.table.rows
        return tuple(branch for branch in (self.then, self.otherwise, *(row.branch for row in rows)) if branch)

    @property
    def tests(self) -> tuple[Part, ...]:
        """Every part that decides whether the rule applies."""
        condition = () if self.condition is None else (self.condition,)
        rows = () if self.table is None else self.table.rows
        return (*condition, *(test for row in rows for test in row.tests))


def children(part: Part) -> tuple[Part, ...]:
    """Return the parts directly inside a part, in the order in which they are written."""
    return _CHILDREN[type(part)](part)


_CHILDREN: Final[dict[type, Callable[[Any], tuple[Part, ...]]]] = {
    Const: lambda _: (),
    Variable: lambda _: (),
    Failure: lambda _: (),
    Select: lambda part: (part.operand,),
    Has: lambda part: (part.operand,),
    Invoke: lambda part: part.arguments,
    Logic: lambda part: part.items,
    MakeList: lambda part: part.items,
    Choose: lambda part: (*(inner for pair in part.branches for inner in pair), part.otherwise),
    MakeMap: lambda part: tuple(inner for key, value, _ in part.entries for inner in (key, value)),
    Bind: lambda part: (part.value, part.body),
    OptionalMap: lambda part: (part.operand, part.body),
    Loop: lambda part: tuple(inner for inner in (part.source, part.test, part.result) if inner is not None),
}


def spine(part: Invoke) -> list[Invoke]:
    """Return a chain of operators that leans to the left, from its top to its lowest link."""
    chain = [part]
    while True:
        first = chain[-1].arguments[0] if chain[-1].arguments else None
        if not isinstance(first, Invoke):
            return chain
        chain.append(first)
