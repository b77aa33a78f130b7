"""A rule's statements to its plan: order, paths, names and what each action may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from domain.language import tree
from domain.language.check import Checker
from domain.language.library.catalogue import TYPE_NAMES
from domain.language.limits import LETS_MAX, PROBLEMS_MAX
from domain.language.lints import fact_types_meet, lint_plan
from domain.language.names import RESERVED_ROOTS, Binding
from domain.language.plan import (
    Part,
    PlannedAction,
    PlannedBranch,
    PlannedEffect,
    PlannedRow,
    PlannedRule,
    PlannedTable,
)
from domain.language.problems import Problem
from domain.language.syntax import parse_rule
from domain.language.tokens import RESERVED, Positions
from domain.language.types import NUMBERS, Type, may_be

_FACT_TYPE: Final = re.compile(r"(?:[^\s.*>]+|\*)(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?|>")
_ADDABLE: Final = (*sorted(NUMBERS), "decimal", "money")


def plan_rule(
    source: str, parameters: Mapping[str, Type] | None = None, schemas: Mapping[str, Type] | None = None
) -> tuple[PlannedRule | None, list[Problem]]:
    """Parse and check a rule, or a template when its ``parameters`` are given.

    ``schemas`` are the types of facts by fact type; a rule is checked against those that its ``on`` names. Without a
    plan there is an error among the problems; with one there is none.
    """
    problems: list[Problem] = []
    positions = Positions(source)
    rule = parse_rule(source, positions, problems)
    if rule is None:
        return None, problems
    told = len(problems)
    checker = Checker(positions, problems, parameters=parameters)
    plan = _check(rule, checker)
    for fact_type in _schemas_of(rule.on, schemas or {}):
        typed = Checker(positions, problems[:told], parameters=parameters, fact_type=fact_type)
        _check(rule, typed)
        problems += [problem for problem in typed.problems if problem not in problems]
    failed = any(problem.severity == "error" for problem in problems)
    if not failed:
        problems += lint_plan(plan, positions)
    problems.sort(key=lambda problem: (problem.line, problem.column))
    return None if failed else plan, problems[:PROBLEMS_MAX]


def _schemas_of(on: tree.On | None, schemas: Mapping[str, Type]) -> list[Type]:
    patterns = [name for name, _ in on.types] if on is not None else []
    return [type_ for name, type_ in schemas.items() if any(fact_types_meet([name], [one]) for one in patterns)]


def _check(rule: tree.Rule, checker: Checker) -> PlannedRule:
    """Check a rule's parts; the plan stands only when no error was told."""
    _check_types(rule.on, checker)
    lets = _check_lets(rule.lets, checker)
    condition = None
    if rule.when is not None:
        condition = checker.check(rule.when.condition)
        checker.want_bool(condition, rule.when.condition, "a condition is a bool")
    then, otherwise = (
        None if actions is None else _check_branch(actions, checker) for actions in (rule.then, rule.otherwise)
    )
    table = None
    if rule.table is not None:
        lets, table = _check_table(rule.table, lets, checker)
    types = tuple(dict.fromkeys(name for name, _ in rule.on.types)) if rule.on is not None else ()
    return PlannedRule(types, lets, condition, then, otherwise, tuple(checker.decision_reads), table)


def _check_types(on: tree.On | None, checker: Checker) -> None:
    for name, span in on.types if on is not None else ():
        if _FACT_TYPE.fullmatch(name) is None:
            hint = "`*` stands for one whole token, `>` for all that follow, at the end"
            checker.tell("fact-type", f"`{name}` is no fact type", span, hint)


def _check_lets(lets: tuple[tree.Let, ...], checker: Checker) -> tuple[tuple[str, Part], ...]:
    checked: list[tuple[str, Part]] = []
    for let in lets:
        value = checker.check(let.value)
        name = let.name
        if name in RESERVED_ROOTS or name in TYPE_NAMES or name in RESERVED:
            checker.tell("reserved", f"a `let` can't take the name `{name}`", let.name_span)
        elif name in checker.scope:
            checker.tell("duplicate-let", f"there is a `let {name}` already", let.name_span)
        elif len(checked) >= LETS_MAX:
            checker.tell("too-long", f"a rule has at most {LETS_MAX} lets", let.name_span)
            break
        else:
            variable = f"let:{len(checked)}"
            checker.scope[name] = Binding(variable, value.type, value.tainted)
            constant = checker.constant(value)
            if constant is not None:
                checker.constants[variable] = constant
            checked.append((name, value))
    return tuple(checked)


