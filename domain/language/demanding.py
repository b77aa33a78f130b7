"""What a rule demands of a fact, worked out from its plan."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

from domain.language.boxes import path_of, values_of
from domain.language.demands import AllOf, Asked, Demand
from domain.language.lets import let_number
from domain.language.native import COMPARISONS, is_safe_number
from domain.language.plan import (
    Choose,
    Const,
    Has,
    Invoke,
    Logic,
    Part,
    PlannedRow,
    PlannedRule,
    Select,
    Variable,
    children,
)
from domain.language.ranges import EVERYTHING, Box, Path, Values, union
from domain.language.types import NUMBERS as NUMBER_KINDS

_VALUES_MAX: Final = 1_000
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_LIGHT: Final = frozenset(
    {"!", "[]", "size", "contains", "startsWith", "endsWith", "lowerAscii", "upperAscii", "trim", *COMPARISONS}
)


def demand_of(plan: PlannedRule) -> Asked | None:
    """Return what a fact must meet for a rule to give anything but None, or to fail; None where that is nothing."""
    demands = demands_of(plan)
    return (AllOf(demands) if len(demands) > 1 else demands[0]) if demands else None


def demands_of(plan: PlannedRule) -> tuple[Demand, ...]:
    """Return what a fact must have for a rule to give anything but None; nothing for a rule that may for any fact.

    ``&&`` is false where a part is false, and missing where one is missing and none false, whatever else fails: either
    way the rule is silent. But for a limit of the evaluation, which nothing absorbs: of a condition that can reach one,
    the parts before it count alone, and those only where they are false, as for what is missing the next is evaluated.
    """
    if plan.otherwise is not None:
        return ()
    asked: dict[tuple[str, ...], Values] = {}
    may_end = False
    if plan.table is not None:
        if not all(_reaches_no_limit(test, plan) for test in plan.tests):
            return ()
        found = list(_asked_by_all(plan.table.rows).items())
    else:
        items = _conjuncts(plan.condition)
        light = next((number for number, item in enumerate(items) if not _reaches_no_limit(item, plan)), len(items))
        may_end = light < len(items)
        found = [one for item in items[:light] if (one := values_of(item, or_missing=may_end)) is not None]
    for path, values in found:
        resolved = _resolved(path, plan)
        if resolved is not None and resolved[0] == "payload" and len(resolved) > 1 and _is_indexable(values):
            asked[resolved[1:]] = asked.get(resolved[1:], EVERYTHING) & values
    return tuple(Demand(path, values, may_end) for path, values in asked.items())


def _conjuncts(condition: Part | None) -> list[Part]:
    """Return the parts that ``&&`` joins at the top of a condition, in order of evaluation."""
    found: list[Part] = []
    waiting = [] if condition is None else [condition]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Logic) and part.operator == "&&":
            waiting.extend(reversed(part.items))
        else:
            found.append(part)
    return found


def _reaches_no_limit(part: Part, plan: PlannedRule) -> bool:
    """Return whether no fact can make a part reach a limit: it has no macro, and makes no string or list that grows."""
    waiting, lets = [part], set[int]()
    while waiting:
        part = waiting.pop()
        number = let_number(part)
        if number is not None:
            if number not in lets:
                lets.add(number)
                waiting.append(plan.lets[number][1])
        elif isinstance(part, Invoke):
            if not _is_light(part):
                return False
        elif not isinstance(part, (Const, Variable, Select, Has, Logic, Choose)):
            return False
        waiting.extend(children(part))
    return True


def _is_light(part: Invoke) -> bool:
    """Return whether a function takes no steps and does not itself reach a limit."""
    if part.metered or len(part.arguments) > 2:
        return False
    if part.name in {"==", "!="}:
        return any(isinstance(side, Const) for side in part.arguments)
    if part.name in {"in", "matches"}:
        return isinstance(part.arguments[1], Const)
    if part.name in _ARITHMETIC:
        return any(side.type.kind in NUMBER_KINDS for side in part.arguments)
    return part.name in _LIGHT


def _is_indexable(values: Values) -> bool:
    """Return whether values are few, and numbers away from the edge of 64 bits, where types do not agree on them."""
    if len(values.texts) + len(values.numbers) > _VALUES_MAX:
        return False
    bounds = (bound for low, _, high, _ in values.numbers for bound in (low, high))
    return all(math.isinf(bound) or is_safe_number(bound) for bound in bounds)


def _asked_by_all(rows: tuple[PlannedRow, ...]) -> Box:
    """Return, for each column that every row tests, the values that some row takes."""
    asked: dict[Path, list[Values]] = defaultdict(list)
    for row in rows:
        for path, values in {
            found[0]: found[1] for test in row.tests if (found := values_of(test)) is not None
        }.items():
            asked[path].append(values)
    return {path: union(values) for path, values in asked.items() if len(values) == len(rows)}


def _resolved(path: Path, plan: PlannedRule) -> Path | None:
    while path[0].startswith("let:"):
        below = path_of(plan.lets[int(path[0][4:])][1])
        if below is None:
            return None
        path = (*below, *path[1:])
    return path
