"""Sets of fact data that conditions ask for, such as "a number from 50 up to 100" or "any string but EU".

They are what lints reason with: whether two conditions can both hold, whether one includes another, what is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

# An interval of numbers: from, whether that is in, to, whether that is in.
Interval = tuple[float, bool, float, bool]
_LINE: Final[Interval] = (-math.inf, True, math.inf, True)


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values: disjoint intervals of numbers in order, some strings or all but some, bools, null, the rest."""

    numbers: tuple[Interval, ...] = ()
    texts: frozenset[str] = frozenset()
    all_texts_but: bool = False
    bools: frozenset[bool] = frozenset()
    null: bool = False
    others: bool = False

    def __bool__(self) -> bool:
        return bool(self.numbers or self.texts or self.all_texts_but or self.bools or self.null or self.others)

    def __contains__(self, value: Any) -> bool:
        """Return whether fact data is among the values."""
        if type(value) is str:
            return (value in self.texts) is not self.all_texts_but
        if type(value) is bool:
            return value in self.bools
        if isinstance(value, (int, float)):
            return any(
                (low < value or (low_in and low == value)) and (value < high or (high_in and value == high))
                for low, low_in, high, high_in in self.numbers
            )
        return self.null if value is None else self.others

    def __and__(self, other: Values) -> Values:
        texts, all_but = _meet_texts(self, other)
        return Values(
            _meet_intervals(self.numbers, other.numbers),
            texts,
            all_but,
            self.bools & other.bools,
            self.null and other.null,
            self.others and other.others,
        )

    def __sub__(self, other: Values) -> Values:
        return self & other.complement()

    def __or__(self, other: Values) -> Values:
        return union((self, other))

    def __le__(self, other: Values) -> bool:
        return not self - other

    def complement(self) -> Values:
        """Return all other values."""
        return Values(
            _outside(self.numbers),
            self.texts,
            not self.all_texts_but,
            frozenset({True, False}) - self.bools,
            not self.null,
            not self.others,
        )

    def describe(self) -> str:
        """Return a few of the values, for people."""
        if self.numbers:
            low, low_in, high, high_in = self.numbers[0]
            if low == high:
                return f"{low:g}"
            if low == -math.inf and high == math.inf:
                return "any number"
            if low == -math.inf:
                return f"{'<=' if high_in else '<'} {high:g}"
            if high == math.inf:
                return f"{'>=' if low_in else '>'} {low:g}"
            return f"{'from' if low_in else 'over'} {low:g} to {high:g}"
        if self.all_texts_but:
            return "another string" if self.texts else "any string"
        if self.texts:
            return repr(min(self.texts)).replace("'", '"')
        if self.bools:
            return "true" if True in self.bools else "false"
        return "null" if self.null else "another value"


EVERYTHING: Final = Values((_LINE,), frozenset(), True, frozenset({True, False}), True, True)
NOTHING: Final = Values()
NUMBERS: Final = Values((_LINE,))
BOOLS: Final = Values(bools=frozenset({True, False}))


def union(sets: Iterable[Values]) -> Values:
    """Return the values of any of some sets, in time that grows as their sizes added up do, but for sorting."""
    intervals: list[Interval] = []
    texts: set[str] = set()
    all_but: set[str] | None = None
    bools: set[bool] = set()
    null = others = False
    for one in sets:
        intervals += one.numbers
        if not one.all_texts_but:
            texts |= one.texts
        elif all_but is None:
            all_but = set(one.texts)
        else:
            all_but &= one.texts
        bools |= one.bools
        null = null or one.null
        others = others or one.others
    left_out = texts if all_but is None else all_but - texts
    return Values(_joined(intervals), frozenset(left_out), all_but is not None, frozenset(bools), null, others)


def _joined(intervals: list[Interval]) -> tuple[Interval, ...]:
    """Return intervals that may overlap or touch as disjoint ones, in order."""
    if len(intervals) < 2:
        return tuple(intervals)
    intervals.sort(key=lambda one: (one[0], not one[1]))
    joined: list[Interval] = []
    low, low_in, high, high_in = intervals[0]
    for start, start_in, end, end_in in intervals[1:]:
        if start < high or (start == high and (start_in or high_in)):
            high, high_in = max((high, high_in), (end, end_in))
        else:
            joined.append((low, low_in, high, high_in))
            low, low_in, high, high_in = start, start_in, end, end_in
    return (*joined, (low, low_in, high, high_in))


