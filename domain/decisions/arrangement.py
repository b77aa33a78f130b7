"""Rules arranged by the fact types that they are for, with what is worked out of them once for many snapshots.

Rules ``on`` the same types are a group, so that a type is matched against the groups' patterns and not against every
rule's, and types that meet the same groups share their index. A large group has an index of its own, which all types
that meet it share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from domain.decisions import patterns
from domain.decisions.bound import BoundRule
from domain.decisions.candidate import Candidate
from domain.decisions.index import Candidates, Filing, Index, Label, filings_of, make_index
from domain.language import Asked

GROUP_ALONE_MIN: Final = 2_000  # rules of a group from which on it has an index of its own
INDEXES_MAX: Final = 4_096

Groups = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rules for the same fact types, in order; ``is_chained`` and ``is_dated`` as of a plan."""

    rules: tuple[BoundRule, ...]
    is_chained: bool
    is_dated: bool


class Arrangement:
    """Rules with distinct positions, in order. What it is asked for is made once and kept; it never changes else."""

    __slots__ = (
        "_by_digest",
        "_groups",
        "_indexes",
        "_numbers",
        "_of_any",
        "_of_pattern",
        "_of_type",
        "rules",
    )

    def __init__(self, rules: tuple[BoundRule, ...]) -> None:
        self.rules: Final = rules
        self._of_type: dict[str, list[int]] = defaultdict(list)
        self._of_pattern: dict[str, list[int]] = defaultdict(list)
        self._of_any: list[int] = []
        self._groups: list[Group] = []
        self._indexes: dict[Groups, Index | None] = {}
        self._by_digest: dict[bytes, BoundRule] | None = None
        by_types: dict[tuple[str, ...], list[BoundRule]] = defaultdict(list)
        for rule in rules:
            by_types[rule.compiled.fact_types].append(rule)
        self._numbers: dict[tuple[str, ...], int] = {types: number for number, types in enumerate(by_types)}
        for number, (types, members) in enumerate(by_types.items()):
            self._groups.append(_group(members))
            for pattern in dict.fromkeys(types):
                is_literal = "*" not in pattern and ">" not in pattern
                (self._of_type if is_literal else self._of_pattern)[pattern].append(number)
            if not types:
                self._of_any.append(number)

    def groups_of(self, fact_type: str) -> Groups:
        """Return the groups that a fact type meets."""
        found = {*self._of_any, *self._of_type.get(fact_type, ())}
        for pattern, numbers in self._of_pattern.items():
            if patterns.matches(pattern, fact_type):
                found.update(numbers)
        return tuple(sorted(found))

    def named_types(self) -> list[str]:
        """Return the fact types that rules name without wildcards."""
        return list(self._of_type)

    def group_of(self, position: float) -> int:
        """Return the group of the rule at a position, where positions are ranks."""
        return self._numbers[self.rules[int(position)].compiled.fact_types]

    def met(self, groups: Groups) -> list[Group]:
        """Return groups by their numbers."""
        return [self._groups[number] for number in groups]

    def rules_of(self, groups: Groups) -> tuple[BoundRule, ...]:
        """Return the rules of groups, in order."""
        return in_order([rules for group in self.met(groups) if (rules := group.rules)])

    def index(self, groups: Groups, *, is_kept: bool = True) -> Index | None:
        """Return the index of groups by their rules' positions; None where there is none to gain by, or to keep."""
        if groups in self._indexes:
            return self._indexes[groups]
        if not is_kept or len(self._indexes) >= INDEXES_MAX:
            return None
        parts = self._parts(groups)
        if len(parts) == 1:
            index = index_of(self.rules_of(groups))
        else:
            index = joined([self.index(part) or all_of(self.rules_of(part)) for part in parts])
        self._indexes[groups] = index
        return index

    def filings(self, groups: Groups) -> dict[float, tuple[Filing, ...]]:
        """Return how the index of groups files their rules, by position; nothing for a rule tried on every fact."""
        found: dict[float, tuple[Filing, ...]] = {}
        for part in self._parts(groups):
            found |= filings_of({rule.position: rule.compiled.demand for rule in self.rules_of(part)})
        return found

    def _parts(self, groups: Groups) -> list[Groups]:
        """Return groups as they share an index: large ones have their own."""
        large = [number for number in groups if len(self._groups[number].rules) >= GROUP_ALONE_MIN]
        small = tuple(number for number in groups if number not in large)
        return [*((number,) for number in large), small] if small else [(number,) for number in large] or [()]

    def by_digest(self) -> Mapping[bytes, BoundRule]:
        """Return the rules by content digest."""
        if self._by_digest is None:
            self._by_digest = {rule.digest: rule for rule in self.rules}
        return self._by_digest


def index_of(rules: Iterable[BoundRule]) -> Index | None:
    """Return the index of rules, whose labels are candidates; None where it would save nothing."""
    demands: dict[Label, Asked | None] = {Candidate(rule): rule.compiled.demand for rule in rules}
    index = make_index(demands)
    if index is not None:
        for label, met in index.met.items():
            assert isinstance(label, Candidate)
            label.met = met
    return None if index is None else replace(index, met={})


def joined(indexes: Sequence[Index], removed: frozenset[float] = frozenset()) -> Index:
    """Return the index of several indexes of different rules, without those rules that are removed."""
    if len(indexes) == 1 and not removed:
        return indexes[0]
    first, *others = [index.candidates for index in indexes]
    return Index(_joined_candidates(first, others, removed), tuple(sorted(_tried(indexes, removed))), {})


def _joined_candidates(first: Candidates, others: Sequence[Candidates], removed: frozenset[float]) -> Candidates:
    def candidates(payload: Mapping[str, Any]) -> list[Any]:
        found = first(payload)
        if removed:
            found = [position for position in found if position not in removed]
        count = len(found)
        for other in others:
            found += other(payload)
        if len(found) > count:
            found.sort()
        return found

    return candidates


def _tried(indexes: Iterable[Index], removed: frozenset[float]) -> list[float]:
    return [position for index in indexes for position in index.tried if position not in removed]


def all_of(rules: tuple[BoundRule, ...]) -> Index:
    """Return the index of rules that are all tried on every fact."""
    candidates = tuple(map(Candidate, rules))
    return Index(lambda _: list(candidates), candidates, {})


def in_order(several: Sequence[Sequence[BoundRule]]) -> tuple[BoundRule, ...]:
    """Return rules of several sequences, each in order, in order."""
    if len(several) == 1:
        return tuple(several[0])
    return tuple(sorted((rule for rules in several for rule in rules), key=lambda rule: rule.position))


def is_chain(rules: Iterable[BoundRule]) -> bool:
    """Return whether some rules read ``decision`` or may stop others."""
    return any(rule.compiled.decision_reads or rule.compiled.may_stop for rule in rules)


def _group(rules: list[BoundRule]) -> Group:
    return Group(
        tuple(rules),
        is_chain(rules),
        any(rule.from_ns is not None or rule.until_ns is not None for rule in rules),
    )
