"""The index of a plan: which rules a fact can concern, found without trying the others.

Each rule that demands something of a fact (``domain.language.demands``) is filed under one path: the one whose demand
takes the fewest values, as far as the ruleset itself tells; or under two paths, where many rules demand something of
both and one alone leaves many of them over. A fact is then looked up once at each path. Whatever it has there, also
nothing or another type, leads to the rules that can give something for it or fail on it; all others would be silent.
Rules without a demand are tried on every fact.

An index never changes once made, so that any number of readers share it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.decisions.index.filing import (
    PLACES_MAX,
    Filed,
    FiledTwice,
    Spread,
    filed_under_one,
    filed_under_two,
    place_of,
    spreads_of,
)
from domain.decisions.index.labels import Label, Labels
from domain.decisions.index.pairs import Pair, paired
from domain.decisions.index.table import Place, Table
from domain.decisions.index.walking import walk_function
from domain.decisions.index.writing import Candidates, candidates_function
from domain.language.demands import AllOf, AnyOf, Asked, Demand, TextParts

__all__ = ["RULES_MIN", "Candidates", "Filing", "FilingKind", "Index", "Label", "filings_of", "make_index"]

RULES_MIN: Final = 12  # rules that can be filed, below which trying them all is as fast


@dataclass(frozen=True, slots=True)
class Filing:
    """What a rule is found by: one demand, or two that a fact meets both; a rule may have several filings.

    ``share`` is about which part of the facts the index takes to meet them, and ``company`` how many rules are filed
    under the same path or pair of paths.
    """

    demands: tuple[Demand, ...]
    share: float
    company: int

    @property
    def kinds(self) -> tuple[FilingKind, ...]:
        """By which structure each demand is found."""
        return tuple(_kind(demand) for demand in self.demands)


class FilingKind(StrEnum):
    """The structures that a demand may be found by."""

    EQUALITY = "equality"
    RANGE = "range"
    CONTAINS = "contains"
    STARTS = "starts"
    ENDS = "ends"
    TYPE = "type"  # any value of some type, or any but some


@dataclass(frozen=True, slots=True)
class Index:
    """``candidates`` gives the labels, in order, of the rules to try on a fact; ``tried`` are those of all facts.

    ``met`` says, by a rule's label, which items of what it demands every fact meets that it is a candidate for: bit n
    is item n of an AllOf, bit 0 all of anything else. Of rules that are not in it nothing is known.
    """

    candidates: Candidates
    tried: Labels
    met: Mapping[Label, int]


def make_index(rules: Mapping[Label, Asked | None]) -> Index | None:
    """Make the index of rules, given what each demands by its label; None where it would save nothing.

    Labels are numbers in the order of evaluation.
    """
    pairs, placed = _places_of(rules, spreads_of(rules.values()))
    found = {label for some in placed.values() for label, _ in some}
    found.update(label for pair, _ in pairs for label in pair.labels)
    if len(found) < RULES_MIN:
        return None
    often = _more_than_once(label for some in placed.values() for label, _ in some)
    tables = {place: Table.of(place, some, often) for place, some in placed.items()}
    tried = tuple(sorted(label for label in rules if label not in found))
    cells = [pair for pair, _ in pairs]
    met = dict(_met(rules, pairs, placed))
    if len(tables) <= PLACES_MAX:
        return Index(candidates_function(tables, cells, tried, None), tried, met)
    return Index(candidates_function({}, cells, tried, walk_function(tables)), tried, met)


def _met(
    rules: Mapping[Label, Asked | None], pairs: Iterable[tuple[Pair, FiledTwice]], placed: Mapping[Place, Filed]
) -> Iterator[tuple[Label, int]]:
    """Give the items of the rules' demands that they are found by, as bits."""
    for _, twice in pairs:
        for label, *both in twice:
            asked = rules[label]
            if isinstance(asked, AllOf):
                yield label, sum(1 << asked.items.index(one) for one in both if _is_found_exactly(one))
    filed: dict[Label, list[Demand]] = defaultdict(list)
    for some in placed.values():
        for label, demand in some:
            filed[label].append(demand)
    for label, demands in filed.items():
        asked = rules[label]
        items = asked.items if isinstance(asked, AllOf) else (asked,)
        for number, item in enumerate(items):
            if _is_filed(item, demands):
                yield label, 1 << number
                break


def _is_filed(item: Asked | None, demands: Sequence[Demand]) -> bool:
    """Return whether demands that a rule is filed under, of which a fact meets one, are just what an item asks for."""
    alternatives = item.items if isinstance(item, AnyOf) else (item,)
    return len(alternatives) == len(demands) and all(
        one is other and _is_found_exactly(other) for one, other in zip(alternatives, demands, strict=True)
    )


def _is_found_exactly(demand: Demand) -> bool:
    """Return whether a table gives a rule for what it demands alone."""
    return isinstance(demand.test, TextParts) or not demand.test.all_texts_but


def filings_of(rules: Mapping[Label, Asked | None]) -> dict[Label, tuple[Filing, ...]]:
    """Return how ``make_index`` files rules; nothing for those that are tried on every fact."""
    spreads = spreads_of(rules.values())
    pairs, placed = _places_of(rules, spreads)
    filings: dict[Label, list[Filing]] = {label: [] for label in rules}
    for pair, filed in pairs:
        for label, one, other in filed:
            share = spreads[place_of(one)].share(one) * spreads[place_of(other)].share(other)
            filings[label].append(Filing((one, other), share, len(pair.labels)))
    for place, some in placed.items():
        company = len({label for label, _ in some})
        for label, demand in some:
            filings[label].append(Filing((demand,), spreads[place].share(demand), company))
    if sum(1 for found in filings.values() if found) < RULES_MIN:
        return dict.fromkeys(rules, ())
    return {label: tuple(found) for label, found in filings.items()}


def _places_of(
    rules: Mapping[Label, Asked | None], spreads: Mapping[Place, Spread]
) -> tuple[list[tuple[Pair, FiledTwice]], dict[Place, Filed]]:
    """Return the pairs of paths and the places that rules are filed under, each with its rules."""
    left = dict(rules)
    pairs: list[tuple[Pair, FiledTwice]] = []
    for paths, filed in filed_under_two(rules, spreads).items():
        pair = paired(paths, filed)
        if pair is not None:
            for label in pair.labels:
                del left[label]
            pairs.append((pair, [one for one in filed if one[0] not in left]))
    return pairs, filed_under_one(left, spreads)


def _more_than_once(labels: Iterable[Label]) -> set[Label]:
    once: set[Label] = set()
    again: set[Label] = set()
    for label in labels:
        (again if label in once else once).add(label)
    return again


def _kind(demand: Demand) -> FilingKind:
    test = demand.test
    if isinstance(test, TextParts):
        return FilingKind(test.kind.value)
    if test.all_texts_but or test.others:
        return FilingKind.TYPE
    return FilingKind.RANGE if any(low != high for low, _, high, _ in test.numbers) else FilingKind.EQUALITY
