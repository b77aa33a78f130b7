"""The index of a plan: which rules a fact can concern, found without trying the others.

Each rule that demands something of a fact (``domain.language.demands``) is filed under one path: the one whose demand
takes the fewest values, as far as the ruleset itself tells; or under two paths, where many rules demand something of
both and one alone leaves many of them over. A fact is then looked up once at each path. Whatever it has there, also
nothing or another type, leads to the rules that can give something for it or fail on it; all others would be silent.
Rules without a demand are tried on every fact.

An index never changes once made, so that any number of readers share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.decisions.index.filing import filed_under_one, filed_under_two
from domain.decisions.index.pairs import Pair, paired
from domain.decisions.index.table import Labels, Table
from domain.decisions.index.writing import candidates_function
from domain.language import Demand

RULES_MIN: Final = 8  # rules that can be filed, below which trying them all is as fast


@dataclass(frozen=True, slots=True)
class Index:
    """``candidates`` gives the positions, in order, of the rules to try on a fact; ``tried`` are those of all facts."""

    candidates: Callable[[Mapping[str, Any]], list[int]]
    tried: Labels


def make_index(demands: Sequence[tuple[Demand, ...]]) -> Index | None:
    """Make the index of rules, given what each demands in the plan's order; None where it would save nothing."""
    rules = dict(enumerate(demands))
    pairs: list[Pair] = []
    for paths, filed in filed_under_two(rules).items():
        pair = paired(paths, filed)
        pairs.append(pair)
        for position in pair.labels:
            del rules[position]
    tables = {path: Table.of(filed) for path, filed in filed_under_one(rules).items()}
    found = {position for table in tables.values() for position in table.labels}
    found.update(position for pair in pairs for position in pair.labels)
    if len(found) < RULES_MIN:
        return None
    tried = tuple(position for position in range(len(demands)) if position not in found)
    return Index(candidates_function(tables, pairs, tried), tried)
