"""Every scenario on templates, against a real worker on real servers, and their own steps."""

from __future__ import annotations

import json
from typing import Any

from pytest_bdd import given, parsers, scenarios, then, when

from tests.behaviour.bus import eventually
from tests.behaviour.conftest import review
from tests.behaviour.world import World

PARAMETERS = [{"name": "tier", "type": "string"}, {"name": "percent", "type": "int", "default": 5}]
NUMBERED = "0123456789abcdef-0123456789abcdef"

scenarios("templates")


# --- writing templates ------------------------------------------------------------------------------------------------


def create(world: World, actor: str, name: str, dsl: str, parameters: Any = None) -> None:
    payload = {"name": name, "dslTemplate": dsl, "parameters": parameters or PARAMETERS}
    world.command(actor, "create-template", payload)


@given(parsers.parse('{actor} created the template "{name}" with the DSL:'))
def created(world: World, actor: str, name: str, docstring: str) -> None:
    create(world, actor, name, docstring)
    assert world.answer["status"] == "ok", world.answer
    world.template = world.answer["result"]


@when(parsers.parse('{actor} creates the template "{name}" with the DSL:'))
def creates(world: World, actor: str, name: str, docstring: str) -> None:
    create(world, actor, name, docstring)


@when(parsers.parse('{actor} creates the template "{name}" with an empty DSL'))
def creates_without_dsl(world: World, actor: str, name: str) -> None:
    create(world, actor, name, "")


@when(parsers.parse('{actor} creates the template "{name}" with the line {line}'))
def creates_with_a_line(world: World, actor: str, name: str, line: str) -> None:
    create(world, actor, name, line)


@when(parsers.parse('{actor} creates the template "{name}" with the parameters {parameters}'))
def creates_with_parameters(world: World, actor: str, name: str, parameters: str) -> None:
    create(world, actor, name, "then set a = ${percent}", json.loads(parameters))


@when(parsers.parse("{actor} updates version {version:d} of the template with the DSL:"))
def updates(world: World, actor: str, version: int, docstring: str) -> None:
    change = {"expectedVersion": version, "dslTemplate": docstring}
    rule = world.rule
    world.command(actor, "update-template", {"templateId": world.template["templateId"], **change})
    world.template = world.answer["result"] or world.template
    world.rule = rule


@when(parsers.parse("{actor} deletes the template"))
def deletes(world: World, actor: str) -> None:
    rule = world.rule
    world.done(actor, "delete-template", {"templateId": world.template["templateId"]})
    world.rule = rule


@then(parsers.parse('{actor} can create the template "{name}"'))
def can_create(world: World, actor: str, name: str) -> None:
    created(world, actor, name, "then set a = ${percent}")


# --- making rules -----------------------------------------------------------------------------------------------------


def make(world: World, actor: str, name: str, **rows: Any) -> None:
    payload = {"templateId": world.template["templateId"], "name": name, "priority": "MEDIUM", **rows}
    world.command(actor, "instantiate-template", payload)
    if world.answer["status"] == "ok":
        world.rule = world.answer["result"]["items"][0]


@given(parsers.parse('{actor} made the rule "{name}" of the template with:'))
@when(parsers.parse('{actor} makes the rule "{name}" of the template with:'))
def makes(world: World, actor: str, name: str, docstring: str) -> None:
    make(world, actor, name, parameters=json.loads(docstring))


@when(parsers.parse('{actor} makes the rule "{name}" of the template with the values {values}'))
def makes_with(world: World, actor: str, name: str, values: str) -> None:
    make(world, actor, name, parameters=json.loads(values))


@when(parsers.parse('{actor} makes the rule "{name}" of the template with the tier {tier}'))
def makes_for_a_tier(world: World, actor: str, name: str, tier: str) -> None:
    make(world, actor, name, parameters={"tier": json.loads(tier)})


@when(parsers.parse('{actor} makes rules "{name}" of the template with the rows:'))
def makes_many(world: World, actor: str, name: str, docstring: str) -> None:
    make(world, actor, name, rows=json.loads(docstring))


