"""Lints: what is allowed and hardly meant. Over one rule here, told with its problems; over a set in ``lint_set``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.language.boxes import (
    Impossible,
    box_of,
    is_there,
    loose_box_of,
    path_of,
    reads_of,
    row_box,
    show_path,
    values_of,
)
from domain.language.demanding import conjuncts, demand_of
from domain.language.lets import let_number
from domain.language.obstacles import why_tried
from domain.language.plan import (
    Const,
    Has,
    Invoke,
    Logic,
    Part,
    PlannedRule,
    PlannedTable,
    Variable,
    children,
)
from domain.language.problems import Problem
from domain.language.ranges import EVERYTHING, Box, Path, Values, meet, uncovered, within_kinds
from domain.language.tokens import Positions
from domain.language.types import NUMBERS

TRIED_LINTED_FROM: Final = 100  # rules of a set, below which trying one on every fact costs next to nothing
_LINTED_ROWS_MAX: Final = 200
_SCALARS: Final = frozenset({"null", "bool", "string", "bytes", "timestamp", "duration", "type", "list", "map"})


def lint_plan(plan: PlannedRule, positions: Positions) -> list[Problem]:
    """Return the warnings about one rule."""
    found: list[Problem] = []
    roots = [part for _, part in plan.lets] + [*plan.tests]
    roots += [action.value for branch in plan.branches for action in branch.actions]
    for root in roots:
        for part in _parts(root):
            found.extend(_lint_part(plan, part, positions))
    if plan.condition is not None:
        found.extend(_lint_condition(plan.condition, positions))
    found.extend(_unused_lets(plan, roots, positions))
    if plan.table is not None:
        found.extend(_lint_table(plan, plan.table, positions))
    return found


def _parts(root: Part) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(children(part))


def _lint_part(plan: PlannedRule, part: Part, positions: Positions) -> Iterator[Problem]:
    if isinstance(part, Invoke) and len(part.arguments) == 2:
        left, right = part.arguments
        if part.name == "/" and left.tainted and left.type.kind == "json" and right.type.kind == "int":
            if isinstance(right, Const):
                message = "a whole number divided by a whole number loses its fraction"
                hint = f"for a double write `/ {right.value}.0`"
                yield positions.warning("truncating-division", message, part.mark, hint)
        elif part.name in {"==", "!="} and _never_equal(left, right):
            end = "false" if part.name == "==" else "true"
            message = f"{left.type} and {right.type} are never equal"
            yield positions.warning(f"always-{end}", message, part.mark)
    elif isinstance(part, Logic):
        for item in part.items:
            if isinstance(item, Const) and isinstance(item.value, bool):
                end = str(item.value).lower()
                yield positions.warning(f"always-{end}", f"this is always {end}", item.span)
        values = values_of(part)
        if part.operator == "&&" and isinstance(box := box_of(part), Impossible):
            yield positions.warning(
                "always-false", f"`{_path_text(plan, box.path)}` can't be all of this at once", part.span
            )
        elif part.operator == "||" and values is not None and _is_all(values[1]):
            yield positions.warning("always-true", f"`{_path_text(plan, values[0])}` is always one of these", part.span)


def _is_all(values: Values) -> bool:
    return values == EVERYTHING or values == Values(numbers=EVERYTHING.numbers)


def _never_equal(left: Part, right: Part) -> bool:
    kinds = {left.type.kind, right.type.kind}
    return len(kinds) == 2 and kinds <= _SCALARS | NUMBERS and not kinds <= NUMBERS


def _lint_condition(condition: Part, positions: Positions) -> Iterator[Problem]:
    if isinstance(condition, Const) and isinstance(condition.value, bool):
        end = str(condition.value).lower()
        yield positions.warning(f"always-{end}", f"the condition is always {end}", condition.span)


def _unused_lets(plan: PlannedRule, roots: list[Part], positions: Positions) -> Iterator[Problem]:
    used = {part.name for root in roots for part in _parts(root) if isinstance(part, Variable)}
    for number, (name, part) in enumerate(plan.lets):
        if name != "|" and f"let:{number}" not in used:
            yield positions.warning("unused-let", f"`{name}` is not used", part.span)


# Tables


def _lint_table(plan: PlannedRule, table: PlannedTable, positions: Positions) -> Iterator[Problem]:
    rows = table.rows[:_LINTED_ROWS_MAX]
    boxes = [row_box(row) for row in rows]
    known = [box for box in boxes if box is not None]
    columns = {path for box in known for path in box}
    universe = {path: within_kinds(box[path] for box in known if path in box) for path in columns}
    for number, (row, box) in enumerate(zip(rows, boxes, strict=True)):
        before = boxes[:number]
        if table.hit == "first" and box is not None:
            left = uncovered(box, [other for other in before if other is not None], {})
            if left == []:
                message = "no fact comes to this row: the rows above take all that it would"
                yield positions.warning("unreachable-row", message, row.span)
        elif table.hit == "unique" and box is not None:
            for other, above in zip(rows, before, strict=False):
                if above is not None and meet(box, above) is not None:
                    message = f"row {other.number} and this one can both match"
                    yield positions.warning("overlapping-rows", message, row.span)
                    break
    if len(known) == len(table.rows):
        left = uncovered(universe, known, universe)
        if left:
            example = ", ".join(
                f"{_column_text(plan, path)} {values.describe()}"
                for path, values in sorted(left[0].items())
                if values != universe[path]
            )
            hint = f"for example {example}" if example else None
            yield positions.warning("table-gap", "some facts match no row", table.mark, hint)


def _path_text(plan: PlannedRule, path: Path) -> str:
    """Return a path as it is written: a let by its name, a column by its expression."""
    if not path[0].startswith("let:"):
        return show_path(path)
    name = plan.lets[int(path[0][4:])][0]
    return _column_text(plan, path) if name == "|" else show_path((name, *path[1:]))


def _column_text(plan: PlannedRule, path: Path) -> str:
    number = int(path[0].partition(":")[2])
    below = path_of(plan.lets[number][1])
    return f"column {number + 1}" if below is None else show_path(below)


# What no index finds


def tried_lint(source: str) -> Problem | None:
    """Return the warning ``tried-always`` about a rule that no index can leave out; None where there is none.

    It is for rules of large sets (TRIED_LINTED_FROM). None too for a rule that is meant so or can't be written
    otherwise: without a condition, with ``else`` or with a table's row for every fact, about nothing but ``decision``
    and ``fact``, or asking by name whether a field is there.
    """
    from domain.language.planning import plan_rule

    plan, _ = plan_rule(source)
    found = [] if plan is None or _is_meant(plan) else why_tried(plan)
    if plan is None or not found:
        return None
    facts = "every fact" if demand_of(plan) is None else "nearly every fact that has its fields"
    message = f"the rule is tried on {facts}: {found[0].reason}"
    return Positions(source).warning("tried-always", message, found[0].span or (0, 0), found[0].hint)


def _is_meant(plan: PlannedRule) -> bool:
    if plan.otherwise is not None or not plan.tests:
        return True
    if plan.table is not None and any(not row.tests for row in plan.table.rows):
        return True
    return "payload" not in _roots(plan) or any(map(_asks_for_field, conjuncts(plan.condition)))


def _roots(plan: PlannedRule) -> set[str]:
    """Return the names that a rule's tests read: ``payload``, ``decision``, ``fact.type`` and so on."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [*plan.tests]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Variable):
            found.add(part.name)
            number = let_number(part)
            if number is not None and number not in seen:
                seen.add(number)
                waiting.append(plan.lets[number][1])
        waiting.extend(children(part))
    return found


