"""Commands on templates on fakes: what they make, what they record, and everything that they refuse whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from domain.errors import UnavailableError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.language import FactContext, compile_rule
from domain.roles import RolePolicy
from domain.rules.rule import Rule
from tests.fakes.clock import FakeClock
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.usecases.change_rules import Tools
from worker.usecases.change_templates import LAGGING_SHOWN_MAX
from worker.usecases.decide_commands import CommandDecider
from worker.usecases.make_rules import PROBLEMS_SHOWN_MAX, ROWS_MAX

ANN = Actor("ann")
FACT = FactContext("f1", "order.placed")
DSL = "when customer.tier == ${tier} && order.total >= ${limit} then set discount = ${percent}"
PARAMETERS = [
    {"name": "tier", "type": "string", "description": "Which customers."},
    {"name": "limit", "type": "double", "default": 100},
    {"name": "percent", "type": "int"},
]
VIP = {"tier": "VIP", "percent": 15}
TEMPLATE = {"name": "tier discount", "dslTemplate": DSL, "parameters": PARAMETERS, "description": "For a tier."}


class Ground:
    """A worker's stores, and commands on them."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.compiler = FakeDslCompiler()
        tools = Tools(self.compiler, CompilingRulesets())
        self.decider = CommandDecider(self.transactions, FakeClock(), tools, lambda _: None, RolePolicy())
        self.sent = 0

    @property
    def database(self) -> Any:
        return self.transactions.database

    async def send(self, verb: str, payload: Any, command_id: str | None = None) -> dict[str, Any]:
        """Send a command and give its answer's envelope."""
        self.sent += 1
        bound = CommandId(command_id or f"command-{self.sent:012}")
        answer = await self.decider.handle(ANN, bound, verb, msgspec.json.encode(payload))
        found: dict[str, Any] = json.loads(answer)
        return found

    async def done(self, verb: str, payload: Any) -> Any:
        answer = await self.send(verb, payload)
        assert answer["status"] == "ok", answer
        return answer["result"]

    async def refused(self, verb: str, payload: Any) -> dict[str, Any]:
        """Send a command that must change nothing, and give its error."""
        before = self.stored()
        answer = await self.send(verb, payload)
        assert answer["status"] == "error", answer
        assert self.stored() == before
        return dict(answer["error"])

    def stored(self) -> tuple[Any, ...]:
        database = self.database
        return (
            {one.id: (one.version, one.revision, one.content) for one in database.templates.values()},
            set(database.rules),
            len(database.outbox),
            len(database.history),
            len(database.template_history),
        )

    async def instantiate(self, template: dict[str, Any], **more: Any) -> Any:
        payload = {"templateId": template["templateId"], "name": "discount ${tier}", "priority": "HIGH", **more}
        return await self.done("instantiate-template", payload)

    async def instantiate_refused(self, template: dict[str, Any], **more: Any) -> dict[str, Any]:
        payload = {"templateId": template["templateId"], "name": "discount ${tier}", "priority": "HIGH", **more}
        return await self.refused("instantiate-template", payload)

    def rule(self, view: dict[str, Any]) -> Rule:
        found: Rule = self.database.rules[RuleId(view["ruleId"])]
        return found


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.fixture
async def template(ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = await ground.done("create-template", TEMPLATE)
    return found


class TestCreate:
    async def test_a_template_is_answered_whole_and_told(self, ground: Ground) -> None:
        view = await ground.done("create-template", TEMPLATE)
        assert {key: view[key] for key in TEMPLATE} == TEMPLATE
        assert (view["version"], view["createdBy"], view["updatedBy"]) == (1, "ann", "ann")
        (message,) = ground.database.outbox
        assert message.subject == f"rules.event.{view['templateId']}.TemplateCreated"
        event = json.loads(message.payload)
        assert {key: event[key] for key in ("eventType", "ruleId", "name", "version", "status", "actor", "data")} == {
            "eventType": "TemplateCreated",
            "ruleId": view["templateId"],
            "name": "tier discount",
            "version": 1,
            "status": "TEMPLATE",
            "actor": "ann",
            "data": {"templateId": view["templateId"]},
        }
        (entry,) = ground.database.template_history
        assert (entry.event_id, entry.event.content_digest.hex()) == (event["eventId"], event["contentDigest"])

    @pytest.mark.usefixtures("template")
    async def test_a_second_one_of_the_name_is_refused(self, ground: Ground) -> None:
        error = await ground.refused("create-template", TEMPLATE)
        assert (error["code"], error["message"]) == ("BUSINESS_ERROR", "template name already exists")

    @pytest.mark.usefixtures("template")
    async def test_a_rule_may_have_its_name(self, ground: Ground) -> None:
        await ground.done("create", {"name": "tier discount", "dslContent": "then set a = 1", "priority": "LOW"})

    async def test_problems_of_the_dsl_stand_where_they_are(self, ground: Ground) -> None:
        error = await ground.refused(
            "create-template", {**TEMPLATE, "dslTemplate": 'when a == "${tier}"\nthen set = 1'}
        )
        assert error["code"] == "VALIDATION_ERROR"
        found = {(one["code"], one["line"]) for one in error["details"]["problems"]}
        assert ("quoted-parameter", 1) in found
        assert ("syntax", 2) in found

    async def test_a_template_must_be_a_rule_with_its_defaults(self, ground: Ground) -> None:
        pattern = {"name": "pattern", "type": "string", "default": "("}
        payload = {"name": "by pattern", "dslTemplate": "when a.matches(${pattern})", "parameters": [pattern]}
        error = await ground.refused("create-template", payload)
        (problem,) = error["details"]["problems"]
        assert (problem["line"], problem["severity"]) == (1, "error")
        await ground.done("create-template", {**payload, "parameters": [{**pattern, "default": "a+"}]})

    @pytest.mark.parametrize(
        ("change", "code", "field"),
        [
            ({"name": None}, "VALIDATION_ERROR", None),
            ({"name": ""}, "VALIDATION_ERROR", "name"),
            ({"dslTemplate": " "}, "VALIDATION_ERROR", "dslTemplate"),
            ({"parameters": [{"name": "tier", "type": "text"}]}, "VALIDATION_ERROR", "parameters[0].type"),
            ({"parameters": [{"name": "tier", "type": "string", "default": 1}]}, "VALIDATION_ERROR",
             "parameters[0].default"),
            ({"parameters": [{"name": "tier", "type": "string", "colour": 1}]}, "INVALID_REQUEST", None),
            ({"parameters": [{"name": "tier"}]}, "MISSING_PARAMETER", None),
            ({"colour": "red"}, "INVALID_REQUEST", None),
        ],
    )  # fmt: skip
    async def test_fields_that_are_wrong_are_refused(
        self, ground: Ground, change: dict[str, Any], code: str, field: str | None
    ) -> None:
        error = await ground.refused("create-template", {**TEMPLATE, **change})
        assert error["code"] == code
        if field is not None:
            assert error["details"]["problems"][0]["field"] == field

    @pytest.mark.parametrize("field", ["name", "dslTemplate", "parameters"])
    async def test_a_field_that_is_absent_is_missing(self, ground: Ground, field: str) -> None:
        error = await ground.refused("create-template", {key: TEMPLATE[key] for key in TEMPLATE if key != field})
        assert (error["code"], error["details"]) == ("MISSING_PARAMETER", {"field": field})


class TestUpdate:
    async def test_what_is_given_changes_and_the_rest_stays(self, ground: Ground, template: dict[str, Any]) -> None:
        changed = await ground.done(
            "update-template", {"templateId": template["templateId"], "expectedVersion": 1, "name": "discount by tier"}
        )
        kept = {key: changed[key] for key in ("description", "dslTemplate", "parameters", "createdAt")}
        assert kept == {key: template[key] for key in kept}
        assert (changed["name"], changed["version"]) == ("discount by tier", 2)
        assert changed["lagging"] == {"items": [], "total": 0}
        event = json.loads(ground.database.outbox[-1].payload)
        assert (event["eventType"], event["version"], event["data"]["previousVersion"]) == ("TemplateUpdated", 2, 1)

    async def test_it_tells_the_rules_that_lag(self, ground: Ground, template: dict[str, Any]) -> None:
        made = await ground.instantiate(template, rows=[VIP, {**VIP, "tier": "GOLD"}])
        changed = await ground.done("update-template", {"templateId": template["templateId"], "description": None})
        later = await ground.instantiate(template, parameters={**VIP, "tier": "NEW"})
        assert changed["description"] == ""
        assert changed["lagging"]["total"] == 2
        assert changed["lagging"]["items"][0] == {
            "ruleId": made["items"][1]["ruleId"],
            "name": "discount GOLD",
            "status": "DRAFT",
            "version": 1,
            "activeVersion": None,
            "templateVersion": 1,
        }
        again = await ground.done("update-template", {"templateId": template["templateId"], "name": "third version"})
        assert {one["ruleId"]: one["templateVersion"] for one in again["lagging"]["items"]} == {
            **{one["ruleId"]: 1 for one in made["items"]},
            later["items"][0]["ruleId"]: 2,
        }

    async def test_the_list_of_them_is_bounded_and_their_number_told(
        self, ground: Ground, template: dict[str, Any]
    ) -> None:
        await ground.instantiate(template, rows=[{**VIP, "tier": f"tier {n}"} for n in range(LAGGING_SHOWN_MAX + 1)])
        changed = await ground.done("update-template", {"templateId": template["templateId"], "name": "other name"})
        assert len(changed["lagging"]["items"]) == LAGGING_SHOWN_MAX
        assert changed["lagging"]["total"] == LAGGING_SHOWN_MAX + 1

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({}, "VALIDATION_ERROR"),
            ({"expectedVersion": 2, "name": "other name"}, "CONFLICT"),
            ({"name": "no"}, "VALIDATION_ERROR"),
            ({"dslTemplate": "when ${colour}"}, "VALIDATION_ERROR"),
            ({"parameters": []}, "VALIDATION_ERROR"),
            ({"templateId": "x", "name": "other name"}, "VALIDATION_ERROR"),
            ({"templateId": "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10", "name": "other name"}, "NOT_FOUND"),
            ({"name": "taken name"}, "BUSINESS_ERROR"),
            ({"name": None}, "VALIDATION_ERROR"),
            ({"version": 1}, "INVALID_REQUEST"),
        ],
    )
    async def test_what_is_refused(
        self, ground: Ground, template: dict[str, Any], change: dict[str, Any], code: str
    ) -> None:
        await ground.done("create-template", {**TEMPLATE, "name": "taken name"})
        error = await ground.refused("update-template", {"templateId": template["templateId"], **change})
        assert error["code"] == code