@when(parsers.parse('{actor} makes the rule "{name}" of the template twice, under one command id'))
def makes_twice(world: World, actor: str, name: str) -> None:
    fields = {"name": name, "priority": "MEDIUM", "parameters": {"tier": "VIP"}}
    payload = {"templateId": world.template["templateId"], **fields}
    world.command(actor, "instantiate-template", payload, NUMBERED)
    world.first_answer = world.answer
    work = world.bus.jetstream.publish(
        f"rules.command.{actor}.instantiate-template", json.dumps(payload).encode(), headers={"Nats-Msg-Id": NUMBERED}
    )
    assert world.run(work).duplicate is True
    world.answer = world.run(world.bus.query(actor, "command", {"commandId": NUMBERED}))["result"]


# --- commands as such -------------------------------------------------------------------------------------------------


def full_payload(world: World, verb: str) -> dict[str, Any]:
    """Give a payload of a verb with every field that it takes to be done."""
    if verb == "create-template":
        return {"name": "another", "dslTemplate": "then set a = ${percent}", "parameters": PARAMETERS}
    fields: dict[str, Any] = {"templateId": world.template["templateId"]}
    if verb == "update-template":
        fields["name"] = "another name"
    if verb == "instantiate-template":
        fields |= {"name": "some rule", "priority": "LOW", "parameters": {"tier": "VIP"}}
    return fields


@when(parsers.parse("{actor} sends the template command {verb} without {field}"))
def sends_without(world: World, actor: str, verb: str, field: str) -> None:
    payload = full_payload(world, verb)
    del payload[field]
    world.command(actor, verb, payload)


@when(parsers.parse("{actor} sends the template command {verb} with {field} set to {value}"))
def sends_with(world: World, actor: str, verb: str, field: str, value: str) -> None:
    world.command(actor, verb, {**full_payload(world, verb), field: json.loads(value)})


# --- what came of it --------------------------------------------------------------------------------------------------


@then(parsers.parse('the answer is the template "{name}" at version {version:d}'))
def answer_is_a_template(world: World, name: str, version: int) -> None:
    assert world.answer["status"] == "ok", world.answer
    view = world.answer["result"]
    assert (view["name"], view["version"]) == (name, version)


@then(parsers.parse("the event {name} of the template is published, by {actor}, at version {version:d}"))
def event_is_published(world: World, name: str, actor: str, version: int) -> None:
    template_id = world.template["templateId"]
    subject = f"rules.event.{template_id}.{name}"
    message = world.run(eventually(lambda: world.bus.last("RULES_EVENTS", subject), lambda found: found is not None))
    assert message is not None
    keys = ("eventType", "ruleId", "name", "version", "status", "actor", "commandId")
    assert {key: message.body[key] for key in keys} == {
        "eventType": name,
        "ruleId": template_id,
        "name": world.template["name"],
        "version": version,
        "status": "TEMPLATE",
        "actor": actor,
        "commandId": world.answer["commandId"],
    }
    assert message.body["data"]["templateId"] == template_id
    assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == message.body["eventId"]
    world.run(world.published_is_history())


@then("the template can be asked for by its id and by its name")
def can_be_asked_for(world: World) -> None:
    shown = {**world.template, "laggingRules": 0}
    assert world.run(world.bus.ask("template", templateId=world.template["templateId"])) == shown
    assert world.run(world.bus.ask("template", name=world.template["name"])) == shown


@then(parsers.parse("the templates are: {names}"))
def templates_are(world: World, names: str) -> None:
    page = world.run(world.bus.ask("templates"))
    assert [one["name"] for one in page["items"]] == names.split(", ")
    assert page["total"] == len(page["items"])
    assert all("dslTemplate" not in one for one in page["items"])


@then(parsers.parse("the problem {code} is shown at line {line:d}, column {column:d}"))
def problem_is_shown(world: World, code: str, line: int, column: int) -> None:
    problems = world.answer["error"]["details"]["problems"]
    assert (code, line, column) in [(one["code"], one["line"], one["column"]) for one in problems], problems


@then(parsers.parse("the problem has the code {code} and row {row:d}"))
def problem_of_a_row(world: World, code: str, row: int) -> None:
    problems = world.answer["error"]["details"]["problems"]
    assert (code, row) in [(one["code"], one["row"]) for one in problems]


