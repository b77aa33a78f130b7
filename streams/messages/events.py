"""Lifecycle events on the wire (contract section 6)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.identifiers import CommandId
from domain.ports import OutboxMessage, RecordedEvent
from domain.rules.content import format_moment
from domain.rules.events import RuleEvent
from streams import headers, subjects
from streams.messages.fields import (
    ActorName,
    CommandIdText,
    Digest,
    EventStatus,
    Revision,
    RuleName,
    TemplateOrRuleId,
    Utc,
    Uuid,
    Version,
)

_ENCODER: Final = msgspec.json.Encoder()


class LifecycleEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """The payload of an event."""

    event_id: Uuid
    event_type: str
    rule_id: TemplateOrRuleId
    name: RuleName
    version: Version
    status: EventStatus
    actor: ActorName
    occurred_at: Utc
    command_id: CommandIdText
    content_digest: Digest
    data: dict[str, Any]
    revision: Revision | msgspec.UnsetType = msgspec.UNSET


class HistoryEntry(LifecycleEvent, frozen=True, rename="camel", kw_only=True):
    """An entry of a rule's history: the event as it was published, and the digest of the content before the change.

    ``before_digest`` is null where there was no version before, and in entries from before it was kept.
    """

    before_digest: Digest | None


def lifecycle_event(event_id: str, event: RuleEvent, command_id: CommandId, revision: int | None) -> LifecycleEvent:
    """Put an event into the contract's form; ``revision`` where it changed the ruleset."""
    return LifecycleEvent(
        event_id=event_id,
        event_type=event.name.value,
        rule_id=event.rule_id.value,
        name=event.rule_name,
        version=event.version,
        status=event.status.value,
        actor=event.actor.name,
        occurred_at=format_moment(event.occurred_at),
        command_id=command_id.value,
        content_digest=event.content_digest.hex(),
        data=dict(event.data),
        revision=msgspec.UNSET if revision is None else revision,
    )


def history_entry(entry: RecordedEvent) -> HistoryEntry:
    """Show an entry of a rule's history."""
    event, before = entry.event, entry.event.before_digest
    published = lifecycle_event(entry.event_id, event, entry.command_id, entry.revision)
    return HistoryEntry(**msgspec.structs.asdict(published), before_digest=None if before is None else before.hex())


def outbox_message(
    event_id: str, event: RuleEvent, command_id: CommandId, revision: int | None, traceparent: str | None = None
) -> OutboxMessage:
    """Write an event in the bytes in which it will be published, with the ``traceparent`` of what caused it."""
    body = lifecycle_event(event_id, event, command_id, revision)
    return OutboxMessage(
        event_id=event_id,
        rule_id=event.rule_id,
        subject=subjects.event(event.rule_id, event.name),
        headers=headers.cloud_event(event_id, f"rulestream.event.{event.name}", body.occurred_at, traceparent),
        payload=_ENCODER.encode(body),
    )
