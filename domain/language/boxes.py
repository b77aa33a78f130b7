"""What conditions ask of paths, as boxes of values: what lints reason with. Also the paths that a rule reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, Final

from domain.language.plan import Const, Has, Invoke, Logic, Part, PlannedRow, PlannedRule, Select, Variable, children
from domain.language.ranges import EVERYTHING, Box, Path, Values, compared_with, equal_to, meet, union

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


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


def values_of(part: Part) -> tuple[Path, Values] | None:
    """Return the path that a part is about and the values that it asks for, when it is about one path alone.

    For all other values the part is false or missing.
    """
    if isinstance(part, Logic):
        first: Path | None = None
        found: list[Values] = []
        for item in part.items:
            one = values_of(item)
            if one is None or (first is not None and one[0] != first):
                return None
            first = one[0]
            found.append(one[1])
        assert first is not None
        return first, union(found) if part.operator == "||" else reduce(and_, found)
    if isinstance(part, Invoke) and len(part.arguments) == 2:
        return _compared(part)
    path = path_of(part)
    return None if path is None else (path, Values(bools=frozenset({True})))


def _compared(part: Invoke) -> tuple[Path, Values] | None:
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
    return None if compared is None else (path, compared)


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
