"""A plan as plain data, and back: what is kept of a rule so that its text need not be parsed and checked again.

The data is lists, texts, numbers, bytes, bools and None alone, so that it goes through msgpack as it is. Parts stand in
one flat list, each after the parts inside it, so that neither way needs recursion, however long a chain of operators
is. Types stand in a list of their own, each once. Functions are stored by name and prepared again.

The data is for readers of the same release: ``STORED_VERSION`` rises whenever the language changes what a text means,
or what is kept of it (``record``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from domain.language.faults import strict
from domain.language.library import network, operators
from domain.language.library.catalogue import FUNCTIONS
from domain.language.plan import (
    Bind,
    Choose,
    Const,
    Failure,
    Has,
    Invoke,
    Logic,
    Loop,
    MakeList,
    MakeMap,
    OptionalMap,
    Part,
    PlannedAction,
    PlannedBranch,
    PlannedEffect,
    PlannedRow,
    PlannedRule,
    PlannedTable,
    Select,
    Variable,
    children,
)
from domain.language.tree import Span
from domain.language.types import Type
from domain.language.values import (
    FALSE_KEY,
    NONE,
    TRUE_KEY,
    BoolKey,
    Duration,
    Email,
    KeyedMap,
    Money,
    OptionalValue,
    Timestamp,
    TypeValue,
    Uint,
)

STORED_VERSION: Final = 4
_Head = tuple[Span, Span, Type, bool]
PlanData = list[Any]


class StoredPlanError(ValueError):
    """Data that is no plan of this version."""


def store_plan(plan: PlannedRule) -> PlanData:
    """Return a plan as plain data."""
    writer = _Writer()
    lets = [[name, writer.part(part)] for name, part in plan.lets]
    condition = None if plan.condition is None else writer.part(plan.condition)
    then, otherwise = writer.branch(plan.then), writer.branch(plan.otherwise)
    table = None
    if plan.table is not None:
        rows = [
            [row.number, *row.span, [writer.part(test) for test in row.tests], writer.branch(row.branch)]
            for row in plan.table.rows
        ]
        table = [plan.table.hit, *plan.table.mark, rows]
    reads = [list(path) for path in plan.decision_reads]
    parts = [writer.types, writer.nodes, lets, condition, then, otherwise, table]
    return [STORED_VERSION, list(plan.fact_types), reads, *parts]


def load_plan(data: Any) -> PlannedRule:
    """Return the plan that ``store_plan`` was given; raises StoredPlanError for anything else."""
    try:
        version, fact_types, reads, types, nodes, lets, condition, then, otherwise, table = data
        if version != STORED_VERSION:
            raise StoredPlanError(f"a plan of version {version}")
        reader = _Reader(types, nodes)
        return PlannedRule(
            tuple(fact_types),
            tuple((name, reader.parts[number]) for name, number in lets),
            reader.optional(condition),
            reader.branch(then),
            reader.branch(otherwise),
            tuple(map(tuple, reads)),
            None if table is None else reader.table(table),
        )
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, StoredPlanError):
            raise
        raise StoredPlanError(f"not a plan: {error}") from error


class _Writer:
    """Collects the types and parts of one plan."""

    def __init__(self) -> None:
        self.types: list[Any] = []
        self.nodes: list[list[Any]] = []
        self._type_numbers: dict[Type, int] = {}
        self._numbers: dict[int, int] = {}

    def type(self, type_: Type) -> int:
        number = self._type_numbers.get(type_)
        if number is None:
            parameters = [self.type(parameter) for parameter in type_.parameters]
            fields = [[name, self.type(field)] for name, field in type_.fields]
            number = self._type_numbers[type_] = len(self.types)
            self.types.append([type_.kind, parameters, fields, type_.closed])
        return number

    def part(self, root: Part) -> int:
        """Write a part after all that is inside it and return its number."""
        numbers = self._numbers
        waiting: list[tuple[Part, tuple[Part, ...] | None]] = [(root, None)]
        while waiting:
            part, below = waiting.pop()
            if id(part) in numbers:
                continue
            if below is None:
                below = children(part)
                if below:
                    waiting.append((part, below))
                    waiting += [(child, None) for child in reversed(below)]
                    continue
            numbers[id(part)] = len(self.nodes)
            code, write = _WRITERS[type(part)]
            inner = [numbers[id(child)] for child in below]
            type_ = self._type_numbers.get(part.type)
            if type_ is None:
                type_ = self.type(part.type)
            self.nodes.append([code, *part.span, *part.mark, type_, part.tainted, inner, *write(part)])
        return numbers[id(root)]

    def branch(self, branch: PlannedBranch | None) -> list[Any] | None:
        if branch is None:
            return None
        actions = [
            ["emit", action.name, self.part(action.value)]
            if isinstance(action, PlannedEffect)
            else [action.kind, list(action.path), self.part(action.value)]
            for action in branch.actions
        ]
        return [actions, branch.stop]


_WRITERS: Final[dict[type, tuple[int, Callable[[Any], tuple[Any, ...]]]]] = {
    Const: (0, lambda part: (_store_value(part.value),)),
    Variable: (1, lambda part: (part.name,)),
    Select: (2, lambda part: (part.field, part.optional)),
    Has: (3, lambda part: (part.field,)),
    Invoke: (4, lambda part: (part.name, part.metered)),
    Logic: (5, lambda part: (part.operator,)),
    Choose: (6, lambda _: ()),
    MakeList: (7, lambda part: (list(part.optional),)),
    MakeMap: (8, lambda part: ([optional for _, _, optional in part.entries],)),
    Bind: (9, lambda part: (part.variable,)),
    OptionalMap: (10, lambda part: (part.variable, part.flat)),
    Loop: (11, lambda part: (part.kind, list(part.variables), part.test is not None)),
    Failure: (12, lambda part: (part.code, part.message)),
}


class _Reader:
    """Makes the types and parts of one plan."""

    def __init__(self, types: list[Any], nodes: list[list[Any]]) -> None:
        made: list[Type] = []
        for kind, parameters, fields, closed in types:
            inner = tuple([made[number] for number in parameters])
            made.append(Type(kind, inner, tuple((name, made[number]) for name, number in fields), closed))
        self.parts: list[Part] = []
        for code, start, end, mark, mark_end, type_, tainted, inner, *rest in nodes:
            below = [self.parts[number] for number in inner]
            head = ((start, end), (mark, mark_end), made[type_], tainted)
            self.parts.append(_READERS[code](head, below, *rest))

    def optional(self, number: int | None) -> Part | None:
        return None if number is None else self.parts[number]

    def branch(self, data: Any) -> PlannedBranch | None:
        if data is None:
            return None
        actions, stop = data
        return PlannedBranch(
            tuple(
                PlannedEffect(path, self.parts[number])
                if kind == "emit"
                else PlannedAction(kind, tuple(path), self.parts[number])
                for kind, path, number in actions
            ),
            stop,
        )

    def table(self, data: Any) -> PlannedTable:
        hit, mark, mark_end, rows = data
        made = []
        for number, start, end, tests, branch in rows:
            actions = self.branch(branch)
            if actions is None:
                raise StoredPlanError("a row without outputs")
            made.append(PlannedRow(number, (start, end), tuple(self.parts[test] for test in tests), actions))
        return PlannedTable(hit, (mark, mark_end), tuple(made))


def _read_const(head: _Head, _: list[Part], value: Any) -> Part:
    return Const(*head, value=_load_value(value))


def _read_invoke(head: _Head, below: list[Part], name: str, metered: bool) -> Part:
    call, prepare = _CALLS[name]
    if prepare is not None:
        call = prepare({number: part.value for number, part in enumerate(below) if isinstance(part, Const)}) or call
    if not head[3]:
        call = strict(call)
    return Invoke(*head, name=name, call=call, arguments=tuple(below), metered=metered)


def _read_choose(head: _Head, below: list[Part]) -> Part:
    *pairs, otherwise = below
    return Choose(*head, branches=tuple(zip(pairs[::2], pairs[1::2], strict=True)), otherwise=otherwise)


def _read_list(head: _Head, below: list[Part], optional: list[bool]) -> Part:
    return MakeList(*head, items=tuple(below), optional=tuple(optional))


def _read_map(head: _Head, below: list[Part], optional: list[bool]) -> Part:
    return MakeMap(*head, entries=tuple(zip(below[::2], below[1::2], optional, strict=True)))


def _read_optional_map(head: _Head, below: list[Part], variable: str, flat: bool) -> Part:
    operand, body = below
    return OptionalMap(*head, operand=operand, variable=variable, body=body, flat=flat)


def _read_loop(head: _Head, below: list[Part], kind: str, variables: list[str], has_test: bool) -> Part:
    source, *rest = below
    test = rest.pop(0) if has_test else None
    result = rest.pop() if rest else None
    return Loop(*head, kind=kind, source=source, variables=tuple(variables), test=test, result=result)


_CALLS: Final[dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]]] = {
    **{name: (function.call, function.prepare) for name, function in FUNCTIONS.items()},
    "[?]": (operators.optional_index, None),
}


def _read_variable(head: _Head, _: list[Part], name: str) -> Part:
    return Variable(*head, name=name)


def _read_select(head: _Head, below: list[Part], field: str, optional: bool) -> Part:
    return Select(*head, operand=below[0], field=field, optional=optional)


def _read_has(head: _Head, below: list[Part], field: str) -> Part:
    return Has(*head, operand=below[0], field=field)


def _read_logic(head: _Head, below: list[Part], operator: str) -> Part:
    return Logic(*head, operator=operator, items=tuple(below))


def _read_bind(head: _Head, below: list[Part], variable: str) -> Part:
    value, body = below
    return Bind(*head, variable=variable, value=value, body=body)


def _read_failure(head: _Head, _: list[Part], code: str, message: str) -> Part:
    return Failure(*head, code=code, message=message)


# By the codes of ``_WRITERS``.
_READERS: Final[tuple[Callable[..., Part], ...]] = (
    _read_const, _read_variable, _read_select, _read_has, _read_invoke, _read_logic, _read_choose, _read_list,
    _read_map, _read_bind, _read_optional_map, _read_loop, _read_failure,
)  # fmt: skip


# Constants

_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


def _store_value(value: Any) -> Any:
    """Return a constant as plain data; what is no plain value is a list that begins with its kind."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return ["list", [_store_value(item) for item in value]]
    if kind is dict or kind is KeyedMap:
        items = [[_store_value(key), _store_value(item)] for key, item in value.items()]
        return ["map" if kind is dict else "keyed", items]
    write = _VALUE_WRITERS[kind]
    return [kind.__name__, *write(value)]


