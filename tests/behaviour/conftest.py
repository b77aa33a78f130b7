"""The steps of every feature. pytest-bdd is synchronous: each step runs the scenario's event loop until it is done."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pytest_bdd import given, parsers, then, when

from streams import topology
from tests.behaviour.bus import WAIT_S, eventually
from tests.behaviour.world import Sent, World

PROJECT = Path(__file__).parents[2]
GOLD = 'when customer.tier == "gold" then set discount = {}'
CUSTOMERS = {"gold": {"customer": {"tier": "gold"}}, "silver": {"customer": {"tier": "silver"}}}
FORGETFUL = {"duplicate_window_s": 1}
NUMBERED = "0123456789abcdef-0123456789abcdef"


@pytest.fixture
def world(nats_url: str, database: str, redis_url: str) -> Iterator[World]:
    world = World({"nats_url": nats_url, "postgres_dsn": database, "redis_url": redis_url})
    try:
        yield world
    finally:
        world.close()


# --- workers and servers ----------------------------------------------------------------------------------------------


@given("a worker runs")
@when("a worker starts")
def a_worker_runs(world: World) -> None:
    world.start_worker()


@given("a worker runs on streams that forget message ids after a second")
def a_worker_on_forgetful_streams(world: World) -> None:
    world.start_worker(**FORGETFUL)


@given("two workers run")
def two_workers_run(world: World) -> None:
    world.start_worker()
    world.start_worker()


@given("a worker runs under the role policy:")
def a_worker_under_a_policy(world: World, docstring: str) -> None:
    world.start_worker(role_policy=json.loads(docstring))


@given("the streams are declared and no worker runs")
def streams_without_a_worker(world: World) -> None:
    client = world.bus.client
    world.run(topology.apply(topology.topology(world.settings().topology), client, client))


@given("a worker of its own process dies after each decision, before it can answer")
def a_dying_worker(world: World) -> None:
    # Unacknowledged commands come again after a second; the durable consumer keeps that for the next worker.
    client = world.bus.client
    world.run(topology.apply(topology.topology(world.settings(ack_wait_s=1).topology), client, client))
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        **{f"RULESTREAM_{name.upper()}": value for name, value in world.addresses.items()},
        "RULESTREAM_HTTP_PORT": "0",
    }
    script = Path(__file__).with_name("dying_worker.py")
    world.process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)


@given("the worker has died with the command decided")
def the_worker_has_died(world: World) -> None:
    process = world.process
    assert process is not None

    async def ended() -> int | None:
        return process.poll()

    assert world.run(eventually(ended, lambda code: code is not None)) == -signal.SIGKILL
    assert world.run(decided_commands(world)) == 1


@given("a worker runs on servers of its own")
def a_worker_on_own_servers(world: World, free_folder: Path) -> None:
    world.start_own_servers(free_folder)
    world.start_worker()


@given("Postgres is stopped")
def postgres_is_stopped(world: World) -> None:
    assert world.stack is not None
    world.run(world.stack.postgres.stop())


# --- rules on their way -----------------------------------------------------------------------------------------------


def create(world: World, actor: str, name: str, dsl: str) -> None:
    world.command(actor, "create", {"name": name, "dslContent": dsl, "priority": "MEDIUM"})


@given(parsers.parse('{actor} created the rule "{name}"'))
def created(world: World, actor: str, name: str) -> None:
    world.done(actor, "create", {"name": name, "dslContent": GOLD.format(10), "priority": "MEDIUM"})


@given(parsers.parse('the {status} rule "{name}" with the DSL:'))
def rule_with_dsl(world: World, status: str, name: str, docstring: str) -> None:
    world.done("ann", "create", {"name": name, "dslContent": docstring, "priority": "MEDIUM"})
    review(world, activate=status == "active")


@given(parsers.parse('the active rule "{name}" of priority {priority} with the DSL:'))
def rule_of_priority(world: World, name: str, priority: str, docstring: str) -> None:
    world.done("ann", "create", {"name": name, "dslContent": docstring, "priority": priority})
    review(world, activate=True)


@given(parsers.parse('the rule "{name}" is {status}'))
def rule_is(world: World, name: str, status: str) -> None:
    created(world, "ann", name)
    review(world, activate=status == "active")


def review(world: World, *, activate: bool) -> None:
    named = {"ruleId": world.rule["ruleId"]}
    world.done("ann", "submit", named)
    world.done("bob", "approve", {**named, "expectedVersion": world.rule["version"]})
    if activate:
        world.done("bob", "activate", named)


@when(parsers.parse('{actor} creates the rule "{name}" with the DSL:'))
def creates(world: World, actor: str, name: str, docstring: str) -> None:
    create(world, actor, name, docstring)


@when(parsers.parse('{actor} creates the rule "{name}" with an empty DSL'))
def creates_without_dsl(world: World, actor: str, name: str) -> None:
    create(world, actor, name, "")


@when(parsers.parse("{actor} creates a rule with a name of {length:d} characters"))
def creates_with_a_long_name(world: World, actor: str, length: int) -> None:
    create(world, actor, "n" * length, GOLD.format(10))


@when(parsers.parse('{actor} updates the rule with the name "{name}"'))
@given(parsers.parse('{actor} updates the rule with the name "{name}"'))
def updates_the_name(world: World, actor: str, name: str) -> None:
    world.on_rule(actor, "update", expectedVersion=world.rule["version"], name=name)


@when(parsers.parse("{actor} updates the rule with the discount {discount:d}"))
@given(parsers.parse("{actor} updates the rule with the discount {discount:d}"))
def updates_the_discount(world: World, actor: str, discount: int) -> None:
    world.on_rule(actor, "update", expectedVersion=world.rule["version"], dslContent=GOLD.format(discount))


@when(parsers.parse('{actor} updates version {version:d} of the rule with the name "{name}"'))
def updates_a_version(world: World, actor: str, version: int, name: str) -> None:
    world.on_rule(actor, "update", expectedVersion=version, name=name)


@when(parsers.parse("{actor} updates the rule with no field at all"))
def updates_nothing(world: World, actor: str) -> None:
    world.on_rule(actor, "update", expectedVersion=world.rule["version"])


@when(parsers.parse("{actor} submits the rule"))
@given(parsers.parse("{actor} submitted the rule"))
def submits(world: World, actor: str) -> None:
    world.on_rule(actor, "submit")


@when(parsers.parse("{actor} approves version {version:d} of the rule"))
@given(parsers.parse("{actor} approved version {version:d} of the rule"))
def approves(world: World, actor: str, version: int) -> None:
    world.on_rule(actor, "approve", expectedVersion=version)


@when(parsers.parse('{actor} rejects the rule because "{reason}"'))
def rejects(world: World, actor: str, reason: str) -> None:
    world.on_rule(actor, "reject", reason=reason)


@when(parsers.parse("{actor} activates the rule"))
def activates(world: World, actor: str) -> None:
    world.on_rule(actor, "activate")


@when(parsers.parse("{actor} deactivates the rule"))
@given(parsers.parse("{actor} deactivated the rule"))
def deactivates(world: World, actor: str) -> None:
    world.on_rule(actor, "deactivate")


@when(parsers.parse("{actor} rolls the rule back to version {version:d}"))
def rolls_back(world: World, actor: str, version: int) -> None:
    world.command(actor, "rollback", {"ruleId": world.rule["ruleId"], "toVersion": version})


@when(parsers.parse("{actor} deprecates the rule"))
def deprecates(world: World, actor: str) -> None:
    world.on_rule(actor, "deprecate")


@when(parsers.parse("{actor} deletes the rule"))
def deletes(world: World, actor: str) -> None:
    world.on_rule(actor, "delete")


@then(parsers.parse('{actor} can create the rule "{name}"'))
def can_create(world: World, actor: str, name: str) -> None:
    created(world, actor, name)


# --- commands as such -------------------------------------------------------------------------------------------------


def full_payload(world: World, verb: str) -> dict[str, Any]:
    """Give a payload of a verb with every required field, for the rule of the scenario."""
    if verb == "create":
        return {"name": "another rule", "dslContent": GOLD.format(10), "priority": "LOW"}
    fields: dict[str, Any] = {"ruleId": world.rule["ruleId"]}
    if verb in {"update", "approve"}:
        fields["expectedVersion"] = world.rule["version"]
    if verb == "update":
        fields["name"] = "another name"
    if verb == "rollback":
        fields["toVersion"] = 1
    if verb == "reject":
        fields["reason"] = "too generous"
    return fields


@when(parsers.parse("{actor} sends the command {verb} with the payload:"))
def sends_a_payload(world: World, actor: str, verb: str, docstring: str) -> None:
    world.command(actor, verb, docstring.encode())


@when(
    parsers.re(r"(?P<actor>\w+) sends the command (?P<verb>\w+) with (?P<payload>bytes|a JSON|JSON nested|more|an).*")
)
def sends_no_request(world: World, actor: str, verb: str, payload: str) -> None:
    good = full_payload(world, verb)
    payloads = {
        "bytes": b"{not JSON",
        "a JSON": b'["name", "dslContent", "priority"]',
        "JSON nested": b'{"tags":' + b"[" * 64 + b"]" * 64 + b"}",
        "more": json.dumps({**good, "description": "x" * 1024 * 1024}).encode(),
        "an": json.dumps({**good, "colour": "gold"}).encode(),
    }
    world.command(actor, verb, payloads[payload])


@when(parsers.re(r"(?P<actor>\w+) sends the command (?P<verb>\w+) without (?P<field>\w+)"))
def sends_without(world: World, actor: str, verb: str, field: str) -> None:
    payload = full_payload(world, verb)
    del payload[field]
    world.command(actor, verb, payload)


@when(parsers.re(r"(?P<actor>\w+) sends the command (?P<verb>\w+) with (?P<field>\w+) set to (?P<value>.+)"))
def sends_with(world: World, actor: str, verb: str, field: str, value: str) -> None:
    world.command(actor, verb, {**full_payload(world, verb), field: json.loads(value)})


@when(parsers.parse("{actor} tries the command {verb}"))
def tries(world: World, actor: str, verb: str) -> None:
    world.command(actor, verb, full_payload(world, verb))


@given(parsers.parse("{actor} is refused with {code} for the command {verb}"))
def is_refused(world: World, actor: str, code: str, verb: str) -> None:
    tries(world, actor, verb)
    answer_is_an_error(world, code)


@when(parsers.parse("{actor} sends the command {verb} for an unknown rule"))
def sends_for_unknown(world: World, actor: str, verb: str) -> None:
    world.command(actor, verb, {**full_payload(world, verb), "ruleId": str(uuid.uuid4())})


@given(parsers.parse('{actor} sent the command to create the rule "{name}"'))
def sent(world: World, actor: str, name: str) -> None:
    payload = {"name": name, "dslContent": GOLD.format(10), "priority": "MEDIUM"}
    rule = world.rule
    world.sent.append(Sent(actor, "create", payload, NUMBERED))
    world.command(actor, "create", payload, NUMBERED)
    world.first_answer = world.answer
    world.rule = rule or world.rule


@when(parsers.parse("{actor} sends the same command again, later"))
def sends_again(world: World, actor: str) -> None:
    send_later(world, actor, world.sent[0].payload)


@when(parsers.parse("{actor} sends the same command again, later, with its keys in another order"))
def sends_again_reordered(world: World, actor: str) -> None:
    send_later(world, actor, dict(reversed(world.sent[0].payload.items())))


@when(parsers.parse('{actor} sends a command to create the rule "{name}" under the same id, later'))
def sends_another(world: World, actor: str, name: str) -> None:
    send_later(world, actor, {**world.sent[0].payload, "name": name})


def send_later(world: World, actor: str, payload: dict[str, Any]) -> None:
    """Send under the first command's id, once the stream has forgotten it."""
    world.remember()
    world.answer = world.run(answer_later(world, actor, payload))
    if world.answer["status"] == "ok":
        world.rule = world.answer["result"]


