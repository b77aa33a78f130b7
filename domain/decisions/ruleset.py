"""The ruleset: the immutable snapshot under which facts are decided.

A worker holds one Ruleset by one reference and swaps it between batches; readers never wait and never see a mixture.
Rules are bound once, when a snapshot is made: compiled (the compiled form is kept by content digest, so an activation
compiles only what is new), sorted by priority and name, and arranged into one plan for each fact type met.

A snapshot that differs from an earlier one in a few rules (``changed``) shares its arrangement, indexes included, and
has a small one of its own for the rules that were added since, and the positions of those that were removed: a log of
changes beside a large structure that stays as it is, as in log-structured merge trees (O'Neil and others, 1996). When
the changes are many (``is_due``), all is arranged anew (``rebuilt``), which takes as long as at the start and can be
done in a thread.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.decisions.arrangement import Arrangement, Groups, all_of, in_order, index_of, is_chain, joined
from domain.decisions.bound import ActiveRule, BoundRule, bind, placed
from domain.decisions.candidate import Candidate
from domain.decisions.index import Filing, Index, make_index
from domain.decisions.order import evaluation_order, rules_read
from domain.language import CompiledRule

__all__ = ["ActiveRule", "BoundRule", "Plan", "Ruleset", "RulesetState", "bind", "ruleset_digest"]

# Plans are kept for this many fact types; types beyond it (a hostile sender's) are planned again at each fact.
PLANS_MAX: Final = 4096
WHOLE_MAX: Final = 500  # rules up to which a change arranges all of them anew
CHANGES_MAX: Final = 256  # rules added and removed since all were arranged, from which on that is due again
_PLANNED_AHEAD_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules that a fact of one type can meet, in the order in which to consider them.

    ``is_chained`` says that some of them read ``decision`` or may stop, so that what was decided so far matters;
    ``is_dated`` that some have effective dates. ``read_positions`` are, where it is chained, of the rules whose writes
    others may read. ``index`` gives the candidates for a fact, in order; in a chained plan their places in ``rules``.
    Without an index ``candidates`` are all, in order.
    """

    all_rules: Callable[[], tuple[BoundRule, ...]]
    is_chained: bool
    is_dated: bool
    read_positions: frozenset[float]
    candidates: Sequence[Candidate]
    index: Index | None = None

    @property
    def rules(self) -> tuple[BoundRule, ...]:
        """All rules of the plan; of large plans of changed snapshots they are put together at each call."""
        return self.all_rules()

    def without_index(self) -> Plan:
        """Return the plan with every rule tried on every fact."""
        return replace(self, candidates=tuple(map(Candidate, self.rules)), index=None)


@dataclass(frozen=True, slots=True)
class RulesetState:
    """Which ruleset is the current one: its revision, which only rises, and its digest."""

    revision: int
    digest: bytes


