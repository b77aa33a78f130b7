"""What compiled code calls beside the operators and functions: the few steps that are not worth inlining."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NoReturn

from domain.language.faults import Absent, Exhausted, Fault, NoOverload
from domain.language.library.operators import make_map, no_overload
from domain.language.library.strings import lower_ascii
from domain.language.limits import STEPS_MAX
from domain.language.values import KeyedMap, Money, OptionalValue, Uint, keys_of, to_json, type_name


class _Unset:
    """The state of a ``let`` that was not needed yet."""

    __slots__ = ()


UNSET: Final = _Unset()
_MAPS: Final = frozenset({dict, KeyedMap})


def new_state(lets: int) -> list[Any]:
    """Return the state of one evaluation: the steps that are left, then a value and an error for each ``let``."""
    return [STEPS_MAX, *([UNSET] * lets), *([0] * lets)]


def not_a_bool(value: Any) -> NoReturn:
    """Raise that fact data is no bool."""
    raise NoOverload(f"a bool is expected, not {type_name(value)}")


def not_a_bool_strictly(value: Any) -> NoReturn:
    """Raise that a value that is no fact data is no bool."""
    raise Fault("no-overload", f"a bool is expected, not {type_name(value)}")


def not_a_number(value: Any) -> NoReturn:
    """Raise that a bool is not compared with a number."""
    raise NoOverload(f"a number is expected, not {type_name(value)}")


def absent() -> NoReturn:
    """Raise that a field is absent."""
    raise Absent


def raise_fault(code: str, message: str) -> NoReturn:
    """Raise what checking found, where checks are off."""
    raise Fault(code, message)


def charge(state: list[Any], steps: int) -> None:
    """Take steps from what is left of an evaluation."""
    state[0] -= steps
    if state[0] < 0:
        raise Exhausted(f"the rule takes more than {STEPS_MAX} steps on this fact")


UNMETERED_CODE_POINTS_MAX: Final = 256  # of a string that takes no step
_UNITS: Final[dict[type, int]] = {
    str: UNMETERED_CODE_POINTS_MAX, bytes: UNMETERED_CODE_POINTS_MAX, list: 8, dict: 8, KeyedMap: 8,
}  # fmt: skip


def spend(state: list[Any], *values: Any) -> tuple[Any, ...]:
    """Take steps for the size of values that a function goes through, and return them."""
    steps = 0
    for value in values:
        unit = _UNITS.get(type(value))
        if unit is not None:
            steps += len(value) // unit
    if steps:
        charge(state, steps)
    return values


def elements(source: Any, state: list[Any]) -> list[Any]:
    """Return what a macro goes over: a list's elements or a map's keys."""
    if type(source) is not list:
        if type(source) not in _MAPS:
            no_overload("a macro", source)
        source = list(keys_of(source))
    left = state[0] = state[0] - len(source) - 1
    if left < 0:
        charge(state, 0)
    return source  # type: ignore[no-any-return]  # a list by the check above


def pairs(source: Any, state: list[Any]) -> list[tuple[Any, Any]]:
    """Return what a macro with two variables goes over: indexes and elements, or keys and values."""
    if type(source) is list:
        result = list(enumerate(source))
    elif type(source) in _MAPS:
        result = list(zip(keys_of(source), source.values(), strict=True))
    else:
        no_overload("a macro", source)
    charge(state, len(result) + 1)
    return result


def not_unique(first: int, second: int) -> NoReturn:
    """Raise that two rows of a ``unique`` table match."""
    raise Fault("table-not-unique", f"rows {first} and {second} both match")


def opened(value: Any) -> OptionalValue:
    """Return an optional, or raise that a value is none."""
    if type(value) is not OptionalValue:
        no_overload("an optional is expected:", value)
    return value


def unfolded(value: Any) -> tuple[Any, ...]:
    """Return an optional's value or nothing, for a list under construction."""
    return (value.value,) if opened(value).present else ()


def unfolded_entry(key: Any, value: Any) -> tuple[Any, ...]:
    """Return an entry or nothing, for a map under construction."""
    return (key, value.value) if opened(value).present else ()


def flat_entries(value: Any) -> tuple[Any, ...]:
    """Return a map's keys and values in turn."""
    if type(value) not in _MAPS:
        no_overload("a map is expected:", value)
    return tuple(item for pair in zip(keys_of(value), value.values(), strict=True) for item in pair)


_LOWERED_MAX: Final = 256
_LOWERED_CODE_POINTS_MAX: Final = 4_096
_LOWERED: Final[dict[str, str]] = {}
lowered: Final = _LOWERED.get


def lower(text: Any) -> str:
    """Return ``text.lowerAscii()`` and keep it for ``lowered``, as other rules ask the same of a fact."""
    found = lower_ascii(text)
    if len(found) <= _LOWERED_CODE_POINTS_MAX:
        if len(_LOWERED) >= _LOWERED_MAX:
            _LOWERED.clear()
        _LOWERED[text] = found
    return found


def holds_any(text: str, parts: tuple[str, ...]) -> bool:
    """Return whether a string contains one of some texts."""
    for part in parts:  # noqa: SIM110 - a generator takes twice as long
        if part in text:
            return True
    return False


def holds_all(text: str, parts: tuple[str, ...]) -> bool:
    """Return whether a string contains every one of some texts."""
    return all(part in text for part in parts)


def starts_with_all(text: str, parts: tuple[str, ...]) -> bool:
    """Return whether a string starts with every one of some texts."""
    return all(map(text.startswith, parts))


def ends_with_all(text: str, parts: tuple[str, ...]) -> bool:
    """Return whether a string ends with every one of some texts."""
    return all(map(text.endswith, parts))


def has_path(value: Any, path: tuple[str, ...]) -> bool:
    """Return whether each field of a path is there in turn."""
    for field in path:
        if type(value) is OptionalValue:
            if not value.present:
                return False
            value = value.value
        if type(value) not in _MAPS or field not in value:
            return False
        value = value[field]
    return True


def output(value: Any) -> Any:
    """Return a value that goes into a decision, or raise that it has no form in JSON."""
    try:
        to_json(value)
    except ValueError as error:
        raise Fault("no-json-form", str(error)) from None
    return value


def term(value: Any) -> Any:
    """Return a value to be summed by ``add``, or raise that it is no amount."""
    kind = type(value)
    if kind is float:
        return output(value)
    if kind is int or kind is Uint or kind is Decimal or kind is Money:
        return value
    raise Fault("not-a-number", f"`add` sums numbers and money, not {type_name(value)}")


def effect_map(value: Any) -> dict[str, Any]:
    """Return the map of an effect, or raise that it is none."""
    if type(value) not in _MAPS:
        raise Fault("not-a-map", f"`emit` publishes a map, not {type_name(value)}")
    return output(value)  # type: ignore[no-any-return]  # a map's JSON form is a dict


__all__ = [
    "UNSET", "absent", "charge", "effect_map", "elements", "ends_with_all", "flat_entries", "has_path", "holds_all",
    "holds_any", "lower", "lowered", "make_map", "new_state", "not_a_bool", "not_a_bool_strictly", "not_a_number",
    "not_unique", "opened", "output", "pairs", "raise_fault", "spend", "starts_with_all", "term", "unfolded",
    "unfolded_entry",
]  # fmt: skip