async def answer_later(world: World, actor: str, payload: dict[str, Any]) -> dict[str, Any]:
    bus = world.bus
    command_id = world.sent[0].command_id
    replies = await bus.client.subscribe(f"rules.reply.{actor}.{command_id}")
    await bus.client.flush()
    headers = {"Nats-Msg-Id": command_id}
    await eventually(
        lambda: bus.jetstream.publish(f"rules.command.{actor}.create", json.dumps(payload).encode(), headers=headers),
        lambda acknowledgement: not acknowledgement.duplicate,
    )
    answer: dict[str, Any] = json.loads((await replies.next_msg(timeout=WAIT_S)).data)
    await replies.unsubscribe()
    return answer


@when(parsers.parse("{actor} publishes the same command again at once"))
def publishes_again(world: World, actor: str) -> None:
    first = world.sent[0]
    world.remember()
    work = world.bus.jetstream.publish(
        f"rules.command.{actor}.{first.verb}",
        json.dumps(first.payload).encode(),
        headers={"Nats-Msg-Id": first.command_id},
    )
    world.acknowledgement = world.run(work)


@given(parsers.parse('{actor} published a command to create the rule "{name}"'))
def published(world: World, actor: str, name: str) -> None:
    publish_creations(world, actor, [name])


@given(parsers.parse('{actor} published commands to create the rules "{first}", "{second}" and "{third}"'))
def published_three(world: World, actor: str, first: str, second: str, third: str) -> None:
    publish_creations(world, actor, [first, second, third])


