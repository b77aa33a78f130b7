"""A plan to the function that decides a rule for a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Literal, NamedTuple

from domain.language.evaluation import new_state
from domain.language.functions import FunctionWriter
from domain.language.outcome import Contribution, Effect, FactAttributes, MergeKind, Outcome
from domain.language.plan import Const, PlannedAction, PlannedBranch, PlannedEffect, PlannedRule
from domain.language.settlement import Origin, check_action, settle_actions, settle_condition, settle_table

Evaluate = Callable[[dict[str, Any], FactAttributes, Mapping[str, Any]], Outcome | None]
Condition = Callable[[dict[str, Any], FactAttributes, Mapping[str, Any]], bool | None]
Applied = Callable[[dict[str, Any], FactAttributes, Mapping[str, Any]], Outcome]


class Assembled(NamedTuple):
    """A rule's functions. ``applied`` is what ``evaluate`` gives where the condition is known to hold.

    It is None where the condition does not tell it all: in tables, with ``else``, and where actions use values or steps
    that the condition left. ``constant`` is the outcome where ``applied`` gives the same one for every fact.
    """

    evaluate: Evaluate
    condition: Condition
    applied: Applied | None = None
    constant: Outcome | None = None


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch ready to run; without actions it is a bare condition's ``then``."""

    name: Literal["then", "else"]
    actions: Callable[..., Any] | None
    stateful: bool
    stop: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A rule's functions as text: their names, and whether each takes the evaluation's state."""

    emitter: FunctionWriter
    stateful: dict[str, bool]
    outputs: dict[int, tuple[list[Contribution], list[Effect]]]

    @property
    def text(self) -> str:
        """The Python text of the functions."""
        return self.emitter.source(list(self.stateful))

    def functions(self, code: CodeType | None = None) -> dict[str, Callable[..., Any]]:
        """Return the functions by name; ``code`` is ``text`` compiled, where that was done before."""
        return self.emitter.functions_of(list(self.stateful), code)


def write(plan: PlannedRule) -> Written:
    """Write a rule's functions; raises TooCostlyError. A row's outputs that are constants are made at once."""
    emitter = FunctionWriter(plan.lets)
    emitter.count_uses(*plan.tests, *(action.value for branch in plan.branches for action in branch.actions))
    written = Written(emitter, {}, {})
    stateful = written.stateful
    if plan.condition is not None:
        stateful["condition"] = emitter.condition("condition", plan.condition)
    if plan.then is not None:
        stateful["then"] = emitter.actions("then", plan.then)
    if plan.otherwise is not None:
        stateful["otherwise"] = emitter.actions("otherwise", plan.otherwise)
    if plan.table is not None:
        stateful["rows"] = emitter.table("rows", plan.table)
        for row in plan.table.rows:
            constants = _constant_outputs(row.branch)
            if constants is not None:
                written.outputs[row.number] = constants
            else:
                stateful[f"row{row.number}"] = emitter.actions(f"row{row.number}", row.branch)
    return written


def assemble(origin: Origin, plan: PlannedRule, written: Written, code: CodeType | None = None) -> Assembled:
    """Return a rule's functions; ``code`` is the text of ``written``, compiled."""
    stateful = written.stateful
    functions: dict[str, Any] = dict.fromkeys(("condition", "then", "otherwise"))
    functions |= written.functions(code)
    lets = len(plan.lets)
    if plan.table is not None:
        return _with_rows(origin, functions, written, new_state(lets))
    then = _Branch("then", functions["then"], stateful.get("then", False), plan.then is not None and plan.then.stop)
    otherwise = None
    if plan.otherwise is not None:
        otherwise = _Branch("else", functions["otherwise"], stateful["otherwise"], plan.otherwise.stop)
    condition: Condition = functions["condition"] or _always
    state = new_state(lets)
    if stateful.get("condition", False):
        inner: Callable[..., Any] = condition

        def condition(payload: Any, fact: Any, decision: Any) -> Any:
            return inner(payload, fact, decision, state.copy())

    applied = _applied(origin, then) if otherwise is None and not then.stateful else None
    constant = None
    if applied is not None:
        outputs = ([], []) if plan.then is None else _constant_outputs(plan.then)
        constant = None if outputs is None else Outcome("then", *outputs, then.stop, None)
    if any(stateful.values()):
        test = functions["condition"] if stateful.get("condition", False) else None
        return Assembled(_with_state(origin, test, condition, then, otherwise, state), condition, applied, constant)
    return Assembled(_without_state(origin, condition, then, otherwise), condition, applied, constant)


