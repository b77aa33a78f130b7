"""Numbers among many bounds: a rule is found for the numbers of its intervals, and for no others."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable

import pytest

from domain.decisions.index import make_index
from domain.decisions.index.numbers import BUCKETS_MIN, buckets_of
from domain.language.demands import Demand
from domain.language.ranges import Interval, Values

COUNT = 2 * BUCKETS_MIN
SPREADS: dict[str, Callable[[random.Random, int], float]] = {
    "evenly": lambda _, n: n * 0.25,
    "anywhere": lambda chance, _: chance.uniform(-1e6, 1e6),
    "near nought": lambda chance, _: chance.lognormvariate(0, 12),
    "at one place but for a few": lambda chance, n: n * 1e-9 if n % 50 else chance.uniform(-1e12, 1e12),
    "of all sizes": lambda chance, _: chance.choice((-1, 1)) * 10.0 ** chance.randint(-300, 300),
    "whole and past what a double holds": lambda chance, n: 2**53 + n * chance.randint(0, 3),
    "too wide for a double": lambda chance, n: chance.choice((-1.7e308, 1.7e308)) if n < 9 else chance.uniform(-9, 9),
}


def numbers_near(chance: random.Random, bounds: list[float]) -> list[float]:
    """Return bounds, what lies next to them and between them, and numbers beyond them all."""
    found: list[float] = [-math.inf, 10**400, -(10**400), 0, -0.0, 2**64, *chance.sample(bounds, 60)]
    for bound in chance.sample(bounds, 60):
        found += [math.nextafter(bound, math.inf), math.nextafter(bound, -math.inf), int(bound), int(bound) + 1]
        found.append((bound + chance.choice(bounds)) / 2)
    return found


@pytest.mark.parametrize("spread", SPREADS)
def test_a_bucket_leaves_no_place_out_where_a_number_can_be(spread: str) -> None:
    chance = random.Random(spread)
    bounds = sorted({SPREADS[spread](chance, number) for number in range(COUNT)})
    assert len(bounds) >= BUCKETS_MIN
    buckets = buckets_of(bounds)
    if spread == "too wide for a double":
        assert buckets is None
        return
    assert buckets is not None
    low, high, scale, starts = buckets
    for number in numbers_near(chance, bounds):
        if low <= number <= high:
            near = int((number - low) * scale)
            assert bisect_left(bounds, number, starts[near], starts[near + 1]) == bisect_left(bounds, number), number
            assert bisect_right(bounds, number, starts[near], starts[near + 1]) == bisect_right(bounds, number), number


def test_of_few_bounds_there_are_no_buckets() -> None:
    assert buckets_of([float(number) for number in range(BUCKETS_MIN - 1)]) is None
    assert buckets_of([float(number) for number in range(BUCKETS_MIN)]) is not None


@pytest.mark.parametrize("ends", ["left", "right", "both", "neither", "mixed"])
@pytest.mark.parametrize("spread", SPREADS)
def test_just_the_rules_are_found_whose_intervals_a_number_is_in(spread: str, ends: str) -> None:
    chance = random.Random(f"{spread} {ends}")
    bounds = sorted({SPREADS[spread](chance, number) for number in range(COUNT)})

    def is_in(side: str) -> bool:
        return ends in {side, "both"} or (ends == "mixed" and chance.random() < 0.5)

    intervals: list[Interval] = []
    for number, bound in enumerate(bounds):
        end = bounds[min(len(bounds) - 1, number + chance.choice((0, 1, 1, 1, 3)))]
        intervals.append((bound, end == bound or is_in("left"), end, end == bound or is_in("right")))
    demands = {float(label): Demand(("a",), Values((interval,))) for label, interval in enumerate(intervals)}
    index = make_index(demands)
    assert index is not None
    for number in numbers_near(chance, bounds):
        expected = [label for label, demand in demands.items() if number in demand.values]
        assert index.candidates({"a": number}) == expected, number
