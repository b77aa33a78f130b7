"""The conditions of generated rules as data, and how our language writes them; each peer writes them in its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "startsWith", "endsWith", "contains"]
PARTS: Final = frozenset({"startsWith", "endsWith", "contains"})


@dataclass(frozen=True, slots=True)
class Compared:
    """The value at a path beside a constant; ``folded`` in lower case, as the constant is."""

    path: str
    operator: Operator
    value: Any
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """A path that is there."""

    path: str


@dataclass(frozen=True, slots=True)
class AnyItem:
    """A list of objects, one of which has a value in a field."""

    path: str
    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class Both:
    """All of several."""

    items: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Either:
    """One of several at least."""

    items: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Not:
    """What another is not."""

    item: Condition


Condition = Compared | Has | AnyItem | Both | Either | Not


def literal(value: Any) -> str:
    """Return a constant as JSON, which most languages read."""
    return msgspec.json.encode(value).decode()


def cel(condition: Condition, lower: str = "lowerAscii") -> str:
    """Return a condition in CEL; ``lower`` is the function that makes a text lower case."""
    match condition:
        case Compared(path, operator, value, folded):
            read = f"{path}.{lower}()" if folded else path
            return (
                f"{read}.{operator}({literal(value)})" if operator in PARTS else f"{read} {operator} {literal(value)}"
            )
        case Has(path):
            return f"has({path})"
        case AnyItem(path, field, value):
            return f"{path}.exists(i, i.{field} == {literal(value)})"
        case Both(items):
            return " && ".join(_inner(item, lower) for item in items)
        case Either(items):
            return " || ".join(_inner(item, lower) for item in items)
        case Not(item):
            return f"!({cel(item, lower)})"


def _inner(item: Condition, lower: str) -> str:
    text = cel(item, lower)
    return f"({text})" if isinstance(item, (Both, Either)) else text
