"""What has happened to a template, for those who listen and for its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.identifiers import Actor, TemplateId


class TemplateEventName(StrEnum):
    """The events of templates; the last token of their subject."""

    CREATED = "TemplateCreated"
    UPDATED = "TemplateUpdated"
    DELETED = "TemplateDeleted"


@dataclass(frozen=True, slots=True)
class TemplateEvent:
    """One change of one template: who made it, when, and the digests of its content after it and before it."""

    name: TemplateEventName
    template_id: TemplateId
    template_name: str
    version: int
    actor: Actor
    occurred_at: datetime
    content_digest: bytes
    before_digest: bytes | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
