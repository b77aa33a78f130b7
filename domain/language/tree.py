"""The syntax tree: what was written, with where it was written. Offsets are code points from the source's start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression; ``span`` is all of it, ``mark`` is the word or operator that a problem points at."""

    span: Span
    mark: Span


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """null, a bool, number, string or bytes."""

    value: Any


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A template's ``${name}``."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An identifier; ``rooted`` when written with a leading dot."""

    name: str
    rooted: bool


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``operand.field``, or ``operand.?field``."""

    operand: Node
    field: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``operand[key]``, or ``operand[?key]``."""

    operand: Node
    key: Node
    optional: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``function(arguments)``, or ``target.function(arguments)``."""

    function: str
    target: Node | None
    arguments: tuple[Node, ...]
    rooted: bool = False


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """``[a, b, ?c]``; ``optional`` tells which elements carry a ``?``."""

    items: tuple[Node, ...]
    optional: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """``{k: v, ?k: v}``: key, value, whether with a ``?``."""

    entries: tuple[tuple[Node, Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``!x`` or ``-x``."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """An arithmetic operator, a comparison or ``in``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """A chain of one logical operator, ``&&`` or ``||``."""

    operator: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``test ? then : otherwise``, with the chain of further conditionals flattened: pairs, then the last value."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; ``span`` is its word."""

    span: Span


@dataclass(frozen=True, slots=True)
class On(Statement):
    """``on T, …``."""

    types: tuple[tuple[str, Span], ...]


@dataclass(frozen=True, slots=True)
class Let(Statement):
    """``let name = value``."""

    name: str
    name_span: Span
    value: Node


@dataclass(frozen=True, slots=True)
class When(Statement):
    """``when condition``; a bare expression too."""

    condition: Node


@dataclass(frozen=True, slots=True)
class Branch(Statement):
    """The word ``then`` or ``else``."""

    name: str


@dataclass(frozen=True, slots=True)
class Action(Statement):
    """``set``, ``add`` or ``append``."""

    kind: str
    path: tuple[str, ...]
    path_span: Span
    value: Node


@dataclass(frozen=True, slots=True)
class Emit(Statement):
    """``emit name map``."""

    name: str
    name_span: Span
    value: Node


@dataclass(frozen=True, slots=True)
class Stop(Statement):
    """``stop``."""


@dataclass(frozen=True, slots=True)
class CellTest:
    """One alternative of a condition cell: ``value``, an operator with its right side, or ``range`` with both ends."""

    span: Span
    kind: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``if`` with the expression that it tests, or an action with its path or effect."""

    span: Span
    kind: str
    expression: Node | None
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: a condition's alternatives, or an output's value; both empty for ``-``."""

    span: Span
    tests: tuple[CellTest, ...]
    value: Node | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; ``span`` is the whole line."""

    span: Span
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table(Statement):
    """``table HIT`` with its columns and rows."""

    hit: str
    hit_span: Span
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A whole rule, its statements sorted by kind; ``tail`` is where the text ends."""

    on: On | None
    lets: tuple[Let, ...]
    when: When | None
    then: tuple[Statement, ...] | None
    otherwise: tuple[Statement, ...] | None
    table: Table | None = None


def mentions(node: Node, name: str) -> bool:
    """Return whether an expression uses a name."""
    waiting: list[Node] = [node]
    while waiting:
        current = waiting.pop()
        match current:
            case Name():
                if current.name == name and not current.rooted:
                    return True
            case Member(operand=operand) | Unary(operand=operand):
                waiting.append(operand)
            case Index(operand=operand, key=key):
                waiting += (operand, key)
            case Call(target=target, arguments=arguments):
                waiting += arguments if target is None else (target, *arguments)
            case ListOf(items=items) | Logic(items=items):
                waiting += items
            case MapOf(entries=entries):
                waiting += [inner for key, value, _ in entries for inner in (key, value)]
            case Binary(left=left, right=right):
                waiting += (left, right)
            case Conditional(branches=branches, otherwise=otherwise):
                waiting += [otherwise, *(inner for pair in branches for inner in pair)]
    return False
