"""What a condition asks of a fact before it can hold, as boxes of values: for lints, and for the ruleset's index."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, Final

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
from domain.language.ranges import BOOLS, EVERYTHING, NUMBERS, Box, Path, Values, compared_with, equal_to, meet, union
from domain.language.types import NUMBERS as NUMBER_KINDS

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_VALUES_MAX: Final = 1_000
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_LIGHT: Final = frozenset(
    {"!", "[]", "size", "contains", "startsWith", "endsWith", "lowerAscii", "upperAscii", "trim", *COMPARISONS}
)


@dataclass(frozen=True, slots=True)
class Demand:
    """A rule gives something, or fails, only for facts whose value at ``path`` is one of ``values``.

    ``absent`` says whether it may for facts without the path too; a step into anything but an object leads nowhere.
    Numbers are compared by value, whatever their type: 1 and 1.0 are one, 1 and true are two.
    """

    path: tuple[str, ...]
    values: Values
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Impossible:
    """A condition that asks a path to be two things at once."""

    path: Path


def path_of(part: Part) -> Path | None:
    """Return the path that a part reads, None when it is something else."""
    steps: list[str] = []
    while True:
        if isinstance(part, Select) and not part.optional:
            steps.append(part.field)
            part = part.operand
        elif isinstance(part, Invoke) and part.name == "[]" and len(part.arguments) == 2:
            part, key = part.arguments
            if not isinstance(key, Const) or type(key.value) is not str:
                return None
            steps.append(key.value)
        else:
            return (part.name, *reversed(steps)) if isinstance(part, Variable) else None


def show_path(path: Path) -> str:
    """Return a path as it is written."""
    return ".".join(path[1:] if path[0] == "payload" else path)


def values_of(part: Part, *, or_missing: bool = False) -> tuple[Path, Values] | None:
    """Return the path that a part is about and the values that it asks for, when it is about one path alone.

    For all other values the part is false or missing; with ``or_missing`` they are returned too for which it is
    missing, so that it is false for all others.
    """
    if isinstance(part, Logic):
        first: Path | None = None
        found: list[Values] = []
        for item in part.items:
            one = values_of(item, or_missing=or_missing)
            if one is None or (first is not None and one[0] != first):
                return None
            first = one[0]
            found.append(one[1])
        assert first is not None
        return first, union(found) if part.operator == "||" else reduce(and_, found)
    if isinstance(part, Invoke) and len(part.arguments) == 2:
        return _compared(part, or_missing=or_missing)
    path = path_of(part)
    if path is None:
        return None
    true = Values(bools=frozenset({True}))
    return path, true | BOOLS.complement() if or_missing else true


def _compared(part: Invoke, *, or_missing: bool) -> tuple[Path, Values] | None:
    left, right = part.arguments
    operator = part.name
    if isinstance(left, Const) and operator in _FLIPPED:
        left, right, operator = right, left, _FLIPPED[operator]
    path = path_of(left)
    if path is None or not isinstance(right, Const):
        return None
    if operator == "in" and isinstance(right.value, list):
        values = [equal_to(item) for item in right.value]
        return None if None in values else (path, union(one for one in values if one is not None))
    compared = compared_with(operator, right.value)
    if compared is None:
        return None
    return path, compared | NUMBERS.complement() if or_missing and operator in COMPARISONS else compared


def box_of(condition: Part | None) -> Box | Impossible | None:
    """Return all that a condition asks for as a box; None when it asks for more than a box can say."""
    if condition is None:
        return {}
    items = condition.items if isinstance(condition, Logic) and condition.operator == "&&" else (condition,)
    box: dict[Path, Values] = {}
    whole = True
    for item in items:
        one = values_of(item)
        if one is None:
            whole = False
            continue
        path, values = one
        box[path] = box.get(path, EVERYTHING) & values
        if not box[path]:
            return Impossible(path)
    return box if whole else None


def loose_box_of(condition: Part | None) -> Box | None:
    """Return a box around a condition: what it asks for that a box can say; None when it can never hold."""
    if condition is None:
        return {}
    items = condition.items if isinstance(condition, Logic) and condition.operator == "&&" else (condition,)
    box: Box | None = {}
    for item in items:
        one = values_of(item)
        if one is not None and box is not None:
            box = meet(box, {one[0]: one[1]})
    return box


def row_box(row: PlannedRow) -> Box | None:
    """Return all that a table's row asks for as a box; None when it asks for more than a box can say."""
    box: dict[Path, Values] = {}
    for test in row.tests:
        one = values_of(test)
        if one is None:
            return None
        box[one[0]] = one[1]
    return box


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


def reads_of(plan: PlannedRule) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the fact that a rule reads, each once, the longest of those that begin alike."""
    found: dict[tuple[str, ...], None] = {}
    waiting = [part for _, part in plan.lets] + [*plan.tests]
    waiting += [action.value for branch in plan.branches for action in branch.actions]
    while waiting:
        part = waiting.pop()
        path = path_of(part.operand) if isinstance(part, Has) else path_of(part)
        if path is not None and path[0] == "payload":
            steps = (*path[1:], *((part.field,) if isinstance(part, Has) else ()))
            if steps:
                found[steps] = None
        else:
            waiting.extend(children(part))
    return tuple(sorted(found))


def is_there(path: tuple[str, ...], fact: Any) -> bool:
    """Return whether a fact has a path; a step into a list is into one of its elements."""
    for number, step in enumerate(path):
        if isinstance(fact, list):
            return any(is_there(path[number:], item) for item in fact)
        if not isinstance(fact, dict) or step not in fact:
            return False
        fact = fact[step]
    return True