def publish_creations(world: World, actor: str, names: list[str]) -> None:
    """Publish commands without waiting for answers, but listen for them."""
    bus = world.bus

    async def publish() -> None:
        world.replies = await bus.client.subscribe(f"rules.reply.{actor}.*")
        await bus.client.flush()
        for name in names:
            payload = {"name": name, "dslContent": GOLD.format(10), "priority": "MEDIUM"}
            world.sent.append(Sent(actor, "create", payload, str(uuid.uuid4())))
            await bus.send_command(actor, "create", payload, {"Nats-Msg-Id": world.sent[-1].command_id})

    world.run(publish())


@when(parsers.parse('{count:d} actors create the rule "{name}" at once'))
def create_at_once(world: World, count: int, name: str) -> None:
    send_at_once(world, count, "create", {"name": name, "dslContent": GOLD.format(10), "priority": "MEDIUM"})


@when(parsers.parse("{count:d} actors update version {version:d} of the rule at once"))
def update_at_once(world: World, count: int, version: int) -> None:
    change = {"ruleId": world.rule["ruleId"], "expectedVersion": version, "description": "for gold"}
    send_at_once(world, count, "update", change)


def send_at_once(world: World, count: int, verb: str, payload: dict[str, Any]) -> None:
    """Send one command as each of so many actors; workers decide one actor's in turn, but several actors' at once."""
    bus = world.bus

    async def send() -> list[dict[str, Any]]:
        senders = (bus.command(f"actor-{number}", verb, payload) for number in range(count))
        return list(await asyncio.gather(*senders))

    world.answers = world.run(send())


