"""Query payloads (contract section 3), their answers, and the views of rules that commands answer with too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from domain.ports import SortField, TemplateSortField
from domain.rules.content import Priority, format_moment
from domain.rules.rule import Rule, RuleVersion
from domain.rules.status import RuleStatus
from streams.codec import DEPTH_MAX
from streams.messages.commands import ErrorBody
from streams.messages.fields import (
    FACTS,
    ActorName,
    AnyFactId,
    AnyName,
    AnyTag,
    CommandIdText,
    Creator,
    DecisionIdText,
    DecisionsOffset,
    Description,
    DslContent,
    DslText,
    FactIdText,
    FactTypeFilter,
    FactTypeText,
    NamePart,
    NumberedVersion,
    PageOffset,
    PageSize,
    PriorityText,
    Row,
    RuleIds,
    RuleIdText,
    RuleName,
    StatusText,
    Tags,
    TemplateIdText,
    Timestamp,
    Utc,
    Uuid,
    Version,
    absent,
    given,
)

# Kept as it was sent, to be read as facts are read.
JsonObject = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]


class QueryPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The root of every query's payload: how deep it may be, and what JSON Schema says of its fields together."""

    conditions: ClassVar[Mapping[str, Any]] = {}
    depth_max: ClassVar[int] = DEPTH_MAX


class GetRule(QueryPayload, frozen=True):
    """By ``rule_id`` or by ``name``."""

    conditions: ClassVar[Mapping[str, Any]] = {"anyOf": [given("ruleId"), given("name")]}

    rule_id: RuleIdText | None = None
    name: AnyName | None = None


class ListRules(QueryPayload, frozen=True):
    status: RuleStatus | None = None
    priority: Priority | None = None
    created_by: Creator | None = None
    name_contains: NamePart | None = None
    tag: AnyTag | None = None
    page_size: PageSize = 50
    page_offset: PageOffset = 0
    sort_by: SortField = "name"
    sort_order: Literal["asc", "desc"] = "asc"


class ListVersions(QueryPayload, frozen=True):
    rule_id: RuleIdText
    page_size: PageSize = 50
    page_offset: PageOffset = 0


class ListHistory(QueryPayload, frozen=True):
    """By ``rule_id``, or by ``template_id`` for what happened to a template."""

    conditions: ClassVar[Mapping[str, Any]] = {
        "oneOf": [
            {"allOf": [given("ruleId"), absent("templateId")]},
            {"allOf": [given("templateId"), absent("ruleId")]},
        ]
    }

    rule_id: RuleIdText | None = None
    template_id: TemplateIdText | None = None
    page_size: PageSize = 50
    page_offset: PageOffset = 0


class GetTemplate(QueryPayload, frozen=True):
    """By ``template_id`` or by ``name``."""

    conditions: ClassVar[Mapping[str, Any]] = {"anyOf": [given("templateId"), given("name")]}

    template_id: TemplateIdText | None = None
    name: AnyName | None = None


class ListTemplates(QueryPayload, frozen=True):
    created_by: Creator | None = None
    name_contains: NamePart | None = None
    page_size: PageSize = 50
    page_offset: PageOffset = 0
    sort_by: TemplateSortField = "name"
    sort_order: Literal["asc", "desc"] = "asc"


class GetRuleset(QueryPayload, frozen=True):
    page_size: PageSize = 50
    page_offset: PageOffset = 0


class ValidateDsl(QueryPayload, frozen=True):
    dsl_content: DslText


class GetCommand(QueryPayload, frozen=True):
    command_id: CommandIdText


class GetDecision(QueryPayload, frozen=True):
    """By ``decision_id`` or by ``fact_id``."""

    conditions: ClassVar[Mapping[str, Any]] = {"anyOf": [given("decisionId"), given("factId")]}

    decision_id: DecisionIdText | None = None
    fact_id: AnyFactId | None = None


