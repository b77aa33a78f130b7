"""Scenarios of what can be asked and heard: queries, effective dates, and the events of a rule's life."""

from __future__ import annotations

import json
import uuid
from typing import Any

from pytest_bdd import given, parsers, scenarios, then, when

from tests.behaviour.bus import WAIT_S, Message, eventually
from tests.behaviour.world import World

scenarios("questions")

DSL = 'when customer.tier == "gold" then set discount = {}'
PAGE_BYTES_MAX = 512 * 1024
LONG_TEXT_BYTES = 95_000
EVENT_FIELDS = {
    "eventId", "eventType", "ruleId", "name", "version", "status", "actor", "occurredAt", "commandId", "contentDigest",
    "data",
}  # fmt: skip


def rows_of(datatable: list[list[str]]) -> list[dict[str, str]]:
    """Give a table's rows by its head."""
    head, *rows = datatable
    return [dict(zip(head, row, strict=True)) for row in rows]


# --- asking -----------------------------------------------------------------------------------------------------------


@given("these rules:")
def these_rules(world: World, datatable: list[list[str]]) -> None:
    for number, row in enumerate(rows_of(datatable)):
        payload = {
            "name": row["name"],
            "dslContent": f"then set path{number} = 1",
            "priority": row["priority"],
            "tags": [tag for tag in row["tags"].split(", ") if tag],
        }
        world.done(row["author"], "create", payload)
        if row["status"] != "DRAFT":
            world.done(row["author"], "submit", {"ruleId": world.rule["ruleId"]})
        if row["status"] == "ACTIVE":
            world.done("bob", "approve", {"ruleId": world.rule["ruleId"], "expectedVersion": 1})
            world.done("bob", "activate", {"ruleId": world.rule["ruleId"]})
        assert world.rule["status"] == row["status"]


@then("these questions are refused:")
def these_are_refused(world: World, datatable: list[list[str]]) -> None:
    world.remember()
    for row in rows_of(datatable):
        answer = world.run(world.bus.query("viewer", row["verb"], row["payload"].encode()))
        assert answer["status"] == "error", (row, answer)
        assert answer["result"] is None
        assert answer["error"]["code"] == row["code"], (row, answer)
        assert answer["error"]["message"]
        assert "commandId" not in answer
    assert world.run(world.tables()) == world.before


@then("these questions list these rules:")
def these_are_listed(world: World, datatable: list[list[str]]) -> None:
    for row in rows_of(datatable):
        page = world.run(world.bus.ask("list", **json.loads(row["payload"])))
        assert [item["name"] for item in page["items"]] == [name for name in row["names"].split(", ") if name], row
        assert all("dslContent" not in item for item in page["items"])


@then("the rule is answered to get by its id and by its name")
def found_by_both(world: World) -> None:
    for criterion in ("ruleId", "name"):
        assert world.run(world.bus.ask("get", **{criterion: world.rule[criterion]})) == world.rule
    assert world.run(world.bus.ask("get", ruleId=world.rule["ruleId"].upper())) == world.rule


@given(parsers.parse("{actor} rolled the rule back to version {version:d}"))
def rolled_back(world: World, actor: str, version: int) -> None:
    world.done(actor, "rollback", {"ruleId": world.rule["ruleId"], "toVersion": version})


@then("the rule's versions are:")
def versions_are(world: World, datatable: list[list[str]]) -> None:
    page = world.run(world.bus.ask("versions", ruleId=world.rule["ruleId"]))
    head = datatable[0]
    found = [["" if item[name] is None else str(item[name]) for name in head] for item in page["items"]]
    assert found == datatable[1:]
    assert page["total"] == len(found)
    assert page["items"][0]["dslContent"] == page["items"][2]["dslContent"] != page["items"][1]["dslContent"]
    assert all((item["approvedAt"] is None) == (item["approvedBy"] is None) for item in page["items"])