def ruleset_digest(content_digests: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of the active versions' content digests, sorted as bytes and joined."""
    return hashlib.sha256(b"".join(sorted(content_digests))).digest()


class Ruleset:
    """An immutable set of bound rules at one revision. Safe to share between tasks and threads."""

    __slots__ = ("_added", "_base", "_plans", "_removed", "_rules", "_shared_plans", "digest", "revision")

    def __init__(self, revision: int, rules: Iterable[BoundRule], digest: bytes | None = None) -> None:
        ordered = sorted(rules, key=lambda rule: rule.sort_key)
        digest = digest or ruleset_digest(rule.digest for rule in ordered)
        self._begin(revision, digest, _arranged(ordered), None, frozenset())

    def _begin(
        self,
        revision: int,
        digest: bytes,
        base: Arrangement,
        added: Arrangement | None,
        removed: frozenset[float],
    ) -> None:
        self.revision = revision
        self.digest = digest
        self._base = base
        self._added = added
        self._removed = removed
        self._plans: dict[str, Plan] = {}
        self._shared_plans: dict[tuple[Groups, Groups], Plan] = {}
        self._rules: tuple[BoundRule, ...] | None = None

    @classmethod
    def of(
        cls,
        revision: int,
        rules: Iterable[ActiveRule],
        compile_rule: Callable[[str], CompiledRule],
    ) -> Ruleset:
        """Compile and bind active rules into a snapshot."""
        return cls(revision, [bind(rule, rule.digest, compile_rule(rule.content.dsl_content)) for rule in rules])

    @property
    def rules(self) -> tuple[BoundRule, ...]:
        """All rules, in order; those of a changed snapshot are put together at the first call."""
        if self._rules is None:
            self._rules = self._merged(self._base.rules, () if self._added is None else self._added.rules)
        return self._rules

    @property
    def state(self) -> RulesetState:
        return RulesetState(self.revision, self.digest)

    @property
    def is_due(self) -> bool:
        """Whether so much was changed since all rules were arranged that they should be again, by ``rebuilt``."""
        return self._changes >= CHANGES_MAX

    @property
    def _changes(self) -> int:
        return len(self._removed) + (0 if self._added is None else len(self._added.rules))

    def __len__(self) -> int:
        added = 0 if self._added is None else len(self._added.rules)
        return len(self._base.rules) - len(self._removed) + added

    # Changes

    def changed(
        self, revision: int, removed: Collection[bytes], added: Iterable[BoundRule], digest: bytes | None = None
    ) -> Ruleset:
        """Return the snapshot without the rules of some content digests and with others; a replaced rule is in both.

        It is ready for the fact types that this one was ready for. The time that this takes grows with the changes
        since all rules were arranged, and not with the rules; but for fact types some of whose rules read decisions or
        may stop, which are planned anew, and for a digest that is not given. Raises KeyError for a digest that no rule
        has.
        """
        gone = set(removed)
        earlier = () if self._added is None else self._added.rules
        newer = [rule for rule in earlier if rule.digest not in gone] + list(added)
        gone.difference_update([rule.digest for rule in earlier])
        of_base = self._base.by_digest()
        positions = self._removed | {of_base[one].position for one in gone}
        count = len(self._base.rules)
        if digest is None:
            left_out = {self._base.rules[int(position)].digest for position in positions}
            digest = ruleset_digest([*(of_base.keys() - left_out), *(rule.digest for rule in newer)])
        changed: Ruleset
        if count <= WHOLE_MAX or len(newer) + len(positions) > count:
            changed = type(self)(revision, [*_without(self._base.rules, positions), *newer], digest)
        else:
            changed = type(self).__new__(type(self))
            arranged = Arrangement(_between(self._base.rules, newer)) if newer else None
            changed._begin(revision, digest, self._base, arranged, positions)  # noqa: SLF001 - a snapshot being made
        changed.prepare(list(self._plans)[:_PLANNED_AHEAD_MAX])
        return changed

    def rebuilt(self) -> Ruleset:
        """Return the same snapshot with all rules arranged anew, ready for the types that this one was ready for."""
        rebuilt = type(self).__new__(type(self))
        rebuilt._begin(self.revision, self.digest, _arranged(self.rules), None, frozenset())  # noqa: SLF001 - as above
        rebuilt.prepare(list(self._plans)[:_PLANNED_AHEAD_MAX])
        return rebuilt

    def prepare(self, fact_types: Iterable[str] | None = None) -> None:
        """Make plans before facts wait for them: for some fact types, or for the first of those that rules name.

        What changes are worked out with is made too.
        """
        self._base.by_digest()
        named = self._base.named_types()[:_PLANNED_AHEAD_MAX] if fact_types is None else fact_types
        for fact_type in named:
            self.plan(fact_type)

    def by_digest(self) -> dict[bytes, BoundRule]:
        """Return the bound rules by content digest, for the next snapshot to take over."""
        return {rule.digest: rule for rule in self.rules}

    def _merged(self, base: tuple[BoundRule, ...], added: tuple[BoundRule, ...]) -> tuple[BoundRule, ...]:
        if not self._removed and not added:
            return base
        return in_order([_without(base, self._removed), added])

    # Plans

    def plan(self, fact_type: str) -> Plan:
        """Return the plan for a fact type, made at the first fact of a type that meets the same rules."""
        plan = self._plans.get(fact_type)
        if plan is None:
            more = () if self._added is None else self._added.groups_of(fact_type)
            met = self._base.groups_of(fact_type), more
            plan = self._shared_plans.get(met)
            if plan is None:
                is_kept = len(self._shared_plans) < PLANS_MAX
                plan = self._make_plan(*met, is_kept=is_kept)
                if is_kept:
                    self._shared_plans[met] = plan
            if len(self._plans) < PLANS_MAX:
                self._plans[fact_type] = plan
        return plan

    def filings(self, fact_type: str) -> list[tuple[BoundRule, tuple[Filing, ...]]]:
        """Return how each rule that a fact type meets is found, in order; nothing for one tried on every fact of it.

        Of a chained plan it is said as if it were none. It takes about as long as making the indexes does.
        """
        base, added = self._base, self._added
        groups = base.groups_of(fact_type)
        found = base.filings(groups)
        rules = base.rules_of(groups)
        newer: tuple[BoundRule, ...] = ()
        if added is not None:
            more = added.groups_of(fact_type)
            found |= added.filings(more)
            newer = added.rules_of(more)
        return [(rule, found[rule.position]) for rule in self._merged(rules, newer)]

    def _make_plan(self, groups: Groups, more: Groups, *, is_kept: bool) -> Plan:
        """Make the plan for types that meet some groups of the base and of what was added."""
        base, added = self._base, self._added

        def rules() -> tuple[BoundRule, ...]:
            return self._merged(base.rules_of(groups), () if added is None else added.rules_of(more))

        met = [*base.met(groups), *(() if added is None else added.met(more))]
        is_dated = any(group.is_dated for group in met)
        if any(group.is_chained for group in met) and is_chain(everything := rules()):
            return _chained(everything, is_dated=is_dated, is_kept=is_kept)
        removed = frozenset(position for position in self._removed if base.group_of(position) in groups)
        index = base.index(groups, is_kept=is_kept)
        if index is not None and (more or removed):
            newer = () if added is None or not more else (added.index(more) or all_of(added.rules_of(more)),)
            index = joined([index, *newer], removed)
        elif index is None and (more or removed) and is_kept:
            index = index_of(rules())
        candidates = tuple(map(Candidate, rules())) if index is None else ()
        return Plan(rules, False, is_dated, frozenset(), candidates, index)


def _chained(rules: tuple[BoundRule, ...], *, is_dated: bool, is_kept: bool) -> Plan:
    read_positions = frozenset(rule.position for rule in rules_read(rules))
    rules = tuple(evaluation_order(rules))
    index = make_index({place: rule.compiled.demand for place, rule in enumerate(rules)}) if is_kept else None
    return Plan(lambda: rules, True, is_dated, read_positions, (), index)


def _without(rules: tuple[BoundRule, ...], positions: frozenset[float]) -> tuple[BoundRule, ...]:
    """Return placed rules without those at some positions."""
    if not positions:
        return rules
    return tuple([rule for rule in rules if rule.position not in positions])


def _arranged(ordered: Iterable[BoundRule]) -> Arrangement:
    return Arrangement(tuple([placed(rule, rank) for rank, rule in enumerate(ordered)]))


def _between(base: tuple[BoundRule, ...], rules: Iterable[BoundRule]) -> tuple[BoundRule, ...]:
    """Place rules between those of a base, whose positions are their ranks."""
    by_rank: dict[int, list[BoundRule]] = defaultdict(list)
    for rule in sorted(rules, key=lambda rule: rule.sort_key):
        by_rank[bisect_left(base, rule.sort_key, key=lambda one: one.sort_key)].append(rule)
    return tuple(
        [
            placed(rule, rank - 1 + number / (len(some) + 1))
            for rank, some in by_rank.items()
            for number, rule in enumerate(some, start=1)
        ]
    )
