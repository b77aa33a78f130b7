"""The ruleset: the immutable snapshot under which facts are decided.

A worker holds one Ruleset by one reference and swaps it between batches; readers never wait and never see a mixture.
Rules are bound once, when a snapshot is made: compiled (the compiled form is kept by content digest, so an activation
compiles only what is new), sorted by priority and name, and arranged into one plan for each fact type met.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.decisions import patterns
from domain.decisions.decision import FixedMatch
from domain.decisions.index import Index, make_index
from domain.decisions.order import evaluation_order, rules_read
from domain.decisions.taken import Taken
from domain.identifiers import RuleId
from domain.language import CompiledRule, Condition
from domain.rules.content import Priority, RuleContent

# Plans are kept for this many fact types; types beyond it (a hostile sender's) are planned again at each fact.
PLANS_MAX: Final = 4096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A version of a rule that decides: what the ruleset's digest is made of."""

    rule_id: RuleId
    version: int
    content: RuleContent

    @property
    def digest(self) -> bytes:
        return self.content.digest(self.rule_id, self.version)


@dataclass(frozen=True, slots=True)
class BoundRule:
    """An active rule, compiled and placed: ``position`` is its rank by priority, then name, then id."""

    rule_id: str
    name: str
    version: int
    priority: Priority
    compiled: CompiledRule
    digest: bytes
    from_ns: int | None
    until_ns: int | None
    position: int = 0

    @property
    def sort_key(self) -> tuple[int, str, str]:
        return (self.priority.rank, self.name, self.rule_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules that a fact of one type can meet, in the order in which to consider them.

    ``is_chained`` says that some of them read ``decision`` or may stop, so that what was decided so far matters;
    ``is_dated`` that some have effective dates. ``read_positions`` are of the rules whose writes others may read.
    ``tests`` are the same rules: each with its condition, where that alone tells whether the rule applies, and with
    what it then gives, where that is the same for every fact; None where not. ``index`` tells by their place which of
    them a fact can concern; without one they are all to be tried.
    """

    rules: tuple[BoundRule, ...]
    is_chained: bool
    is_dated: bool
    read_positions: frozenset[int]
    tests: tuple[tuple[BoundRule, Condition | None, Taken | None], ...]
    index: Index | None = None


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

    __slots__ = ("_indexes", "_plans", "digest", "revision", "rules")

    def __init__(self, revision: int, rules: Iterable[BoundRule], digest: bytes | None = None) -> None:
        ordered = sorted(rules, key=lambda rule: rule.sort_key)
        self.revision: Final = revision
        self.rules: Final = tuple(_placed(rule, position) for position, rule in enumerate(ordered))
        self.digest: Final = digest or ruleset_digest(rule.digest for rule in ordered)
        self._plans: dict[str, Plan] = {}
        self._indexes: dict[tuple[int, ...], Index | None] = {}

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
    def state(self) -> RulesetState:
        return RulesetState(self.revision, self.digest)

    def plan(self, fact_type: str) -> Plan:
        """Return the plan for a fact type, made at the first fact of that type."""
        plan = self._plans.get(fact_type)
        if plan is None:
            plan = self._make_plan(fact_type)
            if len(self._plans) < PLANS_MAX:
                self._plans[fact_type] = plan
        return plan

    def by_digest(self) -> dict[bytes, BoundRule]:
        """Return the bound rules by content digest, for the next snapshot to take over."""
        return {rule.digest: rule for rule in self.rules}

    def _make_plan(self, fact_type: str) -> Plan:
        met = [
            rule
            for rule in self.rules
            if not rule.compiled.fact_types
            or any(patterns.matches(pattern, fact_type) for pattern in rule.compiled.fact_types)
        ]
        is_chained = any(rule.compiled.decision_reads or rule.compiled.may_stop for rule in met)
        is_dated = any(rule.from_ns is not None or rule.until_ns is not None for rule in met)
        read_positions = frozenset(rule.position for rule in rules_read(met))
        rules = tuple(evaluation_order(met) if is_chained else met)
        tests = tuple(
            (rule, rule.compiled.condition if rule.compiled.applied else None, _ready(rule)) for rule in rules
        )
        return Plan(rules, is_chained, is_dated, read_positions, tests, self._index(rules))

    def _index(self, rules: tuple[BoundRule, ...]) -> Index | None:
        """Return the index of rules. Types that meet the same ones share it, so that new types cost no new index."""
        places = tuple([rule.position for rule in rules])
        if places in self._indexes:
            return self._indexes[places]
        if len(self._plans) >= PLANS_MAX:
            return None
        index = self._indexes[places] = make_index({place: rule.compiled.demand for place, rule in enumerate(rules)})
        return index


def bind(rule: ActiveRule, digest: bytes, compiled: CompiledRule) -> BoundRule:
    """Place a compiled rule in a ruleset; ``digest`` is the active rule's own, which callers have at hand."""
    content = rule.content
    return BoundRule(
        rule_id=rule.rule_id.value,
        name=content.name,
        version=rule.version,
        priority=content.priority,
        compiled=compiled,
        digest=digest,
        from_ns=_nanoseconds(content.effective_from),
        until_ns=_nanoseconds(content.effective_until),
    )


def _ready(rule: BoundRule) -> Taken | None:
    try:
        return None if rule.compiled.constant is None else Taken(rule, rule.compiled.constant, FixedMatch)
    except ValueError:
        return None


def _placed(rule: BoundRule, position: int) -> BoundRule:
    if rule.position == position:
        return rule
    return BoundRule(
        rule_id=rule.rule_id,
        name=rule.name,
        version=rule.version,
        priority=rule.priority,
        compiled=rule.compiled,
        digest=rule.digest,
        from_ns=rule.from_ns,
        until_ns=rule.until_ns,
        position=position,
    )


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1000
