"""Trees of demands put together: flat, and with one demand for each path where that goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from domain.language.demands import EACH, AllOf, AnyOf, Asked, Demand, PartKind, Step, TextParts, View
from domain.language.ranges import EVERYTHING, Values, union

TEXTS_MAX: Final = 10_000  # of one demand, as many as a rule can hold; with more it is for any string
INTERVALS_MAX: Final = 1_000  # of one demand; with more it is for all numbers from the lowest to the highest
_COMPARED: Final = 8  # demands before one that may be the same
NEVER: Final = AnyOf(())
ANY_TEXT: Final = Values(all_texts_but=True)

_Place = tuple[tuple[Step, ...], View]


def all_of(items: Iterable[Asked | None]) -> Asked | None:
    """Return what asks for all of some demands, of which None asks for nothing; None when nothing is asked."""
    flat = [one for one in _flat(items, AllOf) if one is not None]
    if len(flat) < 2:
        return flat[0] if flat else None
    if NEVER in flat:
        return NEVER
    met: dict[_Place, Demand] = {}
    others: list[Asked] = []
    for one in flat:
        # Two values that a path leads to may pass two tests, so those through a list are not one demand.
        if isinstance(one, Demand) and isinstance(one.test, Values) and EACH not in one.path:
            place = one.path, one.view
            before = met.get(place)
            if before is not None:
                assert isinstance(before.test, Values)
                one = Demand(one.path, before.test & one.test, before.absent and one.absent, one.view)  # noqa: PLW2901
            if not one.test and not one.absent:
                return NEVER
            met[place] = one
        elif one not in others[-_COMPARED:]:
            others.append(one)
    joined = (*met.values(), *others)
    return joined[0] if len(joined) == 1 else AllOf(joined)


def any_of(items: Iterable[Asked | None]) -> Asked | None:
    """Return what asks for any of some demands; None when one of them asks for nothing."""
    flat = list(_flat(items, AnyOf))
    if None in flat:
        return None
    if len(flat) == 1:
        return flat[0]
    valued: dict[_Place, list[Demand]] = {}
    parted: dict[tuple[_Place, PartKind, bool], set[str]] = {}
    others: list[Asked] = []
    for one in flat:
        if not isinstance(one, Demand):
            if one is not None and one not in others[-_COMPARED:]:
                others.append(one)
        elif isinstance(one.test, Values):
            valued.setdefault((one.path, one.view), []).append(one)
        else:
            parted.setdefault(((one.path, one.view), one.test.kind, one.absent), set()).update(one.test.texts)
    joined: list[Asked] = []
    for (path, view), demands in valued.items():
        if len(demands) == 1:
            joined.append(demands[0])
            continue
        values = few(union([one.values for one in demands]))
        absent = any(one.absent for one in demands)
        if absent and values == EVERYTHING and EACH not in path:
            return None
        joined.append(Demand(path, values, absent, view))
    for ((path, view), kind, absent), texts in parted.items():
        if len(texts) > TEXTS_MAX:
            joined.append(Demand(path, ANY_TEXT, absent))
        else:
            joined.append(Demand(path, TextParts(kind, frozenset(texts)), absent, view))
    joined += others
    return joined[0] if len(joined) == 1 else AnyOf(tuple(joined))


def _flat(items: Iterable[Asked | None], kind: type[AllOf | AnyOf]) -> Iterator[Asked | None]:
    for item in items:
        if isinstance(item, (AllOf, AnyOf)) and type(item) is kind:
            yield from item.items
        else:
            yield item


def few(values: Values) -> Values:
    """Return values that are no fewer, and not so many that they would take much room."""
    if len(values.numbers) > INTERVALS_MAX:
        low, high = values.numbers[0], values.numbers[-1]
        values = Values(
            ((low[0], low[1], high[2], high[3]),),
            values.texts,
            values.all_texts_but,
            values.bools,
            values.null,
            values.others,
        )
    if len(values.texts) > TEXTS_MAX:
        values = Values(values.numbers, frozenset(), True, values.bools, values.null, values.others)
    return values


def atoms_of(tree: Asked) -> Iterator[Demand]:
    """Return the demands in a tree."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Demand):
            yield one
        else:
            waiting.extend(reversed(one.items))
