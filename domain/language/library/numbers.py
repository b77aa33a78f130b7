"""The math library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from domain.language.faults import Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import greater, is_uint, less, no_overload, whole
from domain.language.types import DYN, Type, join
from domain.language.values import INT_MIN, UINT_MAX, Uint

_NUMBERS: Final = frozenset({int, Uint, float})
_BITS: Final = 64
_MASK: Final = 2**64 - 1


def _choose(name: str, better: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def choose(*values: Any) -> Any:
        candidates = values
        if len(values) == 1 and type(values[0]) is list:
            candidates = tuple(values[0])
            if not candidates:
                raise Fault("empty", f"{name} of an empty list")
        for value in candidates:
            if type(value) not in _NUMBERS:
                no_overload(name, value)
        best = candidates[0]
        for value in candidates[1:]:
            if better(value, best):
                best = value
        return best

    choose.__name__ = name.replace(".", "_")
    return choose


greatest: Final = _choose("math.greatest", greater)
least: Final = _choose("math.least", less)


def _infer_choice(types: tuple[Type, ...]) -> Type:
    """Return the type of the greatest or least: that of all, where they have one."""
    if len(types) == 1 and types[0].kind in {"list", "json"}:
        return types[0].item
    joint = join(list(types))
    return joint if joint.kind in {"int", "uint", "double", "json"} else DYN


def _of_double(name: str, compute: Callable[[float], Any]) -> Callable[..., Any]:
    def of_double(value: Any) -> Any:
        if type(value) is not float:
            no_overload(name, value)
        return compute(value)

    of_double.__name__ = name.replace(".", "_")
    return of_double


def _whole_part(round_: Callable[[float], int]) -> Callable[[float], float]:
    def whole_part(value: float) -> float:
        if not math.isfinite(value):
            return value
        return math.copysign(float(round_(value)), value)

    return whole_part


def _half_away(value: float) -> int:
    size = abs(value)
    below = math.floor(size)
    return below + (size - below >= 0.5)


def absolute(value: Any) -> Any:
    """``math.abs(x)``."""
    if type(value) is float or is_uint(value):
        return abs(value) if type(value) is float else Uint(value)
    if type(value) is int:
        return whole(abs(value), "math.abs")
    no_overload("math.abs", value)


def sign(value: Any) -> Any:
    """``math.sign(x)``: -1, 0 or 1 of the value's type."""
    if type(value) not in _NUMBERS:
        no_overload("math.sign", value)
    if type(value) is float:
        return value if math.isnan(value) else float((value > 0) - (value < 0))
    result = (value > 0) - (value < 0)
    return Uint(result) if is_uint(value) else result


def square_root(value: Any) -> float:
    """``math.sqrt(x)``; NaN below zero."""
    if type(value) not in _NUMBERS:
        no_overload("math.sqrt", value)
    return math.sqrt(value) if value >= 0 else math.nan


def _bits(name: str, compute: Callable[[int, int], int]) -> Callable[..., Any]:
    def bits(a: Any, b: Any) -> Any:
        if type(a) not in {int, Uint} or type(b) not in {int, Uint} or is_uint(a) != is_uint(b):
            no_overload(name, a, b)
        result = compute(int(a), int(b))
        return Uint(result) if is_uint(a) else result

    bits.__name__ = name.replace(".", "_")
    return bits


def bit_not(value: Any) -> Any:
    """``math.bitNot(x)``."""
    if type(value) not in {int, Uint}:
        no_overload("math.bitNot", value)
    return Uint(UINT_MAX - value) if is_uint(value) else ~value


def _signed(value: int) -> int:
    return value - 2**64 if value > -INT_MIN - 1 else value


def _shift(name: str, *, left: bool) -> Callable[..., Any]:
    def shift(value: Any, offset: Any) -> Any:
        if type(value) not in {int, Uint} or type(offset) is not int:
            no_overload(name, value, offset)
        if offset < 0:
            raise Fault("range", f"{name}: the offset is negative")
        pattern = int(value) & _MASK
        if offset >= _BITS:
            pattern = 0
        result = (pattern << offset) & _MASK if left and pattern else pattern >> offset
        return Uint(result) if is_uint(value) else _signed(result)

    shift.__name__ = name.replace(".", "_")
    return shift


def _each(name: str, call: Callable[..., Any], *kinds: str, result: str = "") -> Function:
    return function(name, call, *(f"{name}({kind}) {result or kind}" for kind in kinds))


def _pairs(name: str, call: Callable[..., Any]) -> Function:
    return function(name, call, *(f"{name}({kind}, {kind}) {kind}" for kind in ("int", "uint")))


def _shifts(name: str, call: Callable[..., Any]) -> Function:
    return function(name, call, *(f"{name}({kind}, int) {kind}" for kind in ("int", "uint")))


def _choices(name: str, call: Callable[..., Any]) -> Function:
    kinds = ("int", "uint", "double")
    return function(
        name,
        call,
        f"{name}(number...) dyn",
        *(f"{name}(list<{kind}>) {kind}" for kind in kinds),
        f"{name}(list<A>) A",
        infer=_infer_choice,
    )


FUNCTIONS: Final[tuple[Function, ...]] = (
    _choices("math.greatest", greatest),
    _choices("math.least", least),
    _each("math.ceil", _of_double("math.ceil", _whole_part(math.ceil)), "double"),
    _each("math.floor", _of_double("math.floor", _whole_part(math.floor)), "double"),
    _each("math.trunc", _of_double("math.trunc", _whole_part(math.trunc)), "double"),
    _each("math.round", _of_double("math.round", _whole_part(_half_away)), "double"),
    _each("math.abs", absolute, "int", "uint", "double"),
    _each("math.sign", sign, "int", "uint", "double"),
    _each("math.sqrt", square_root, "int", "uint", "double", result="double"),
    _each("math.isNaN", _of_double("math.isNaN", math.isnan), "double", result="bool"),
    _each("math.isInf", _of_double("math.isInf", math.isinf), "double", result="bool"),
    _each("math.isFinite", _of_double("math.isFinite", math.isfinite), "double", result="bool"),
    _pairs("math.bitAnd", _bits("math.bitAnd", lambda a, b: a & b)),
    _pairs("math.bitOr", _bits("math.bitOr", lambda a, b: a | b)),
    _pairs("math.bitXor", _bits("math.bitXor", lambda a, b: a ^ b)),
    _each("math.bitNot", bit_not, "int", "uint"),
    _shifts("math.bitShiftLeft", _shift("math.bitShiftLeft", left=True)),
    _shifts("math.bitShiftRight", _shift("math.bitShiftRight", left=False)),
)