class ListDecisions(QueryPayload, frozen=True, kw_only=True):
    """Decisions, newest first by the time at which the stream stored their facts.

    ``fact_type`` may have NATS wildcards. ``since`` and ``until`` (RFC 3339 with offset) bound the stored times, the
    latter exclusively. ``page_offset`` counts decisions between them, whatever else is asked for.

    The result has ``items``, decisions as they were published, and ``nextOffset`` where the listing goes on. A page
    looks at a bounded number of decisions: it may have few items, or none, and go on. ``until`` is the one asked for,
    else just behind the newest decision: ask for the next page with it, and decisions made meanwhile do not shift it.
    There is no ``total``, for it takes reading everything.
    """

    fact_type: FactTypeFilter | None = None
    fact_id: AnyFactId | None = None
    outcome: Literal["matched", "unmatched"] | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None
    page_size: PageSize = 50
    page_offset: DecisionsOffset = 0


class ExplainDecision(QueryPayload, frozen=True, kw_only=True):
    """Why rules applied to a fact, or did not: to a fact that was decided, or of one rule to a fact that is given.

    By ``decision_id``: the rules under which the fact was decided, those that took a branch or failed first, or one of
    them, by ``rule_id`` or ``name``. The fact is read back from its stream, so this works for as long as that keeps it.

    Without: the rule of ``rule_id`` or ``name`` in a ``version`` (default: the version that decides, else the latest),
    or of the text ``dsl_content``, alone, on ``fact``, a JSON object. ``decision`` is then what other rules are taken
    to have set (default: nothing). ``fact_type`` is by default one that the rule's ``on`` takes; without ``fact_time``
    (RFC 3339 with offset) ``fact.time`` is missing and the rule's dates are not looked at.

    The result has ``items`` (``ExplanationBody``), ``total`` and, where there is more, ``nextOffset``, and tells
    ``factId`` and ``factType``; for a decision also ``decisionId`` and ``ruleset`` with ``revision`` and ``digest``.
    """

    conditions: ClassVar[Mapping[str, Any]] = {
        "not": {"allOf": [given("ruleId"), given("name")]},
        "oneOf": [
            {
                "allOf": [
                    given("decisionId"),
                    absent("version", "dslContent", "fact", "factType", "factId", "factTime", "decision"),
                ]
            },
            {"allOf": [given("fact"), given("dslContent"), absent("decisionId", "ruleId", "name", "version")]},
            {
                "allOf": [
                    given("fact"),
                    {"anyOf": [given("ruleId"), given("name")]},
                    absent("decisionId", "dslContent"),
                ]
            },
        ],
    }

    # A fact or a decision is one of the payload's fields, and told by its own error when it is too deep.
    depth_max: ClassVar[int] = 2 * DEPTH_MAX

    decision_id: DecisionIdText | None = None
    rule_id: RuleIdText | None = None
    name: AnyName | None = None
    version: NumberedVersion | None = None
    dsl_content: DslContent | None = None
    fact: Annotated[JsonObject, msgspec.Meta(description="The fact.")] | msgspec.UnsetType = msgspec.UNSET
    fact_type: FactTypeText | None = None
    fact_id: FactIdText | None = None
    fact_time: Timestamp | None = None
    decision: (
        Annotated[JsonObject, msgspec.Meta(description="What other rules are taken to have set.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    page_size: PageSize = 50
    page_offset: PageOffset = 0


class SimulateRules(QueryPayload, frozen=True, kw_only=True):
    """What rules would decide: of facts that are given, with nothing published and nothing stored.

    The rules are those of ``rule_ids`` in their latest versions, or one of the text ``dsl_content``, with a ``name``
    and a ``priority`` of its own (default: ``candidate``, MEDIUM) and version 0. They are tried alone or,
    ``with_active``, together with the rules that decide now, in the place of their own active versions: a text stands
    for the active rule that holds its name, whose priority, unless another is given, and dates it takes over. What
    activation would refuse for the sake of other rules is refused here too.

    A fact is an object whose keys are only ``id``, ``type``, ``time`` and ``data``, with ``data`` an object, or any
    other object, of the type ``fact_type``; at most 100 facts of 512 KiB together. Without a time ``fact.time`` is
    missing and the rules' dates are not looked at.

    The result has ``items`` (``SimulationBody``), one for each fact of the page, ``total`` and, where there is more,
    ``nextOffset``.
    """

    conditions: ClassVar[Mapping[str, Any]] = {
        "oneOf": [
            {"allOf": [given("dslContent"), absent("ruleIds")]},
            {"allOf": [given("ruleIds"), absent("dslContent", "name", "priority")]},
        ]
    }

    # A fact is one of the payload's fields, and told by its own error when it is too deep.
    depth_max: ClassVar[int] = 2 * DEPTH_MAX

    facts: Annotated[list[JsonObject], FACTS]
    dsl_content: DslContent | None = None
    name: RuleName | None = None
    priority: Priority | None = None
    rule_ids: RuleIds | None = None
    fact_type: FactTypeText | None = None
    with_active: Annotated[bool, msgspec.Meta(description="Beside the rules that decide now.")] = False
    page_size: PageSize = 50
    page_offset: PageOffset = 0


PAYLOADS: Final[dict[str, type[QueryPayload]]] = {
    "get": GetRule,
    "list": ListRules,
    "versions": ListVersions,
    "history": ListHistory,
    "template": GetTemplate,
    "templates": ListTemplates,
    "ruleset": GetRuleset,
    "validate": ValidateDsl,
    "command": GetCommand,
    "decision": GetDecision,
    "decisions": ListDecisions,
    "explain": ExplainDecision,
    "simulate": SimulateRules,
}


class QueryAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a query; exactly one of ``result`` and ``error`` is null."""

    status: Literal["ok", "error"]
    result: Any = None
    error: ErrorBody | None = None


class RuleSummary(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A rule as lists show it: all but its DSL."""

    rule_id: Uuid
    name: RuleName
    description: Description
    priority: PriorityText
    tags: Tags
    status: StatusText
    version: Version
    active_version: Version | None
    created_by: ActorName
    created_at: Utc
    updated_by: ActorName
    updated_at: Utc
    approved_by: ActorName | None
    effective_from: Utc | None
    effective_until: Utc | None
    template_id: Uuid | None = None


class RuleView(RuleSummary, frozen=True, rename="camel", kw_only=True):
    """A rule as its command's sender sees it."""

    dsl_content: DslContent


class VersionView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One version of a rule, whole."""

    version: Version
    name: RuleName
    description: Description
    dsl_content: DslContent
    priority: PriorityText
    tags: Tags
    effective_from: Utc | None
    effective_until: Utc | None
    author: ActorName
    created_at: Utc
    approved_by: ActorName | None
    approved_at: Utc | None
    restored_from: Version | None
    template_id: Uuid | None = None
    template_version: Version | None = None
    template_parameters: Row | None = None


def version_view(version: RuleVersion) -> VersionView:
    """Show one version of a rule."""
    content, template = version.content, version.template
    return VersionView(
        version=version.number,
        name=content.name,
        description=content.description,
        dsl_content=content.dsl_content,
        priority=content.priority.value,
        tags=list(content.tags),
        effective_from=_moment(content.effective_from),
        effective_until=_moment(content.effective_until),
        author=version.author.name,
        created_at=format_moment(version.created_at),
        approved_by=None if version.approved_by is None else version.approved_by.name,
        approved_at=_moment(version.approved_at),
        restored_from=version.restored_from,
        template_id=None if template is None else template.template_id.value,
        template_version=None if template is None else template.version,
        template_parameters=None if template is None else dict(template.parameters),
    )


def rule_view(rule: Rule) -> RuleView:
    """Show a rule's latest version, whole."""
    return RuleView(**_summary_fields(rule), dsl_content=rule.content.dsl_content)


def rule_summary(rule: Rule) -> RuleSummary:
    """Show a rule's latest version without its DSL."""
    return RuleSummary(**_summary_fields(rule))


def _summary_fields(rule: Rule) -> dict[str, Any]:
    content = rule.content
    approver, template = rule.latest.approved_by, rule.latest.template
    return {
        "rule_id": rule.id.value,
        "name": content.name,
        "description": content.description,
        "priority": content.priority.value,
        "tags": list(content.tags),
        "status": rule.status.value,
        "version": rule.version,
        "active_version": rule.active_version,
        "created_by": rule.created_by.name,
        "created_at": format_moment(rule.created_at),
        "updated_by": rule.updated_by.name,
        "updated_at": format_moment(rule.updated_at),
        "approved_by": None if approver is None else approver.name,
        "effective_from": _moment(content.effective_from),
        "effective_until": _moment(content.effective_until),
        "template_id": None if template is None else template.template_id.value,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else format_moment(moment)
