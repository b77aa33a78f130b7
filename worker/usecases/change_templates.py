"""The commands on templates: create, update and delete them, and make rules of them.

Each is a function as those of ``change_rules`` are; what is common to all is ``decide_commands``'s part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from domain.errors import NotFoundError, ValidationError
from domain.identifiers import TemplateId
from domain.ports import Transaction
from domain.rules.rule import Rule
from domain.templates.parameters import Parameter
from domain.templates.template import Template, TemplateContent
from streams.messages.bounds import LAGGING_SHOWN_MAX
from streams.messages.commands import (
    CommandPayload,
    CreateTemplate,
    DeleteTemplate,
    InstantiateTemplate,
    ParameterBody,
    UpdateTemplate,
)
from streams.messages.queries import rule_summary
from streams.messages.templates import template_view, updated_template_view
from worker.usecases.change_rules import Request, Tools
from worker.usecases.make_rules import make_rules


@dataclass(frozen=True, slots=True)
class TemplateOutcome:
    """What a command on templates did: the answer's result, and the aggregates whose events are to be recorded."""

    result: Any
    template: Template
    rules: Sequence[Rule] = ()


TemplateUseCase = Callable[[Transaction, Any, Request, Tools], Awaitable[TemplateOutcome]]


async def create_template(tx: Transaction, payload: CreateTemplate, request: Request, tools: Tools) -> TemplateOutcome:
    """Make a new template; its name must be free and its DSL right."""
    content = TemplateContent.checked(
        name=payload.name,
        dsl_template=payload.dsl_template,
        parameters=_parameters(payload.parameters),
        description=payload.description,
    )
    await _require_template(content, tools)
    template_id = TemplateId.for_command(request.actor, request.command_id)
    template = Template.create(template_id, content, request.actor, request.now)
    await tx.templates.save(template)
    return TemplateOutcome(template_view(template), template)


async def update_template(tx: Transaction, payload: UpdateTemplate, request: Request, tools: Tools) -> TemplateOutcome:
    """Begin a new version with the fields that are given, and tell the rules that lag behind it."""
    template = await existing_template(tx, payload.template_id)
    given = {
        name: value
        for name in ("name", "description", "dsl_template", "parameters")
        if (value := getattr(payload, name)) is not msgspec.UNSET
    }
    if not given:
        raise ValidationError("an update changes at least one field", field="name")
    if "parameters" in given:
        given["parameters"] = _parameters(given["parameters"])
    before = template.content
    fields = {
        "name": before.name,
        "description": before.description,
        "dsl_template": before.dsl_template,
        "parameters": before.parameters,
    }
    content = TemplateContent.checked(**{**fields, **given})
    template.update(content, payload.expected_version, request.actor, request.now)
    await _require_template(content, tools)
    await tx.templates.save(template)
    lagging = await tx.templates.lagging(template, LAGGING_SHOWN_MAX)
    return TemplateOutcome(updated_template_view(template, lagging), template)


async def delete_template(tx: Transaction, payload: DeleteTemplate, request: Request, _: Tools) -> TemplateOutcome:
    """Remove a template; rules that were made of it stay as they are, and its name is free again."""
    template = await existing_template(tx, payload.template_id)
    template.delete(payload.expected_version, request.actor, request.now)
    await tx.templates.delete(template)
    return TemplateOutcome(template_view(template), template)


async def instantiate_template(
    tx: Transaction, payload: InstantiateTemplate, request: Request, tools: Tools
) -> TemplateOutcome:
    """Make a rule in DRAFT of each row of values, all of them or none."""
    template = await existing_template(tx, payload.template_id)
    rules = await make_rules(tx, template, payload, request, tools)
    for rule in sorted(rules, key=lambda rule: rule.content.name):  # in one order, or two such commands could deadlock
        await tx.rules.save(rule)
    items = [rule_summary(rule) for rule in rules]
    return TemplateOutcome({"items": items, "total": len(items)}, template, rules)


TEMPLATE_USE_CASES: Final[dict[type[CommandPayload], TemplateUseCase]] = {
    CreateTemplate: create_template,
    UpdateTemplate: update_template,
    DeleteTemplate: delete_template,
    InstantiateTemplate: instantiate_template,
}


async def existing_template(tx: Transaction, text: str) -> Template:
    """Load a template by its id; raises NotFoundError."""
    template = await tx.templates.find_by_id(TemplateId.parse(text))
    if template is None:
        raise NotFoundError("no such template", templateId=text)
    return template


async def _require_template(content: TemplateContent, tools: Tools) -> None:
    await tools.compiler.check_template(content.dsl_template, content.types, content.default_row)


def _parameters(bodies: Iterable[ParameterBody]) -> tuple[Parameter, ...]:
    return tuple(Parameter(one.name, one.type, one.default, one.description or "") for one in bodies)
