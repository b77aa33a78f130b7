"""The index of a plan: which rules a fact can concern, found without trying the others.

Each rule that demands something of a fact (``domain.language.demands``) is filed under one path: the one whose demand
takes the fewest values, as far as the ruleset itself tells; or under two paths, where many rules demand something of
both and one alone leaves many of them over. A fact is then looked up once at each path. Whatever it has there, also
nothing or another type, leads to the rules that can give something for it or fail on it; all others would be silent.
Rules without a demand are tried on every fact.

An index never changes once made, so that any number of readers share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.decisions.index.filing import (
    PLACES_MAX,
    filed_under_one,
    filed_under_two,
    spreads_of,
)
from domain.decisions.index.labels import Label, Labels
from domain.decisions.index.pairs import Pair, paired
from domain.decisions.index.table import Table
from domain.decisions.index.walking import walk_function
from domain.decisions.index.writing import Candidates, candidates_function
from domain.language.demands import Asked

RULES_MIN: Final = 8  # rules that can be filed, below which trying them all is as fast


@dataclass(frozen=True, slots=True)
class Index:
    """``candidates`` gives the labels, in order, of the rules to try on a fact; ``tried`` are those of all facts."""

    candidates: Candidates
    tried: Labels


def make_index(rules: Mapping[Label, Asked | None]) -> Index | None:
    """Make the index of rules, given what each demands by its label; None where it would save nothing.

    Labels are numbers in the order of evaluation.
    """
    spreads = spreads_of(rules.values())
    left = dict(rules)
    pairs: list[Pair] = []
    for paths, filed in filed_under_two(rules, spreads).items():
        pair = paired(paths, filed)
        if pair is not None:
            pairs.append(pair)
            for label in pair.labels:
                del left[label]
    placed = filed_under_one(left, spreads)
    often = _more_than_once(label for some in placed.values() for label, _ in some)
    tables = {place: Table.of(place, some, often) for place, some in placed.items()}
    found = {label for table in tables.values() for label in table.labels}
    found.update(label for pair in pairs for label in pair.labels)
    if len(found) < RULES_MIN:
        return None
    tried = tuple(sorted(label for label in rules if label not in found))
    if len(tables) <= PLACES_MAX:
        return Index(candidates_function(tables, pairs, tried, None), tried)
    walk = walk_function(tables)
    return Index(candidates_function({}, pairs, tried, walk), tried)


def _more_than_once(labels: Iterable[Label]) -> set[Label]:
    once: set[Label] = set()
    again: set[Label] = set()
    for label in labels:
        (again if label in once else once).add(label)
    return again