@then(parsers.parse("the ruleset is told whole in pages of {size:d}, at revision {revision:d}"))
def ruleset_in_pages(world: World, size: int, revision: int) -> None:
    whole = world.run(world.bus.ask("ruleset"))
    first = world.run(world.bus.ask("ruleset", pageSize=size))
    second = world.run(world.bus.ask("ruleset", pageSize=size, pageOffset=first["nextOffset"]))
    assert whole["revision"] == first["revision"] == second["revision"] == revision
    assert whole["digest"] == first["digest"]
    assert len(whole["digest"]) == 64
    assert first["items"] + second["items"] == whole["items"]
    assert sorted(item["name"] for item in whole["items"]) == ["alpha", "beta", "gamma"]
    assert whole["total"] == 3
    assert "nextOffset" not in second


@given(parsers.parse("{actor} created a rule with a long text in {count:d} versions"))
def long_rule(world: World, actor: str, count: int) -> None:
    text = f"{DSL.format(1)} // {'x' * LONG_TEXT_BYTES}"
    world.done(actor, "create", {"name": "long", "dslContent": text, "priority": "LOW"})
    for version in range(1, count):
        change = {"ruleId": world.rule["ruleId"], "expectedVersion": version, "description": f"{version}"}
        world.done(actor, "update", change)


@then("its versions come in pages of at most 512 KiB, each of them once")
def versions_in_pages(world: World) -> None:
    found: list[int] = []
    pages = 0
    offset: int | None = 0
    while offset is not None:
        page = world.run(world.bus.ask("versions", ruleId=world.rule["ruleId"], pageOffset=offset))
        assert len(json.dumps(page["items"], separators=(",", ":"))) <= PAGE_BYTES_MAX
        found += [item["version"] for item in page["items"]]
        offset = page.get("nextOffset")
        pages += 1
    assert found == list(range(world.rule["version"], 0, -1))
    assert pages == 2


@then(parsers.parse('validate finds nothing in "{text}"'))
def validate_finds_nothing(world: World, text: str) -> None:
    world.remember()
    assert world.run(world.bus.ask("validate", dslContent=text)) == {"problems": []}


