"""The optionals library; ``optMap``, ``optFlatMap``, ``or`` and ``orValue`` are macros."""

from __future__ import annotations

from typing import Any, Final

from domain.language.faults import Absent
from domain.language.library.function import Function, function
from domain.language.library.operators import no_overload
from domain.language.values import NONE, Duration, KeyedMap, OptionalValue, Timestamp, Uint

_ZEROS: Final = frozenset({bool, int, Uint, float, str, bytes, list, dict, KeyedMap})


def of(value: Any) -> OptionalValue:
    """``optional.of(x)``."""
    return OptionalValue(True, value)


def none() -> OptionalValue:
    """``optional.none()``."""
    return NONE


def is_zero(value: Any) -> bool:
    """Return whether a value is its type's zero: null, false, 0, empty."""
    if value is None:
        return True
    if type(value) in _ZEROS:
        return not value
    return type(value) in {Duration, Timestamp} and value.ns == 0


def of_non_zero(value: Any) -> OptionalValue:
    """``optional.ofNonZeroValue(x)``."""
    return NONE if is_zero(value) else OptionalValue(True, value)


def _optional(operation: str, value: Any) -> OptionalValue:
    if type(value) is not OptionalValue:
        no_overload(operation, value)
    return value


def has_value(value: Any) -> bool:
    """``o.hasValue()``."""
    return _optional("hasValue", value).present


def get_value(value: Any) -> Any:
    """``o.value()``; missing when there is none."""
    held = _optional("value", value)
    if not held.present:
        raise Absent("value")
    return held.value


def unwrap(items: Any) -> list[Any]:
    """``optional.unwrap(list)``, ``list.unwrapOpt()``: the values of those that have one."""
    if type(items) is not list:
        no_overload("unwrap", items)
    return [item.value for item in items if _optional("unwrap", item).present]


def as_optional(value: Any) -> OptionalValue:
    """Return an optional as it is; nothing else is one."""
    return _optional("or", value)


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("optional.of", of, "optional.of(A) optional<A>"),
    function("optional.none", none, "optional.none() optional<free>"),
    function("optional.ofNonZeroValue", of_non_zero, "optional.ofNonZeroValue(A) optional<A>"),
    function("hasValue", has_value, "optional<A>.hasValue() bool"),
    function("value", get_value, "optional<A>.value() A"),
    function("optional.unwrap", unwrap, "optional.unwrap(list<optional<A>>) list<A>"),
    function("unwrapOpt", unwrap, "list<optional<A>>.unwrapOpt() list<A>"),
    function("asOptional", as_optional, "asOptional(optional<A>) optional<A>"),
)