@when(parsers.parse("{actor} publishes a command {fault}"))
def publishes_faulty(world: World, actor: str, fault: str) -> None:
    """Publish what nobody can be answered for."""
    subject = f"rules.command.{actor}.submit"
    headers = {"Nats-Msg-Id": NUMBERED}
    if given_id := re.search(r'the id "(.+)"', fault):
        headers = {"Nats-Msg-Id": given_id[1]}
    elif fault == "without an id":
        headers = {}
    elif fault == "under five tokens":
        subject = f"rules.command.{actor}.submit.now"
    else:
        # In lower case: a server that knows schedules refuses the header's own spelling by itself.
        forged = {
            "stream republished": "Nats-Stream",
            "another subject": "Nats-Subject",
            "schedule sent": "nats-scheduler",
            "schedule's target": "Nats-Schedule-Target",
        }
        headers |= {header: "SOMETHING" for words, header in forged.items() if words in fault}
        assert len(headers) == 2
    body = json.dumps({"ruleId": world.rule["ruleId"]}).encode()
    world.remember()
    world.run(world.bus.jetstream.publish(subject, body, headers=headers or None))
    world.dead = (f"dead.commands.{subject.removeprefix('rules.command.')}", body)


@when(parsers.parse("{actor} asks for the rules"))
def asks_for_rules(world: World, actor: str) -> None:
    world.answer = world.run(world.bus.query(actor, "list"))