def _meet_intervals(ours: tuple[Interval, ...], theirs: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Return where two lists of disjoint intervals, both in order, overlap."""
    met: list[Interval] = []
    mine = other = 0
    while mine < len(ours) and other < len(theirs):
        a, b = ours[mine], theirs[other]
        both = _meet(a, b)
        if both is not None:
            met.append(both)
        if (a[2], a[3]) <= (b[2], b[3]):
            mine += 1
        else:
            other += 1
    return tuple(met)


def _meet(a: Interval, b: Interval) -> Interval | None:
    low, low_out = max((a[0], not a[1]), (b[0], not b[1]))
    high, high_in = min((a[2], a[3]), (b[2], b[3]))
    if low < high or (low == high and not low_out and high_in):
        return (low, not low_out, high, high_in)
    return None


def _outside(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    gaps: list[Interval] = []
    low, low_in = -math.inf, True
    for start, start_in, end, end_in in intervals:
        if start > low or (start == low and low_in and not start_in):
            gaps.append((low, low_in, start, not start_in))
        low, low_in = end, not end_in
    if low < math.inf:
        gaps.append((low, low_in, math.inf, True))
    return tuple(gaps)


def _meet_texts(a: Values, b: Values) -> tuple[frozenset[str], bool]:
    if a.all_texts_but and b.all_texts_but:
        return a.texts | b.texts, True
    if a.all_texts_but:
        return b.texts - a.texts, False
    if b.all_texts_but:
        return a.texts - b.texts, False
    return a.texts & b.texts, False


def equal_to(value: Any) -> Values | None:
    """Return the values equal to a constant; None for one that is no JSON scalar."""
    if value is None:
        return Values(null=True)
    if isinstance(value, bool):
        return Values(bools=frozenset({value}))
    if isinstance(value, (int, float)) and math.isfinite(value):
        return Values(((value, True, value, True),))
    if isinstance(value, str):
        return Values(texts=frozenset({value}))
    return None


def compared_with(operator: str, value: Any) -> Values | None:
    """Return the values for which ``x OPERATOR value`` holds; None when that is not known."""
    if operator in {"==", "!="}:
        same = equal_to(value)
        return same if same is None or operator == "==" else same.complement()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    match operator:
        case "<":
            return Values(((-math.inf, True, value, False),))
        case "<=":
            return Values(((-math.inf, True, value, True),))
        case ">":
            return Values(((value, False, math.inf, True),))
        case ">=":
            return Values(((value, True, math.inf, True),))
    return None


# A condition as values asked of paths, all at once; a path that is not there is free.
# The path's first step is its root: `payload`, `decision`, or a let.
Path = tuple[str, ...]
Box = Mapping[Path, Values]
PIECES_MAX: Final = 200


def meet(a: Box, b: Box) -> Box | None:
    """Return what both ask for; None when no fact can meet both."""
    both = dict(a)
    for path, values in b.items():
        both[path] = both[path] & values if path in both else values
        if not both[path]:
            return None
    return both


def without(box: Box, other: Box, universe: Box) -> list[Box]:
    """Return what is left of a box without another, in pieces."""
    if meet(box, other) is None:
        return [box]
    pieces: list[Box] = []
    rest = dict(box)
    for path, values in other.items():
        mine = rest.get(path, universe.get(path, EVERYTHING))
        left = mine - values
        if left:
            pieces.append({**rest, path: left})
        rest[path] = mine & values
    return pieces


def uncovered(box: Box, others: Iterable[Box], universe: Box) -> list[Box] | None:
    """Return what is left of a box without all others; None when that takes too many pieces to tell."""
    pieces = [box]
    for other in others:
        pieces = [left for piece in pieces for left in without(piece, other, universe)]
        if not pieces:
            return []
        if len(pieces) > PIECES_MAX:
            return None
    return pieces


def within_kinds(values: Iterable[Values]) -> Values:
    """Return all values of the kinds that some values are of: the universe that a table's column is about."""
    universe = NOTHING
    for one in values:
        positive = one if not one.others else one.complement()
        if positive.numbers:
            universe = replace(universe, numbers=NUMBERS.numbers)
        if positive.texts or positive.all_texts_but:
            universe = replace(universe, all_texts_but=True)
        if positive.bools:
            universe = replace(universe, bools=BOOLS.bools)
        if positive.null:
            universe = replace(universe, null=True)
    return universe
