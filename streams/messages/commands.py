"""Command payloads (contract section 2) and their answers. Unknown fields are errors."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec


class CommandPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The root of every command's payload."""


class CreateRule(CommandPayload, frozen=True):
    name: str
    dsl_content: str
    priority: str
    description: str | None = None
    tags: list[str] | None = None
    effective_from: str | None = None
    effective_until: str | None = None


class UpdateRule(CommandPayload, frozen=True):
    """Fields that are absent keep their value; ``null`` clears one that may be absent."""

    rule_id: str
    expected_version: int
    name: str | msgspec.UnsetType = msgspec.UNSET
    dsl_content: str | msgspec.UnsetType = msgspec.UNSET
    priority: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    effective_from: str | msgspec.UnsetType | None = msgspec.UNSET
    effective_until: str | msgspec.UnsetType | None = msgspec.UNSET


class SubmitRule(CommandPayload, frozen=True):
    rule_id: str
    expected_version: int | None = None


class ApproveRule(CommandPayload, frozen=True):
    rule_id: str
    expected_version: int
    comment: str | None = None


class RejectRule(CommandPayload, frozen=True):
    rule_id: str
    reason: str


class ActivateRule(CommandPayload, frozen=True):
    rule_id: str


class DeactivateRule(CommandPayload, frozen=True):
    rule_id: str


class DeprecateRule(CommandPayload, frozen=True):
    rule_id: str


class RollbackRule(CommandPayload, frozen=True):
    rule_id: str
    to_version: int


class DeleteRule(CommandPayload, frozen=True):
    rule_id: str


PAYLOADS: Final[dict[str, type[CommandPayload]]] = {
    "create": CreateRule,
    "update": UpdateRule,
    "submit": SubmitRule,
    "approve": ApproveRule,
    "reject": RejectRule,
    "activate": ActivateRule,
    "deactivate": DeactivateRule,
    "deprecate": DeprecateRule,
    "rollback": RollbackRule,
    "delete": DeleteRule,
}


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as the sender sees it."""

    code: str
    message: str
    details: dict[str, Any] = {}


class CommandAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a command; exactly one of ``result`` and ``error`` is null."""

    command_id: str
    status: Literal["ok", "error"]
    result: Any = None
    error: ErrorBody | None = None