# --- answers ----------------------------------------------------------------------------------------------------------


@then(parsers.parse("the answer is a rule in status {status} at version {version:d}"))
def answer_is_a_rule(world: World, status: str, version: int) -> None:
    assert world.answer["status"] == "ok", world.answer
    assert world.answer["error"] is None
    assert (world.rule["status"], world.rule["version"]) == (status, version)


@then(parsers.parse('the answer is the error {code} with "{message}"'))
def answer_is_an_error_saying(world: World, code: str, message: str) -> None:
    answer_is_an_error(world, code)
    assert world.answer["error"]["message"] == message


@then(parsers.re(r"the answer is the error (?P<code>[A-Z_]+)"))
def answer_is_an_error(world: World, code: str) -> None:
    assert world.answer["status"] == "error", world.answer
    assert world.answer["result"] is None
    assert world.answer["error"]["code"] == code, world.answer
    assert world.answer["error"]["message"]


@then(parsers.parse("a problem is shown at line {line:d}, column {column:d}, with its code and message"))
def problem_shown(world: World, line: int, column: int) -> None:
    (problem,) = world.answer["error"]["details"]["problems"]
    assert (problem["line"], problem["column"]) == (line, column)
    assert problem["code"] == "syntax"
    assert problem["message"] == "unexpected `=`"
    assert problem["hint"] == "equality is `==`"


@then(parsers.parse("the problems are of the fields {fields}"))
def problems_of_fields(world: World, fields: str) -> None:
    problems = world.answer["error"]["details"]["problems"]
    assert [problem["field"] for problem in problems] == fields.split(", ")


@then(parsers.parse("its details name the field {field}"))
def details_name_the_field(world: World, field: str) -> None:
    assert world.answer["error"]["details"]["field"] == field


@then(parsers.re(r"one of the answers is ok and the others are the error (?P<code>[A-Z_]+)"))
def one_is_ok(world: World, code: str) -> None:
    (done,) = (answer for answer in world.answers if answer["status"] == "ok")
    world.rule = done["result"]
    refused = [answer["error"]["code"] for answer in world.answers if answer["status"] == "error"]
    assert refused == [code] * (len(world.answers) - 1)


@then(parsers.parse('one of the answers is ok and the others are the error {code} with "{message}"'))
def one_is_ok_and_the_others_say(world: World, code: str, message: str) -> None:
    one_is_ok(world, code)
    assert {answer["error"]["message"] for answer in world.answers if answer["error"]} == {message}


@then(parsers.parse("there is one rule, whose events are {names}"))
def one_rule_with_events(world: World, names: str) -> None:
    page = world.run(world.bus.ask("list"))
    assert [rule["ruleId"] for rule in page["items"]] == [world.rule["ruleId"]]
    history = world.run(world.bus.ask("history", ruleId=world.rule["ruleId"]))
    assert [event["eventType"] for event in history["items"]] == names.split(", ")
    world.run(world.published_is_history())


@then(parsers.parse("its details name the actor {actor}, the verb {verb} and the role {role}"))
def details_name_the_role(world: World, actor: str, verb: str, role: str) -> None:
    details = world.answer["error"]["details"]
    assert details == {"actor": actor, "verb": verb, "neededRoles": sorted(["admin", role])}


