"""Lifecycle events on the wire (contract section 6)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.identifiers import CommandId
from domain.ports import OutboxMessage
from domain.rules.content import format_moment
from domain.rules.events import RuleEvent
from streams import headers, subjects

_ENCODER: Final = msgspec.json.Encoder()


class LifecycleEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """The payload of an event."""

    event_id: str
    event_type: str
    rule_id: str
    name: str
    version: int
    status: str
    actor: str
    occurred_at: str
    command_id: str
    content_digest: str
    data: dict[str, Any]
    revision: int | msgspec.UnsetType = msgspec.UNSET


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


def outbox_message(event_id: str, event: RuleEvent, command_id: CommandId, revision: int | None) -> OutboxMessage:
    """Write an event in the bytes in which it will be published."""
    body = lifecycle_event(event_id, event, command_id, revision)
    return OutboxMessage(
        event_id=event_id,
        rule_id=event.rule_id,
        subject=subjects.event(event.rule_id, event.name),
        headers=headers.cloud_event(event_id, f"rulestream.event.{event.name}", body.occurred_at),
        payload=_ENCODER.encode(body),
    )
