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


class ParameterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A template's declared parameter; without a ``default`` (or with ``null``) each row must give a value."""

    name: str
    type: str
    default: Any = None
    description: str | None = None


class CreateTemplate(CommandPayload, frozen=True):
    """The answer's result is the template's view."""

    name: str
    dsl_template: str
    parameters: list[ParameterBody]
    description: str | None = None


class UpdateTemplate(CommandPayload, frozen=True):
    """Fields that are absent keep their value; each update is a version.

    The answer's result is the template's view with ``lagging``: the first 100 rules by name (``items``) and the number
    of all (``total``) whose latest or deciding version was made of an earlier version; deprecated rules do not count.
    """

    template_id: str
    expected_version: int | None = None
    name: str | msgspec.UnsetType = msgspec.UNSET
    dsl_template: str | msgspec.UnsetType = msgspec.UNSET
    parameters: list[ParameterBody] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET


class DeleteTemplate(CommandPayload, frozen=True):
    """Rules that were made of the template stay as they are, and remember it; its name is free again."""

    template_id: str
    expected_version: int | None = None


class InstantiateTemplate(CommandPayload, frozen=True):
    """Makes a rule in DRAFT of each row of values, all of them or none; either ``parameters`` (one row) or ``rows``.

    ``name`` may use ``${parameter}``, the value's text. A row's values are at most 64 KiB of JSON; ``null`` is none.
    The answer's result is ``items``, the new rules as ``list`` shows them and in the order of the rows, and ``total``,
    for ``parameters`` as for ``rows``. In an error each of ``details.problems`` (the first 200 of ``problemCount``) has
    its ``row``, counted from 1.
    """

    template_id: str
    name: str
    priority: str
    parameters: dict[str, Any] | None = None
    rows: list[dict[str, Any]] | None = None


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
    "create-template": CreateTemplate,
    "update-template": UpdateTemplate,
    "delete-template": DeleteTemplate,
    "instantiate-template": InstantiateTemplate,
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
