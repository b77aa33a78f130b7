"""What commands and queries are answered with, by verb, for the API document.

Answers are written from the domain where they are made; these are their forms, of which tests hold every answer of a
real worker to be (``tests/integration/test_traffic.py``).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from streams.messages.commands import CommandAnswer
from streams.messages.decisions import DecisionBody, RulesetBody
from streams.messages.events import HistoryEntry
from streams.messages.explanations import ExplanationBody
from streams.messages.fields import Count, Digest, FactIdText, FactTypeText, Key, PriorityText, Revision, RuleName, Uuid
from streams.messages.queries import RuleSummary, RuleView, VersionView
from streams.messages.simulations import SimulationBody
from streams.messages.templates import AskedTemplateView, TemplateSummary, TemplateView, UpdatedTemplateView

NextOffset = Annotated[int, msgspec.Meta(description="The `pageOffset` of the next page; absent on the last.", ge=1)]
Total = Annotated[int, msgspec.Meta(description="How many there are on all pages.", ge=0)]


class ProblemBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A mistake in a payload, in a rule's text (with its line and column) or in a template's row."""

    code: str
    message: str
    severity: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["error", "warning"]})] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    line: int | msgspec.UnsetType = msgspec.UNSET
    column: int | msgspec.UnsetType = msgspec.UNSET
    end_column: int | msgspec.UnsetType = msgspec.UNSET
    hint: str | msgspec.UnsetType | None = msgspec.UNSET
    field: str | msgspec.UnsetType = msgspec.UNSET
    row: int | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A page of items: it ends early at 512 KiB."""

    total: Total
    next_offset: NextOffset | msgspec.UnsetType = msgspec.UNSET


class RulePage(Page, frozen=True, kw_only=True):
    """A page of rules, without their DSL."""

    items: list[RuleSummary]


class VersionPage(Page, frozen=True, kw_only=True):
    """A page of a rule's versions, the newest first."""

    items: list[VersionView]


class HistoryPage(Page, frozen=True, kw_only=True):
    """A page of what happened to a rule or a template, the oldest first."""

    items: list[HistoryEntry]


class TemplatePage(Page, frozen=True, kw_only=True):
    """A page of templates, without their DSL."""

    items: list[TemplateSummary]


class RulesetMember(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A rule that decides."""

    rule_id: Uuid
    name: RuleName
    version: int
    priority: PriorityText
    content_digest: Digest


class RulesetPage(Page, frozen=True, kw_only=True):
    """A page of the rules that decide now, in the order of their ids, under the ruleset's revision and digest."""

    revision: Revision
    digest: Digest
    items: list[RulesetMember]


class Problems(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What is wrong with a text: errors and warnings."""

    problems: list[ProblemBody]


class DecisionPage(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A page of decisions as they were published, the newest first. It may have few items, or none, and go on."""

    items: list[DecisionBody]
    until: Annotated[
        str | None, msgspec.Meta(description="The time before which these were stored: ask for the next page with it.")
    ]
    next_offset: NextOffset | msgspec.UnsetType = msgspec.UNSET


class ExplanationPage(Page, frozen=True, kw_only=True):
    """A page of how rules stood to a fact; of a decision, with its id and ruleset."""

    items: list[ExplanationBody]
    fact_id: FactIdText
    fact_type: FactTypeText
    decision_id: Key | msgspec.UnsetType = msgspec.UNSET
    ruleset: RulesetBody | msgspec.UnsetType = msgspec.UNSET


class SimulationPage(Page, frozen=True, kw_only=True):
    """A page of what would become of the facts, one item each."""

    items: list[SimulationBody]


class MadeRules(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The new rules, in the order of the rows."""

    items: list[RuleSummary]
    total: Count


COMMAND_RESULTS: Final[dict[str, type[msgspec.Struct]]] = {
    **dict.fromkeys(
        (
            "create",
            "update",
            "submit",
            "approve",
            "reject",
            "activate",
            "deactivate",
            "deprecate",
            "rollback",
            "delete",
        ),
        RuleView,
    ),
    "create-template": TemplateView,
    "update-template": UpdatedTemplateView,
    "delete-template": TemplateView,
    "instantiate-template": MadeRules,
}

QUERY_RESULTS: Final[dict[str, type[msgspec.Struct]]] = {
    "get": RuleView,
    "list": RulePage,
    "versions": VersionPage,
    "history": HistoryPage,
    "template": AskedTemplateView,
    "templates": TemplatePage,
    "ruleset": RulesetPage,
    "validate": Problems,
    "command": CommandAnswer,
    "decision": DecisionBody,
    "decisions": DecisionPage,
    "explain": ExplanationPage,
    "simulate": SimulationPage,
}
