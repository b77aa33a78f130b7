"""``format``: values into text by clauses such as ``%s`` and ``%.2f``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from domain.language.faults import Exhausted, Fault
from domain.language.library.conversions import to_string
from domain.language.library.function import Function, function
from domain.language.library.operators import no_overload
from domain.language.limits import STRING_CODE_POINTS_MAX
from domain.language.values import KeyedMap, TypeValue, Uint, keys_of, type_name

_CLAUSE: Final = re.compile(r"%(?:(%)|(?:\.([0-9]{1,3}))?(.?))", re.DOTALL)
_WHOLE: Final = frozenset({int, Uint})
_PRECISION: Final = 6
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]+")


def _refuse(clause: str, value: Any) -> Fault:
    return Fault("format", f"`%{clause}` does not format {type_name(value)}")


def _special(value: Any) -> str | None:
    """Return the name of what is no number, as every clause but ``%x`` and its like prints it."""
    if type(value) is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return None


def _plain_double(value: float) -> str:
    """Return a finite double in base 10 without an exponent, and without zeros that say nothing."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")


class _Text:
    """Collects text up to the bound of a string."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = STRING_CODE_POINTS_MAX

    def add(self, text: str) -> None:
        self.left -= len(text) + 8  # many small parts cost more than a long one
        if self.left < 0:
            raise Exhausted(f"a string grew beyond {STRING_CODE_POINTS_MAX} characters")
        self.parts.append(text)


def _string(value: Any, text: _Text) -> None:
    special = _special(value)
    if special is not None:
        text.add(special)
    elif value is None:
        text.add("null")
    elif type(value) is list:
        text.add("[")
        for number, item in enumerate(value):
            text.add(", " if number else "")
            _string(item, text)
        text.add("]")
    elif type(value) in {dict, KeyedMap}:
        _map(value, text)
    elif type(value) is TypeValue:
        text.add(value.name)
    elif type(value) is float:
        text.add(_plain_double(value))
    elif type(value) is bytes:
        text.add(_NOT_UTF8.sub("\ufffd", value.decode("utf-8", "surrogateescape")))
    else:
        text.add(to_string(value))


def _map(value: dict[Any, Any], text: _Text) -> None:
    entries = [(to_string(key), item) for key, item in zip(keys_of(value), value.values(), strict=True)]
    entries.sort(key=lambda entry: entry[0])
    text.add("{")
    for number, (key, item) in enumerate(entries):
        text.add(f"{', ' if number else ''}{key}: ")
        _string(item, text)
    text.add("}")


def _decimal(value: Any, _precision: int) -> str:
    if type(value) in _WHOLE:
        return str(int(value))
    if type(value) is not float:
        raise _refuse("d", value)
    return _special(value) or _plain_double(value)


def _double(clause: str) -> Callable[[Any, int], str]:
    def double(value: Any, precision: int) -> str:
        special = _special(value)
        if special is not None:
            return special
        if type(value) is Decimal and clause == "f":
            return f"{value:.{precision}f}"
        if type(value) is not float and type(value) not in _WHOLE:
            raise _refuse(clause, value)
        return f"{float(value):.{precision}{clause}}"

    return double


def _binary(value: Any, _precision: int) -> str:
    if type(value) is bool or type(value) in _WHOLE:
        return f"{int(value):b}"
    raise _refuse("b", value)


def _octal(value: Any, _precision: int) -> str:
    if type(value) in _WHOLE:
        return f"{int(value):o}"
    raise _refuse("o", value)


def _hexadecimal(clause: str) -> Callable[[Any, int], str]:
    def hexadecimal(value: Any, _precision: int) -> str:
        if type(value) is str:
            text = value.encode("utf-8", "surrogatepass").hex()
        elif type(value) is bytes:
            text = value.hex()
        elif type(value) in _WHOLE:
            text = f"{int(value):x}"
        else:
            raise _refuse(clause, value)
        return text.upper() if clause == "X" else text

    return hexadecimal


_CLAUSES: Final[dict[str, Callable[[Any, int], str]]] = {
    "d": _decimal,
    "f": _double("f"),
    "e": _double("e"),
    "b": _binary,
    "o": _octal,
    "x": _hexadecimal("x"),
    "X": _hexadecimal("X"),
}


def format_text(pattern: Any, values: Any) -> str:
    """``s.format(list)``."""
    if type(pattern) is not str or type(values) is not list:
        no_overload("format", pattern, values)
    text = _Text()
    offset = used = 0
    for match in _CLAUSE.finditer(pattern):
        text.add(pattern[offset : match.start()])
        offset = match.end()
        percent, precision, clause = match.groups()
        if percent is not None:
            text.add("%")
            continue
        if clause != "s" and clause not in _CLAUSES:
            raise Fault("format", f"no formatting clause `%{clause}`")
        if used >= len(values):
            raise Fault("format", f"there is no value for clause {used + 1}")
        value = values[used]
        used += 1
        if clause == "s":
            _string(value, text)
        else:
            text.add(_CLAUSES[clause](value, _PRECISION if precision is None else int(precision)))
    text.add(pattern[offset:])
    return "".join(text.parts)


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("format", format_text, "string.format(list<A>) string", linear=True),
)
