"""Scenarios of bad input and of disorder: tables of commands, each tried on rules that must stay as they are."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import uuid
from typing import Any

from pytest_bdd import given, parsers, scenarios, then, when

from streams.messages.commands import SubmitRule
from tests.behaviour.bus import WAIT_S, eventually
from tests.behaviour.world import Sent, World
from worker.usecases import change_rules

VERBS = ("create", "update", "submit", "approve", "reject", "activate", "deactivate", "deprecate", "rollback", "delete")
DSL = "then set discount = {}"
SECRET = "the password is hunter2"
scenarios("refusals")

REPEATED = re.compile(r'"(?P<text>.)" \* (?P<count>\d+)')


def whole_payload(verb: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Give a payload of a verb with every field that it needs."""
    if verb == "create":
        return {"name": f"rule {uuid.uuid4()}", "dslContent": DSL.format(1), "priority": "LOW"}
    more: dict[str, dict[str, Any]] = {
        "update": {"expectedVersion": rule["version"], "description": f"changed {uuid.uuid4()}"},
        "approve": {"expectedVersion": rule["version"]},
        "reject": {"reason": "too generous"},
        "rollback": {"toVersion": 1},
    }
    return {"ruleId": rule["ruleId"], **more.get(verb, {})}


def value_of(text: str) -> Any:
    """Read a value of a table: JSON, or one character so many times."""
    if text == '["t"] * 51 of a tag':
        return ["t" * 51]
    if found := REPEATED.fullmatch(text):
        return found["text"] * int(found["count"])
    return json.loads(text)


def rows_of(datatable: list[list[str]]) -> list[dict[str, str]]:
    """Give a table's rows by its head."""
    head, *rows = datatable
    return [dict(zip(head, row, strict=True)) for row in rows]


@then("these commands are refused, and change nothing:")
def these_are_refused(world: World, datatable: list[list[str]]) -> None:
    rule = world.rule
    for row in rows_of(datatable):
        payload = {**whole_payload(row["verb"], rule), row["field"]: value_of(row["value"])}
        world.command("ann", row["verb"], payload)
        assert world.answer["status"] == "error", (row, world.answer)
        assert world.answer["result"] is None
        error = world.answer["error"]
        assert error["code"] == row["code"], (row, error)
        assert error["message"] == (row.get("message") or error["message"]), (row, error)
        assert world.run(world.tables()) == world.before, row
    world.run(world.published_is_history())


@then("the next command is decided")
def next_is_decided(world: World) -> None:
    world.done("ann", "create", whole_payload("create", {}))


@then("every verb answers INVALID_REQUEST to bytes that are not JSON, a list, and what is too deep or too large")
def no_request(world: World) -> None:
    rule = world.rule
    for verb in VERBS:
        good = whole_payload(verb, rule)
        for body in (
            b"{not JSON",
            b"\xff\xfe",
            json.dumps(good).encode() + b"{}",
            json.dumps(list(good)).encode(),
            b'"text"',
            json.dumps(good).encode()[:-1] + b',"x":' + b"[" * 64 + b"]" * 64 + b"}",
            json.dumps({**good, "x": "x" * 1024 * 1024}).encode()[: 1024 * 1024 + 100],
        ):
            world.command("ann", verb, body)
            assert world.answer["status"] == "error", (verb, body[:50])
            assert world.answer["error"]["code"] == "INVALID_REQUEST", (verb, body[:50], world.answer)
            assert world.run(world.tables()) == world.before, (verb, body[:50])


@then("a rule whose first version was approved takes these verbs in each status:")
def verbs_of_statuses(world: World, datatable: list[list[str]]) -> None:
    rows = rows_of(datatable)
    assert [row["verb"] for row in rows] == list(VERBS[1:])
    for row, status in itertools.product(rows, datatable[0][1:]):
        rule = rule_in(world, status)
        verb = row["verb"]
        world.command("carl" if verb == "approve" else "ann", verb, whole_payload(verb, rule))
        code = world.answer["error"]["code"] if world.answer["error"] else "ok"
        assert code == row[status], (verb, status, world.answer)
        assert code == "ok" or world.run(world.tables()) == world.before, (verb, status)


