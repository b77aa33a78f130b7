"""What a function is to the checker and the compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from domain.language.types import Signature, Type, parse_signature


@dataclass(frozen=True, slots=True)
class Function:
    """A function by name, with its overloads; ``call`` takes the target of a method as its first argument.

    ``call`` raises NoOverload for argument types that no overload has. ``prepare`` may return a call specialised to
    constant arguments (given by position), such as a compiled pattern; it raises ValueError for a constant that can
    never be right. ``infer`` gives the result's type where the signatures do not. The time of a ``linear`` function
    grows with its arguments, so inside a macro it takes steps for them.
    """

    name: str
    call: Callable[..., Any]
    signatures: tuple[Signature, ...]
    prepare: Callable[[dict[int, Any]], Callable[..., Any] | None] | None = None
    infer: Callable[[tuple[Type, ...]], Type] | None = None
    linear: bool = False


def function(
    name: str,
    call: Callable[..., Any],
    *signatures: str,
    prepare: Callable[[dict[int, Any]], Callable[..., Any] | None] | None = None,
    infer: Callable[[tuple[Type, ...]], Type] | None = None,
    linear: bool = False,
) -> Function:
    """Return a function from its signatures as text, such as ``string.contains(string) bool``."""
    return Function(name, call, tuple(parse_signature(name, text) for text in signatures), prepare, infer, linear)


def by_name(*families: Iterable[Function]) -> dict[str, Function]:
    """Return the functions of all families under their names; a name has one function."""
    table: dict[str, Function] = {}
    for family in families:
        for item in family:
            assert item.name not in table, item.name
            table[item.name] = item
    return table
