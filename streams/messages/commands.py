"""Command payloads (contract section 2) and their answers. Unknown fields are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from streams.messages.fields import (
    PARAMETERS,
    CodeText,
    CommandIdText,
    Comment,
    Description,
    DslContent,
    DslTemplate,
    EarlierVersion,
    ErrorDetails,
    ExpectedVersion,
    Moment,
    NamePattern,
    ParameterDefault,
    ParameterName,
    ParameterType,
    PriorityText,
    Reason,
    Row,
    Rows,
    RuleIdText,
    RuleName,
    Tags,
    TemplateIdText,
    TemplateName,
    given,
)


class CommandPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The root of every command's payload, and what JSON Schema says of its fields together."""

    conditions: ClassVar[Mapping[str, Any]] = {}


class CreateRule(CommandPayload, frozen=True):
    name: RuleName
    dsl_content: DslContent
    priority: PriorityText
    description: Description | None = None
    tags: Tags | None = None
    effective_from: Moment | None = None
    effective_until: Moment | None = None


class UpdateRule(CommandPayload, frozen=True):
    """Fields that are absent keep their value; ``null`` clears one that may be absent."""

    conditions: ClassVar[Mapping[str, Any]] = {"minProperties": 3}

    rule_id: RuleIdText
    expected_version: ExpectedVersion
    name: RuleName | msgspec.UnsetType = msgspec.UNSET
    dsl_content: DslContent | msgspec.UnsetType = msgspec.UNSET
    priority: PriorityText | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    tags: Tags | msgspec.UnsetType | None = msgspec.UNSET
    effective_from: Moment | msgspec.UnsetType | None = msgspec.UNSET
    effective_until: Moment | msgspec.UnsetType | None = msgspec.UNSET


class SubmitRule(CommandPayload, frozen=True):
    rule_id: RuleIdText
    expected_version: ExpectedVersion | None = None


class ApproveRule(CommandPayload, frozen=True):
    rule_id: RuleIdText
    expected_version: ExpectedVersion
    comment: Comment | None = None


class RejectRule(CommandPayload, frozen=True):
    rule_id: RuleIdText
    reason: Reason


class ActivateRule(CommandPayload, frozen=True):
    rule_id: RuleIdText


class DeactivateRule(CommandPayload, frozen=True):
    rule_id: RuleIdText


class DeprecateRule(CommandPayload, frozen=True):
    rule_id: RuleIdText


class RollbackRule(CommandPayload, frozen=True):
    rule_id: RuleIdText
    to_version: EarlierVersion


class DeleteRule(CommandPayload, frozen=True):
    rule_id: RuleIdText


class ParameterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A template's declared parameter; without a ``default`` (or with ``null``) each row must give a value."""

    name: ParameterName
    type: ParameterType
    default: ParameterDefault = None
    description: Description | None = None


class CreateTemplate(CommandPayload, frozen=True):
    """The answer's result is the template's view."""

    name: TemplateName
    dsl_template: DslTemplate
    parameters: Annotated[list[ParameterBody], PARAMETERS]
    description: Description | None = None


class UpdateTemplate(CommandPayload, frozen=True):
    """Fields that are absent keep their value; each update is a version.

    The answer's result is the template's view with ``lagging``: the first 100 rules by name (``items``) and the number
    of all (``total``) whose latest or deciding version was made of an earlier version; deprecated rules do not count.
    """

    conditions: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"required": [name]} for name in ("name", "dslTemplate", "parameters", "description")]
    }

    template_id: TemplateIdText
    expected_version: ExpectedVersion | None = None
    name: TemplateName | msgspec.UnsetType = msgspec.UNSET
    dsl_template: DslTemplate | msgspec.UnsetType = msgspec.UNSET
    parameters: Annotated[list[ParameterBody], PARAMETERS] | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET


class DeleteTemplate(CommandPayload, frozen=True):
    """Rules that were made of the template stay as they are, and remember it; its name is free again."""

    template_id: TemplateIdText
    expected_version: ExpectedVersion | None = None


class InstantiateTemplate(CommandPayload, frozen=True):
    """Makes a rule in DRAFT of each row of values, all of them or none; either ``parameters`` (one row) or ``rows``.

    ``name`` may use ``${parameter}``, the value's text. A row's values are at most 64 KiB of JSON; ``null`` is none.
    The answer's result is ``items``, the new rules as ``list`` shows them and in the order of the rows, and ``total``,
    for ``parameters`` as for ``rows``. In an error each of ``details.problems`` (the first 200 of ``problemCount``) has
    its ``row``, counted from 1.
    """

    conditions: ClassVar[Mapping[str, Any]] = {
        "oneOf": [given("parameters"), given("rows")],
    }

    template_id: TemplateIdText
    name: NamePattern
    priority: PriorityText
    parameters: Row | None = None
    rows: Rows | None = None


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

    code: CodeText
    message: Annotated[str, msgspec.Meta(description="What is wrong, for people; some of it is what users match on.")]
    details: ErrorDetails = {}


class CommandAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a command; exactly one of ``result`` and ``error`` is null."""

    command_id: CommandIdText
    status: Literal["ok", "error"]
    result: Any = None
    error: ErrorBody | None = None
