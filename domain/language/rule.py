"""A rule, compiled: what it is for, what it reads and writes, and the function that decides it for a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from domain.language.emission import Emitter
from domain.language.evaluation import effect_map as to_effect
from domain.language.evaluation import new_state, output, term
from domain.language.faults import MISSING_ERRORS, Fault
from domain.language.interpretation import Interpreter, Missing, PartFault
from domain.language.outcome import (
    FactContext,
    MergeKind,
    Outcome,
    Path,
    RuleFault,
    Write,
)
from domain.language.plan import PlannedAction, PlannedEffect, PlannedRule
from domain.language.planning import plan_rule
from domain.language.problems import InvalidRuleError, Problem
from domain.language.tokens import Positions

Evaluate = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], Outcome | None]
Condition = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], bool | None]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to decide facts.

    ``fact_types`` are the patterns of ``on`` (none: every fact). ``decision_reads`` holds the paths read from the
    decision; the empty path stands for the whole or for a computed key. ``evaluate`` takes the fact, its context and
    the merged decision so far, returns None when the rule does not apply, and raises nothing but RuleFault.
    ``condition`` takes the same and returns True, False, or None for missing; its faults have no position.
    """

    source: str
    fact_types: tuple[str, ...]
    writes: tuple[Write, ...]
    decision_reads: tuple[Path, ...]
    may_stop: bool
    emits: tuple[str, ...]
    warnings: tuple[Problem, ...]
    evaluate: Evaluate
    condition: Condition


def compile_rule(source: str) -> CompiledRule:
    """Parse, check and compile a rule; raises InvalidRuleError with every problem found."""
    plan, problems = plan_rule(source)
    if plan is None:
        raise InvalidRuleError(problems)
    evaluate, condition = _build(source, plan)
    branches = [branch for branch in (plan.then, plan.otherwise) if branch is not None]
    actions = [action for branch in branches for action in branch.actions]
    return CompiledRule(
        source=source,
        fact_types=plan.fact_types,
        writes=tuple(
            dict.fromkeys(
                Write(MergeKind(action.kind), action.path) for action in actions if isinstance(action, PlannedAction)
            )
        ),
        decision_reads=plan.decision_reads,
        may_stop=any(branch.stop for branch in branches),
        emits=tuple(dict.fromkeys(action.name for action in actions if isinstance(action, PlannedEffect))),
        warnings=tuple(problems),
        evaluate=evaluate,
        condition=condition,
    )


def check_rule(source: str) -> list[Problem]:
    """Return every problem of a rule, by position; raises nothing, whatever the text."""
    return plan_rule(source)[1]


@lru_cache(maxsize=256)
def _planned(source: str) -> PlannedRule:
    """Return a rule's plan again, for what is not compiled: faults and explanations."""
    plan, _ = plan_rule(source)
    assert plan is not None
    return plan


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch ready to run; without actions it is a bare condition's ``then``."""

    name: Literal["then", "else"]
    actions: Callable[..., Any] | None
    stateful: bool
    stop: bool


def _build(source: str, plan: PlannedRule) -> tuple[Evaluate, Condition]:
    emitter = Emitter(plan.lets)
    branches = [branch for branch in (plan.then, plan.otherwise) if branch is not None]
    emitter.count_uses(
        *([plan.condition] if plan.condition is not None else []),
        *(action.value for branch in branches for action in branch.actions),
    )
    stateful: dict[str, bool] = {}
    if plan.condition is not None:
        stateful["condition"] = emitter.condition("condition", plan.condition)
    if plan.then is not None:
        stateful["then"] = emitter.actions("then", plan.then)
    if plan.otherwise is not None:
        stateful["otherwise"] = emitter.actions("otherwise", plan.otherwise)
    functions: dict[str, Any] = dict.fromkeys(("condition", "then", "otherwise"))
    functions |= emitter.functions_of(list(stateful), "<rule>")
    lets = len(plan.lets)
    then = _Branch("then", functions["then"], stateful.get("then", False), plan.then is not None and plan.then.stop)
    otherwise = None
    if plan.otherwise is not None:
        otherwise = _Branch("else", functions["otherwise"], stateful["otherwise"], plan.otherwise.stop)
    condition: Condition = functions["condition"] or _always
    if stateful.get("condition", False):
        inner: Callable[..., Any] = condition

        def condition(payload: Any, fact: Any, decision: Any) -> Any:
            return inner(payload, fact, decision, new_state(lets))

    if any(stateful.values()):
        test = functions["condition"] if stateful.get("condition", False) else None
        return _with_state(source, test, condition, then, otherwise, lets), condition
    return _without_state(source, condition, then, otherwise), condition