def _check_table(
    table: tree.Table, lets: tuple[tuple[str, Part], ...], checker: Checker
) -> tuple[tuple[tuple[str, Part], ...], PlannedTable]:
    """Check a table. Its columns become lets, so that each is evaluated once, and only when a cell needs it."""
    written: dict[tuple[str, ...], str] = {}
    columns: list[tuple[str, Part]] = []
    bindings: list[Binding] = []
    for column in table.columns:
        if column.expression is not None:
            part = checker.check(column.expression)
            number = len(lets) + len(columns)
            bindings.append(Binding(f"let:{number}", part.type, part.tainted))
            columns.append(("|", part))
        elif column.kind != "emit":
            _check_path(column.kind, column.path, column.span, written, checker)
    rows = []
    for number, row in enumerate(table.rows, 1):
        tests = []
        actions: list[PlannedAction | PlannedEffect] = []
        for position, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
            if cell.tests:
                tests.append(_check_cell(cell, bindings[position], checker))
            elif cell.value is not None:
                actions.append(_check_output_cell(column, cell.value, checker))
        rows.append(PlannedRow(number, row.span, tuple(tests), PlannedBranch(tuple(actions), False)))
    return (*lets, *columns), PlannedTable(table.hit, table.hit_span, tuple(rows))


def _check_output_cell(column: tree.Column, node: tree.Node, checker: Checker) -> PlannedAction | PlannedEffect:
    if column.kind == "emit":
        return _check_effect(column.path[0], node, checker)
    return _check_action(column.kind, column.path, node, checker)


def _check_cell(cell: tree.Cell, binding: Binding, checker: Checker) -> Part:
    """Return the test of a cell: one of its alternatives holds for the column's value, which is ``_``."""
    subject = tree.Name(cell.span, cell.span, "_", False)
    alternatives = [_alternative(test, subject) for test in cell.tests]
    node = alternatives[0]
    if len(alternatives) > 1:
        node = tree.Logic(cell.span, cell.span, "||", tuple(alternatives))
    part = checker.bound("_", binding, lambda: checker.check(node))
    checker.want_bool(part, node, "a cell that uses `_` is a condition")
    return part


def _alternative(test: tree.CellTest, subject: tree.Node) -> tree.Node:
    if test.kind == "range":
        low, high = test.operands
        ends = (
            tree.Binary(test.span, test.span, "<=", low, subject),
            tree.Binary(test.span, test.span, "<", subject, high),
        )
        return tree.Logic(test.span, test.span, "&&", ends)
    (operand,) = test.operands
    if test.kind != "value":
        return tree.Binary(test.span, test.span, test.kind, subject, operand)
    return operand if tree.mentions(operand, "_") else tree.Binary(test.span, test.span, "==", subject, operand)


def _check_branch(statements: tuple[tree.Statement, ...], checker: Checker) -> PlannedBranch:
    actions: list[PlannedAction | PlannedEffect] = []
    written: dict[tuple[str, ...], str] = {}
    stop = False
    for statement in statements:
        if stop:
            checker.tell("statement-order", "nothing comes after `stop`", statement.span)
            break
        match statement:
            case tree.Action(kind=kind, path=path, path_span=span):
                _check_path(kind, path, span, written, checker)
                actions.append(_check_action(kind, path, statement.value, checker))
            case tree.Emit(name=name):
                actions.append(_check_effect(name, statement.value, checker))
            case tree.Stop():
                stop = True
            case _:
                raise AssertionError(statement)
    return PlannedBranch(tuple(actions), stop)


def _check_action(kind: str, path: tuple[str, ...], node: tree.Node, checker: Checker) -> PlannedAction:
    value = checker.check(node)
    if kind == "add" and not any(may_be(value.type, wanted) for wanted in _ADDABLE):
        checker.tell("no-overload", f"`add` sums numbers and money, not {value.type}", node.span)
    _check_output(value, node, checker)
    return PlannedAction(kind, path, value)


def _check_effect(name: str, node: tree.Node, checker: Checker) -> PlannedEffect:
    value = checker.check(node)
    if not may_be(value.type, "map"):
        checker.tell("not-a-map", f"`emit` publishes a map, not {value.type}", node.span)
    return PlannedEffect(name, value)


def _check_output(value: Part, node: tree.Node, checker: Checker) -> None:
    if value.type.kind == "type":
        checker.tell("no-json-form", "a type can't be part of a decision", node.span, "make a string of it")


def _check_path(
    kind: str, path: tuple[str, ...], span: tree.Span, written: dict[tuple[str, ...], str], checker: Checker
) -> None:
    shown = ".".join(path)
    before = written.get(path)
    if kind == "set" and before == "set":
        checker.tell("path-conflict", f"`{shown}` is set already", span, "a rule sets a path once per branch")
        return
    if before is not None and before != kind:
        checker.tell("path-conflict", f"`{shown}` is written by `{before}` and by `{kind}`", span)
        return
    for other in written:
        short, long = sorted((path, other), key=len)
        if short != long and long[: len(short)] == short:
            checker.tell("path-conflict", f"`{shown}` and `{'.'.join(other)}` are one below the other", span)
            return
    written[path] = kind