def _applied(origin: Origin, branch: _Branch) -> Applied:
    actions, name, stop = branch.actions, branch.name, branch.stop
    if actions is None:
        return lambda _payload, _fact, _decision: Outcome(name, [], [], stop, None)

    def applied(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome:
        try:
            contributions, effects = actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            contributions, effects = settle_actions(origin, name, error, payload, fact, decision)
        return Outcome(name, contributions, effects, stop, None)

    return applied


def _without_state(origin: Origin, condition: Condition, then: _Branch, otherwise: _Branch | None) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        try:
            holds = condition(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = settle_condition(origin, error, payload, fact, decision)
        branch = then if holds is True else otherwise if holds is False else None
        if branch is None:
            return None
        if branch.actions is None:
            return Outcome(branch.name, [], [], branch.stop, None)
        try:
            contributions, effects = branch.actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - as above
            contributions, effects = settle_actions(origin, branch.name, error, payload, fact, decision)
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _with_state(
    origin: Origin,
    test: Callable[..., Any] | None,
    condition: Condition,
    then: _Branch,
    otherwise: _Branch | None,
    blank: list[Any],
) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        state = blank.copy()
        try:
            holds = condition(payload, fact, decision) if test is None else test(payload, fact, decision, state)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = settle_condition(origin, error, payload, fact, decision)
        branch = then if holds is True else otherwise if holds is False else None
        if branch is None:
            return None
        if branch.actions is None:
            return Outcome(branch.name, [], [], branch.stop, None)
        try:
            if branch.stateful:
                contributions, effects = branch.actions(payload, fact, decision, state)
            else:
                contributions, effects = branch.actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - as above
            contributions, effects = settle_actions(origin, branch.name, error, payload, fact, decision)
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _always(_payload: Any, _fact: Any, _decision: Any) -> bool:
    return True


def _with_rows(
    origin: Origin, functions: dict[str, Callable[..., Any]], written: Written, blank: list[Any]
) -> Assembled:
    matching = functions["rows"]
    made = written.outputs

    def matches(payload: Any, fact: Any, decision: Any) -> bool:
        return bool(matching(payload, fact, decision, blank.copy()))

    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        state = blank.copy()
        try:
            rows = matching(payload, fact, decision, state)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            rows = settle_table(origin, error, payload, fact, decision)
        if not rows:
            return None
        contributions: list[Contribution] = []
        effects: list[Effect] = []
        for number in rows:
            constants = made.get(number)
            if constants is None:
                name = f"row{number}"
                arguments = (payload, fact, decision, state) if written.stateful[name] else (payload, fact, decision)
                try:
                    constants = functions[name](*arguments)
                except Exception as error:  # noqa: BLE001 - as above
                    constants = settle_actions(origin, number, error, payload, fact, decision)
            contributions += constants[0]
            effects += constants[1]
        return Outcome("then", contributions, effects, False, rows)

    return Assembled(evaluate, matches)


def _constant_outputs(branch: PlannedBranch) -> tuple[list[Contribution], list[Effect]] | None:
    contributions: list[Contribution] = []
    effects: list[Effect] = []
    for action in branch.actions:
        if not isinstance(action.value, Const):
            return None
        value = action.value.value
        try:
            check_action(action, value)
        except Exception:  # noqa: BLE001 - it fails when the row matches
            return None
        if isinstance(action, PlannedEffect):
            effects.append((action.name, value))
        elif isinstance(action, PlannedAction):
            contributions.append((MergeKind(action.kind), action.path, value))
    return contributions, effects
