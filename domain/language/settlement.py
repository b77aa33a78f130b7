"""What a failure in compiled code comes to: *missing* after all, or a fault with its code and position.

Compiled code stops at the first fault of a strict operator. Here the part is evaluated again by the interpreter, which
finds whether another operand is missing, as that wins, and where the fault is. A limit that was reached is not tried
again: it stands where the condition or the first action begins. Plans are made anew from the data that is
kept of them, so that rules hold no tree while they run well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from domain.language.evaluation import effect_map, output, term
from domain.language.faults import MISSING_ERRORS, Exhausted, Fault
from domain.language.interpretation import Interpreter, Missing, PartFault
from domain.language.outcome import Contribution, Effect, MergeKind, RuleFault
from domain.language.plan import Part, PlannedAction, PlannedBranch, PlannedEffect, PlannedRule, PlannedTable
from domain.language.planning import plan_rule
from domain.language.record import pack_plan, unpack_plan
from domain.language.stored import StoredPlanError
from domain.language.tokens import Positions

_TEXT_MAX: Final = 120


class Origin:
    """What a compiled rule was made from: its text, and its plan packed small."""

    __slots__ = ("packed", "source")

    def __init__(self, source: str, packed: bytes) -> None:
        self.source = source
        self.packed = packed

    def plan(self) -> PlannedRule:
        """Return the plan, made anew: of what is packed, or of the text where that should not be a plan."""
        try:
            return unpack_plan(self.packed)
        except StoredPlanError:
            plan, _ = plan_rule(self.source)
            if plan is None:
                raise
            self.packed = pack_plan(plan)
            return plan


@lru_cache(maxsize=256)
def planned(origin: Origin) -> PlannedRule:
    """Return a rule's plan."""
    return origin.plan()


def settle_condition(origin: Origin, error: Exception, payload: Any, fact: Any, decision: Any) -> bool | None:
    """Return what a condition that failed comes to, None for missing; raises its RuleFault."""
    plan = planned(origin)
    assert plan.condition is not None
    if isinstance(error, Exhausted):
        raise _located(origin, PartFault(plan.condition, error.code, error.message)) from None
    try:
        return Interpreter(plan.lets, payload, fact, decision).test(plan.condition)
    except Missing:
        return None
    except PartFault as fault:
        raise _located(origin, fault) from None
    except Exception:  # noqa: BLE001 - as deep or large a fact stops the interpreter too
        raise _unlocated(error) from None


def matching_rows(interpreter: Interpreter, table: PlannedTable) -> list[int]:
    """Return the rows of a table that match, counted from 1; raises PartFault."""
    matched: list[int] = []
    for row in table.rows:
        if not _row_matches(interpreter, row.tests):
            continue
        if matched and table.hit == "unique":
            message = f"rows {matched[0]} and {row.number} both match"
            raise PartFault(row.tests[0] if row.tests else None, "table-not-unique", message, at=row.span)
        matched.append(row.number)
        if table.hit == "first":
            break
    return matched


def _row_matches(interpreter: Interpreter, tests: tuple[Part, ...]) -> bool:
    fault: PartFault | None = None
    for test in tests:
        try:
            if not interpreter.test(test):
                return False
        except Missing:
            return False
        except PartFault as error:
            if error.final:
                raise
            fault = fault or error
    if fault is not None:
        raise fault
    return True


def settle_table(origin: Origin, error: Exception, payload: Any, fact: Any, decision: Any) -> list[int]:
    """Return the rows that match where compiled code failed; raises the table's RuleFault."""
    plan = planned(origin)
    assert plan.table is not None
    if isinstance(error, Exhausted):
        raise _located(origin, PartFault(None, error.code, error.message, at=plan.table.mark)) from None
    try:
        return matching_rows(Interpreter(plan.lets, payload, fact, decision), plan.table)
    except PartFault as fault:
        raise _located(origin, fault) from None
    except Exception:  # noqa: BLE001 - as deep or large a fact stops the interpreter too
        raise _unlocated(error) from None


def settle_actions(
    origin: Origin, branch: str | int, error: Exception, payload: Any, fact: Any, decision: Any
) -> tuple[list[Contribution], list[Effect]]:
    """Return what the actions of ``then``, ``else`` or a row come to; raises the RuleFault of the first that fails.

    They may come to values after all: a fault that compiled code met can be beside something missing, which wins and
    which ``has`` and the like absorb.
    """
    plan = planned(origin)
    actions = _branch(plan, branch).actions
    if isinstance(error, Exhausted):
        raise _located(origin, PartFault(actions[0].value, error.code, error.message)) from None
    interpreter = Interpreter(plan.lets, payload, fact, decision)
    contributions: list[Contribution] = []
    effects: list[Effect] = []
    try:
        # What decides that the branch runs comes first, as its steps count too.
        if plan.condition is not None:
            interpreter.test(plan.condition)
        if plan.table is not None:
            matching_rows(interpreter, plan.table)
        for action in actions:
            value = interpreter.value(action.value)
            try:
                check_action(action, value)
            except Fault as fault:
                raise PartFault(action.value, fault.code, fault.message) from None
            if isinstance(action, PlannedEffect):
                effects.append((action.name, value))
            else:
                contributions.append((MergeKind(action.kind), action.path, value))
    except Missing as missing:
        text = " ".join(origin.source[slice(*missing.part.span)].split())[:_TEXT_MAX]
        absent = PartFault(missing.part, "missing-value", f"the value of an action is missing: {text}")
        raise _located(origin, absent) from None
    except PartFault as fault:
        raise _located(origin, fault) from None
    except Exception:  # noqa: BLE001 - as deep or large a fact stops the interpreter too
        raise _unlocated(error) from None
    return contributions, effects


def _branch(plan: PlannedRule, name: str | int) -> PlannedBranch:
    if isinstance(name, int):
        assert plan.table is not None
        return plan.table.rows[name - 1].branch
    branch = plan.then if name == "then" else plan.otherwise
    assert branch is not None
    return branch


def check_action(action: PlannedAction | PlannedEffect, value: Any) -> None:
    """Raise the Fault of a value that an action can't take."""
    if isinstance(action, PlannedEffect):
        effect_map(value)
    elif action.kind == "add":
        term(value)
    else:
        output(value)


def _located(origin: Origin, fault: PartFault) -> RuleFault:
    line, column = Positions(origin.source).at(fault.at[0])
    return RuleFault(fault.code, fault.message, line, column)


def _unlocated(error: Exception) -> RuleFault:
    if isinstance(error, Fault):
        return RuleFault(error.code, error.message)
    if isinstance(error, MISSING_ERRORS):
        return RuleFault("missing-value", "a value is missing")
    return RuleFault("limit", f"the fact is too much for this rule ({type(error).__name__})")
