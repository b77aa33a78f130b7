"""Making rules of a template's rows: every row is checked whole before any rule is made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.errors import BusinessError, MissingParameterError, ValidationError
from domain.identifiers import RuleId
from domain.ports import Transaction
from domain.rules.content import FieldProblem, Priority, RuleContent, name_problems
from domain.rules.rule import Rule, TemplateOrigin
from domain.templates.parameters import Values, bind_values, default_literals, fill_text, name_pattern_problems
from domain.templates.template import Template
from streams.messages.bounds import PROBLEMS_SHOWN_MAX, ROWS_MAX
from streams.messages.commands import InstantiateTemplate
from worker.usecases.change_rules import Request, Tools

# Of the text and the values of all rules of one command together: what is checked in a few seconds.
CODE_POINTS_MAX: Final = 1_000_000

_NAME_TAKEN: Final = "name-taken"
_TAKEN_MESSAGE: Final = "rule name already exists"


@dataclass(slots=True)
class _Row:
    """One row on its way to a rule, with everything found wrong with it as JSON data."""

    number: int
    bound: Values
    name: str = ""
    text: str = ""
    problems: list[dict[str, Any]] = field(default_factory=list)

    def note(self, problems: Iterable[FieldProblem]) -> None:
        self.problems += [{**problem.to_json(), "row": self.number} for problem in problems]


async def make_rules(
    tx: Transaction, template: Template, payload: InstantiateTemplate, request: Request, tools: Tools
) -> Sequence[Rule]:
    """Return the rules of all rows, in their order, not yet saved.

    Raises ValidationError with the problems of every row, or BusinessError when names that are taken are the only ones.
    """
    given = _given_rows(payload)
    _require_common(template, payload)
    rows = await asyncio.to_thread(_bound_rows, given, template, payload.name)
    await _fill(rows, template, tools)
    await _note_taken_names(tx, rows)
    _require_no_problems(rows, is_one=payload.rows is None)
    return [_rule(row, template, payload, request) for row in rows]


def _given_rows(payload: InstantiateTemplate) -> Sequence[Mapping[str, Any]]:
    if payload.rows is None:
        if payload.parameters is None:
            raise MissingParameterError("parameters or rows is required", field="parameters")
        return [payload.parameters]
    if payload.parameters is not None:
        raise ValidationError("parameters is one row and rows are many: give one of them", field="rows")
    if not 1 <= len(payload.rows) <= ROWS_MAX:
        raise ValidationError(f"rows must be 1 to {ROWS_MAX}", field="rows")
    return payload.rows


def _require_common(template: Template, payload: InstantiateTemplate) -> None:
    """Refuse what is wrong with every row alike, once."""
    problems = name_pattern_problems(payload.name, template.content.parameters)
    if payload.priority not in Priority.__members__:
        message = f"priority must be one of {', '.join(Priority)}"
        problems.append(FieldProblem("priority-unknown", "priority", message))
    if problems:
        raise ValidationError(problems[0].message, problems=[problem.to_json() for problem in problems])


def _bound_rows(given: Sequence[Mapping[str, Any]], template: Template, pattern: str) -> list[_Row]:
    """Bind each row's values and name its rule; on a thread, for a megabyte of values takes its time."""
    parameters = template.content.parameters
    defaults = default_literals(parameters)
    rows: list[_Row] = []
    for number, values in enumerate(given, start=1):
        row = _Row(number, bind_values(parameters, values, defaults))
        row.note(row.bound.problems)
        if not row.problems:
            row.name = fill_text(pattern, parameters, row.bound.values)
            row.note(name_problems(row.name))
        rows.append(row)
    return rows


async def _fill(rows: Sequence[_Row], template: Template, tools: Tools) -> None:
    """Make the text of each row whose values are well, and note what keeps it from being a rule."""
    ready = [row for row in rows if not row.bound.problems]
    content = template.content
    # A value counts where it is not used too: it is stored and told.
    uses = {name: max(1, content.dsl_template.count(f"${{{name}}}")) for name in content.types}
    size = sum(
        len(content.dsl_template) + sum(uses[name] * len(text) for name, text in row.bound.literals.items())
        for row in ready
    )
    if size > CODE_POINTS_MAX:
        bound = f"at most {CODE_POINTS_MAX} characters of DSL and values together"
        message = f"the rules of one command have {bound}; send fewer rows"
        raise ValidationError(message, field="rows", characters=size)
    filled = await tools.compiler.fill(content.dsl_template, [row.bound.literals for row in ready])
    for row, found in zip(ready, filled, strict=True):
        if isinstance(found, str):
            row.text = found
        else:
            errors = [problem.to_json() for problem in found if problem.severity == "error"]
            row.problems += [{**problem, "field": "dslTemplate", "row": row.number} for problem in errors]


async def _note_taken_names(tx: Transaction, rows: Sequence[_Row]) -> None:
    holders: dict[str, int] = {}
    for row in rows:
        if row.bound.problems or name_problems(row.name):
            continue
        first = holders.setdefault(row.name, row.number)
        if first != row.number:
            row.note([FieldProblem(_NAME_TAKEN, "name", _TAKEN_MESSAGE, f"row {first} has it too")])
        elif await tx.rules.exists_by_name(row.name):
            row.note([FieldProblem(_NAME_TAKEN, "name", _TAKEN_MESSAGE)])


def _require_no_problems(rows: Sequence[_Row], *, is_one: bool) -> None:
    problems = [problem for row in rows for problem in row.problems]
    if not problems:
        return
    first = problems[0]
    message = first["message"] if is_one else f"row {first['row']}: {first['message']}"
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    is_taken = all(problem["code"] == _NAME_TAKEN for problem in problems)
    error = BusinessError if is_taken else ValidationError
    raise error(message, problems=problems[:PROBLEMS_SHOWN_MAX], problemCount=len(problems))


def _rule(row: _Row, template: Template, payload: InstantiateTemplate, request: Request) -> Rule:
    content = RuleContent.checked(name=row.name, dsl_content=row.text, priority=payload.priority)
    rule_id = RuleId.for_command(request.actor, request.command_id, row.number - 1)
    origin = TemplateOrigin(template.id, template.version, row.bound.values)
    return Rule.create(rule_id, content, request.actor, request.now, origin)