def _asks_for_field(part: Part) -> bool:
    """Return whether a part is ``has``, its negation, or ``!=`` to what a field with another value hardly has."""
    if isinstance(part, Invoke) and part.name == "!":
        (part,) = part.arguments
    if isinstance(part, Invoke) and part.name == "!=":
        return any(isinstance(side, Const) and isinstance(side.value, (bool, type(None))) for side in part.arguments)
    return isinstance(part, Has)


# Sets


@dataclass(frozen=True, slots=True)
class LintedRule:
    """A rule as a member of a set: its priority's rank (0 goes first) and its plan."""

    name: str
    rank: int
    plan: PlannedRule


@dataclass(frozen=True, slots=True)
class SetLint:
    """A finding about one rule beside another."""

    rule: str
    other: str
    code: str
    message: str


def fact_types_meet(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether some fact is for both of two lists of patterns; an empty list is for every fact."""
    if not one or not other:
        return True
    return any(_patterns_meet(a.split("."), b.split(".")) for a in one for b in other)


def _patterns_meet(a: list[str], b: list[str]) -> bool:
    for left, right in zip(a, b, strict=False):
        if ">" in {left, right}:
            return True
        if left != right and "*" not in {left, right}:
            return False
    return len(a) == len(b)


def lint_set(rules: Sequence[LintedRule]) -> list[SetLint]:
    """Return what is doubtful about rules beside one another.

    ``conflicting-set``: two of one priority that set one path and can both match. ``pointless-rule``: one that only
    sets what a rule of a higher priority sets whenever it matches.
    """
    found: list[SetLint] = []
    sets = [_set_paths(rule.plan) for rule in rules]
    boxes = [loose_box_of(rule.plan.condition) for rule in rules]
    for number, rule in enumerate(rules):
        for position in range(number):
            other = rules[position]
            shared = sets[number] & sets[position]
            if not shared or not fact_types_meet(rule.plan.fact_types, other.plan.fact_types):
                continue
            if rule.rank == other.rank:
                if _both_match(rule, other, boxes[number], boxes[position]):
                    path = ".".join(min(shared))
                    message = f"both set `{path}` and can both match; `{min(rule.name, other.name)}` wins by its name"
                    found.append(SetLint(rule.name, other.name, "conflicting-set", message))
                continue
            low, high = (rule, other) if rule.rank > other.rank else (other, rule)
            if _is_pointless(low.plan, high.plan):
                message = f"`{high.name}` sets all that it sets, whenever it matches"
                found.append(SetLint(low.name, high.name, "pointless-rule", message))
    return found


def _set_paths(plan: PlannedRule) -> frozenset[tuple[str, ...]]:
    branch = plan.then
    if branch is None:
        return frozenset()
    return frozenset(action.path for action in branch.actions if getattr(action, "kind", "") == "set")  # type: ignore[union-attr]


def _both_match(rule: LintedRule, other: LintedRule, box: Box | None, other_box: Box | None) -> bool:
    if rule.plan.table is not None or other.plan.table is not None:
        return False
    return box is not None and other_box is not None and meet(box, other_box) is not None


def _is_pointless(low: PlannedRule, high: PlannedRule) -> bool:
    if low.then is None or low.otherwise is not None or low.then.stop or low.table is not None:
        return False
    if any(getattr(action, "kind", "") != "set" for action in low.then.actions):
        return False
    if not _set_paths(low) <= _set_paths(high) or high.lets or low.lets:
        return False
    if high.fact_types and high.fact_types != low.fact_types:
        return False
    outer = box_of(high.condition)
    inner = loose_box_of(low.condition)
    if outer is None or isinstance(outer, Impossible) or inner is None:
        return False
    return all(path in inner and inner[path] <= values for path, values in outer.items())


def lint_rules(rules: Sequence[tuple[str, int, str]], observed: Sequence[Mapping[str, Any]] = ()) -> list[SetLint]:
    """Lint a set given as name, rank of priority and source; rules that do not check are left out.

    With ``observed`` facts, also ``unobserved-field``: a field that a rule reads and none of them has.
    """
    from domain.language.planning import plan_rule

    planned = [(name, rank, plan_rule(source)[0]) for name, rank, source in rules]
    found = lint_set([LintedRule(name, rank, plan) for name, rank, plan in planned if plan is not None])
    for name, _, plan in planned:
        for path in reads_of(plan) if plan is not None and observed else ():
            if not any(is_there(path, fact) for fact in observed):
                message = f"no fact of {len(observed)} observed has `{'.'.join(path)}`"
                found.append(SetLint(name, "", "unobserved-field", message))
    return found