@then("the answer is the first one")
def answer_is_the_first(world: World) -> None:
    assert world.answer == world.first_answer


@then("nothing has changed")
def nothing_has_changed(world: World) -> None:
    assert world.run(world.tables()) == world.before
    world.run(world.published_is_history())


@then("its acknowledgement says that it is a duplicate")
def acknowledged_as_duplicate(world: World) -> None:
    assert world.acknowledgement.duplicate is True


@then(parsers.parse("the query command gives {actor} the first answer"))
def query_gives_the_answer(world: World, actor: str) -> None:
    found = world.run(world.bus.query(actor, "command", {"commandId": world.sent[0].command_id}))
    assert found == {"status": "ok", "result": world.first_answer, "error": None}


@then(parsers.parse("the query command gives {actor} the error {code}"))
def query_gives_an_error(world: World, actor: str, code: str) -> None:
    found = world.run(world.bus.query(actor, "command", {"commandId": world.sent[0].command_id}))
    assert (found["status"], found["error"]["code"]) == ("error", code)


@then("the three commands are decided, in the order in which they were published")
def decided_in_order(world: World) -> None:
    async def answers() -> list[dict[str, Any]]:
        return [json.loads((await world.replies.next_msg(timeout=WAIT_S)).data) for _ in world.sent]

    found = world.run(answers())
    assert [answer["commandId"] for answer in found] == [one.command_id for one in world.sent]
    assert [answer["status"] for answer in found] == ["ok"] * 3
    world.run(world.published_is_history())


@then("the answer to the command still comes")
def answer_still_comes(world: World) -> None:
    message = world.run(world.replies.next_msg(timeout=WAIT_S))
    world.answer = json.loads(message.data)
    assert message.subject == f"rules.reply.ann.{world.sent[0].command_id}"
    assert world.answer["status"] == "ok"


@then("the rule was created once")
def created_once(world: World) -> None:
    page = world.run(world.bus.ask("list"))
    assert [rule["ruleId"] for rule in page["items"]] == [world.answer["result"]["ruleId"]]
    world.run(world.published_is_history())
    assert len(world.run(world.bus.stored("RULES_EVENTS"))) == 1


@then("the command waits unanswered")
def command_waits(world: World) -> None:
    async def waiting() -> tuple[int, int]:
        info = await world.bus.jetstream.consumer_info("RULES_COMMANDS", "rulestream-commands")
        return info.num_ack_pending, info.num_redelivered

    # The worker holds on to it, and those behind it: answered or dropped it would not be pending.
    assert world.run(eventually(waiting, lambda seen: seen == (1, 0)))
    assert world.replies.pending_msgs == 0


@then("when Postgres is back the answer to the command comes")
def answered_when_back(world: World) -> None:
    assert world.stack is not None
    world.run(world.stack.postgres.start())
    answer_still_comes(world)
    created_once(world)


# --- rules, events, decisions -----------------------------------------------------------------------------------------


@then("the rule can be read back as it was answered")
def read_back(world: World) -> None:
    assert world.run(world.bus.ask("get", ruleId=world.rule["ruleId"])) == world.rule


@then("the rule has no version that decides")
def no_version_decides(world: World) -> None:
    assert world.rule["activeVersion"] is None


@then(parsers.parse("version {version:d} of the rule decides"))
def version_decides(world: World, version: int) -> None:
    assert world.rule["activeVersion"] == version


@then(parsers.parse("the rule was created by {actor}"))
def was_created_by(world: World, actor: str) -> None:
    assert world.rule["createdBy"] == world.rule["updatedBy"] == actor


@then(parsers.parse("the rule was approved by {actor}"))
def was_approved_by(world: World, actor: str) -> None:
    assert world.rule["approvedBy"] == actor


