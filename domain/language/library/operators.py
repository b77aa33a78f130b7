"""The operators, for values of any type: each raises NoOverload for types that it does not take.

Compiled code does the common cases inline and comes here for the others.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NoReturn

from domain.language.faults import Absent, Exhausted, Fault, NoOverload
from domain.language.limits import COMPARED_ITEMS_MAX, LIST_ITEMS_MAX, STRING_CODE_POINTS_MAX
from domain.language.values import (
    DURATION_MAX_NS,
    FALSE_KEY,
    INT_MAX,
    INT_MIN,
    NONE,
    TIMESTAMP_MAX_NS,
    TIMESTAMP_MIN_NS,
    TRUE_KEY,
    UINT_MAX,
    Duration,
    Email,
    KeyedMap,
    Money,
    OptionalValue,
    Timestamp,
    Uint,
    type_name,
)

_REAL: Final = frozenset({int, float, Uint})
_WHOLE: Final = frozenset({int, Uint})
_ORDERED: Final = frozenset({str, bytes, bool, Timestamp, Duration, Decimal})
_KEYS: Final = frozenset({int, Uint, float, bool, str})
_MAPS: Final = frozenset({dict, KeyedMap})
OVERFLOW: Final = "overflow"


def no_overload(operation: str, *values: Any) -> NoReturn:
    """Raise that an operation does not take values of these types."""
    raise NoOverload(f"`{operation}` does not take {' and '.join(type_name(value) for value in values)}")


def is_uint(value: Any) -> bool:
    """Return whether a whole number is a uint: by its class, or as JSON gives it, by its size."""
    return type(value) is Uint or (type(value) is int and value > INT_MAX)


def whole(result: int, operation: str) -> int:
    """Return an int result, or raise that it is beyond 64 bits."""
    if INT_MIN <= result <= INT_MAX:
        return result
    raise Fault(OVERFLOW, f"`{operation}` overflows 64 bits")


def unsigned(result: int, operation: str) -> Uint:
    """Return a uint result, or raise that it is outside 64 unsigned bits."""
    if 0 <= result <= UINT_MAX:
        return Uint(result)
    raise Fault(OVERFLOW, f"`{operation}` overflows 64 unsigned bits")


def moment(ns: int) -> Timestamp:
    """Return a timestamp, or raise that it is outside years 1 to 9999."""
    if TIMESTAMP_MIN_NS <= ns <= TIMESTAMP_MAX_NS:
        return Timestamp(ns)
    raise Fault("range", "the timestamp is outside years 1 to 9999")


def span(ns: int) -> Duration:
    """Return a duration, or raise that it is beyond 64 bits of nanoseconds."""
    if -DURATION_MAX_NS - 1 <= ns <= DURATION_MAX_NS:
        return Duration(ns)
    raise Fault("range", "the duration is beyond 64 bits of nanoseconds")


def bounded(text: Any) -> Any:
    """Return a string or bytes that a rule has made, or raise that it is too long."""
    if len(text) > STRING_CODE_POINTS_MAX:
        raise Exhausted(f"a string grew beyond {STRING_CODE_POINTS_MAX} characters")
    return text


def sized(items: Any) -> Any:
    """Return a list or map that a rule has made, or raise that it is too large."""
    if len(items) > LIST_ITEMS_MAX:
        raise Exhausted(f"a list grew beyond {LIST_ITEMS_MAX} elements")
    return items


def add(a: Any, b: Any) -> Any:
    """``a + b``."""
    kind, other = type(a), type(b)
    if kind is int:
        if other is int:
            if a <= INT_MAX and b <= INT_MAX:
                return whole(a + b, "+")
        elif other is float and a <= INT_MAX:
            return a + b
    elif kind is float:
        if other is float or (other is int and b <= INT_MAX):
            return a + b
    elif kind is str and other is str:
        return bounded(a + b)
    return _add_other(a, b)


def _add_other(a: Any, b: Any) -> Any:
    if is_uint(a) and is_uint(b):
        return unsigned(int(a) + int(b), "+")
    kind, other = type(a), type(b)
    if kind is other:
        if kind is list:
            return sized(a + b)
        if kind is bytes:
            return bounded(a + b)
        if kind is Duration:
            return span(a.ns + b.ns)
    elif {kind, other} == {Timestamp, Duration}:
        return moment(a.ns + b.ns)
    return _exact("+", a, b)


def subtract(a: Any, b: Any) -> Any:
    """``a - b``."""
    kind, other = type(a), type(b)
    if kind is int:
        if other is int:
            if a <= INT_MAX and b <= INT_MAX:
                return whole(a - b, "-")
        elif other is float and a <= INT_MAX:
            return a - b
    elif kind is float and (other is float or (other is int and b <= INT_MAX)):
        return a - b
    if is_uint(a) and is_uint(b):
        return unsigned(int(a) - int(b), "-")
    if kind is Timestamp:
        if other is Timestamp:
            return span(a.ns - b.ns)
        if other is Duration:
            return moment(a.ns - b.ns)
    elif kind is Duration and other is Duration:
        return span(a.ns - b.ns)
    return _exact("-", a, b)


def multiply(a: Any, b: Any) -> Any:
    """``a * b``."""
    kind, other = type(a), type(b)
    if kind is int:
        if other is int:
            if a <= INT_MAX and b <= INT_MAX:
                return whole(a * b, "*")
        elif other is float and a <= INT_MAX:
            return a * b
    elif kind is float and (other is float or (other is int and b <= INT_MAX)):
        return a * b
    if is_uint(a) and is_uint(b):
        return unsigned(int(a) * int(b), "*")
    return _exact("*", a, b)


def divide(a: Any, b: Any) -> Any:
    """``a / b``: whole numbers truncate toward zero, doubles follow IEEE 754."""
    kind, other = type(a), type(b)
    if kind in _WHOLE and other in _WHOLE:
        if is_uint(a) != is_uint(b):
            no_overload("/", a, b)
        if b == 0:
            raise Fault("division-by-zero", "division by zero")
        if is_uint(a):
            return Uint(a // b)
        quotient = abs(a) // abs(b)
        return whole(quotient if (a < 0) == (b < 0) else -quotient, "/")
    if (kind is float and (other is float or (other is int and b <= INT_MAX))) or (
        kind is int and other is float and a <= INT_MAX
    ):
        return _divide_doubles(float(a), float(b))
    return _exact("/", a, b)


def _divide_doubles(a: float, b: float) -> float:
    if b:
        return a / b
    if a == 0.0 or a != a:  # noqa: PLR0124 - NaN
        return float("nan")
    negative = (str(a)[0] == "-") != (str(b)[0] == "-")
    return float("-inf") if negative else float("inf")


def remainder(a: Any, b: Any) -> Any:
    """``a % b`` of whole numbers; the sign is the dividend's."""
    if type(a) in _WHOLE and type(b) in _WHOLE and is_uint(a) == is_uint(b):
        if b == 0:
            raise Fault("division-by-zero", "modulus by zero")
        if is_uint(a):
            return Uint(a % b)
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    no_overload("%", a, b)


