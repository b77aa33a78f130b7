"""Which of its demands a rule is filed under: those that the fewest facts meet, as far as the ruleset itself tells."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Final

from domain.language import Demand
from domain.language.demands import Step
from domain.language.ranges import Values, within_kinds

PATH_RULES_MIN: Final = 3  # rules filed under one path, below which trying them is as fast as looking at it
PATHS_MAX: Final = 100  # paths that a fact is looked up at, those with the most rules
STEPS_MAX: Final = 16  # of a path; generated code is indented as deep
SAVED_MIN: Final = 1.0  # rules that a pair of paths must leave out of a fact's, on average, to be worth its lookup
PAIRS_MAX: Final = 16
_PAIRED_DEMANDS_MAX: Final = 4  # demands of a rule, the most selective, that pairs are made of
_SHARE_MAX: Final = 0.9  # of a path's values; a rule that takes more is tried on every fact
_MARGIN: Final = 0.25  # by which numbers are taken to lie outside the bounds that rules name, of their span

Path = tuple[Step, ...]
Filed = list[tuple[int, Demand]]
FiledTwice = list[tuple[int, Demand, Demand]]
Demands = Mapping[int, tuple[Demand, ...]]


def filed_under_one(rules: Demands) -> dict[Path, Filed]:
    """Return rules by the path that each is filed under; those that are not are to be tried."""
    shares = _shares(rules)
    paths = Counter(best[0][1].path for best in shares.values() if best)
    kept = {path for path, count in paths.most_common(PATHS_MAX) if count >= PATH_RULES_MIN}
    filed: dict[Path, Filed] = defaultdict(list)
    for label, best in shares.items():
        chosen = next((demand for _, demand in best if demand.path in kept), None)
        if chosen is not None:
            filed[chosen.path].append((label, chosen))
    return filed


def filed_under_two(rules: Demands) -> dict[tuple[Path, Path], FiledTwice]:
    """Return the rules that are better filed under a pair of paths, by that pair: the pairs that save most, in turn."""
    saved: dict[tuple[Path, Path], list[tuple[float, int, Demand, Demand]]] = defaultdict(list)
    for label, best in _shares(rules).items():
        for (share, one), (other_share, other) in combinations(best[:_PAIRED_DEMANDS_MAX], 2):
            first, second = (one, other) if repr(one.path) < repr(other.path) else (other, one)
            saved[first.path, second.path].append((best[0][0] - share * other_share, label, first, second))
    filed: dict[tuple[Path, Path], FiledTwice] = {}
    placed: set[int] = set()
    while saved and len(filed) < PAIRS_MAX:
        total, _, paths = max((sum(one[0] for one in some), repr(paths), paths) for paths, some in saved.items())
        if total < SAVED_MIN:
            break
        filed[paths] = [one[1:] for one in saved.pop(paths)]
        placed.update(label for label, _, _ in filed[paths])
        saved = {paths: [one for one in some if one[1] not in placed] for paths, some in saved.items()}
    return filed


def _shares(rules: Demands) -> dict[int, list[tuple[float, Demand]]]:
    """Return each rule's demands with the share of facts that they are taken to be met by, the smallest first."""
    by_path: dict[Path, list[Values]] = defaultdict(list)
    for demand in chain.from_iterable(rules.values()):
        if len(demand.path) <= STEPS_MAX:
            by_path[demand.path].append(demand.values)
    spreads = {path: _Spread.of(values) for path, values in by_path.items()}
    return {
        label: sorted(
            ((share, demand) for demand in asked if (share := _share(demand, spreads)) <= _SHARE_MAX),
            key=lambda one: one[0],
        )
        for label, asked in rules.items()
    }


@dataclass(frozen=True, slots=True)
class _Spread:
    """What the demands on one path tell of the values there: their kinds, how many they tell apart, how far they go."""

    kinds: Values
    texts: int
    points: int
    low: float
    high: float

    @classmethod
    def of(cls, asked: Sequence[Values]) -> _Spread:
        texts = {text for one in asked for text in one.texts}
        intervals = [interval for one in asked for interval in one.numbers]
        points = {low for low, _, high, _ in intervals if low == high}
        bounds = [bound for low, _, high, _ in intervals for bound in (low, high) if not math.isinf(bound)]
        low, high = min(bounds, default=0), max(bounds, default=0)
        margin = (high - low) * _MARGIN or 1
        return cls(within_kinds(asked), len(texts), len(points), low - margin, high + margin)


def _share(demand: Demand, spreads: Mapping[Path, _Spread]) -> float:
    """Return about which part of a path's values a demand takes, from 0 to 1; more for a path that can't be filed."""
    spread = spreads.get(demand.path)
    if spread is None:
        return math.inf
    values, kinds = demand.values, spread.kinds
    shares: list[float] = []
    if kinds.texts or kinds.all_texts_but:
        named = len(values.texts) / (spread.texts + 1)
        shares.append(1 - named if values.all_texts_but else named)
    if kinds.numbers:
        shares.append(min(1.0, sum(_part(low, high, spread) for low, _, high, _ in values.numbers)))
    if kinds.bools:
        shares.append(len(values.bools) / 2)
    if kinds.null:
        shares.append(float(values.null) / 2)
    return sum(shares) / len(shares) if shares else 0.0


def _part(low: float, high: float, spread: _Spread) -> float:
    if low == high:
        return 1 / (spread.points + 1)
    return (min(high, spread.high) - max(low, spread.low)) / (spread.high - spread.low)
