"""Conversions between types, ``type(x)`` and ``size``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from domain.language.faults import Fault
from domain.language.library.amounts import decimal_to_int
from domain.language.library.function import Function, function
from domain.language.library.operators import bounded, no_overload
from domain.language.values import (
    INT_MAX,
    INT_MIN,
    NS,
    UINT_MAX,
    Duration,
    Email,
    KeyedMap,
    Money,
    Timestamp,
    TypeValue,
    Uint,
    decimal_to_text,
    duration_to_text,
    timestamp_to_text,
    type_name,
)

_INT: Final = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))", re.ASCII
)
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _refuse(value: Any, what: str) -> NoReturn:
    shown = value if not isinstance(value, str) or len(value) <= 40 else value[:40] + "…"
    raise Fault("conversion", f"{shown!r} is not {what}")


def _out_of_range(what: str) -> NoReturn:
    raise Fault("range", f"the value is out of the range of {what}")


def to_int(value: Any) -> int:
    """``int(x)``: doubles and decimals truncate; a timestamp gives its seconds."""
    kind = type(value)
    if kind is int or kind is Uint:
        return int(value) if value <= INT_MAX else _out_of_range("int")
    if kind is float:
        # The bounds as doubles are not safe: 2^63 - 1 is none, and -2^63 might have been rounded to.
        if -9223372036854775808.0 < value < 9223372036854775808.0:
            return int(value)
        _out_of_range("int")
    if kind is str:
        if _INT.fullmatch(value) is None:
            _refuse(value, "an int")
        number = int(value)
        return number if INT_MIN <= number <= INT_MAX else _out_of_range("int")
    if kind is Timestamp:
        return int(value.ns // NS)
    if kind is Decimal:
        return decimal_to_int(value)
    no_overload("int", value)


def to_uint(value: Any) -> Uint:
    """``uint(x)``."""
    kind = type(value)
    if kind is Uint:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return Uint(value) if 0 <= value <= UINT_MAX else _out_of_range("uint")
    if kind is float:
        if -1.0 < value < 18446744073709551616.0:
            return Uint(int(value))
        _out_of_range("uint")
    if kind is str:
        if _INT.fullmatch(value) is None or value[0] == "-":
            _refuse(value, "a uint")
        number = int(value)
        return Uint(number) if number <= UINT_MAX else _out_of_range("uint")
    if kind is Decimal:
        number = decimal_to_int(value)
        return Uint(number) if number >= 0 else _out_of_range("uint")
    no_overload("uint", value)


def to_double(value: Any) -> float:
    """``double(x)``."""
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is Uint or kind is Decimal:
        return float(value)
    if kind is str:
        if len(value) > 400 or _DOUBLE.fullmatch(value) is None:
            _refuse(value, "a double")
        return float(value)
    no_overload("double", value)


def double_to_text(value: float) -> str:
    """Return a double as ``string(x)`` does: the shortest digits that read back as it."""
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        return text
    return text.removesuffix(".0")


def to_string(value: Any) -> str:
    """``string(x)``."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is Uint:
        return str(int(value))
    if kind is float:
        return double_to_text(value)
    if kind is bytes:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise Fault("conversion", "the bytes are not UTF-8") from None
    if kind is Timestamp:
        return timestamp_to_text(value)
    if kind is Duration:
        return duration_to_text(value)
    if kind is Decimal:
        return decimal_to_text(value)
    if kind is Email:
        return str(value)
    if kind is Money:
        return f"{decimal_to_text(value.amount)} {value.currency}"
    text = getattr(kind, "to_text", None)
    if text is not None:
        return str(text(value))
    no_overload("string", value)


def to_bytes(value: Any) -> bytes:
    """``bytes(x)``."""
    if type(value) is str:
        try:
            return bounded(value.encode("utf-8"))  # type: ignore[no-any-return]
        except UnicodeEncodeError:
            raise Fault("conversion", "the string holds half of a surrogate pair") from None
    if type(value) is bytes:
        return value
    no_overload("bytes", value)


def to_bool(value: Any) -> bool:
    """``bool(x)``."""
    if type(value) is bool:
        return value
    if type(value) is str:
        answer = _BOOLS.get(value)
        if answer is None:
            _refuse(value, "a bool")
        return answer
    no_overload("bool", value)


def to_dyn(value: Any) -> Any:
    """``dyn(x)``: the value, its static type forgotten."""
    return value


def type_of(value: Any) -> TypeValue:
    """``type(x)``."""
    return TypeValue(type_name(value))


_SIZED: Final = frozenset({str, bytes, list, dict, KeyedMap})


def size(value: Any) -> int:
    """``size(x)``: code points, bytes, elements or entries."""
    if type(value) in _SIZED:
        return len(value)
    no_overload("size", value)


_TEXTUAL: Final = (
    "bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "decimal", "money", "email", "ip",
    "cidr",
)  # fmt: skip
FUNCTIONS: Final[tuple[Function, ...]] = (
    function(
        "int",
        to_int,
        "int(int) int",
        "int(uint) int",
        "int(double) int",
        "int(string) int",
        "int(timestamp) int",
        "int(decimal) int",
    ),
    function(
        "uint",
        to_uint,
        "uint(int) uint",
        "uint(uint) uint",
        "uint(double) uint",
        "uint(string) uint",
        "uint(decimal) uint",
    ),
    function(
        "double",
        to_double,
        "double(int) double",
        "double(uint) double",
        "double(double) double",
        "double(string) double",
        "double(decimal) double",
    ),
    function(
        "string",
        to_string,
        *(f"string({kind}) string" for kind in _TEXTUAL),
    ),
    function("bytes", to_bytes, "bytes(string) bytes", "bytes(bytes) bytes"),
    function("bool", to_bool, "bool(bool) bool", "bool(string) bool"),
    function("dyn", to_dyn, "dyn(A) dyn"),
    function("type", type_of, "type(A) type<A>"),
    function(
        "size",
        size,
        *(f"size({kind}) int" for kind in ("string", "bytes", "list<A>", "map<A, B>")),
        *(f"{kind}.size() int" for kind in ("string", "bytes", "list<A>", "map<A, B>")),
    ),
)  # fmt: skip
