"""The engine: one fact under one ruleset gives one decision.

Pure and deterministic: the same fact under the same ruleset gives the same decision again, bit for bit.
"""

from __future__ import annotations

from typing import Any, Final

from domain.decisions.decision import Decision, Effect, Fault, Match
from domain.decisions.fact import Fact
from domain.decisions.merge import Merge
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import FactContext, MergeKind, Outcome, Path, RuleFault, timestamp_from_ns, to_json

FAULTS_MAX: Final = 100


class _Taken:
    """A rule that took a branch: its outcome, with values as the rules see them, and its JSON forms."""

    __slots__ = ("effects", "outcome", "output", "rule")

    def __init__(self, rule: BoundRule, outcome: Outcome) -> None:
        self.rule = rule
        self.outcome = outcome
        self.output = _own_output(outcome)
        self.effects = [(name, to_json(payload)) for name, payload in outcome.effects]


def decide(ruleset: Ruleset, fact: Fact) -> Decision:
    """Decide a fact. Never raises for a fact's or a rule's sake: what fails is among the decision's faults."""
    plan = ruleset.plan(fact.type)
    time_ns = fact.time_ns
    context = FactContext(fact.id, fact.type, None if time_ns is None else timestamp_from_ns(time_ns))
    taken: list[_Taken] = []
    faults: list[tuple[BoundRule, Fault]] = []
    decision_so_far: dict[str, Any] = {}
    is_chained = plan.is_chained
    stopped_at: int | None = None
    for rule in plan.rules:
        if time_ns is not None and (
            (rule.from_ns is not None and time_ns < rule.from_ns)
            or (rule.until_ns is not None and time_ns >= rule.until_ns)
        ):
            continue
        if is_chained:
            if stopped_at is not None and rule.priority.rank > stopped_at:
                continue
            if rule.compiled.decision_reads:
                decision_so_far = _merged(taken, None).nested()
        try:
            outcome = rule.compiled.evaluate(fact.payload, context, decision_so_far)
            if outcome is None:
                continue
            taken.append(_Taken(rule, outcome))
        except RuleFault as fault:
            faults.append((rule, Fault(rule.rule_id, fault.code, fault.message, fault.line, fault.column)))
            continue
        except ValueError as error:
            faults.append((rule, Fault(rule.rule_id, "not-json", str(error), 1, 1)))
            continue
        if outcome.stop and (stopped_at is None or rule.priority.rank < stopped_at):
            stopped_at = rule.priority.rank
    if is_chained:
        taken.sort(key=lambda one: one.rule.position)
    output = _merged(taken, faults).output() if taken else {}
    if len(faults) > 1:
        faults.sort(key=lambda one: one[0].position)
    return Decision(
        fact=fact,
        revision=ruleset.revision,
        digest=ruleset.digest,
        matched=any(one.outcome.branch == "then" for one in taken),
        output=output,
        matches=tuple(_match(one) for one in taken),
        effects=_effects(fact, taken),
        faults=tuple(fault for _, fault in faults[:FAULTS_MAX]),
        fault_count=len(faults),
    )


def _merged(taken: list[_Taken], faults: list[tuple[BoundRule, Fault]] | None) -> Merge:
    merge = Merge()
    for one in sorted(taken, key=lambda one: one.rule.position):
        for kind, path, value in one.outcome.contributions:
            merge.contribute(kind, path, value, one.rule)
    if faults is not None:
        for rule, code, message in merge.left_out:
            faults.append((rule, Fault(rule.rule_id, code, message, 1, 1)))
    return merge


def _own_output(outcome: Outcome) -> dict[str, Any]:
    contributions = outcome.contributions
    if not contributions:
        return {}
    if len(contributions) == 1:
        return _single(*contributions[0])
    merge = Merge()
    for kind, path, value in contributions:
        merge.contribute(kind, path, value)
    return merge.output()


def _single(kind: MergeKind, path: Path, value: Any) -> dict[str, Any]:
    form = to_json(value)
    nested: dict[str, Any] = {path[-1]: [form] if kind is MergeKind.APPEND else form}
    for name in reversed(path[:-1]):
        nested = {name: nested}
    return nested


def _match(one: _Taken) -> Match:
    rule = one.rule
    return Match(rule.rule_id, rule.name, rule.version, rule.priority, one.outcome.branch, one.output, one.outcome.rows)


def _effects(fact: Fact, taken: list[_Taken]) -> tuple[Effect, ...]:
    found = [effect for one in taken for effect in one.effects]
    if not found:
        return ()
    key = fact.key.hex()
    return tuple(Effect(name, f"{key}-{number}", payload) for number, (name, payload) in enumerate(found, start=1))