def rule_in(world: World, status: str) -> dict[str, Any]:
    """Make a rule at version 2, in a status, whose version 1 was approved and never decided."""
    world.done("ann", "create", whole_payload("create", {}))
    life = ["submit", "approve", "update"]
    life += {
        "DRAFT": [],
        "UNDER_REVIEW": ["submit"],
        "APPROVED": ["submit", "approve"],
        "ACTIVE": ["submit", "approve", "activate"],
        "INACTIVE": ["submit", "approve", "activate", "deactivate"],
        "DEPRECATED": ["deprecate"],
    }[status]
    for verb in life:
        world.done("bob" if verb == "approve" else "ann", verb, whole_payload(verb, world.rule))
    assert (world.rule["status"], world.rule["version"]) == (status, 2)
    return world.rule


@when(parsers.parse('"{actor}" publishes a command that nobody can be answered for'))
def nobody_publishes(world: World, actor: str) -> None:
    subject = f"rules.command.{actor}.submit"
    body = json.dumps({"ruleId": world.rule["ruleId"]}).encode()
    world.remember()
    world.run(world.bus.jetstream.publish(subject, body, headers={"Nats-Msg-Id": str(uuid.uuid4())}))
    is_name = re.fullmatch(r"[A-Za-z0-9_-]+", actor) is not None
    world.dead = (f"dead.commands.{actor}.submit" if is_name else "dead.commands._invalid", body)


@given("the worker has a defect in its submissions")
def a_defect(world: World) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError(SECRET)

    use_cases = change_rules.USE_CASES
    whole = use_cases[SubmitRule]
    use_cases[SubmitRule] = fail  # type: ignore[assignment]
    world.resources.callback(use_cases.__setitem__, SubmitRule, whole)


@then("the answer tells nothing of the defect")
def tells_nothing(world: World) -> None:
    assert SECRET not in json.dumps(world.answer)
    assert world.answer["error"]["details"] == {}


# --- again, and in another order --------------------------------------------------------------------------------------


@given(parsers.parse("{actor} sent the command to approve version {version:d} of the rule"))
def sent_approval(world: World, actor: str, version: int) -> None:
    send_numbered(world, actor, "approve", {"ruleId": world.rule["ruleId"], "expectedVersion": version})


@given(parsers.parse("{actor} sent the command to deactivate the rule"))
def sent_deactivation(world: World, actor: str) -> None:
    send_numbered(world, actor, "deactivate", {"ruleId": world.rule["ruleId"]})


def send_numbered(world: World, actor: str, verb: str, payload: dict[str, Any]) -> None:
    """Send a command that will be sent again."""
    world.sent.append(Sent(actor, verb, payload, str(uuid.uuid4())))
    world.command(actor, verb, payload, world.sent[-1].command_id)
    world.first_answer = world.answer


@given(parsers.parse("{actor} activated the rule again"))
def activated_again(world: World, actor: str) -> None:
    world.done(actor, "activate", {"ruleId": world.rule["ruleId"]})


@when(parsers.parse("{actor} sends that command again, later"))
def sends_that_again(world: World, actor: str) -> None:
    """Send the command once more under its id, when the stream has forgotten it."""
    first = world.sent[-1]
    bus = world.bus

    async def send() -> dict[str, Any]:
        replies = await bus.client.subscribe(f"rules.reply.{actor}.{first.command_id}")
        await bus.client.flush()
        body = json.dumps(first.payload).encode()
        subject = f"rules.command.{actor}.{first.verb}"
        await eventually(
            lambda: bus.jetstream.publish(subject, body, headers={"Nats-Msg-Id": first.command_id}),
            lambda acknowledgement: not acknowledgement.duplicate,
        )
        answer: dict[str, Any] = json.loads((await replies.next_msg(timeout=WAIT_S)).data)
        await replies.unsubscribe()
        return answer

    world.remember()
    world.answer = world.run(send())


@when(parsers.parse("the commands {verbs} are sent in this order"))
def sent_in_order(world: World, verbs: str) -> None:
    """Publish commands of one actor one behind the other, without waiting for an answer between them."""
    bus = world.bus
    rule = world.rule

    async def send() -> list[dict[str, Any]]:
        senders = [bus.command("bob", verb, whole_payload(verb, rule)) for verb in verbs.split(", ")]
        return list(await asyncio.gather(*senders))

    world.answers = world.run(send())
    world.answer = world.answers[-1]
    world.rule = world.answer["result"] or rule


@then(parsers.parse("their answers are {codes}"))
def their_answers(world: World, codes: str) -> None:
    found = [answer["error"]["code"] if answer["error"] else "ok" for answer in world.answers]
    assert found == codes.split(", ")
