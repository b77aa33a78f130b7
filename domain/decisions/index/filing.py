"""Which of its demands a rule is filed under: those that the fewest facts meet, as far as the ruleset itself tells.

A rule that demands all of some things is found by any one of them; one that demands any of some things has to be filed
under each. So what a rule is filed under is one demand, or several of which a fact must meet one (a cover).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations
from operator import attrgetter
from typing import Final, TypeGuard

from domain.decisions.index.labels import Label
from domain.decisions.index.table import Path, Place
from domain.language.demands import EACH, AllOf, Asked, Demand, PartKind, TextParts, View
from domain.language.ranges import Values

PLACE_RULES_MIN: Final = 3  # rules filed under one place, below which trying them is as fast as looking at it
SLOW_PLACE_RULES_MIN: Final = 8  # the same where looking takes longer: for parts of strings
PLACES_MAX: Final = 64  # places that every fact is looked up at; of more, only those that a fact has are
STEPS_MAX: Final = 16  # of a path; generated code is indented as deep
SAVED_MIN: Final = 1.0  # rules that a pair of paths must leave out of a fact's, on average, to be worth its lookup
PAIRS_MAX: Final = 16
_COVER_MAX: Final = 10_000  # demands that one rule is filed under
_PAIRED_DEMANDS_MAX: Final = 4  # demands of a rule, the most selective, that pairs are made of
_SHARE_MAX: Final = 0.9  # of the facts; a rule that more of them meet is tried on every fact
_MARGIN: Final = 0.25  # by which numbers are taken to lie outside the bounds that rules name, of their span
_CONTAINED_PER_RULE: Final = 16  # texts that are looked for in the time in which a rule is tried
_PLACED_PER_RULE: Final = 256  # the same at the start or end of a string
_PRESENT: Final = 0.5  # share of the facts that have a path of which nothing but that is asked
_LARGE: Final = 0.01  # share of the facts that have more at a path than is looked at
_PART: Final = 0.5  # share of the strings that a contained text of one letter is taken to be in
_LETTER: Final = 0.6  # part of those that are left with each letter more
_LISTED: Final = 0.2  # share of the strings that have, or are, one of a long list of rare texts
_LISTED_MIN: Final = 64  # texts that strings are compared with, from which on they are taken for a list of rare ones

Filed = list[tuple[Label, Demand]]
FiledTwice = list[tuple[Label, Demand, Demand]]
Rules = Mapping[Label, Asked | None]
PathPair = tuple[Path, Path]


@dataclass(frozen=True, slots=True)
class Cover:
    """Demands of which a fact has to meet one, and the share of the facts that are taken to do so."""

    share: float
    demands: tuple[Demand, ...]


def place_of(demand: Demand) -> Place:
    """Return the place that a demand is filed under."""
    return demand.path, demand.view


def filed_under_one(rules: Rules, spreads: Mapping[Place, Spread]) -> dict[Place, Filed]:
    """Return rules by the places that each is filed under; those that are filed nowhere are to be tried."""
    covers = {label: cover for label, asked in rules.items() if (cover := cover_of(asked, spreads)) is not None}
    counts = _counts(covers.values())
    if len(counts) <= PLACES_MAX:
        kept = {place: spreads[place] for place, count in counts.items() if count >= rules_min(spreads[place])}
        found = _covers_within(rules, covers, kept)
    else:
        found = {
            label: cover for label in covers if (cover := cover_of(rules[label], spreads, absent=False)) is not None
        }
    filed: dict[Place, Filed] = defaultdict(list)
    for label, cover in found.items():
        for demand in cover.demands:
            filed[place_of(demand)].append((label, demand))
    return filed


def rules_min(spread: Spread) -> int:
    """Return how many rules have to be filed under a place for that to be faster than trying them."""
    return SLOW_PLACE_RULES_MIN if spread.has_parts else PLACE_RULES_MIN


def filed_under_two(rules: Rules, spreads: Mapping[Place, Spread]) -> dict[PathPair, FiledTwice]:
    """Return the rules that are better filed under a pair of paths, by that pair: the pairs that save most, in turn."""
    saved: dict[PathPair, list[tuple[float, Label, Demand, Demand]]] = defaultdict(list)
    for label, asked in rules.items():
        if not isinstance(asked, AllOf):
            continue
        found = sorted(
            (
                (share, number, item)
                for number, item in enumerate(asked.items)
                if _can_be_paired(item) and (share := spreads[place_of(item)].share(item)) <= _SHARE_MAX
            )
        )[:_PAIRED_DEMANDS_MAX]
        if len(found) < 2:
            continue
        cover = cover_of(asked, spreads)
        best = 1.0 if cover is None else cover.share
        for (share, _, one), (other_share, _, other) in combinations(found, 2):
            if one.path != other.path and best > share * other_share:
                first, second = (one, other) if repr(one.path) < repr(other.path) else (other, one)
                saved[first.path, second.path].append((best - share * other_share, label, first, second))
    filed: dict[PathPair, FiledTwice] = {}
    placed: set[Label] = set()
    while saved and len(filed) < PAIRS_MAX:
        total, _, paths = max((sum(one[0] for one in some), repr(paths), paths) for paths, some in saved.items())
        if total < SAVED_MIN:
            break
        filed[paths] = [one[1:] for one in saved.pop(paths)]
        placed.update(label for label, _, _ in filed[paths])
        saved = {paths: [one for one in some if one[1] not in placed] for paths, some in saved.items()}
    return filed


def cover_of(asked: Asked | None, spreads: Mapping[Place, Spread], *, absent: bool = True) -> Cover | None:
    """Return the demands under which a rule is best filed; None for one that is to be tried on every fact.

    Without ``absent`` no demand is among them that facts without its path meet.
    """
    cover = None if asked is None else _cover(asked, spreads, absent=absent)
    return None if cover is None or cover.share > _SHARE_MAX or len(cover.demands) > _COVER_MAX else cover


def _cover(asked: Asked, spreads: Mapping[Place, Spread], *, absent: bool) -> Cover | None:
    if isinstance(asked, Demand):
        spread = spreads.get(place_of(asked))
        if spread is None or (asked.absent and not absent):
            return None
        return Cover(spread.share(asked), (asked,))
    found = [_cover(item, spreads, absent=absent) for item in asked.items]
    if isinstance(asked, AllOf):
        return min([one for one in found if one is not None], key=_share, default=None)
    demands: list[Demand] = []
    of_parts: list[float] = []
    share = 0.0
    for one in found:
        if one is None:
            return None
        if all(isinstance(demand.test, TextParts) for demand in one.demands):
            of_parts.append(one.share)
        else:
            share += one.share
        demands += one.demands
    return Cover(share + _share_of_any(of_parts), tuple(demands))


_share = attrgetter("share")


def _share_of_any(shares: Sequence[float]) -> float:
    """Return about which part of the facts has any of some parts of strings: many rare ones are not common."""
    return min(sum(shares), max(_LISTED, 3 * max(shares, default=0.0)))


def _can_be_paired(asked: Asked) -> TypeGuard[Demand]:
    if not isinstance(asked, Demand) or asked.view is not View.AS_IS or not isinstance(asked.test, Values):
        return False
    return EACH not in asked.path and len(asked.path) <= STEPS_MAX


def _covers_within(rules: Rules, covers: Mapping[Label, Cover], kept: Mapping[Place, Spread]) -> dict[Label, Cover]:
    """Return covers that lie within some places: other ones for those rules whose best one does not."""
    found: dict[Label, Cover] = {}
    for label, cover in covers.items():
        if all(place_of(demand) in kept for demand in cover.demands):
            found[label] = cover
        elif (other := cover_of(rules[label], kept)) is not None:
            found[label] = other
    return found


def _counts(covers: Iterable[Cover]) -> Counter[Place]:
    """Return how many rules are filed under each place; one that looks for many texts counts for several."""
    counts: Counter[Place] = Counter()
    for cover in covers:
        counts.update(dict.fromkeys(map(place_of, cover.demands), _weight(cover)))
    return counts


def _weight(cover: Cover) -> int:
    """Return how many common rules can be tried while one is that looks for the texts of a cover."""
    contained = placed = 0
    for demand in cover.demands:
        if isinstance(demand.test, TextParts):
            if demand.test.kind is PartKind.CONTAINS:
                contained += len(demand.test.texts)
            else:
                placed += len(demand.test.texts)
    return 1 + contained // _CONTAINED_PER_RULE + placed // _PLACED_PER_RULE


# How selective a demand is


@dataclass(frozen=True, slots=True)
class Spread:
    """What the demands on a place tell of the values there: their kinds, how many they tell apart, how far they go.

    Of texts that many demands are for it is told which part of the demands that is, beyond that of other texts.
    """

    kinds: _Kinds
    texts: int
    points: int
    low: float
    high: float
    popular: Mapping[str, float]
    popular_parts: Mapping[str, float]
    has_parts: bool

    @classmethod
    def of(cls, tests: Sequence[Values | TextParts]) -> Spread:
        """Tell what demands say of a place."""
        asked = [test for test in tests if isinstance(test, Values)]
        texts = {text for one in asked for text in one.texts}
        popular = _popular([one.texts for one in asked if not one.all_texts_but], 1 / (len(texts) + 1))
        parts = [test.texts for test in tests if isinstance(test, TextParts)]
        intervals = [interval for one in asked for interval in one.numbers]
        points = {low for low, _, high, _ in intervals if low == high}
        bounds = [bound for low, _, high, _ in intervals for bound in (low, high) if not math.isinf(bound)]
        low, high = min(bounds, default=0), max(bounds, default=0)
        margin = (high - low) * _MARGIN or 1
        span = low - margin, high + margin
        kinds = _Kinds.of(asked)
        return cls(kinds, len(texts), len(points), *span, popular, _popular(parts, 0), bool(parts))

    def share(self, demand: Demand) -> float:
        """Return about which part of the facts meets a demand on this place, from 0 to 1."""
        test, kinds = demand.test, self.kinds
        if isinstance(test, TextParts):
            return self._share_of_parts(test)
        if not test:
            return _PRESENT if demand.absent else _LARGE
        shares: list[float] = []
        if kinds.texts:
            named = len(test.texts) / (self.texts + 1)
            if len(test.texts) >= _LISTED_MIN and not test.all_texts_but:
                named = min(named, _LISTED)
            if self.popular and not test.all_texts_but:
                named = min(1.0, named + sum(self.popular.get(text, 0.0) for text in test.texts))
            shares.append(1 - named if test.all_texts_but else named)
        if kinds.numbers:
            shares.append(min(1.0, sum(self._part(low, high) for low, _, high, _ in test.numbers)))
        if kinds.bools:
            shares.append(len(test.bools) / 2)
        if kinds.null:
            # Where nothing else is told apart, it is null from all that is not.
            shares.append((test.null or (test.others and not shares)) / 2)
        return sum(shares) / len(shares) if shares else _PRESENT

    def _share_of_parts(self, parts: TextParts) -> float:
        """Return about which part of the strings has one of some texts: less for long ones, and at a certain place."""
        placed = _PART if parts.kind is PartKind.CONTAINS else _PART * _LETTER
        popular = self.popular_parts
        rare: list[float] = []
        share = 0.0
        for text in parts.texts:
            usual = placed * _LETTER ** (len(text) - 1)
            if text in popular:
                share += max(usual, popular[text])
            else:
                rare.append(usual)
        return min(1.0, share + _share_of_any(rare))

    def _part(self, low: float, high: float) -> float:
        if low == high:
            return 1 / (self.points + 1)
        span = self.high - self.low
        if not 0 < span < math.inf:  # numbers too large to be told apart
            return _PRESENT
        return (min(high, self.high) - max(low, self.low)) / span


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Of which kinds the values are that demands tell apart."""

    texts: bool
    numbers: bool
    bools: bool
    null: bool

    @classmethod
    def of(cls, asked: Sequence[Values]) -> _Kinds:
        texts = numbers = bools = null = False
        for one in asked:
            told = one.complement() if one.others else one
            texts = texts or told.all_texts_but or bool(told.texts)
            numbers = numbers or bool(told.numbers)
            bools = bools or bool(told.bools)
            null = null or told.null
        return cls(texts, numbers, bools, null)


def spreads_of(rules: Iterable[Asked | None]) -> dict[Place, Spread]:
    """Return what the demands of rules tell of the places that they are about."""
    by_place: dict[Place, list[Values | TextParts]] = defaultdict(list)
    for asked in rules:
        for demand in _demands(asked):
            if len(demand.path) <= STEPS_MAX:
                by_place[place_of(demand)].append(demand.test)
    return {place: Spread.of(tests) for place, tests in by_place.items()}


def _demands(asked: Asked | None) -> Iterator[Demand]:
    waiting = [] if asked is None else [asked]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Demand):
            yield one
        else:
            waiting.extend(one.items)


def _popular(asked: Sequence[AbstractSet[str]], usual: float) -> dict[str, float]:
    """Return the texts that more than one demand is for, with their part of the demands beyond the usual one.

    What many rules ask for is what many facts have, and leads to many rules.
    """
    counts = Counter(text for texts in asked for text in texts)
    shares = ((text, (count - 1) / len(asked) - usual) for text, count in counts.items() if count > 1)
    return {text: share for text, share in shares if share > 0}
