"""The index of a plan: which rules a fact can concern, found without trying the others.

Each rule that demands something of a fact (``domain.language.demands``) is filed under one path: the one whose demand
takes the fewest values, as far as the ruleset itself tells; or under two paths, where many rules demand something of
both and one alone leaves many of them over. A fact is then looked up once at each path. Whatever it has there, also
nothing or another type, leads to the rules that can give something for it or fail on it; all others would be silent.
Rules without a demand are tried on every fact.

An index never changes once made, so that any number of readers share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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

__all__ = ["RULES_MIN", "Candidates", "Filing", "FilingKind", "Index", "filings_of", "make_index"]

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

    ``finds_whole`` says of a rule's label whether the rule is found by all that it demands, and not by a part of it.
    """

    candidates: Candidates
    tried: Labels
    finds_whole: Callable[[Label], bool]


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
    whole = frozenset(_whole(rules, cells, placed)).__contains__
    if len(tables) <= PLACES_MAX:
        return Index(candidates_function(tables, cells, tried, None), tried, whole)
    return Index(candidates_function({}, cells, tried, walk_function(tables)), tried, whole)


def _whole(
    rules: Mapping[Label, Asked | None], pairs: Iterable[Pair], placed: Mapping[Place, Filed]
) -> Iterator[Label]:
    """Give the rules that are filed under all that they demand: each of several, or both of two."""
    for pair in pairs:
        for label in pair.labels:
            asked = rules[label]
            if isinstance(asked, AllOf) and len(asked.items) == 2:
                yield label
    for label in {label for some in placed.values() for label, _ in some}:
        asked = rules[label]
        if isinstance(asked, Demand) or (
            isinstance(asked, AnyOf) and all(isinstance(item, Demand) for item in asked.items)
        ):
            yield label


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