@then(parsers.parse("the event {name} of the rule is published, by {actor}, with status {status}"))
def event_is_published(world: World, name: str, actor: str, status: str) -> None:
    rule = world.rule
    subject = f"rules.event.{rule['ruleId']}.{name}"
    message = world.run(eventually(lambda: world.bus.last("RULES_EVENTS", subject), lambda found: found is not None))
    assert message is not None
    world.event = event = message.body
    known = {key: event[key] for key in ("eventType", "ruleId", "name", "version", "status", "actor", "commandId")}
    assert known == {
        "eventType": name,
        "ruleId": rule["ruleId"],
        "name": rule["name"],
        "version": rule["version"],
        "status": status,
        "actor": actor,
        "commandId": world.answer["commandId"],
    }
    assert event["occurredAt"] == rule["updatedAt"]
    assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == event["eventId"]
    assert message.headers["ce-type"] == f"rulestream.event.{name}"


@then(parsers.parse('the event says the reason "{reason}"'))
def event_says_reason(world: World, reason: str) -> None:
    assert world.event["data"] == {"reason": reason}


@then(parsers.parse("the event says revision {revision:d}"))
def event_says_revision(world: World, revision: int) -> None:
    assert world.event["revision"] == revision


@then(parsers.parse("the ruleset is at revision {revision:d} with the rules: {names}"))
def ruleset_is(world: World, revision: int, names: str) -> None:
    found = world.run(world.bus.ask("ruleset"))
    assert found["revision"] == revision
    assert sorted(rule["name"] for rule in found["items"]) == names.split(", ")


@when(parsers.parse("a fact of a {tier} customer is decided"))
def fact_is_decided(world: World, tier: str) -> None:
    world.decision = world.run(world.bus.decide("order.placed", CUSTOMERS[tier]))


@then(parsers.parse("the decision is {outcome} under revision {revision:d}"))
def decision_is(world: World, outcome: str, revision: int) -> None:
    assert (world.decision["outcome"], world.decision["ruleset"]["revision"]) == (outcome, revision)


@then(
    parsers.parse("a fact of a {tier} customer is matched with the discount {discount:d} under revision {revision:d}")
)
def fact_is_matched(world: World, tier: str, discount: int, revision: int) -> None:
    decision = world.run(decided_under(world, tier, revision))
    assert decision["outcome"] == "matched"
    assert decision["output"] == {"discount": discount}
    assert [match["name"] for match in decision["matches"]] == [world.rule["name"]]


@then(parsers.parse("a fact of a {tier} customer is unmatched under revision {revision:d}"))
def fact_is_unmatched_under(world: World, tier: str, revision: int) -> None:
    decision = world.run(decided_under(world, tier, revision))
    assert (decision["outcome"], decision["output"], decision["matches"]) == ("unmatched", {}, [])


@then(parsers.re(r"a fact of a (?P<tier>\w+) customer is unmatched"))
def fact_is_unmatched(world: World, tier: str) -> None:
    decision = world.run(world.bus.decide("order.placed", CUSTOMERS[tier]))
    assert (decision["outcome"], decision["output"], decision["matches"]) == ("unmatched", {}, [])


@given(parsers.parse("a decision under revision {revision:d} on the order:"))
def order_was_decided(world: World, revision: int, docstring: str) -> None:
    world.decision = world.run(order_decided_under(world, json.loads(docstring), revision))


@when("the decision is explained")
def decision_is_explained(world: World) -> None:
    world.answer = world.run(world.bus.query("viewer", "explain", {"decisionId": world.decision["decisionId"]}))
    assert world.answer["status"] == "ok", world.answer


@then(parsers.parse('the rule "{name}" is {status}, because {reason}'))
def rule_ended_because(world: World, name: str, status: str, reason: str) -> None:
    assert rule_ended(world, name, status)["reason"] == reason


@then(parsers.re(r'the rule "(?P<name>[^"]+)" took its (?P<status>then|else)'))
def rule_ended(world: World, name: str, status: str) -> dict[str, Any]:
    (item,) = (item for item in world.answer["result"]["items"] if item["name"] == name)
    assert item["status"] == status
    return dict(item)