def _without_state(source: str, condition: Condition, then: _Branch, otherwise: _Branch | None) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactContext, decision: Mapping[str, Any]) -> Outcome | None:
        try:
            holds = condition(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = _settle_condition(source, error, payload, fact, decision)
        branch = then if holds is True else otherwise if holds is False else None
        if branch is None:
            return None
        if branch.actions is None:
            return Outcome(branch.name, [], [], branch.stop, None)
        try:
            contributions, effects = branch.actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - as above
            raise _action_fault(source, branch.name, error, payload, fact, decision) from None
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _with_state(
    source: str,
    test: Callable[..., Any] | None,
    condition: Condition,
    then: _Branch,
    otherwise: _Branch | None,
    lets: int,
) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactContext, decision: Mapping[str, Any]) -> Outcome | None:
        state = new_state(lets)
        try:
            holds = condition(payload, fact, decision) if test is None else test(payload, fact, decision, state)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = _settle_condition(source, error, payload, fact, decision)
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
            raise _action_fault(source, branch.name, error, payload, fact, decision) from None
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _always(_payload: Any, _fact: Any, _decision: Any) -> bool:
    return True


def _settle_condition(source: str, error: Exception, payload: Any, fact: Any, decision: Any) -> bool | None:
    """Find out whether a condition that failed is missing after all (None), or raise its fault where it is."""
    plan = _planned(source)
    assert plan.condition is not None
    try:
        return Interpreter(plan.lets, payload, fact, decision).test(plan.condition)
    except Missing:
        return None
    except PartFault as fault:
        raise _located(source, fault) from None
    except (RecursionError, MemoryError):
        raise _unlocated(error) from None


def _action_fault(source: str, name: str, error: Exception, payload: Any, fact: Any, decision: Any) -> RuleFault:
    """Return the fault of the first action that failed, with its position."""
    plan = _planned(source)
    branch = plan.then if name == "then" else plan.otherwise
    assert branch is not None
    interpreter = Interpreter(plan.lets, payload, fact, decision)
    try:
        if plan.condition is not None:
            interpreter.test(plan.condition)  # the condition's steps count too
        for action in branch.actions:
            value = interpreter.value(action.value)
            try:
                _check_action(action, value)
            except Fault as fault:
                return _located(source, PartFault(action.value, fault.code, fault.message))
    except Missing as missing:
        return _located(source, PartFault(missing.part, "missing-value", "the value of an action is missing"))
    except PartFault as fault:
        return _located(source, fault)
    except (RecursionError, MemoryError):
        pass
    return _unlocated(error)


def _check_action(action: PlannedAction | PlannedEffect, value: Any) -> None:
    if isinstance(action, PlannedEffect):
        to_effect(value)
    elif action.kind == "add":
        term(value)
    else:
        output(value)


def _located(source: str, fault: PartFault) -> RuleFault:
    line, column = Positions(source).at(fault.part.mark[0])
    return RuleFault(fault.code, fault.message, line, column)


def _unlocated(error: Exception) -> RuleFault:
    if isinstance(error, Fault):
        return RuleFault(error.code, error.message)
    if isinstance(error, MISSING_ERRORS):
        return RuleFault("missing-value", "a value is missing")
    return RuleFault("limit", f"the fact is too much for this rule ({type(error).__name__})")