_VALUE_WRITERS: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {
    Uint: lambda value: (int(value),),
    BoolKey: lambda value: (value.value,),
    Timestamp: lambda value: (str(value.ns),),
    Duration: lambda value: (str(value.ns),),
    Decimal: lambda value: (str(value),),
    TypeValue: lambda value: (value.name,),
    OptionalValue: lambda value: ([_store_value(value.value)] if value.present else [],),
    Money: lambda value: (str(value.amount), value.currency),
    Email: lambda value: (value.local, value.domain),
    network.IP: lambda value: (value.to_text(),),
    network.CIDR: lambda value: (str(value.address), value.prefix),
}
_VALUE_READERS: Final[dict[str, Callable[..., Any]]] = {
    "list": lambda items: [_load_value(item) for item in items],
    "map": lambda items: {key: _load_value(item) for key, item in items},
    "keyed": lambda items: KeyedMap((_load_value(key), _load_value(item)) for key, item in items),
    "Uint": Uint,
    "BoolKey": lambda value: TRUE_KEY if value else FALSE_KEY,
    "Timestamp": lambda ns: Timestamp(int(ns)),
    "Duration": lambda ns: Duration(int(ns)),
    "Decimal": Decimal,
    "TypeValue": TypeValue,
    "OptionalValue": lambda held: OptionalValue(True, _load_value(held[0])) if held else NONE,
    "Money": lambda amount, currency: Money(Decimal(amount), currency),
    "Email": Email,
    "IP": lambda text: network.IP(ipaddress.ip_address(text)),
    "CIDR": lambda text, prefix: network.CIDR(ipaddress.ip_address(text), prefix),
}


def _load_value(data: Any) -> Any:
    if type(data) is list:
        return _VALUE_READERS[data[0]](*data[1:])
    return data
