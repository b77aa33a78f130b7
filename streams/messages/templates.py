"""Templates on the wire: their views, the rules that lag behind them, and their events.

A template's event has the form of a rule's (contract section 6), published and ordered in the same way: its subject's
token, and ``ruleId``, is the template's id, and its ``status`` is ``TEMPLATE``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.identifiers import RuleId
from domain.ports import LaggingRules, OutboxMessage, RecordedTemplateEvent
from domain.rules.content import format_moment
from domain.templates.template import Template
from streams import headers, subjects
from streams.messages.events import HistoryEntry, LifecycleEvent
from streams.messages.fields import (
    TEMPLATE_STATUS,
    ActorName,
    Count,
    Declarations,
    Description,
    DslTemplate,
    RuleName,
    StatusText,
    TemplateName,
    Utc,
    Uuid,
    Version,
)

_ENCODER: Final = msgspec.json.Encoder()


class TemplateSummary(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A template as lists show it: all but its DSL."""

    template_id: Uuid
    name: TemplateName
    description: Description
    parameters: Declarations
    version: Version
    created_by: ActorName
    created_at: Utc
    updated_by: ActorName
    updated_at: Utc


class TemplateView(TemplateSummary, frozen=True, rename="camel", kw_only=True):
    """A template, whole."""

    dsl_template: DslTemplate


class LaggingRuleView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A rule whose latest or deciding version was made of an earlier version of its template."""

    rule_id: Uuid
    name: RuleName
    status: StatusText
    version: Version
    active_version: Version | None
    template_version: Version


class LaggingView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The first rules that lag behind a template, by name, and how many there are."""

    items: list[LaggingRuleView]
    total: Count


class UpdatedTemplateView(TemplateView, frozen=True, rename="camel", kw_only=True):
    """A template after an update, with the rules that lag behind it now."""

    lagging: LaggingView


class AskedTemplateView(TemplateView, frozen=True, rename="camel", kw_only=True):
    """A template as the query shows it, with the number of rules that lag behind it."""

    lagging_rules: Count


def template_summary(template: Template) -> TemplateSummary:
    """Show a template without its DSL."""
    return TemplateSummary(**_summary_fields(template))


def template_view(template: Template) -> TemplateView:
    """Show a template, whole."""
    return TemplateView(**_view_fields(template))


def updated_template_view(template: Template, lagging: LaggingRules) -> UpdatedTemplateView:
    """Show a template after an update."""
    return UpdatedTemplateView(**_view_fields(template), lagging=_lagging_view(lagging))


def asked_template_view(template: Template, lagging: LaggingRules) -> AskedTemplateView:
    """Show a template to who asks for it."""
    return AskedTemplateView(**_view_fields(template), lagging_rules=lagging.total)


def template_event(entry: RecordedTemplateEvent) -> LifecycleEvent:
    """Put a template's event into the contract's form."""
    event = entry.event
    return LifecycleEvent(
        event_id=entry.event_id,
        event_type=event.name.value,
        rule_id=event.template_id.value,
        name=event.template_name,
        version=event.version,
        status=TEMPLATE_STATUS,
        actor=event.actor.name,
        occurred_at=format_moment(event.occurred_at),
        command_id=entry.command_id.value,
        content_digest=event.content_digest.hex(),
        data={"templateId": event.template_id.value, **event.data},
    )


def template_history_entry(entry: RecordedTemplateEvent) -> HistoryEntry:
    """Show an entry of a template's history."""
    before = entry.event.before_digest
    published = msgspec.structs.asdict(template_event(entry))
    return HistoryEntry(**published, before_digest=None if before is None else before.hex())


def template_outbox_message(entry: RecordedTemplateEvent, traceparent: str | None = None) -> OutboxMessage:
    """Write a template's event in the bytes in which it will be published, with the ``traceparent`` of its cause."""
    event, body = entry.event, template_event(entry)
    return OutboxMessage(
        event_id=entry.event_id,
        rule_id=RuleId(event.template_id.value),  # what the outbox orders by: the id in the subject
        subject=subjects.event(event.template_id, event.name),
        headers=headers.cloud_event(entry.event_id, f"rulestream.event.{event.name}", body.occurred_at, traceparent),
        payload=_ENCODER.encode(body),
    )


def _view_fields(template: Template) -> dict[str, Any]:
    return {**_summary_fields(template), "dsl_template": template.content.dsl_template}


def _summary_fields(template: Template) -> dict[str, Any]:
    content = template.content
    return {
        "template_id": template.id.value,
        "name": content.name,
        "description": content.description,
        "parameters": [one.to_json() for one in content.parameters],
        "version": template.version,
        "created_by": template.created_by.name,
        "created_at": format_moment(template.created_at),
        "updated_by": template.updated_by.name,
        "updated_at": format_moment(template.updated_at),
    }


def _lagging_view(lagging: LaggingRules) -> LaggingView:
    items = [
        LaggingRuleView(
            rule_id=rule.rule_id.value,
            name=rule.name,
            status=rule.status.value,
            version=rule.version,
            active_version=rule.active_version,
            template_version=rule.template_version,
        )
        for rule in lagging.items
    ]
    return LaggingView(items=items, total=lagging.total)
