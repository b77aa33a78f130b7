"""The engine: one fact under one ruleset gives one decision.

Pure and deterministic: the same fact under the same ruleset gives the same decision again, bit for bit.
"""

from __future__ import annotations

from typing import Any, Final

from domain.decisions.arrangement import it_holds
from domain.decisions.decision import Decision, Effect, Fault
from domain.decisions.fact import Fact
from domain.decisions.merge import Merge, joined
from domain.decisions.ruleset import BoundRule, Plan, Ruleset
from domain.decisions.taken import Taken
from domain.language import Evaluate, RuleFault

FAULTS_MAX: Final = 100
_NOTHING: Final[dict[str, Any]] = {}


class _Course:
    """One fact's way through its plan: what was taken, what failed, where a rule stopped it."""

    __slots__ = ("faults", "stopped_at", "taken")

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.faults: list[tuple[BoundRule, Fault]] = []
        self.stopped_at: int | None = None

    def consider(
        self,
        rule: BoundRule,
        evaluate: Evaluate,
        fact: Fact,
        so_far: dict[str, Any],
    ) -> bool:
        """Let one rule look at the fact, and say whether it took a branch.

        ``evaluate`` is the rule's own, or what it gives where its condition is known to hold.
        """
        try:
            outcome = evaluate(fact.payload, fact, so_far)
            if outcome is None:
                return False
            self.taken.append(Taken(rule, outcome))
        except RuleFault as fault:
            self.fail(rule, fault.code, fault.message, fault.line, fault.column)
        except ValueError as error:
            self.fail(rule, "not-json", str(error))
        else:
            rank = rule.priority.rank if outcome.stop else None
            if rank is not None and (self.stopped_at is None or rank < self.stopped_at):
                self.stopped_at = rank
            return True
        return False

    def fail(self, rule: BoundRule, code: str, message: str, line: int = 1, column: int = 1) -> None:
        """Keep a fault of a rule."""
        self.faults.append((rule, Fault(rule.rule_id, code, message, line, column)))


def decide(ruleset: Ruleset, fact: Fact) -> Decision:
    """Decide a fact. Never raises for a fact's or a rule's sake: what fails is among the decision's faults."""
    plan = ruleset.plan(fact.type)
    course = _Course()
    taken = course.taken
    if plan.is_chained:
        _take_in_turn(plan, fact, course)
    else:
        payload = fact.payload
        is_dated = plan.is_dated
        tests, index = plan.tests, plan.index
        for test in tests if index is None else map(tests.__getitem__, index.candidates(payload)):
            if is_dated and not is_effective(test[3], fact.time_ns):
                continue
            evaluate: Evaluate | None = None
            condition = test[0]
            if condition is not None:
                try:
                    holds = condition is it_holds or condition(payload, fact, _NOTHING)
                except Exception:  # noqa: BLE001, S110  # a fault, perhaps: the rule as a whole tells
                    pass
                else:
                    if holds is not True:
                        continue
                    ready = test[1]
                    if ready is not None:
                        taken.append(ready)
                        continue
                    evaluate = test[2]
            rule = test[3]
            course.consider(rule, evaluate or rule.compiled.evaluate, fact, _NOTHING)
    output = _output(taken, course) if taken else {}
    faults = course.faults
    if len(faults) > 1:
        faults.sort(key=lambda one: one[0].position)
    matches = []
    effects: list[tuple[str, Any]] = []
    matched = False
    for one in taken:
        matches.append(one.match)
        if one.is_match:
            matched = True
        if one.effects:
            effects += one.effects
    return Decision(
        fact,
        ruleset.revision,
        ruleset.digest,
        matched,
        output,
        tuple(matches),
        _effects(fact, effects) if effects else (),
        tuple([fault for _, fault in faults[:FAULTS_MAX]]) if faults else (),
        len(faults),
    )


def _take_in_turn(plan: Plan, fact: Fact, course: _Course) -> None:
    """Consider rules that read each other's decisions or may stop, in the plan's order.

    What readers see is merged again only after a rule that they depend on took a branch.
    """
    time_ns, is_dated, read = fact.time_ns, plan.is_dated, plan.read_positions
    rules, index = plan.rules, plan.index
    so_far = _NOTHING
    written: list[Taken] = []
    is_merged = True
    for rule in rules if index is None else map(rules.__getitem__, index.candidates(fact.payload)):
        if is_dated and not is_effective(rule, time_ns):
            continue
        if course.stopped_at is not None and rule.priority.rank > course.stopped_at:
            continue
        if not is_merged and rule.compiled.decision_reads:
            written.sort(key=_position)
            so_far = _merge(written, None).nested()
            is_merged = True
        if course.consider(rule, rule.compiled.evaluate, fact, so_far) and rule.position in read:
            written.append(course.taken[-1])
            is_merged = False
    course.taken.sort(key=_position)


def is_effective(rule: BoundRule, time_ns: int | None) -> bool:
    """Say whether a rule decides facts of a time, in nanoseconds since 1970; one without a time every rule decides."""
    if time_ns is None:
        return True
    if rule.from_ns is not None and time_ns < rule.from_ns:
        return False
    return rule.until_ns is None or time_ns < rule.until_ns


def _position(one: Taken) -> float:
    return one.rule.position


def _merge(taken: list[Taken], course: _Course | None) -> Merge:
    """Merge contributions, given in order of priority then name; what is left out of a sum is a fault of its rule."""
    merge = Merge()
    for one in taken:
        merge.take(one.outcome.contributions, one.rule)
    if course is not None:
        for rule, code, message in merge.left_out:
            course.fail(rule, code, message)
    return merge


def _output(taken: list[Taken], course: _Course) -> dict[str, Any]:
    """Return the merged output; what rules gave that meets nowhere is put together as it is."""
    if len(taken) == 1 and taken[0].fields is not None:
        return taken[0].match.output
    fields: list[Any] = []
    for one in taken:
        if one.fields is None:  # it writes a path twice
            return _merge(taken, course).output()
        fields += one.fields
    output = joined(fields)
    return _merge(taken, course).output() if output is None else output


def _effects(fact: Fact, found: list[tuple[str, Any]]) -> tuple[Effect, ...]:
    key = fact.key.hex()
    return tuple([Effect(name, f"{key}-{number}", payload) for number, (name, payload) in enumerate(found, start=1)])
