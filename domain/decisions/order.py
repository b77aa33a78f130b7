"""In which order rules are considered, and which rules cannot stand together.

A rule that reads ``decision.x`` comes after every rule that writes a path touching ``x``; a rule that may stop comes
before every rule of a lower priority class. Among what is free to go, the higher priority goes first, then the name
(Kahn's topological sort with a heap). What is left over is a cycle.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.decisions import patterns
from domain.errors import BusinessError
from domain.language import Path

if TYPE_CHECKING:
    from domain.decisions.ruleset import BoundRule


@dataclass(frozen=True, slots=True)
class PathConflict:
    """Two rules that can meet on one fact and whose writes do not go together."""

    rule: str
    other: str
    path: str
    reason: str


def touches(left: Path, right: Path) -> bool:
    """Say whether two paths are equal or one is a prefix of the other."""
    shorter = min(len(left), len(right))
    return left[:shorter] == right[:shorter]


def evaluation_order(rules: Sequence[BoundRule]) -> list[BoundRule]:
    """Return the rules in the order in which one fact meets them.

    Rules on a cycle (refused on activation, so only offline input has them) go last, by priority and name.
    """
    ordered, cyclic = _topological(rules)
    return ordered + cyclic


def rules_read(rules: Sequence[BoundRule]) -> list[BoundRule]:
    """Return the rules that write below a top-level name under which some rule reads.

    Paths that touch share that name, and so do writes that conflict, of which the earlier stands.
    """
    reads = {read for rule in rules for read in rule.compiled.decision_reads}
    if () in reads:
        return [rule for rule in rules if rule.compiled.writes]
    names = {read[0] for read in reads}
    return [rule for rule in rules if any(write.path[0] in names for write in rule.compiled.writes)]


def require_no_conflict(newcomer: BoundRule, others: Iterable[BoundRule]) -> None:
    """Refuse a rule that cannot stand beside the active ones; raises BusinessError with the rules and the paths.

    ``others`` are the active rules without an earlier version of the newcomer.
    """
    company = [rule for rule in others if rule.rule_id != newcomer.rule_id]
    conflicts = [*_own_conflicts(newcomer)]
    harmless: set[object] = set()  # most of many rules write what others of them write, for the same types
    for other in company:
        touched = other.compiled.fact_types, other.compiled.writes
        if touched not in harmless:
            found = [*_conflicts(newcomer, other)]
            conflicts += found
            if not found:
                harmless.add(touched)
    if conflicts:
        first = conflicts[0]
        raise BusinessError(
            f"path-conflict: rules '{first.rule}' and '{first.other}' {first.reason} at {first.path}",
            conflicts=[
                {"rule": found.rule, "other": found.other, "path": found.path, "reason": found.reason}
                for found in conflicts[:20]
            ],
        )
    if newcomer.compiled.decision_reads or any(rule.compiled.decision_reads for rule in company):
        _, cyclic = _topological([*company, newcomer])
        if cyclic:
            names = [rule.name for rule in _without_followers_of_cycles(cyclic)]
            what = "reads what it writes itself" if len(names) == 1 else "wait for each other's decision"
            raise BusinessError(f"cycle: {', '.join(names[:10])} {what}", rules=names[:100])


def _own_conflicts(rule: BoundRule) -> Iterable[PathConflict]:
    writes = rule.compiled.writes
    for index, write in enumerate(writes):
        for other in writes[index + 1 :]:
            reason = _clash(write.kind, write.path, other.kind, other.path)
            if reason:
                yield PathConflict(rule.name, rule.name, ".".join(write.path), reason)


def _conflicts(rule: BoundRule, other: BoundRule) -> Iterable[PathConflict]:
    if not rule.compiled.writes or not other.compiled.writes:
        return
    if not patterns.can_meet(rule.compiled.fact_types, other.compiled.fact_types):
        return
    for write in rule.compiled.writes:
        for theirs in other.compiled.writes:
            reason = _clash(write.kind, write.path, theirs.kind, theirs.path)
            if reason:
                yield PathConflict(rule.name, other.name, ".".join(write.path), reason)


def _clash(kind: object, path: Path, other_kind: object, other_path: Path) -> str | None:
    if path == other_path:
        return None if kind == other_kind else f"mix {kind} and {other_kind}"
    return "write a path and one below it" if touches(path, other_path) else None


def _topological(rules: Sequence[BoundRule]) -> tuple[list[BoundRule], list[BoundRule]]:
    """Return the rules in order, and those that come after a cycle or are on one, by priority and name."""
    followers = _followers(rules)
    waiting = [0] * len(rules)
    for then in itertools.chain.from_iterable(followers):
        waiting[then] += 1
    ready = [(rule.sort_key, index) for index, rule in enumerate(rules) if waiting[index] == 0]
    heapq.heapify(ready)
    ordered: list[BoundRule] = []
    placed: set[int] = set()
    while ready:
        _, index = heapq.heappop(ready)
        placed.add(index)
        ordered.append(rules[index])
        for follower in followers[index]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (rules[follower].sort_key, follower))
    cyclic = sorted((rule for index, rule in enumerate(rules) if index not in placed), key=lambda rule: rule.sort_key)
    return ordered, cyclic


def _followers(rules: Sequence[BoundRule]) -> list[set[int]]:
    """Return, for each rule by its index, the rules that must come after it."""
    followers: list[set[int]] = [set() for _ in rules]
    for reader, rule in enumerate(rules):
        for read in rule.compiled.decision_reads:
            for writer, other in enumerate(rules):
                if any(touches(read, write.path) for write in other.compiled.writes) and _can_meet(rule, other):
                    followers[writer].add(reader)
    for stopper, rule in enumerate(rules):
        if rule.compiled.may_stop:
            for lower, other in enumerate(rules):
                if other.priority.rank > rule.priority.rank and _can_meet(rule, other):
                    followers[stopper].add(lower)
    return followers


def _without_followers_of_cycles(rules: Sequence[BoundRule]) -> list[BoundRule]:
    """Return, of rules that are on a cycle or come after one, those that some other of them must come after."""
    followers = _followers(rules)
    kept = set(range(len(rules)))
    while last := {index for index in kept if not followers[index] & kept}:
        kept -= last
    return [rules[index] for index in sorted(kept)]


def _can_meet(rule: BoundRule, other: BoundRule) -> bool:
    return patterns.can_meet(rule.compiled.fact_types, other.compiled.fact_types)
