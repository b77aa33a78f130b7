"""Numbers: single ones by hash, and intervals by what they cover.

Intervals are cut at all of their ends into elementary segments. Where these are few enough each has its rules, found by
one bisection. Where they are not (intervals within intervals, or open to one side), they are kept in a segment tree
(Bentley, 1977): an interval stands at the few nodes that cover it, and the nodes above a segment that hold any are
chained, so that a number is answered in time that grows as the logarithm of the intervals and as the answer.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.decisions.index.labels import Gathered, Label, Labels
from domain.language.ranges import Interval

SEGMENTS_PER_RULE_MAX: Final = 16  # segments that an interval may cover, on average, where each has its rules

BUCKETS_MIN: Final = 256  # bounds from which on they are looked for by buckets

# The first bound and the last, buckets a unit, and how many bounds come before each bucket.
Buckets = tuple[float, float, float, Sequence[int]]
# A node's rules, and the next node above it that has any.
Chain = tuple[Labels, Any]


@dataclass(slots=True)
class Numbers:
    """The rules filed under numbers.

    Either ``points`` has them by number, and ``other`` for all other numbers; or ``segments`` has them before the first
    of ``bounds``, at it, between it and the next, and so on; or ``chains`` has, for each of the same places, the nodes
    of a tree whose rules are found there together.
    """

    points: dict[float, Any] = field(default_factory=dict)
    other: Any = ()
    bounds: list[float] = field(default_factory=list)
    segments: list[Any] = field(default_factory=list)
    chains: list[Chain | None] = field(default_factory=list)

    @property
    def tells_apart(self) -> bool:
        """Whether numbers lead to different rules."""
        return bool(self.points or self.bounds)


def numbers_of(filed: Sequence[tuple[Label, tuple[Interval, ...]]]) -> Numbers:
    """Make the structure for rules by the intervals that each asks for."""
    if all(low == high for _, intervals in filed for low, _, high, _ in intervals):
        points = Gathered[float]()
        for label, intervals in filed:
            for low, _, _, _ in intervals:
                points.put(low, label)
        return Numbers(points.done())
    ends = {end for _, intervals in filed for low, _, high, _ in intervals for end in (low, high)}
    bounds = sorted(end for end in ends if not math.isinf(end))
    places = [(label, places_of(one, bounds)) for label, intervals in filed for one in intervals]
    if not bounds:
        return Numbers(other=tuple(label for label, _ in places))
    count = 2 * len(bounds) + 1
    if sum(len(covered) for _, covered in places) > max(count, SEGMENTS_PER_RULE_MAX * len(filed)):
        return Numbers(bounds=alike(bounds), chains=_chains(places, count))
    found = Gathered[int]()
    for label, covered in places:
        for place in covered:
            found.put(place, label)
    got = found.done()
    segments = [got.get(place, ()) for place in range(count)]
    between = segments[::2]
    if all(labels == between[0] for labels in between):
        return Numbers(dict(zip(bounds, segments[1::2], strict=True)), between[0])
    return Numbers(bounds=alike(bounds), segments=segments)


def number_finder(numbers: Numbers) -> Callable[[float], Any]:
    """Return the function that gives the rules of a number."""
    points, other, bounds, segments, chains = (
        numbers.points,
        numbers.other,
        numbers.bounds,
        numbers.segments,
        numbers.chains,
    )

    def of_point(value: float) -> Any:
        return points.get(value, other)

    def of_segment(value: float) -> Any:
        return segments[bisect_left(bounds, value) + bisect_right(bounds, value)]

    def of_chain(value: float) -> Any:
        node = chains[bisect_left(bounds, value) + bisect_right(bounds, value)]
        if node is None:
            return ()
        found, node = node
        while node is not None:
            found += node[0]
            node = node[1]
        return found

    return of_chain if chains else of_segment if segments else of_point


def _chains(places: Sequence[tuple[Label, range]], count: int) -> list[Chain | None]:
    """Return, for each place, the first node at or above it in a segment tree that has rules.

    Nodes are numbered as in a heap: 1 is the root, and 2n and 2n + 1 are below n; place p is node ``count`` + p.
    """
    held: dict[int, list[Label]] = defaultdict(list)
    for label, covered in places:
        low, high = covered.start + count, covered.stop + count
        while low < high:
            if low & 1:
                held[low].append(label)
                low += 1
            if high & 1:
                high -= 1
                held[high].append(label)
            low >>= 1
            high >>= 1
    chains: list[Chain | None] = [None] * (2 * count)
    for node in range(1, 2 * count):
        above = chains[node >> 1] if node > 1 else None
        chains[node] = (tuple(held[node]), above) if node in held else above
    return chains[count:]


def places_of(interval: Interval, bounds: Sequence[float]) -> range:
    """Return the segments that an interval covers: the bounds have the odd numbers, what lies between the even."""
    low, low_in, high, high_in = interval
    first = 0 if low == -math.inf else 2 * bisect_left(bounds, low) + (1 if low_in else 2)
    last = 2 * len(bounds) if high == math.inf else 2 * bisect_left(bounds, high) + (1 if high_in else 0)
    return range(first, last + 1)


def buckets_of(bounds: Sequence[float]) -> Buckets | None:
    """Return where among many bounds to look for a number, so that bisection has few left to go through.

    The span of the bounds is cut into as many buckets as there are bounds, all of one width: of bounds that lie evenly
    each has about one. Whatever they are, a number lies between those before and those after its bucket, as a number's
    bucket never falls where the number rises. None where there are too few to gain by it.
    """
    if len(bounds) < BUCKETS_MIN:
        return None
    low, high = float(bounds[0]), float(bounds[-1])
    scale = len(bounds) / (high - low) if math.isfinite(high - low) and high > low else 0.0
    if not math.isfinite(scale) or scale == 0 or low != bounds[0] or high != bounds[-1]:
        return None
    count = int((high - low) * scale) + 1
    starts = array("I", bytes(4 * (count + 1)))
    for bound in bounds:
        starts[int((bound - low) * scale) + 1] += 1
    for number in range(count):
        starts[number + 1] += starts[number]
    return low, high, scale, starts


def alike(bounds: Sequence[float]) -> list[float]:
    """Return numbers as doubles where all are exactly that, as those compare fastest with one another.

    They are made anew, in order, so that those which a bisection compares lie near each other in memory.
    """
    doubles = [float(number) for number in bounds]
    return [number * 1.0 for number in doubles] if doubles == list(bounds) else list(bounds)
