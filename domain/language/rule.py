"""A rule, compiled: what it is for, what it reads and writes, and the function that decides it for a fact."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from domain.language.assembly import Applied, Condition, Evaluate, Written, assemble, write
from domain.language.demanding import demand_of, demands_of
from domain.language.demands import Asked, Demand
from domain.language.outcome import MergeKind, Outcome, Path, Write
from domain.language.plan import PlannedAction, PlannedEffect, PlannedRule
from domain.language.planning import plan_rule
from domain.language.problems import InvalidRuleError, Problem
from domain.language.schemas import type_of_schema
from domain.language.settlement import Origin
from domain.language.stored import StoredPlan, StoredPlanError, load_plan, store_plan
from domain.language.text import TooCostlyError, code_of


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to decide facts.

    ``demand`` is what a fact must meet for ``evaluate`` to give anything but None, or to fail: an index may leave the
    rule out for any fact that does not meet it; None: the rule may give something for any fact. ``demands`` are those
    of its parts that all have to be met and ask for values.

    ``fact_types`` are the patterns of ``on`` (none: every fact). ``decision_reads`` holds the paths read from the
    decision; the empty path stands for the whole or for a computed key. ``evaluate`` takes the fact, its context and
    the merged decision so far, returns None when the rule does not apply, and raises nothing but RuleFault.
    ``condition`` takes the same and returns True, False, or None for missing; its faults have no position. Of a table
    it tells whether a row matches. ``applied`` takes the same where ``condition`` gave True and gives what ``evaluate``
    would; None for a rule of which only ``evaluate`` tells it all. ``constant`` is that outcome where it is the same
    for every fact. ``stored`` is the rule's plan as plain data, from which ``restore_rule`` makes the rule again
    without parsing or checking its text; None for a rule that was not compiled from text.
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
    demand: Asked | None = None
    origin: Origin | None = None
    applied: Applied | None = None
    constant: Outcome | None = None

    @property
    def stored(self) -> StoredPlan | None:
        """The rule's plan as plain data."""
        return None if self.origin is None else self.origin.stored


@dataclass(frozen=True, slots=True)
class RuleImage:
    """A rule that another process compiled: its plan as plain data, its warnings, and the code of its functions.

    The code goes only between processes of one worker, of one release and one Python; it is nothing to be stored.
    """

    plan: StoredPlan
    warnings: tuple[Problem, ...]
    text_digest: bytes
    code: bytes


def compile_rule(source: str, schemas: Mapping[str, Any] | None = None) -> CompiledRule:
    """Parse, check and compile a rule; raises InvalidRuleError with every problem found.

    ``schemas`` are JSON Schemas by fact type: paths are then checked for rules ``on`` such a type.
    """
    plan, written, problems = _written(source, schemas)
    if plan is None or written is None:
        raise InvalidRuleError(problems)
    return _compiled(Origin(source, store_plan(plan)), plan, written, tuple(problems))


def restore_rule(source: str, stored: StoredPlan) -> CompiledRule:
    """Compile a rule from its text and the plan that was stored of it, without parsing or checking the text again.

    The two must belong together, which the caller vouches for. Its warnings are not stored. Raises StoredPlanError for
    data that is no plan, or one of another version.
    """
    plan = load_plan(stored)
    try:
        return _compiled(Origin(source, stored), plan, write(plan), ())
    except (TooCostlyError, AttributeError, KeyError, TypeError, ValueError, SyntaxError, AssertionError) as error:
        raise StoredPlanError(f"not a rule's plan: {type(error).__name__}") from error


def image_of(source: str, schemas: Mapping[str, Any] | None = None) -> RuleImage:
    """Parse, check and compile a rule for another process; raises InvalidRuleError with every problem found."""
    plan, written, problems = _written(source, schemas)
    if plan is None or written is None:
        raise InvalidRuleError(problems)
    text = written.text
    return RuleImage(store_plan(plan), tuple(problems), _digest(text), marshal.dumps(code_of(text)))


def load_image(source: str, image: RuleImage) -> CompiledRule:
    """Make the compiled rule of an image of it; what is left to do is a small part of compiling it here."""
    plan = load_plan(image.plan)
    written = write(plan)
    code: CodeType | None = None
    if _digest(written.text) == image.text_digest:
        code = marshal.loads(image.code)  # noqa: S302 - made by this release's own code, in this worker's own process
    return _compiled(Origin(source, image.plan), plan, written, image.warnings, code)


def _compiled(
    origin: Origin, plan: PlannedRule, written: Written, warnings: tuple[Problem, ...], code: CodeType | None = None
) -> CompiledRule:
    assembled = assemble(origin, plan, written, code)
    actions = [action for branch in plan.branches for action in branch.actions]
    return CompiledRule(
        source=origin.source,
        fact_types=plan.fact_types,
        writes=tuple(
            dict.fromkeys(
                Write(MergeKind(action.kind), action.path) for action in actions if isinstance(action, PlannedAction)
            )
        ),
        decision_reads=plan.decision_reads,
        may_stop=any(branch.stop for branch in plan.branches),
        emits=tuple(dict.fromkeys(action.name for action in actions if isinstance(action, PlannedEffect))),
        warnings=warnings,
        evaluate=assembled.evaluate,
        condition=assembled.condition,
        applied=assembled.applied,
        constant=assembled.constant,
        demands=demands_of(plan),
        demand=demand_of(plan),
        origin=origin,
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
