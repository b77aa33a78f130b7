"""A rule, compiled: what it is for, what it reads and writes, and the function that decides it for a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.language.assembly import Written, assemble, write
from domain.language.demands import Demand, demands_of
from domain.language.emission import TooCostlyError
from domain.language.outcome import FactContext, MergeKind, Outcome, Path, Write
from domain.language.plan import PlannedAction, PlannedEffect, PlannedRule
from domain.language.planning import plan_rule
from domain.language.problems import InvalidRuleError, Problem
from domain.language.schemas import type_of_schema

Evaluate = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], Outcome | None]
Condition = Callable[[dict[str, Any], FactContext, Mapping[str, Any]], bool | None]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to decide facts.

    ``demands`` are what a fact must have for ``evaluate`` to give anything but None: an index may leave the rule out
    for any other fact.

    ``fact_types`` are the patterns of ``on`` (none: every fact). ``decision_reads`` holds the paths read from the
    decision; the empty path stands for the whole or for a computed key. ``evaluate`` takes the fact, its context and
    the merged decision so far, returns None when the rule does not apply, and raises nothing but RuleFault.
    ``condition`` takes the same and returns True, False, or None for missing; its faults have no position. Of a table
    it tells whether a row matches.
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
    demands: tuple[Demand, ...] = ()


def compile_rule(source: str, schemas: Mapping[str, Any] | None = None) -> CompiledRule:
    """Parse, check and compile a rule; raises InvalidRuleError with every problem found.

    ``schemas`` are JSON Schemas by fact type: paths are then checked for rules ``on`` such a type.
    """
    plan, written, problems = _written(source, schemas)
    if plan is None or written is None:
        raise InvalidRuleError(problems)
    evaluate, condition = assemble(source, plan, written)
    actions = [action for branch in plan.branches for action in branch.actions]
    return CompiledRule(
        source=source,
        fact_types=plan.fact_types,
        writes=tuple(
            dict.fromkeys(
                Write(MergeKind(action.kind), action.path) for action in actions if isinstance(action, PlannedAction)
            )
        ),
        decision_reads=plan.decision_reads,
        may_stop=any(branch.stop for branch in plan.branches),
        emits=tuple(dict.fromkeys(action.name for action in actions if isinstance(action, PlannedEffect))),
        warnings=tuple(problems),
        evaluate=evaluate,
        condition=condition,
        demands=demands_of(plan),
    )


def check_rule(source: str, schemas: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return every problem of a rule, by position; raises nothing, whatever the text."""
    return _written(source, schemas)[2]


def _written(
    source: str, schemas: Mapping[str, Any] | None
) -> tuple[PlannedRule | None, Written | None, list[Problem]]:
    types = {name: type_of_schema(schema) for name, schema in (schemas or {}).items()}
    plan, problems = plan_rule(source, schemas=types)
    if plan is None:
        return None, None, problems
    try:
        return plan, write(plan), problems
    except TooCostlyError:
        hint = "split it into several rules"
        return None, None, [Problem("too-costly", "the rule is too large to be compiled", 1, 1, hint)]
