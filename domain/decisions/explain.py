"""Why each rule of a ruleset applied to a fact, or did not.

The rules are considered in the order, and with the merged decision, in which the engine considers them; a test over
whole rulesets holds the two together. How every rule stood is found at once, which costs what deciding the fact costs;
a condition's tree is made only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from domain.decisions.decision import Fault
from domain.decisions.engine import is_effective
from domain.decisions.fact import Fact
from domain.decisions.merge import Merge
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.decisions.taken import Taken
from domain.errors import NotFoundError
from domain.language import Explained, RuleFault, explain_compiled, timestamp_from_ns, timestamp_to_text

Status = Literal["then", "else", "not applied", "fault", "stopped", "not effective", "not concerned"]

_TAKEN: Final = frozenset({"then", "else", "fault"})
_TYPES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one rule stood to one fact.

    ``status`` is the branch that the rule took; ``not applied`` where its condition is missing, or false without an
    ``else``; ``fault`` where it failed; ``stopped`` where a rule of a higher priority class stopped it; ``not
    effective`` outside its dates; ``not concerned`` where its ``on`` does not take the fact's type. ``rows`` are those
    of a table that matched. ``faults`` are its own in the decision: a rule that took a branch can have some too, from
    sums that its terms were left out of. ``reason`` says in words why the rule was not considered.
    """

    rule: BoundRule
    status: Status
    rows: list[int] | None = None
    faults: tuple[Fault, ...] = ()
    reason: str | None = None
    _explain: Callable[[], Explained] | None = None

    def tree(self) -> Explained | None:
        """Return the condition's tree, with the ``decision`` that the rule saw; None where it was not considered."""
        return None if self._explain is None else self._explain()


def explain_decision(
    ruleset: Ruleset,
    fact: Fact,
    rule_ids: Collection[str] | None = None,
    decision: Mapping[str, Any] | None = None,
) -> list[Explanation]:
    """Explain a fact's decision: for every rule that meets the fact's type, or for some rules, whatever their ``on``.

    Rules that took a branch or failed come first, then the others, either by priority and name. ``decision``, where it
    is given, stands for what the other rules have set. Raises NotFoundError for a rule that the ruleset does not have.
    """
    found = _Walk(ruleset, fact, decision).explanations()
    if rule_ids is not None:
        wanted = {rule.rule_id: rule for rule in ruleset.rules if rule.rule_id in rule_ids}
        for rule_id in rule_ids:
            if rule_id not in wanted:
                raise NotFoundError("no such rule in the ruleset", ruleId=rule_id, revision=ruleset.revision)
        met = [one for one in found if one.rule.rule_id in wanted]
        for one in met:
            del wanted[one.rule.rule_id]
        found = [*met, *(Explanation(rule, "not concerned", reason=_types(rule)) for rule in wanted.values())]
    return sorted(found, key=lambda one: (one.status not in _TAKEN, one.rule.position))


class _Walk:
    """One fact's way through its plan, as the engine goes it, with every rule's end."""

    def __init__(self, ruleset: Ruleset, fact: Fact, decision: Mapping[str, Any] | None) -> None:
        self._fact = fact
        self._given = decision
        self._taken: list[Taken] = []  # in the order in which they were considered
        self._found: list[Explanation] = []
        self._stopper: BoundRule | None = None
        self._go(ruleset)

    def _go(self, ruleset: Ruleset) -> None:
        fact = self._fact
        merged: tuple[int, Mapping[str, Any]] = (0, self._given or {})
        for rule in ruleset.plan(fact.type).rules:
            if not is_effective(rule, fact.time_ns):
                self._found.append(Explanation(rule, "not effective", reason=_dates(rule, fact.time_ns)))
            elif self._stopper is not None and rule.priority.rank > self._stopper.priority.rank:
                reason = f"the rule '{self._stopper.name}' stopped the rules of a lower priority"
                self._found.append(Explanation(rule, "stopped", reason=reason))
            else:
                if rule.compiled.decision_reads and merged[0] != len(self._taken):
                    merged = (len(self._taken), self._decision(len(self._taken)))
                self._consider(rule, merged[1])

    def explanations(self) -> list[Explanation]:
        """Return every rule's, with the faults that come of merging."""
        left_out: dict[float, list[Fault]] = {}
        for rule, code, message in self._merge(self._taken).left_out:
            left_out.setdefault(rule.position, []).append(Fault(rule.rule_id, code, message, 1, 1))
        return [
            replace(one, faults=(*one.faults, *left_out[one.rule.position])) if one.rule.position in left_out else one
            for one in self._found
        ]

    def _consider(self, rule: BoundRule, so_far: Mapping[str, Any]) -> None:
        explain = partial(self._tree, rule, len(self._taken))
        try:
            outcome = rule.compiled.evaluate(self._fact.payload, self._fact, so_far)
            taken = None if outcome is None else Taken(rule, outcome)
        except RuleFault as fault:
            own = Fault(rule.rule_id, fault.code, fault.message, fault.line, fault.column)
            self._found.append(Explanation(rule, "fault", faults=(own,), _explain=explain))
            return
        except ValueError as error:
            own = Fault(rule.rule_id, "not-json", str(error), 1, 1)
            self._found.append(Explanation(rule, "fault", faults=(own,), _explain=explain))
            return
        if outcome is None or taken is None:
            self._found.append(Explanation(rule, "not applied", _explain=explain))
            return
        self._taken.append(taken)
        self._found.append(Explanation(rule, outcome.branch, outcome.rows, _explain=explain))
        if outcome.stop and (self._stopper is None or rule.priority.rank < self._stopper.priority.rank):
            self._stopper = rule

    def _tree(self, rule: BoundRule, taken_before: int) -> Explained:
        so_far = self._decision(taken_before) if rule.compiled.decision_reads else {}
        return explain_compiled(rule.compiled, self._fact.payload, self._fact, so_far)

    def _decision(self, taken_before: int) -> Mapping[str, Any]:
        """Return what rules saw as ``decision`` once so many others had taken a branch."""
        return self._merge(self._taken[:taken_before]).nested() if self._given is None else self._given

    @staticmethod
    def _merge(taken: Iterable[Taken]) -> Merge:
        merge = Merge()
        for one in sorted(taken, key=lambda one: one.rule.position):
            merge.take(one.outcome.contributions, one.rule)
        return merge


def _dates(rule: BoundRule, time_ns: int | None) -> str:
    if time_ns is not None and rule.from_ns is not None and time_ns < rule.from_ns:
        return f"the rule decides from {timestamp_to_text(timestamp_from_ns(rule.from_ns))} on"
    assert rule.until_ns is not None
    return f"the rule decided until {timestamp_to_text(timestamp_from_ns(rule.until_ns))}"


def _types(rule: BoundRule) -> str:
    types = rule.compiled.fact_types
    return f"the rule is for {', '.join(types[:_TYPES_SHOWN])}{', …' if len(types) > _TYPES_SHOWN else ''}"
