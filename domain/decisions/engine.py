"""The engine: one fact under one ruleset gives one decision.

Pure and deterministic: the same fact under the same ruleset gives the same decision again, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from domain.decisions.candidate import Candidate, it_holds
from domain.decisions.decision import Decision, Effect, Fault, Match
from domain.decisions.fact import Fact
from domain.decisions.merge import Merge, joined
from domain.decisions.ruleset import BoundRule, Plan, Ruleset
from domain.decisions.taken import Taken
from domain.language import Evaluate, Outcome, RuleFault

FAULTS_MAX: Final = 100
_NOTHING: Final[dict[str, Any]] = {}


class _Course:
    """One fact's way through its plan: what was taken, in parts that are put together at the end, and what failed.

    ``fields`` are of all that was taken, one after the other; ``is_plain`` says that each rule's have no path twice.
    """

    __slots__ = ("effects", "faults", "fields", "is_plain", "matched", "matches", "stopped_at", "taken")

    def __init__(self) -> None:
        self.taken: list[Candidate | Taken] = []
        self.matches: list[Match] = []
        self.fields: list[Any] = []
        self.is_plain = True
        self.matched = False
        self.effects: list[tuple[str, Any]] = []
        self.faults: list[tuple[BoundRule, Fault]] = []
        self.stopped_at: int | None = None

    def consider(self, rule: BoundRule, evaluate: Evaluate, fact: Fact, so_far: dict[str, Any]) -> Taken | None:
        """Let one rule look at the fact, and return what it took; None where it took no branch.

        ``evaluate`` is the rule's own, or what it gives where its condition is known to hold.
        """
        try:
            outcome = evaluate(fact.payload, fact, so_far)
            if outcome is None:
                return None
            taken = Taken(rule, outcome)
        except RuleFault as fault:
            self.fail(rule, fault.code, fault.message, fault.line, fault.column)
        except ValueError as error:
            self.fail(rule, "not-json", str(error))
        else:
            rank = rule.priority.rank if outcome.stop else None
            if rank is not None and (self.stopped_at is None or rank < self.stopped_at):
                self.stopped_at = rank
            return taken
        return None

    def take(self, taken: Taken) -> None:
        """Put what a rule took after what was taken before."""
        self.taken.append(taken)
        self.matches.append(taken.match)
        if taken.fields is None:
            self.is_plain = False
        else:
            self.fields += taken.fields
        self.effects += taken.effects
        if taken.outcome.branch == "then":
            self.matched = True

    def fail(self, rule: BoundRule, code: str, message: str, line: int = 1, column: int = 1) -> None:
        """Keep a fault of a rule."""
        self.faults.append((rule, Fault(rule.rule_id, code, message, line, column)))


def decide(ruleset: Ruleset, fact: Fact) -> Decision:
    """Decide a fact. Never raises for a fact's or a rule's sake: what fails is among the decision's faults."""
    plan = ruleset.plan(fact.type)
    course = _Course()
    (_take_in_turn if plan.is_chained else _take_each)(plan, fact, course)
    output = _output(course)
    faults = course.faults
    if len(faults) > 1:
        faults.sort(key=lambda one: one[0].position)
    return Decision(
        fact,
        ruleset.revision,
        ruleset.digest,
        course.matched,
        output,
        tuple(course.matches),
        _effects(fact, course.effects) if course.effects else (),
        tuple([fault for _, fault in faults[:FAULTS_MAX]]) if faults else (),
        len(faults),
    )


def _take_each(plan: Plan, fact: Fact, course: _Course) -> None:
    """Consider rules that have nothing to do with one another, in order."""
    payload, time_ns = fact.payload, fact.time_ns
    is_dated, index = plan.is_dated, plan.index
    matches, fields = course.matches, course.fields
    for candidate in plan.candidates if index is None else index.candidates(payload):
        if is_dated and not is_effective(candidate.rule, time_ns):
            continue
        condition = candidate.condition or candidate.make()
        if condition is None:
            taken = course.consider(candidate.rule, candidate.then, fact, _NOTHING)
            if taken is not None:
                course.take(taken)
            continue
        match = candidate.match
        try:
            if condition is not it_holds and condition(payload, fact, _NOTHING, candidate.test_constants) is not True:
                continue
            if match is None:
                given = candidate.then(payload, fact, _NOTHING, candidate.then_constants)
                course.take(Taken(candidate.rule, Outcome("then", *given)))
                continue
        except Exception:  # noqa: BLE001  # a fault, perhaps: the rule as a whole tells
            taken = course.consider(candidate.rule, candidate.rule.compiled.evaluate, fact, _NOTHING)
            if taken is not None:
                course.take(taken)
            continue
        matches.append(match)
        course.taken.append(candidate)
        course.matched = True
        if candidate.fields is None:
            course.is_plain = False
        else:
            fields += candidate.fields
        if candidate.effects:
            course.effects += candidate.effects


def _take_in_turn(plan: Plan, fact: Fact, course: _Course) -> None:
    """Consider rules that read each other's decisions or may stop, in the plan's order.

    What readers see is merged again only after a rule that they depend on took a branch.
    """
    time_ns, is_dated, read = fact.time_ns, plan.is_dated, plan.read_positions
    rules, index = plan.rules, plan.index
    so_far = _NOTHING
    found: list[Taken] = []
    written: list[Taken] = []
    is_merged = True
    for rule in rules if index is None else [rules[int(place)] for place in index.candidates(fact.payload)]:
        if is_dated and not is_effective(rule, time_ns):
            continue
        if course.stopped_at is not None and rule.priority.rank > course.stopped_at:
            continue
        if not is_merged and rule.compiled.decision_reads:
            written.sort(key=_position)
            so_far = _merge(written, None).nested()
            is_merged = True
        taken = course.consider(rule, rule.compiled.evaluate, fact, so_far)
        if taken is None:
            continue
        found.append(taken)
        if rule.position in read:
            written.append(taken)
            is_merged = False
    for taken in sorted(found, key=_position):
        course.take(taken)


def is_effective(rule: BoundRule, time_ns: int | None) -> bool:
    """Say whether a rule decides facts of a time, in nanoseconds since 1970; one without a time every rule decides."""
    if time_ns is None:
        return True
    if rule.from_ns is not None and time_ns < rule.from_ns:
        return False
    return rule.until_ns is None or time_ns < rule.until_ns


_position: Final = attrgetter("rule.position")


def _merge(taken: Iterable[Candidate | Taken], course: _Course | None) -> Merge:
    """Merge contributions, given in order of priority then name; what is left out of a sum is a fault of its rule."""
    merge = Merge()
    for one in taken:
        merge.take(one.contributions, one.rule)
    if course is not None:
        for rule, code, message in merge.left_out:
            course.fail(rule, code, message)
    return merge


def _output(course: _Course) -> dict[str, Any]:
    """Return the merged output; what rules gave that meets nowhere is put together as it is."""
    matches = course.matches
    if not matches:
        return {}
    if course.is_plain:
        if len(matches) == 1:
            return matches[0].output
        output = joined(course.fields)
        if output is not None:
            return output
    return _merge(course.taken, course).output()


def _effects(fact: Fact, found: list[tuple[str, Any]]) -> tuple[Effect, ...]:
    key = fact.key.hex()
    return tuple([Effect(name, f"{key}-{number}", payload) for number, (name, payload) in enumerate(found, start=1)])