@then(parsers.re(r'validate finds "(?P<code>\w+)" at line (?P<line>\d+), column (?P<column>\d+) in "(?P<text>.*)"'))
def validate_finds(world: World, code: str, line: str, column: str, text: str) -> None:
    (problem,) = world.run(world.bus.ask("validate", dslContent=text))["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == (code, int(line), int(column))
    assert problem["message"]


@then("the decision is found by its id and by its fact's id")
def decision_found(world: World) -> None:
    for criterion in ("decisionId", "factId"):
        assert world.run(world.bus.ask("decision", **{criterion: world.decision[criterion]})) == world.decision


@then("a question is answered to an inbox of its actor, and to no other subject")
def answered_to_inboxes_only(world: World) -> None:
    client = world.bus.client

    async def asked() -> list[str]:
        replies = ("_INBOX.x.y", "_INBOX_ann.x", "_INBOX_bob.x", "rules.command.ann.create", "facts.order.placed", "x")
        subscriptions = [await client.subscribe(reply) for reply in replies]
        for reply in replies:
            await client.publish("rules.query.ann.list", b"{}", reply=reply)
        for subscription in subscriptions[:2]:
            await subscription.next_msg(timeout=WAIT_S)
        await world.bus.ask("list")  # asked last, and answered: what was to be answered before has been
        await client.flush()
        return [reply for reply, one in zip(replies[2:], subscriptions[2:], strict=True) if one.pending_msgs]

    assert world.run(asked()) == []


# --- dates ------------------------------------------------------------------------------------------------------------


@given(parsers.parse("a rule decides from {start} until {end}"))
def dated_rule(world: World, start: str, end: str) -> None:
    dates = {"effectiveFrom": start, "effectiveUntil": end}
    world.done("ann", "create", {"name": "dated", "dslContent": DSL.format(10), "priority": "LOW", **dates})
    reviewed(world)


@when("the update is reviewed and activated")
def reviewed(world: World) -> None:
    named = {"ruleId": world.rule["ruleId"]}
    world.done("ann", "submit", named)
    world.done("bob", "approve", {**named, "expectedVersion": world.rule["version"]})
    world.done("bob", "activate", named)


@given(parsers.parse("{actor} updates the rule to be effective until {end}"))
def updates_the_end(world: World, actor: str, end: str) -> None:
    world.on_rule(actor, "update", expectedVersion=world.rule["version"], effectiveUntil=end)


@when(parsers.parse("{actor} updates the rule to be effective from {start} until {end}"))
def updates_both(world: World, actor: str, start: str, end: str) -> None:
    dates = {"effectiveFrom": start, "effectiveUntil": end}
    world.on_rule(actor, "update", expectedVersion=world.rule["version"], **dates)


@then("facts of these times are decided so:")
def decided_by_time(world: World, datatable: list[list[str]]) -> None:
    bus = world.bus

    async def decided(time: str) -> dict[str, Any]:
        fact_id = str(uuid.uuid4())
        headers = {
            "ce-specversion": "1.0",
            "ce-id": fact_id,
            "ce-source": "shop",
            "ce-type": "order.placed",
            "ce-time": time,
        }
        await bus.publish_fact("order.placed", {"customer": {"tier": "gold"}}, headers)
        answer = await eventually(
            lambda: bus.query("viewer", "decision", {"factId": fact_id}), lambda seen: seen["status"] == "ok"
        )
        return dict(answer["result"])

    async def compare() -> None:
        revision = (await bus.ask("ruleset"))["revision"]
        for row in rows_of(datatable):
            decision = await eventually(
                lambda time=row["time"]: decided(time), lambda seen: seen["ruleset"]["revision"] == revision
            )
            assert decision["outcome"] == row["outcome"], row

    world.run(compare())


# --- events -----------------------------------------------------------------------------------------------------------


@given("ann and bob took the rule through its whole life")
def whole_life(world: World) -> None:
    named = {"ruleId": world.rule["ruleId"]}
    world.done("ann", "submit", named)
    world.done("bob", "reject", {**named, "reason": "too generous"})
    reviewed(world)
    world.done("ann", "update", {**named, "expectedVersion": 1, "dslContent": DSL.format(25)})
    world.done("bob", "deactivate", named)
    world.done("bob", "rollback", {**named, "toVersion": 1})
    world.done("bob", "deprecate", named)


@given(parsers.parse("{actor} deleted the rule"))
def deleted(world: World, actor: str) -> None:
    world.done(actor, "delete", {"ruleId": world.rule["ruleId"]})


@then("these events of the rule are on the stream, in this order:")
def events_on_stream(world: World, datatable: list[list[str]]) -> None:
    found = world.run(events_of_rule(world, len(datatable) - 1))
    bodies = [message.body for message in found]
    head = datatable[0]
    assert [[str(body.get(name, "")) for name in head] for body in bodies] == datatable[1:]
    for message in found:
        body = message.body
        assert set(body) - {"revision", "previousContentDigest"} == EVENT_FIELDS
        assert message.subject == f"rules.event.{world.rule['ruleId']}.{body['eventType']}"
        assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == body["eventId"]
        assert message.headers["ce-type"] == f"rulestream.event.{body['eventType']}"
        assert message.headers["ce-time"] == body["occurredAt"]
        assert {"ce-source", "ce-specversion"} <= set(message.headers)
    assert len({body["eventId"] for body in bodies}) == len({body["commandId"] for body in bodies}) == len(bodies)


async def events_of_rule(world: World, count: int) -> list[Message]:
    """Give the events of the scenario's rule, once there are so many and the outbox is empty."""
    subject = f"rules.event.{world.rule['ruleId']}.>"
    await eventually(lambda: world.bus.stored("RULES_EVENTS", subject), lambda seen: len(seen) >= count)
    await world.published_is_history()
    return await world.bus.stored("RULES_EVENTS", subject)


@then("each of them is in the rule's history, as it was published")
def in_history(world: World) -> None:
    history = world.run(world.bus.ask("history", ruleId=world.rule["ruleId"]))
    published = [message.body for message in world.run(events_of_rule(world, 1))]
    assert history["total"] == len(published)
    for entry, body in zip(history["items"], published, strict=True):
        assert {name: entry.get(name) for name in body} == body


@then("an approval names the digest of the content that was written")
def digest_of_approval(world: World) -> None:
    digests: dict[int, set[str]] = {}
    for message in world.run(events_of_rule(world, 1)):
        digests.setdefault(message.body["version"], set()).add(message.body["contentDigest"])
    assert all(len(found) == 1 for found in digests.values()), "one content is one version's, from creation to approval"
    assert len(set.union(*digests.values())) == len(digests)
