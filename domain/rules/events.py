"""What has happened to a rule, for those who listen and for its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.identifiers import Actor, RuleId
from domain.rules.status import RuleStatus


class EventName(StrEnum):
    """The lifecycle events; the last token of their subject."""

    CREATED = "RuleCreated"
    UPDATED = "RuleUpdated"
    SUBMITTED = "RuleSubmittedForApproval"
    APPROVED = "RuleApproved"
    REJECTED = "RuleRejected"
    ACTIVATED = "RuleActivated"
    DEACTIVATED = "RuleDeactivated"
    DEPRECATED = "RuleDeprecated"
    ROLLED_BACK = "RuleRolledBack"
    DELETED = "RuleDeleted"


@dataclass(frozen=True, slots=True)
class RuleEvent:
    """One change of one rule: its state after the change, who made it and when.

    ``content_digest`` is of the latest version after the change, ``before_digest`` of the latest one before it: the
    same where the change left the content alone, None where there was none, or where the store did not keep it yet.
    """

    name: EventName
    rule_id: RuleId
    rule_name: str
    version: int
    status: RuleStatus
    actor: Actor
    occurred_at: datetime
    content_digest: bytes
    before_digest: bytes | None = None
    changes_ruleset: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