def negate(a: Any) -> Any:
    """``-a``."""
    kind = type(a)
    if kind is float:
        return -a
    if kind is int and a <= INT_MAX:
        return whole(-a, "-")
    if kind is Duration:
        return span(-a.ns)
    return _exact_negative(a)


def _exact(operation: str, a: Any, b: Any) -> Any:
    if Decimal in {type(a), type(b)} or Money in {type(a), type(b)}:
        from domain.language.library import amounts

        return amounts.calculate(operation, a, b)
    no_overload(operation, a, b)


def _exact_negative(a: Any) -> Any:
    if type(a) is Decimal:
        return a.copy_negate() if a else a
    if type(a) is Money:
        return Money(a.amount.copy_negate() if a.amount else a.amount, a.currency)
    no_overload("-", a)


def equal(a: Any, b: Any) -> bool:
    """``a == b``: numbers by value across types, lists and maps by their elements; other types are unequal."""
    return _equal(a, b, None)


def _equal(a: Any, b: Any, left: list[int] | None) -> bool:
    kind, other = type(a), type(b)
    if kind is other:
        if kind is list or kind is dict or kind is KeyedMap:
            return _equal_containers(a, b, left)
        if kind is OptionalValue:
            return a.present == b.present and (not a.present or _equal(a.value, b.value, left))
        if kind is Money and a.currency != b.currency:
            no_currency("==", a, b)
        return bool(a == b)
    if kind in _REAL and other in _REAL:
        return compare_mixed(operator.eq, a, b)
    if kind in _MAPS and other in _MAPS:
        return _equal_containers(a, b, left)
    if kind is Decimal or other is Decimal:
        if float in {kind, other}:
            raise Fault("no-overload", "a decimal is not compared with a double; convert one of them")
        return kind in _EXACT and other in _EXACT and bool(a == b)
    return False


def _equal_containers(a: Any, b: Any, left: list[int] | None) -> bool:
    """Compare lists or maps; ``left`` bounds the elements compared, as a list can hold one list many times over."""
    if len(a) != len(b):
        return False
    left = left or [COMPARED_ITEMS_MAX]
    left[0] -= len(a)
    if left[0] < 0:
        raise Exhausted(f"more than {COMPARED_ITEMS_MAX} elements are compared")
    if type(a) is list:
        return all(_equal(item, other, left) for item, other in zip(a, b, strict=True))
    return all(key in b and _equal(item, b[key], left) for key, item in a.items())


_EXACT: Final = frozenset({int, Uint, Decimal})


def no_currency(operation: str, a: Money, b: Money) -> NoReturn:
    """Raise that two amounts are of different currencies."""
    raise Fault("currency", f"`{operation}` of {a.currency} and {b.currency}")


def unequal(a: Any, b: Any) -> bool:
    """``a != b``."""
    return not equal(a, b)