@then(parsers.parse("the rows with problems are: {rows}"))
def rows_with_problems(world: World, rows: str) -> None:
    details = world.answer["error"]["details"]
    assert [str(one["row"]) for one in details["problems"]] == rows.split(", ")
    assert details["problemCount"] == len(details["problems"])


@then(parsers.parse("{count:d} rules are made, in DRAFT, of version {version:d} of the template"))
def rules_are_made(world: World, count: int, version: int) -> None:
    assert world.answer["status"] == "ok", world.answer
    result = world.answer["result"]
    assert (len(result["items"]), result["total"]) == (count, count)
    for rule in result["items"]:
        assert (rule["status"], rule["version"]) == ("DRAFT", 1)
        assert rule["templateId"] == world.template["templateId"]
        (made,) = world.run(world.bus.ask("versions", ruleId=rule["ruleId"]))["items"]
        assert (made["templateId"], made["templateVersion"]) == (world.template["templateId"], version)
    page = world.run(world.bus.ask("list"))
    assert sorted(one["ruleId"] for one in page["items"]) == sorted(one["ruleId"] for one in result["items"])
    world.run(world.published_is_history())


@then(parsers.parse("the rules are named: {names}"))
def rules_are_named(world: World, names: str) -> None:
    assert [one["name"] for one in world.answer["result"]["items"]] == names.split(", ")


@then(parsers.parse('the rule "{name}" says:'))
def rule_says(world: World, name: str, docstring: str) -> None:
    assert world.run(world.bus.ask("get", name=name))["dslContent"] == docstring


@then(parsers.parse("the event RuleCreated of the rule names the template, its version {version:d} and the values:"))
def event_names_the_template(world: World, version: int, docstring: str) -> None:
    subject = f"rules.event.{world.rule['ruleId']}.RuleCreated"
    message = world.run(eventually(lambda: world.bus.last("RULES_EVENTS", subject), lambda found: found is not None))
    assert message is not None
    assert message.body["data"] == {
        "templateId": world.template["templateId"],
        "templateVersion": version,
        "parameters": json.loads(docstring),
    }


@then(parsers.re(r"its version (?P<number>\d+) remembers (?P<what>the|no) template"))
def version_remembers(world: World, number: str, what: str) -> None:
    versions = world.run(world.bus.ask("versions", ruleId=world.rule["ruleId"]))["items"]
    (version,) = (one for one in versions if one["version"] == int(number))
    wanted = world.template["templateId"] if what == "the" else None
    assert version["templateId"] == wanted
    assert (version["templateParameters"] is None) == (what == "no")


@then("the rule, once active, is unmatched for a gold customer")
def is_unmatched(world: World) -> None:
    review(world, activate=True)
    decision = world.run(
        eventually(
            lambda: world.bus.decide("order.placed", {"customer": {"tier": "gold"}}),
            lambda seen: seen["ruleset"]["revision"] == 1,
        )
    )
    assert (decision["outcome"], decision["output"], decision["faults"]) == ("unmatched", {}, [])


@then(parsers.parse("the rules that lag behind it are: {names}"))
def rules_lag(world: World, names: str) -> None:
    lagging = world.answer["result"]["lagging"]
    assert [one["name"] for one in lagging["items"]] == names.split(", ")
    assert lagging["total"] == len(lagging["items"])


@then(parsers.parse("the template tells that {count:d} rules lag"))
def template_tells(world: World, count: int) -> None:
    shown = world.run(world.bus.ask("template", templateId=world.template["templateId"]))
    assert shown["laggingRules"] == count


@then(parsers.parse("the template is not there any more, but its history is: {names}"))
def only_history(world: World, names: str) -> None:
    template_id = world.template["templateId"]
    gone = world.run(world.bus.query("viewer", "template", {"templateId": template_id}))
    assert gone["error"]["code"] == "NOT_FOUND"
    history = world.run(world.bus.ask("history", templateId=template_id))
    assert [one["eventType"] for one in history["items"]] == names.split(", ")


@then("both answers are the same, and 1 rule is there")
def answered_once(world: World) -> None:
    assert world.answer == world.first_answer
    assert world.run(world.bus.ask("list"))["total"] == 1
