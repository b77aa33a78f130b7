"""The Template aggregate: its bounds, its versions, its events and its digest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import ConflictError, ValidationError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule, TemplateOrigin
from domain.templates.events import TemplateEventName
from domain.templates.parameters import Parameter
from domain.templates.template import Template, TemplateContent

ANN = Actor("ann")
BOB = Actor("bob")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)
ID = TemplateId.for_command(ANN, CommandId("0123456789abcdef"))
LIMIT = Parameter("limit", "double", 100.0, "From which total on.")


def content(**changes: Any) -> TemplateContent:
    fields: dict[str, Any] = {
        "name": "big orders",
        "dsl_template": "when order.total > ${limit} then set big = true",
        "parameters": [LIMIT],
        "description": "Orders that are big.",
    }
    return TemplateContent.checked(**{**fields, **changes})


def problems(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        content(**changes)
    found = refused.value.details["problems"]
    assert refused.value.message == found[0]["message"]
    return [(one["code"], one["field"]) for one in found]


def test_content_that_is_well_is_taken_as_it_is() -> None:
    made = content()
    assert (made.name, made.parameters, made.description) == ("big orders", (LIMIT,), "Orders that are big.")
    assert made.types == {"limit": "double"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"name": ""}, [("name-empty", "name")]),
        ({"name": "x" * 101}, [("name-too-long", "name")]),
        ({"name": "ab"}, [("name-too-short", "name")]),
        ({"name": "a\nb c"}, [("name-not-printable", "name")]),
        ({"dsl_template": " \n"}, [("dsl-empty", "dslTemplate")]),
        ({"dsl_template": "when a == 'x\x00'"}, [("dsl-not-text", "dslTemplate")]),
        ({"description": "x" * 501}, [("description-too-long", "description")]),
        ({"description": "\ud800"}, [("description-not-text", "description")]),
        ({"parameters": [Parameter("9a", "int")]}, [("parameter-name", "parameters[0].name")]),
        ({"parameters": [Parameter("a.b", "int")]}, [("parameter-name", "parameters[0].name")]),
        ({"parameters": [LIMIT, LIMIT]}, [("duplicate-parameter", "parameters[1].name")]),
        ({"parameters": [Parameter("a", "object")]}, [("parameter-type", "parameters[0].type")]),
        ({"parameters": [Parameter("a", "int", 1.5)]}, [("default-type", "parameters[0].default")]),
        ({"parameters": [Parameter("a", "int", True)]}, [("default-type", "parameters[0].default")]),
        ({"parameters": [Parameter("a", "list<int>", [1, "2"])]}, [("default-type", "parameters[0].default")]),
        ({"parameters": [Parameter("a", "int", None, "x" * 501)]},
         [("description-too-long", "parameters[0].description")]),
        ({"parameters": [Parameter("a", "int", None, "\x00")]},
         [("description-not-text", "parameters[0].description")]),
        ({"parameters": [Parameter(f"p{n}", "int") for n in range(101)]}, [("too-many-parameters", "parameters")]),
        ({"parameters": [Parameter("a", "string", "x" * 65_536)]}, [("defaults-too-large", "parameters")]),
        ({"name": "", "dsl_template": "", "parameters": [Parameter("", "")]},
         [("name-empty", "name"), ("dsl-empty", "dslTemplate"), ("parameter-name", "parameters[0].name"),
          ("parameter-type", "parameters[0].type")]),
    ],
)  # fmt: skip
def test_everything_that_is_wrong_is_told_by_field(changes: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert problems(**changes) == found


def test_the_messages_are_a_templates() -> None:
    with pytest.raises(ValidationError, match=r"^template name cannot be empty$"):
        content(name="")
    with pytest.raises(ValidationError, match=r"^DSL template cannot be empty$"):
        content(dsl_template="")
    with pytest.raises(ValidationError, match=r"^the default of parameter `a`: a value of type int is expected$"):
        content(parameters=[Parameter("a", "int", "1")])


def test_bounds_are_inclusive() -> None:
    content(name="x" * 100, description="x" * 500, parameters=[Parameter(f"p{n}", "int") for n in range(100)])


def test_the_defaults_are_a_row_when_every_parameter_has_one() -> None:
    assert content().default_row == {"limit": "100.0"}
    assert content(parameters=[]).default_row == {}
    assert content(parameters=[LIMIT, Parameter("other", "int")]).default_row is None


def test_a_new_template_is_at_version_1_and_says_so() -> None:
    template = Template.create(ID, content(), ANN, NOW)
    assert (template.version, template.created_by, template.updated_at, template.revision) == (1, ANN, NOW, 0)
    (event,) = template.pull_events()
    assert (event.name, event.version, event.actor, event.occurred_at) == (TemplateEventName.CREATED, 1, ANN, NOW)
    assert (event.template_id, event.template_name) == (ID, "big orders")
    assert (event.content_digest, event.before_digest) == (template.content.digest(ID, 1), None)
    assert template.pull_events() == ()


def test_each_update_is_a_version() -> None:
    template = Template.create(ID, content(), ANN, NOW)
    before = template.content.digest(ID, 1)
    template.update(content(name="large orders"), None, BOB, LATER)
    template.update(content(name="large orders"), 2, BOB, LATER)
    assert (template.version, template.created_by, template.updated_by, template.updated_at) == (3, ANN, BOB, LATER)
    _, updated, again = template.pull_events()
    assert (updated.name, updated.version, updated.data) == (TemplateEventName.UPDATED, 2, {"previousVersion": 1})
    assert updated.before_digest == before
    assert again.before_digest == updated.content_digest != again.content_digest


@pytest.mark.parametrize("expected", [0, 2])
def test_a_change_of_another_version_is_a_conflict_and_changes_nothing(expected: int) -> None:
    template = Template.create(ID, content(), ANN, NOW)
    template.pull_events()
    for change in (
        lambda: template.update(content(name="large orders"), expected, BOB, LATER),
        lambda: template.delete(expected, BOB, LATER),
    ):
        with pytest.raises(ConflictError) as conflict:
            change()
        assert conflict.value.details == {"currentVersion": 1, "expectedVersion": expected}
    assert (template.content.name, template.version, template.updated_by) == ("big orders", 1, ANN)
    assert template.pull_events() == ()


def test_a_deletion_is_told() -> None:
    template = Template.create(ID, content(), ANN, NOW)
    template.delete(1, BOB, LATER)
    event = template.pull_events()[-1]
    assert (event.name, event.actor, event.before_digest) == (TemplateEventName.DELETED, BOB, event.content_digest)


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other name"},
        {"description": ""},
        {"dsl_template": "when order.total >= ${limit} then set big = true"},
        {"parameters": [Parameter("limit", "double", 100.0)]},
        {"parameters": [Parameter("limit", "double", None, "From which total on.")]},
        {"parameters": [Parameter("limit", "decimal", 100.0, "From which total on.")]},
        {"parameters": [LIMIT, Parameter("more", "int")]},
    ],
)
def test_a_digest_is_of_everything_in_a_version(other: dict[str, Any]) -> None:
    digest = content().digest(ID, 1)
    assert len(digest) == 32
    assert content().digest(ID, 1) == digest
    assert content().digest(ID, 2) != digest
    assert content(**other).digest(ID, 1) != digest
    assert content().digest(TemplateId.for_command(BOB, CommandId("0123456789abcdef")), 1) != digest


def test_an_id_is_a_commands_own_and_no_rules() -> None:
    assert TemplateId.for_command(ANN, CommandId("0123456789abcdef")) == ID
    assert TemplateId.parse(ID.value.upper()) == ID
    assert str(ID) == ID.value
    with pytest.raises(ValidationError, match="templateId is not a UUID"):
        TemplateId.parse("big orders")


def test_a_rule_that_is_rolled_back_is_of_the_template_again() -> None:
    made = RuleContent("big orders", "when order.total > 100.0", Priority.LOW)
    origin = TemplateOrigin(ID, 1, {"limit": 100})
    rule = Rule.create(RuleId.for_name("big orders"), made, ANN, NOW, origin)
    (created,) = rule.pull_events()
    assert created.data == {"templateId": ID.value, "templateVersion": 1, "parameters": {"limit": 100}}
    assert created.content_digest == made.digest(rule.id, 1)
    rule.submit(None, ANN, NOW)
    rule.approve(1, None, BOB, NOW)
    first = rule.latest
    assert first.template == origin
    rule.update(made, 1, ANN, LATER)
    assert rule.latest.template is None
    rule.roll_back(first, BOB, LATER)
    assert (rule.version, rule.latest.template) == (3, origin)
