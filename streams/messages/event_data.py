"""What events tell beside the rule's state (contract section 6), by their names, for the API document.

The domain makes these (``domain.rules.rule``, ``domain.templates.template``); tests hold each event of a real worker to
them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams.messages.fields import Uuid


class EventData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What an event tells beside the rule's state: nothing, unless its kind says so."""


class OriginData(EventData, frozen=True, kw_only=True):
    """Of a rule made of a template: which, in which version, with which values. Else there is none of these."""

    template_id: Uuid | msgspec.UnsetType = msgspec.UNSET
    template_version: int | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class UpdateData(EventData, frozen=True, kw_only=True):
    """The version before."""

    previous_version: int


class ApprovalData(EventData, frozen=True, kw_only=True):
    """The approver's comment, where there is one."""

    comment: str | msgspec.UnsetType = msgspec.UNSET


class RejectionData(EventData, frozen=True, kw_only=True):
    """Why it was sent back."""

    reason: str


class ActivationData(EventData, frozen=True, kw_only=True):
    """The version that decided until then, where there was one."""

    previous_active_version: int | msgspec.UnsetType = msgspec.UNSET


class DeactivationData(EventData, frozen=True, kw_only=True):
    """The version that decides no more."""

    deactivated_version: int


class RollbackData(EventData, frozen=True, kw_only=True):
    """The version whose content decides again, and the one that decided until then, null where none did."""

    restored_version: int
    previous_active_version: int | None


class TemplateData(EventData, frozen=True, kw_only=True):
    """The template."""

    template_id: Uuid


class TemplateUpdateData(TemplateData, frozen=True, kw_only=True):
    """The template, and its version before."""

    previous_version: int


EVENT_DATA: Final[dict[EventName | TemplateEventName, type[EventData]]] = {
    EventName.CREATED: OriginData,
    EventName.UPDATED: UpdateData,
    EventName.SUBMITTED: EventData,
    EventName.APPROVED: ApprovalData,
    EventName.REJECTED: RejectionData,
    EventName.ACTIVATED: ActivationData,
    EventName.DEACTIVATED: DeactivationData,
    EventName.DEPRECATED: EventData,
    EventName.ROLLED_BACK: RollbackData,
    EventName.DELETED: EventData,
    TemplateEventName.CREATED: TemplateData,
    TemplateEventName.UPDATED: TemplateUpdateData,
    TemplateEventName.DELETED: TemplateData,
}