EDGES: Final = frozenset({9223372036854775808.0, 18446744073709551616.0})


def compare_mixed(compare: Callable[[Any, Any], bool], a: Any, b: Any) -> bool:
    """Compare numbers of two types by value, as Python does without loss, but at the edge of 64 bits.

    The conformance suite takes the doubles 2^63 and 2^64, which no int or uint reaches, for the largest of them.
    """
    if (a in EDGES or b in EDGES) and float in {type(a), type(b)}:
        return compare(float(a), float(b))
    return compare(a, b)


def _ordering(operation: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(a: Any, b: Any) -> bool:
        kind, other = type(a), type(b)
        if kind in _REAL and other in _REAL:
            return compare(a, b) if kind is other else compare_mixed(compare, a, b)
        if kind is other:
            if kind in _ORDERED:
                return compare(a, b)
            if kind is Money:
                if a.currency != b.currency:
                    no_currency(operation, a, b)
                return compare(a.amount, b.amount)
        elif kind in _EXACT and other in _EXACT:
            return compare(a, b)
        elif {kind, other} == {Decimal, float}:
            raise Fault("no-overload", "a decimal is not compared with a double; convert one of them")
        no_overload(operation, a, b)

    return ordered


less = _ordering("<", operator.lt)
less_equal = _ordering("<=", operator.le)
greater = _ordering(">", operator.gt)
greater_equal = _ordering(">=", operator.ge)


def contains(value: Any, container: Any) -> bool:
    """``value in container``."""
    kind = type(container)
    if kind is list:
        if type(value) is str:
            return value in container
        return any(equal(value, item) for item in container)
    if kind in _MAPS:
        return has_key(container, value)
    no_overload("in", value, container)


def has_key(mapping: dict[Any, Any], key: Any) -> bool:
    """Return whether a map has a key; a value that can't be a key is in no map."""
    if type(key) not in _KEYS:
        return False
    if key is True or key is False:
        return (TRUE_KEY if key else FALSE_KEY) in mapping
    return key in mapping


def logical_not(a: Any) -> bool:
    """``!a``."""
    if a is True:
        return False
    if a is False:
        return True
    no_overload("!", a)


def index(container: Any, key: Any) -> Any:
    """``container[key]``."""
    kind = type(container)
    if kind is list:
        if type(key) is float and key.is_integer():
            key = int(key)
        if type(key) not in _WHOLE:
            no_overload("[]", container, key)
        if 0 <= key < len(container):
            return container[key]
        raise Absent(key)
    if kind is dict and type(key) is str:
        return container[key]
    if kind in _MAPS:
        if type(key) not in _KEYS:
            no_overload("[]", container, key)
        if not has_key(container, key):
            raise Absent(key)
        return container[(TRUE_KEY if key else FALSE_KEY) if type(key) is bool else key]
    if kind is OptionalValue:
        return optional_index(container, key)
    no_overload("[]", container, key)


def select(container: Any, name: str) -> Any:
    """``container.name``."""
    if type(container) in _MAPS:
        return container[name]
    if type(container) is OptionalValue:
        return optional_select(container, name)
    if (type(container), name) in _PROPERTIES:
        return getattr(container, name)
    no_overload(f".{name}", container)


_PROPERTIES: Final = frozenset({(Email, "local"), (Email, "domain"), (Money, "amount"), (Money, "currency")})


def optional_select(container: Any, name: str) -> OptionalValue:
    """``container.?name``; on an optional, the optional of its value's field."""
    if type(container) is OptionalValue:
        if not container.present:
            return NONE
        container = container.value
    if type(container) not in _MAPS:
        no_overload(f".?{name}", container)
    return OptionalValue(True, container[name]) if name in container else NONE


def optional_index(container: Any, key: Any) -> OptionalValue:
    """``container[?key]``; on an optional, the optional of its value's element."""
    if type(container) is OptionalValue:
        if not container.present:
            return NONE
        container = container.value
    try:
        return OptionalValue(True, index(container, key))
    except Absent:
        return NONE
    except KeyError:
        return NONE


def has_field(container: Any, name: str) -> bool:
    """``has(container.name)``."""
    if type(container) in _MAPS:
        return name in container
    if type(container) is OptionalValue:
        return container.present and has_field(container.value, name)
    no_overload(f"has .{name}", container)


def make_map(*entries: Any) -> dict[Any, Any]:
    """Return the map of keys and values in turn; a key that is there twice, or of another type, is a fault."""
    result: dict[Any, Any] = {}
    plain = True
    for position in range(0, len(entries), 2):
        key = entries[position]
        if type(key) is not str:
            if type(key) not in _KEYS or type(key) is float:
                raise Fault("map-key", f"a map's key can't be {type_name(key)}")
            plain = False
            if type(key) is bool:
                key = TRUE_KEY if key else FALSE_KEY
        if key in result:
            raise Fault("map-key", "a map's key is there twice")
        result[key] = entries[position + 1]
    return result if plain else KeyedMap(result)
