"""What the contract says of templates, for the model: their versions, the rules made of them, and who lags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.governance import vocabulary

Refusals = set[tuple[str, str | None]]
Found = dict[str, Any]

CONTENT = {
    "name": (str,),
    "description": (str, type(None)),
    "dslTemplate": (str,),
    "parameters": (list,),
}
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "create-template": CONTENT,
    "update-template": {"templateId": (str,), "expectedVersion": (int, type(None)), **CONTENT},
    "delete-template": {"templateId": (str,), "expectedVersion": (int, type(None))},
    "instantiate-template": {
        "templateId": (str,),
        "name": (str,),
        "priority": (str,),
        "parameters": (dict, type(None)),
        "rows": (list, type(None)),
    },
}
REQUIRED = {
    "create-template": ("name", "dslTemplate", "parameters"),
    "update-template": ("templateId",),
    "delete-template": ("templateId",),
    "instantiate-template": ("templateId", "name", "priority"),
}
EVENTS = {
    "create-template": "TemplateCreated",
    "update-template": "TemplateUpdated",
    "delete-template": "TemplateDeleted",
}
STATUS = "TEMPLATE"  # of a template's events


@dataclass(frozen=True, slots=True)
class TemplateEvent:
    """One entry of a template's history."""

    name: str
    template_name: str
    version: int
    actor: str
    command_id: str
    occurred_at: str


@dataclass(slots=True)
class ModelTemplate:
    """A template; a deleted one is kept for its history."""

    template_id: str
    shown: Found
    created_by: str
    created_at: str
    updated_by: str
    version: int = 1
    is_deleted: bool = False
    events: list[TemplateEvent] = field(default_factory=list)

    def copy(self) -> ModelTemplate:
        return replace(self, shown=dict(self.shown), events=list(self.events))

    def record(self, verb: str, actor: str, command_id: str, result: Found) -> None:
        """Note what an update or a deletion did."""
        self.updated_by = actor
        self.events.append(
            TemplateEvent(EVENTS[verb], self.shown["name"], self.version, actor, command_id, result["updatedAt"])
        )


def view(template: ModelTemplate) -> Found:
    """Give what a template is shown as, but for ``updatedAt``."""
    return {
        "templateId": template.template_id,
        **template.shown,
        "version": template.version,
        "createdBy": template.created_by,
        "createdAt": template.created_at,
        "updatedBy": template.updated_by,
    }


def event_view(template: ModelTemplate, event: TemplateEvent) -> Found:
    """Give a template's event, but for its id, its digests and its data."""
    return {
        "eventType": event.name,
        "ruleId": template.template_id,
        "name": event.template_name,
        "version": event.version,
        "status": STATUS,
        "actor": event.actor,
        "occurredAt": event.occurred_at,
        "commandId": event.command_id,
    }


def content_refusals(content: Mapping[str, Any], taken: set[str]) -> Refusals:
    """Give what is wrong with a template's content, beside the names that others have."""
    found: Refusals = set()
    if content["name"] in taken:
        found.add(("BUSINESS_ERROR", "template name already exists"))
    if content["name"] in vocabulary.BAD_NAMES or content.get("description") in vocabulary.BAD_DESCRIPTIONS:
        found.add(("VALIDATION_ERROR", None))
    if (content["dslTemplate"], content["parameters"]) not in vocabulary.TEMPLATES:
        found.add(("VALIDATION_ERROR", None))
    return found


def rows_of(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the rows of an instantiation."""
    return [payload["parameters"]] if payload.get("rows") is None else payload["rows"]


def row_refusals(template: ModelTemplate, payload: Mapping[str, Any], taken: set[str]) -> Refusals:
    """Give what is wrong with the rows of an instantiation."""
    given, rows = payload.get("parameters"), payload.get("rows")
    if given is None and rows is None:
        return {("MISSING_PARAMETER", None)}
    if (given is not None and rows is not None) or rows == []:
        return {("VALIDATION_ERROR", None)}
    found: Refusals = set()
    declared = {one["name"] for one in template.shown["parameters"]}
    named = set(re.findall(r"\$\{(\w+)\}", payload["name"]))
    if payload["priority"] not in vocabulary.PRIORITIES or not named <= declared:
        found.add(("VALIDATION_ERROR", None))
    held = set(taken)
    for row in rows_of(payload):
        values = row_values(template, row)
        if values is None:
            found.add(("VALIDATION_ERROR", None))
            continue
        name = filled(payload["name"], values)
        if name in held:
            found.add(("BUSINESS_ERROR", None))
        held.add(name)
    if len(found) > 1:  # names that are taken are told as such where nothing else is wrong
        found.discard(("BUSINESS_ERROR", None))
    return found


def row_values(template: ModelTemplate, row: Mapping[str, Any]) -> Found | None:
    """Give a row's values with the defaults, or None where they are not the template's."""
    types = {"string": str, "int": int}
    values: Found = {}
    if any(name not in {one["name"] for one in template.shown["parameters"]} for name in row):
        return None
    for one in template.shown["parameters"]:
        value = row.get(one["name"])
        value = one.get("default") if value is None else value
        if type(value) is not types[one["type"]]:
            return None
        values[one["name"]] = value
    return values


def filled(text: str, values: Found) -> str:
    """Put values into a rule's name."""
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", str(value))
    return text


def rule_text(template: ModelTemplate, values: Found) -> str:
    """Put values into a template's text, as literals."""
    literals = {name: f'"{value}"' if isinstance(value, str) else value for name, value in values.items()}
    return filled(template.shown["dslTemplate"], literals)