@when("the rule is tried beside the active rules on the order:")
def rule_is_tried(world: World, docstring: str) -> None:
    fact = {"type": "order.placed", "data": json.loads(docstring)}
    tried(world, {"ruleIds": [world.rule["ruleId"]], "facts": [fact], "withActive": True})


@when("the DSL is tried on a gold customer's order:")
def dsl_is_tried(world: World, docstring: str) -> None:
    fact = {"type": "order.placed", "data": CUSTOMERS["gold"]}
    tried(world, {"dslContent": docstring, "facts": [fact], "withActive": True})


def tried(world: World, payload: dict[str, Any]) -> None:
    """Ask what rules would decide of one fact; its trace is then the answer's items."""
    world.remember()
    world.answer = world.run(world.bus.query("viewer", "simulate", payload))
    if world.answer["status"] == "ok":
        (item,) = world.answer["result"]["items"]
        world.decision = item["decision"]
        world.answer["result"]["items"] = item["trace"]


@when(parsers.parse("the {outcome} decisions of {fact_type} are listed"))
def decisions_are_listed(world: World, outcome: str, fact_type: str) -> None:
    found = world.run(world.bus.ask("decisions", outcome=outcome, factType=fact_type))
    world.answer = {"result": found}


@when("the decisions since yesterday are listed")
def decisions_since_no_time(world: World) -> None:
    world.answer = world.run(world.bus.query("viewer", "decisions", {"since": "yesterday"}))


@then("the decision is the newest of them")
def decision_is_newest(world: World) -> None:
    assert world.answer["result"]["items"][0] == world.decision


@then("there are none")
def there_are_none(world: World) -> None:
    assert world.answer["result"]["items"] == []


@then("it would decide the output:")
def would_decide(world: World, docstring: str) -> None:
    assert world.decision["output"] == json.loads(docstring)


@then("the query is answered")
def query_is_answered(world: World) -> None:
    assert world.answer["status"] == "ok", world.answer


@then(parsers.parse("the query is refused with {code}"))
def query_is_refused(world: World, code: str) -> None:
    assert world.answer["error"]["code"] == code, world.answer


@then("its condition is shown as:")
def condition_shown(world: World, docstring: str) -> None:
    (item,) = world.answer["result"]["items"]
    assert item["text"] == docstring


async def decided_under(world: World, tier: str, revision: int) -> dict[str, Any]:
    """Decide facts of a customer until one is decided under a revision."""
    return await order_decided_under(world, CUSTOMERS[tier], revision)


async def order_decided_under(world: World, order: dict[str, Any], revision: int) -> dict[str, Any]:
    """Decide facts until the worker has taken over a revision: it is durable at once, and in force a moment later."""
    decision = await eventually(
        lambda: world.bus.decide("order.placed", order),
        lambda seen: seen["ruleset"]["revision"] >= revision,
    )
    assert decision["ruleset"]["revision"] == revision
    return decision


@then(parsers.parse("a dead letter of the command is stored, with its bytes and the reason {reason}"))
def dead_letter_stored(world: World, reason: str) -> None:
    subject, body = world.dead
    message = world.run(eventually(lambda: world.bus.last("DEAD_LETTERS", subject), lambda found: found is not None))
    assert message is not None
    assert message.data == body
    assert message.headers["Rulestream-Reason"] == reason
    assert world.run(world.bus.count("DEAD_LETTERS")) == 1

    async def waiting() -> int:
        return int((await world.bus.jetstream.consumer_info("RULES_COMMANDS", "rulestream-commands")).num_ack_pending)

    assert world.run(eventually(waiting, lambda left: left == 0)) == 0


async def decided_commands(world: World) -> int:
    connection = await asyncpg.connect(world.addresses["postgres_dsn"])
    try:
        return int(await connection.fetchval("SELECT count(*) FROM command_log"))
    finally:
        await connection.close()
