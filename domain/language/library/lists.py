"""Functions over lists: the lists and sets libraries, and the sums that rules are made for."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from typing import Any, Final

from domain.language.faults import Absent, Exhausted, Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import add, divide, equal, greater, is_uint, less, no_overload, sized, whole
from domain.language.limits import LIST_ITEMS_MAX, STEPS_MAX
from domain.language.types import DOUBLE, DYN, JSON, Type, is_fact_data
from domain.language.values import (
    INT_MAX,
    NONE,
    Duration,
    Money,
    OptionalValue,
    Timestamp,
    Uint,
)

_SIMPLE: Final = frozenset({str, int, Uint})
_SORTED: Final = frozenset({int, Uint, float, str, bool, bytes, Timestamp, Duration, Decimal, Money})


def _list(operation: str, *values: Any) -> None:
    for value in values:
        if type(value) is not list:
            no_overload(operation, *values)


_SUMMED: Final = frozenset({int, Uint, float, Duration, Decimal, Money})


def total(items: Any) -> Any:
    """``list.sum()``: 0 for an empty list."""
    _list("sum", items)
    # In order and plainly: Python's own sum() is not the same in all versions for doubles.
    result: int | float = 0
    for item in items:
        if type(item) is float or (type(item) is int and item <= INT_MAX):
            result += item
        else:
            return _other_total(items)
    return whole(result, "sum") if type(result) is int else result


def _other_total(items: list[Any]) -> Any:
    for item in items:
        if type(item) not in _SUMMED:
            no_overload("sum", item)
    return reduce(add, items)


def _best(name: str, better: Callable[[Any, Any], bool]) -> Callable[[Any], Any]:
    def best(items: Any) -> Any:
        _list(name, items)
        if not items:
            raise Absent(name)
        result = items[0]
        for item in items[1:]:
            if better(item, result):
                result = item
        if len(items) == 1:
            better(result, result)
        return result

    best.__name__ = f"list_{name}"
    return best


def average(items: Any) -> Any:
    """``list.avg()``: a double of numbers; of decimals, durations and money their own type."""
    _list("avg", items)
    if not items:
        raise Absent("avg")
    sum_ = total(items)
    if type(sum_) in {int, Uint, float}:
        return float(sum_) / len(items)
    if type(sum_) is Duration:
        return Duration(round(sum_.ns / len(items)) if abs(sum_.ns) < 2**53 else sum_.ns // len(items))
    return divide(sum_, len(items))


def slice_list(items: Any, start: Any, end: Any) -> list[Any]:
    """``list.slice(start, end)``."""
    _list("slice", items)
    if type(start) is not int or type(end) is not int:
        no_overload("slice", items, start, end)
    if not 0 <= start <= end <= len(items):
        raise Fault("range", f"slice from {start} to {end} of {len(items)} elements")
    return list(items[start:end])


def flatten(items: Any, depth: Any = 1) -> list[Any]:
    """``list.flatten([depth])``: one level, or as many as told."""
    _list("flatten", items)
    if type(depth) is not int:
        no_overload("flatten", items, depth)
    if depth < 0:
        raise Fault("range", "flatten: the depth is negative")
    for _ in range(min(depth, 64)):
        if not any(type(item) is list for item in items):
            break
        size = sum(len(item) if type(item) is list else 1 for item in items)
        sized(range(size))
        items = [inner for item in items for inner in (item if type(item) is list else (item,))]
    return list(items)


def make_range(count: Any) -> list[int]:
    """``lists.range(n)``: 0 to n - 1."""
    if type(count) is not int:
        no_overload("lists.range", count)
    sized(range(min(max(count, 0), LIST_ITEMS_MAX + 1)))
    return list(range(count))


def _pairwise(count: int, other: int) -> None:
    if count * other > STEPS_MAX * 10:
        raise Exhausted("the lists are too long to be compared element by element")


def distinct(items: Any) -> list[Any]:
    """``list.distinct()``: the first of each."""
    _list("distinct", items)
    if set(map(type, items)) <= _SIMPLE:
        return list(dict.fromkeys(items))
    result: list[Any] = []
    for item in items:
        _pairwise(len(items), len(result))
        if not any(equal(item, other) for other in result):
            result.append(item)
    return result


def reverse(value: Any) -> Any:
    """``x.reverse()`` of a list or a string."""
    if type(value) is list or type(value) is str:
        return value[::-1]
    no_overload("reverse", value)


def _sortable(operation: str, keys: list[Any]) -> None:
    kinds = {Uint if is_uint(key) else type(key) for key in keys}
    if len(kinds) > 1 or not kinds <= _SORTED:
        no_overload(operation, *(keys[:1] if len(kinds) < 2 else keys[:2]))


def _key(value: Any) -> Any:
    return (value.amount,) if type(value) is Money else value


def sort(items: Any) -> list[Any]:
    """``list.sort()`` of elements of one type that has an order."""
    _list("sort", items)
    return sort_by(items, items)


def sort_by(items: Any, keys: Any) -> list[Any]:
    """``list.sortBy(x, key)``, by keys computed already; equal keys keep their order."""
    _list("sortBy", items, keys)
    _sortable("sort", keys)
    if keys and type(keys[0]) is Money and len({key.currency for key in keys}) > 1:
        raise Fault("currency", "amounts of different currencies have no order")
    order = sorted(range(len(keys)), key=lambda number: _key(keys[number]))
    return [items[number] for number in order]


def first(items: Any) -> OptionalValue:
    """``list.first()``: an optional."""
    _list("first", items)
    return OptionalValue(True, items[0]) if items else NONE


def last(items: Any) -> OptionalValue:
    """``list.last()``: an optional."""
    _list("last", items)
    return OptionalValue(True, items[-1]) if items else NONE


def _member(item: Any, items: list[Any]) -> bool:
    return any(equal(item, other) for other in items)


def _simple(*lists: list[Any]) -> bool:
    return all(type(item) in _SIMPLE for items in lists for item in items)


def sets_contains(items: Any, part: Any) -> bool:
    """``sets.contains(list, part)``: whether each element of the part is in the list."""
    _list("sets.contains", items, part)
    if _simple(items, part):
        return set(part) <= set(items)
    _pairwise(len(items), len(part))
    return all(_member(item, items) for item in part)


def sets_equivalent(items: Any, other: Any) -> bool:
    """``sets.equivalent(list, list)``: whether both have the same elements."""
    _list("sets.equivalent", items, other)
    return sets_contains(items, other) and sets_contains(other, items)


def sets_intersects(items: Any, other: Any) -> bool:
    """``sets.intersects(list, list)``: whether they share an element."""
    _list("sets.intersects", items, other)
    if _simple(items, other):
        return not set(items).isdisjoint(other)
    _pairwise(len(items), len(other))
    return any(_member(item, items) for item in other)


def _infer_item(types: tuple[Type, ...]) -> Type:
    return types[0].item if types[0].kind in {"list", "json"} else DYN


def _infer_sum(types: tuple[Type, ...]) -> Type:
    item = _infer_item(types)
    if item.kind in {"int", "duration", "double", "dyn"}:
        return item if item.kind == "int" else DYN  # an empty list's sum is an int
    return JSON if is_fact_data(item) else DYN


def _infer_average(types: tuple[Type, ...]) -> Type:
    item = _infer_item(types)
    return DOUBLE if item.kind in {"int", "uint", "double", "json"} else item


def _aggregate(
    name: str, call: Callable[[Any], Any], kinds: str, infer: Callable[[tuple[Type, ...]], Type]
) -> Function:
    signatures = (f"list<{kind}>.{name}() {kind}" for kind in kinds.split())
    return function(name, call, *signatures, infer=infer, linear=True)


_ADDED: Final = "int uint double duration decimal money"
_ORDERED: Final = "int uint double bool string bytes timestamp duration decimal money"
FUNCTIONS: Final[tuple[Function, ...]] = (
    _aggregate("sum", total, _ADDED, _infer_sum),
    _aggregate("min", _best("min", less), _ORDERED, _infer_item),
    _aggregate("max", _best("max", greater), _ORDERED, _infer_item),
    _aggregate("avg", average, _ADDED, _infer_average),
    function("slice", slice_list, "list<A>.slice(int, int) list<A>", linear=True),
    function("flatten", flatten, "list<A>.flatten() list", "list<A>.flatten(int) list", linear=True),
    function("lists.range", make_range, "lists.range(int) list<int>", linear=True),
    function("distinct", distinct, "list<A>.distinct() list<A>", linear=True),
    function("reverse", reverse, "list<A>.reverse() list<A>", "string.reverse() string", linear=True),
    function("sort", sort, "list<A>.sort() list<A>", linear=True),
    function("sortByKeys", sort_by, "sortByKeys(list<A>, list<B>) list<A>", linear=True),
    function("first", first, "list<A>.first() optional<A>"),
    function("last", last, "list<A>.last() optional<A>"),
    function("sets.contains", sets_contains, "sets.contains(list<A>, list<B>) bool", linear=True),
    function("sets.equivalent", sets_equivalent, "sets.equivalent(list<A>, list<B>) bool", linear=True),
    function("sets.intersects", sets_intersects, "sets.intersects(list<A>, list<B>) bool", linear=True),
)
assert LIST_ITEMS_MAX <= STEPS_MAX * 10