class TestDelete:
    async def test_its_name_is_free_and_its_rules_stay(self, ground: Ground, template: dict[str, Any]) -> None:
        made = await ground.instantiate(template, parameters=VIP)
        gone = await ground.done("delete-template", {"templateId": template["templateId"], "expectedVersion": 1})
        assert gone == template
        assert ground.rule(made["items"][0]).latest.template is not None
        assert json.loads(ground.database.outbox[-1].payload)["eventType"] == "TemplateDeleted"
        await ground.done("create-template", TEMPLATE)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"expectedVersion": 2}, "CONFLICT"),
            ({"templateId": "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10"}, "NOT_FOUND"),
            ({"templateId": "tier discount"}, "VALIDATION_ERROR"),
        ],
    )
    async def test_what_is_refused(
        self, ground: Ground, template: dict[str, Any], change: dict[str, Any], code: str
    ) -> None:
        error = await ground.refused("delete-template", {"templateId": template["templateId"], **change})
        assert error["code"] == code


class TestInstantiate:
    async def test_one_row_becomes_a_draft_that_remembers_it(self, ground: Ground, template: dict[str, Any]) -> None:
        result = await ground.instantiate(template, parameters=VIP)
        (view,) = result["items"]
        assert result["total"] == 1
        assert (view["name"], view["status"], view["version"], view["priority"]) == ("discount VIP", "DRAFT", 1, "HIGH")
        assert (view["templateId"], view["createdBy"]) == (template["templateId"], "ann")
        assert "dslContent" not in view
        rule = ground.rule(view)
        filled = 'when customer.tier == "VIP" && order.total >= 100.0 then set discount = 15'
        assert rule.content.dsl_content == filled
        assert rule.latest.template is not None
        assert rule.latest.template.template_id == TemplateId(template["templateId"])
        assert (rule.latest.template.version, rule.latest.template.parameters) == (1, {**VIP, "limit": 100})
        event = json.loads(ground.database.outbox[-1].payload)
        assert (event["eventType"], event["ruleId"]) == ("RuleCreated", view["ruleId"])
        assert event["data"] == {
            "templateId": template["templateId"],
            "templateVersion": 1,
            "parameters": {**VIP, "limit": 100},
        }

    async def test_its_digest_is_that_of_the_same_rule_by_hand(self, ground: Ground, template: dict[str, Any]) -> None:
        (view,) = (await ground.instantiate(template, parameters=VIP))["items"]
        rule = ground.rule(view)
        by_hand = replace(rule.content)
        assert by_hand.digest(rule.id, 1).hex() == json.loads(ground.database.outbox[-1].payload)["contentDigest"]

    async def test_each_row_becomes_a_rule_in_their_order(self, ground: Ground, template: dict[str, Any]) -> None:
        tiers = [f"tier {number}" for number in range(ROWS_MAX)]
        result = await ground.instantiate(template, rows=[{**VIP, "tier": tier} for tier in tiers])
        assert [one["name"] for one in result["items"]] == [f"discount {tier}" for tier in tiers]
        assert result["total"] == ROWS_MAX == len(ground.database.rules)
        ids = [json.loads(message.payload)["eventId"] for message in ground.database.outbox]
        assert len(set(ids)) == len(ids) == ROWS_MAX + 1

    @pytest.mark.parametrize(
        "hostile",
        [
            '" || true || "',
            '"\nthen stop //',
            "${percent}",
            "\\",
            '\\" || true',
            "\u2028\x00",
            "// not a comment",
            "'''",
        ],
    )
    async def test_a_value_is_never_source(self, ground: Ground, template: dict[str, Any], hostile: str) -> None:
        result = await ground.instantiate(template, parameters={**VIP, "tier": hostile}, name="hostile rule")
        rule = compile_rule(ground.rule(result["items"][0]).content.dsl_content)
        order = {"total": 500.0}
        assert rule.condition({"customer": {"tier": hostile}, "order": order}, FACT, {}) is True
        assert rule.condition({"customer": {"tier": "VIP"}, "order": order}, FACT, {}) is False

    async def test_all_rows_or_none_with_every_rows_problems(self, ground: Ground, template: dict[str, Any]) -> None:
        await ground.instantiate(template, parameters={**VIP, "tier": "TAKEN"})
        rows = [
            VIP,
            {"tier": 5, "percent": "15", "colour": "red"},
            {"percent": 15},
            {**VIP, "tier": "x" * 100},
            VIP,
            {**VIP, "tier": "TAKEN"},
            {**VIP, "tier": "a\nb"},
        ]
        error = await ground.instantiate_refused(template, rows=rows)
        assert error["code"] == "VALIDATION_ERROR"
        assert error["message"] == "row 2: parameter `colour`: the template has no such parameter (and 7 more)"
        assert error["details"]["problemCount"] == 8
        assert [(one["row"], one["code"], one["field"]) for one in error["details"]["problems"]] == [
            (2, "unknown-parameter", "parameters.colour"),
            (2, "parameter-type", "parameters.tier"),
            (2, "parameter-type", "parameters.percent"),
            (3, "missing-parameter", "parameters.tier"),
            (4, "name-too-long", "name"),
            (5, "name-taken", "name"),
            (6, "name-taken", "name"),
            (7, "name-not-printable", "name"),
        ]
        assert error["details"]["problems"][5]["hint"] == "row 1 has it too"

    async def test_a_row_that_is_no_rule_is_told_where_the_template_has_it(self, ground: Ground) -> None:
        pattern = {"name": "pattern", "type": "string"}
        template = await ground.done(
            "create-template",
            {"name": "by pattern", "dslTemplate": "when a.matches(${pattern})", "parameters": [pattern]},
        )
        rows = [{"pattern": "a+"}, {"pattern": "("}]
        error = await ground.instantiate_refused(template, rows=rows, name="matches ${pattern}")
        (problem,) = error["details"]["problems"]
        assert (problem["row"], problem["line"], problem["field"]) == (2, 1, "dslTemplate")
        assert problem["column"] <= len("when a.matches(${pattern})")

    async def test_names_that_are_taken_alone_are_a_matter_of_business(
        self, ground: Ground, template: dict[str, Any]
    ) -> None:
        await ground.instantiate(template, parameters=VIP)
        error = await ground.instantiate_refused(template, parameters=VIP)
        assert (error["code"], error["message"]) == ("BUSINESS_ERROR", "rule name already exists")
        error = await ground.instantiate_refused(template, rows=[{**VIP, "tier": "b"}, {**VIP, "tier": "b"}])
        assert (error["code"], error["message"]) == ("BUSINESS_ERROR", "row 2: rule name already exists")

    async def test_problems_are_bounded_and_counted(self, ground: Ground, template: dict[str, Any]) -> None:
        error = await ground.instantiate_refused(template, rows=[{}] * ROWS_MAX)
        assert len(error["details"]["problems"]) == PROBLEMS_SHOWN_MAX
        assert error["details"]["problemCount"] == 2 * ROWS_MAX

    @pytest.mark.parametrize(
        ("change", "code", "field"),
        [
            ({}, "MISSING_PARAMETER", "parameters"),
            ({"parameters": VIP, "rows": [VIP]}, "VALIDATION_ERROR", "rows"),
            ({"rows": []}, "VALIDATION_ERROR", "rows"),
            ({"rows": [VIP] * (ROWS_MAX + 1)}, "VALIDATION_ERROR", "rows"),
            ({"rows": VIP}, "VALIDATION_ERROR", None),
            ({"parameters": [VIP]}, "VALIDATION_ERROR", None),
            ({"parameters": VIP, "priority": "URGENT"}, "VALIDATION_ERROR", None),
            ({"parameters": VIP, "name": "${colour}"}, "VALIDATION_ERROR", None),
            ({"parameters": VIP, "name": ""}, "VALIDATION_ERROR", None),
            ({"parameters": VIP, "name": "x" * 1001}, "VALIDATION_ERROR", None),
            ({"parameters": {**VIP, "tier": "x" * 70_000}}, "VALIDATION_ERROR", None),
            ({"parameters": VIP, "tags": []}, "INVALID_REQUEST", "tags"),
            ({"parameters": VIP, "templateId": "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10"}, "NOT_FOUND", None),
            ({"parameters": VIP, "templateId": "tier discount"}, "VALIDATION_ERROR", "templateId"),
        ],
    )
    async def test_what_is_refused(
        self, ground: Ground, template: dict[str, Any], change: dict[str, Any], code: str, field: str | None
    ) -> None:
        error = await ground.instantiate_refused(template, **change)
        assert error["code"] == code
        if field is not None:
            assert error["details"]["field"] == field

    async def test_what_the_rules_take_together_is_bounded(self, ground: Ground, template: dict[str, Any]) -> None:
        rows = [{**VIP, "tier": f"{number:03}" + "x" * 5000} for number in range(200)]
        error = await ground.instantiate_refused(template, rows=rows, name="rule ${limit}")
        assert (error["code"], error["details"]["field"]) == ("VALIDATION_ERROR", "rows")

    async def test_so_are_defaults_that_every_rule_would_keep(self, ground: Ground) -> None:
        large = {"name": "unused", "type": "string", "default": "x" * 60_000}
        template = await ground.done("create-template", {**TEMPLATE, "parameters": [*PARAMETERS, large]})
        rows = [{**VIP, "tier": f"tier {number}"} for number in range(20)]
        error = await ground.instantiate_refused(template, rows=rows)
        assert (error["code"], error["details"]["field"]) == ("VALIDATION_ERROR", "rows")
        await ground.instantiate(template, rows=rows[:10])

    async def test_the_same_command_again_gets_the_first_answer_and_makes_nothing(
        self, ground: Ground, template: dict[str, Any]
    ) -> None:
        payload = {"templateId": template["templateId"], "name": "discount", "priority": "LOW", "parameters": VIP}
        first = await ground.send("instantiate-template", payload, "the-same-command-id")
        before = ground.stored()
        assert await ground.send("instantiate-template", payload, "the-same-command-id") == first
        other = await ground.send("instantiate-template", {**payload, "priority": "HIGH"}, "the-same-command-id")
        assert other["error"]["code"] == "CONFLICT"
        assert ground.stored() == before

    async def test_while_the_compiler_is_away_a_command_waits(self, ground: Ground, template: dict[str, Any]) -> None:
        ground.compiler.is_away = True
        for verb, payload in (
            ("create-template", {**TEMPLATE, "name": "other name"}),
            ("instantiate-template",
             {"templateId": template["templateId"], "name": "discount", "priority": "LOW", "parameters": VIP}),
        ):  # fmt: skip
            with pytest.raises(UnavailableError):
                await ground.send(verb, payload)

    async def test_a_version_by_hand_is_of_no_template_and_the_one_before_it_still_is(
        self, ground: Ground, template: dict[str, Any]
    ) -> None:
        (view,) = (await ground.instantiate(template, parameters=VIP))["items"]
        changed = await ground.done("update", {"ruleId": view["ruleId"], "expectedVersion": 1, "priority": "LOW"})
        assert changed["templateId"] is None
        versions = ground.database.versions
        first = versions[RuleId(view["ruleId"]), 1]
        assert first.template is not None
        assert versions[RuleId(view["ruleId"]), 2].template is None
