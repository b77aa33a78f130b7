"""Real traffic on both planes, held against the API document: it knows every message, and each that it knows comes.

Each command and query is sent, facts plain, as CloudEvents and bad ones, and everything that leaves for it is heard by
two listeners to all subjects. A document that has drifted from the worker is found by the same traffic.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from nats.aio.msg import Msg

from streams.asyncapi import document
from streams.messages import commands, queries
from tests.asyncapi.judge import Judge, Verdict, without
from tests.behaviour.bus import Bus, connected, eventually
from worker.embedded.folder import DataFolder
from worker.embedded.nats import NatsServer
from worker.service import running_worker
from worker.settings import load_settings

DOCUMENT = document()
ID = "0123456789abcdef-0123456789abcdef"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DSL = """on order.placed
when total > 1 && customer.tier == "VIP"
then
  set discount = 5
  append "vip" to reasons
  emit loyalty.points {"customer": customer.id}
else
  set discount = 0"""
TABLE = """on order.placed
table first
| total    | set size |
| >= 100.0 | "large"  |
| -        | "small"  |"""
FAULTY = "on order.placed then set ratio = 1 / zero"
TEMPLATE = {
    "name": "tier discount",
    "dslTemplate": "when tier == ${tier} then set discount = ${percent}",
    "parameters": [{"name": "tier", "type": "string"}, {"name": "percent", "type": "int", "default": 3}],
}
ORDER = {"total": 250, "customer": {"id": "c-1", "tier": "VIP"}, "zero": 0}
OF_THE_FORM = {"INVALID_REQUEST", "MISSING_PARAMETER", "VALIDATION_ERROR"}
# What NATS and JetStream say among themselves, and services to those who look for them.
OF_THE_SERVER = "$"


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it was on its way."""

    subject: str
    reply: str
    headers: Mapping[str, str]
    data: bytes


@dataclass(slots=True)
class Traffic:
    """Everything that was heard on both planes."""

    messages: list[Heard] = field(default_factory=list)

    async def hear(self, message: Msg) -> None:
        headers = {str(name): value for name, value in (message.headers or {}).items()}
        self.messages.append(Heard(message.subject, message.reply, headers, message.data))

    def of_the_api(self) -> Iterator[Heard]:
        """Give what was not on an inbox, nor the server's own."""
        for one in self.messages:
            if not one.subject.startswith((OF_THE_SERVER, "_INBOX")):
                yield one

    def answers(self) -> Iterator[tuple[Heard, Heard]]:
        """Give what users sent, each with what came to the inbox that it named."""
        sent = {one.reply: one for one in self.of_the_api() if one.reply.startswith("_INBOX")}
        for one in self.messages:
            if one.subject in sent and is_users(sent[one.subject]):
                yield sent[one.subject], one


def is_users(message: Heard) -> bool:
    """Say whether a user sent a message."""
    return message.subject.startswith(("facts.", "rules.command.", "rules.query."))


def operation(kind: str, verb: str) -> str:
    """Name the operation of a verb, as the document does: by what it sends."""
    wanted = f"#/channels/{kind}/messages/{verb}"
    (found,) = (
        name
        for name, one in DOCUMENT["operations"].items()
        if one["action"] == "send" and {"$ref": wanted} in one["messages"]
    )
    return found


def judged(judge: Judge, traffic: Traffic) -> list[tuple[Heard, Verdict]]:
    """Judge every message of the traffic: those on subjects, answers by what was asked, and acknowledgements."""
    found = [(one, judge.judge(one.subject, one.headers, one.data)) for one in traffic.of_the_api()]
    for sent, answer in traffic.answers():
        if sent.subject.startswith("rules.query."):
            channel, messages = judge.reply_of(operation("queries", sent.subject.rpartition(".")[2]))
        else:
            channel, messages = judge.reply_of("sendFact")
        found.append((answer, judge.judge_on(channel, answer.headers, answer.data, messages=messages)))
    return found


def surprises(judge: Judge, traffic: Traffic) -> list[str]:
    """Tell the messages that are not as the document says, but for those that users sent wrong on purpose."""
    return [
        f"{message.subject}: {verdict.problems}"
        for message, verdict in judged(judge, traffic)
        if not verdict.is_good and not is_users(message)
    ]


# --- the scenario -----------------------------------------------------------------------------------------------------


async def whole_life(control: Bus) -> dict[str, Any]:
    """Send every command of rules so that it is done, and one that is refused."""
    rule = await control.tell(
        "ann",
        "create",
        {
            "name": "vip",
            "dslContent": DSL,
            "priority": "HIGH",
            "description": "Für gute Kunden.",
            "tags": ["shop"],
            "effectiveFrom": "2020-01-01T00:00:00+01:00",
        },
    )
    named = {"ruleId": rule["ruleId"]}
    await control.tell("ann", "submit", named)
    await control.tell("bob", "reject", {**named, "reason": "why?"})
    await control.tell("ann", "update", {**named, "expectedVersion": 1, "priority": "CRITICAL"})
    await control.tell("ann", "submit", {**named, "expectedVersion": 2})
    await control.tell("bob", "approve", {**named, "expectedVersion": 2, "comment": "fine"})
    await control.tell("bob", "activate", named)
    await control.tell("bob", "deactivate", named)
    await control.tell("bob", "activate", named)
    await control.tell("ann", "update", {**named, "expectedVersion": 2, "description": None})
    await control.tell("bob", "rollback", {**named, "toVersion": 2})
    await control.activate_new("sizes", TABLE, "LOW")
    await control.activate_new("faulty", FAULTY, "MEDIUM")
    draft = await control.tell("ann", "create", {"name": "draft", "dslContent": "then stop", "priority": "LOW"})
    await control.tell("ann", "delete", {"ruleId": draft["ruleId"]})
    old = await control.activate_new("old", "on nothing then set a = 1")
    await control.tell("bob", "deprecate", {"ruleId": old["ruleId"]})
    retired = await control.tell("ann", "create", {"name": "retired", "dslContent": "then stop", "priority": "LOW"})
    await control.tell("ann", "submit", {"ruleId": retired["ruleId"]})
    await control.tell("bob", "deprecate", {"ruleId": retired["ruleId"]})
    return rule


async def templates(control: Bus) -> dict[str, Any]:
    """Send every command of templates."""
    template = await control.tell("ann", "create-template", TEMPLATE)
    named = {"templateId": template["templateId"]}
    rows = [{"tier": "GOLD", "percent": 5}, {"tier": "SILVER"}]
    await control.tell("ann", "instantiate-template", {**named, "name": "of ${tier}", "priority": "LOW", "rows": rows})
    await control.tell("ann", "update-template", {**named, "expectedVersion": 1, "description": "By tier."})
    gone = await control.tell("ann", "create-template", {**TEMPLATE, "name": "gone", "description": "Soon."})
    await control.tell("ann", "delete-template", {"templateId": gone["templateId"], "expectedVersion": 1})
    return template


WRONG: list[tuple[str, dict[str, Any] | bytes]] = [
    ("create", {"name": "x", "dslContent": "then stop", "priority": "LOW"}),
    ("create", {"name": "broken", "dslContent": "when a ==\nthen set b = sizeof(1", "priority": "LOW"}),
    ("create", {"name": "vip", "dslContent": "then stop", "priority": "LOW"}),
    ("create", {"name": "no priority", "dslContent": "then stop"}),
    ("create", {"name": "typed", "dslContent": "then stop", "priority": 1}),
    ("create", b"nope"),
    ("approve", {"ruleId": "5cdb9537-9ff2-525e-b538-50cf40b26e31", "expectedVersion": 1}),
    ("activate", {"ruleId": "no id"}),
    ("activate", {"ruleId": "5cdb9537-9ff2-525e-b538-50cf40b26e31", "soon": True}),
    ("instantiate-template", {"templateId": "TEMPLATE", "name": "${no}", "priority": "LOW", "rows": [{}]}),
    (
        "instantiate-template",
        {"templateId": "TEMPLATE", "name": "of ${tier}", "priority": "LOW", "rows": [{"tier": 1}]},
    ),
    ("update", {"ruleId": "RULE", "expectedVersion": 1, "priority": "LOW"}),
    ("update", {"ruleId": "RULE", "expectedVersion": 9}),
    ("delete", {"ruleId": "RULE"}),
]
ASKED: list[tuple[str, dict[str, Any] | bytes]] = [
    ("get", {"name": "vip"}),
    ("get", {}),
    ("get", b"nope"),
    ("list", {"status": "ACTIVE", "sortBy": "priority", "pageSize": 1}),
    ("list", {"pageSize": 0}),
    ("versions", {"ruleId": "RULE", "pageSize": 2}),
    ("versions", {"ruleId": "5cdb9537-9ff2-525e-b538-50cf40b26e31"}),
    ("history", {"ruleId": "RULE"}),
    ("history", {"templateId": "TEMPLATE"}),
    ("template", {"name": "tier discount"}),
    ("templates", {"nameContains": "TIER"}),
    ("ruleset", {"pageSize": 1}),
    ("validate", {"dslContent": "when a == then set b = sizeof(1"}),
    ("validate", {"dslContent": "then stop"}),
    ("command", {"commandId": ID}),
    ("decision", {"factId": "order-1"}),
    ("decision", {"factId": "nobody"}),
    ("decisions", {"factType": "order.>", "pageSize": 1}),
    ("decisions", {"since": "yesterday"}),
    ("explain", {"name": "vip", "fact": ORDER}),
    ("explain", {"dslContent": FAULTY, "fact": ORDER}),
    ("explain", {"dslContent": TABLE, "fact": ORDER, "factTime": "2026-01-01T00:00:00Z"}),
    ("simulate", {"dslContent": DSL, "facts": [ORDER, {"id": "s-2", "data": {}}], "factType": "order.placed"}),
    ("simulate", {"ruleIds": ["RULE"], "facts": [ORDER], "factType": "order.placed", "withActive": True}),
    ("simulate", {"facts": []}),
]


async def facts(data: Bus) -> None:
    """Publish facts: plain, as CloudEvents, and some that are none."""
    binary = {"ce-id": "order-2", "ce-source": "/shop", "ce-time": "2026-06-01T00:00:00.5+02:00"}
    envelope = {"id": "order-3", "source": "/shop", "type": "order", "time": "2026-06-01T00:00:00Z", "data": ORDER}
    await data.publish_fact("order.placed", ORDER, {"Nats-Msg-Id": "order-1", "traceparent": TRACE})
    await data.publish_fact("order.placed", ORDER, {"Nats-Msg-Id": "order-1"})
    await data.publish_fact("order.placed", {"total": 1}, {**binary, "traceparent": "nope"})
    await data.publish_fact("order.placed", envelope, {"content-type": "application/cloudevents+json"})
    await data.publish_fact("order.seen", {"total": 1})
    for body, headers in (
        (b"nope", None),
        (b"[]", {"Nats-Msg-Id": "list"}),
        (b"{}", {"Nats-Msg-Id": "x" * 257}),
        (b"{}", {"ce-id": "alone"}),
        (b"{}", {"ce-id": "a", "ce-source": "/shop", "ce-time": "now"}),
        (b"{}", {"Rulestream-Origin": "nowhere"}),
        (b'{"id": 1, "source": "/shop", "data": {}}', {"content-type": "application/cloudevents+json"}),
    ):
        await data.publish_fact("order.placed", body, headers)
    await data.publish_fact("order!placed", b"{}")


async def dead_commands(control: Bus) -> None:
    """Send commands that nobody can be answered for."""
    await control.send_command("ann", "create", {}, None)
    await control.send_command("ann", "create", {}, {"Nats-Msg-Id": ID[:20], "Nats-Subject": "x"})
    await control.send_command("a!b", "create", {}, {"Nats-Msg-Id": ID[:19]})
    await control.jetstream.publish("rules.command.ann", b"{}", headers={"Nats-Msg-Id": ID[:18]})


async def scenario(control: Bus, data: Bus) -> None:
    """Do everything that a user can do."""
    await control.command("ann", "submit", {"ruleId": "5cdb9537-9ff2-525e-b538-50cf40b26e31"}, ID)
    rule, template = await whole_life(control), await templates(control)
    ids = {"RULE": rule["ruleId"], "TEMPLATE": template["templateId"]}
    for verb, payload in WRONG:
        assert (await control.command("ann", verb, filled(payload, ids)))["status"] == "error"
    await facts(data)
    await eventually(lambda: data.count("DECISIONS"), lambda seen: seen == 4)
    decision = await control.ask("decision", factId="order-1")
    for verb, payload in [*ASKED, ("explain", {"decisionId": decision["decisionId"]})]:
        await control.query("ann", verb, filled(payload, ids))
    await control.query("ann", "command", {"commandId": ID})
    await dead_commands(control)
    await eventually(lambda: data.count("DEAD_LETTERS"), lambda seen: seen == 8 + 4)


def filled(payload: Any, ids: Mapping[str, str]) -> Any:
    """Put ids into a payload."""
    if isinstance(payload, dict):
        return {key: filled(one, ids) for key, one in payload.items()}
    if isinstance(payload, list):
        return [filled(one, ids) for one in payload]
    return ids.get(payload, payload) if isinstance(payload, str) else payload


async def outbox_left(dsn: str) -> int:
    """Count the events that are still to be published."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM outbox"))
    finally:
        await connection.close()


@asynccontextmanager
async def control_server(folder: Path) -> AsyncIterator[str]:
    """Run a server for the control plane alone."""
    held = DataFolder(folder / "control")
    await held.open()
    server = NatsServer(held)
    try:
        await server.start()
        yield server.url
    finally:
        await server.stop()
        held.close()


async def heard(nats_url: str, database: str, redis_url: str, folder: Path) -> Traffic:
    """Run a worker on two planes through the scenario, and give everything that was heard."""
    traffic = Traffic()
    async with control_server(folder) as control_url, connected(nats_url) as data, connected(control_url) as control:
        settings = load_settings(
            nats_url=nats_url,
            control_nats_url=control_url,
            postgres_dsn=database,
            redis_url=redis_url,
            http_port=0,
        )
        async with connected(nats_url) as data_listener, connected(control_url) as control_listener:
            for listener in (data_listener, control_listener):
                await listener.client.subscribe(">", cb=traffic.hear)
                await listener.client.flush()
            async with running_worker(settings):
                await scenario(control, data)
                await eventually(lambda: outbox_left(database), lambda left: left == 0)
            for listener in (data_listener, control_listener):
                await listener.client.flush()
                await asyncio.sleep(0)
                await listener.client.drain()
    return traffic


@pytest.fixture(scope="module")
def heard_once() -> list[Traffic]:
    """Give where the traffic is kept once it was heard, for all the tests of this module."""
    return []


@pytest.fixture
def traffic(heard_once: list[Traffic], nats_url: str, database: str, redis_url: str, free_folder: Path) -> Traffic:
    if not heard_once:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            heard_once.append(runner.run(heard(nats_url, database, redis_url, free_folder)))
    return heard_once[0]


def test_the_document_knows_every_message_and_has_it_in_one_channel(traffic: Traffic) -> None:
    assert surprises(Judge(DOCUMENT), traffic) == []


def test_every_channel_and_every_message_of_the_document_was_seen(traffic: Traffic) -> None:
    verdicts = [verdict for _, verdict in judged(Judge(DOCUMENT), traffic)]
    assert {verdict.channel for verdict in verdicts if verdict.is_good} == set(DOCUMENT["channels"])
    messages = set().union(*(verdict.messages for verdict in verdicts))
    assert set(DOCUMENT["components"]["messages"]) - messages == set()


def test_every_verb_was_answered_with_what_its_operation_says(traffic: Traffic) -> None:
    judge = Judge(DOCUMENT)
    verbs = {
        one.headers["Nats-Msg-Id"]: one.subject.rpartition(".")[2]
        for one in traffic.of_the_api()
        if one.subject.startswith("rules.command.") and "Nats-Msg-Id" in one.headers
    }
    done: set[str] = set()
    for one in traffic.of_the_api():
        if not one.subject.startswith("rules.reply."):
            continue
        verb = verbs[one.subject.rpartition(".")[2]]
        channel, messages = judge.reply_of(operation("commands", verb))
        assert judge.judge(one.subject, one.headers, one.data, messages=messages).problems == (), (verb, channel)
        if json.loads(one.data)["status"] == "ok":
            done.add(verb)
    assert done == set(commands.PAYLOADS)
    asked = {sent.subject.rpartition(".")[2] for sent, answer in traffic.answers() if b'"status":"ok"' in answer.data}
    assert asked >= set(queries.PAYLOADS)


def test_commands_and_queries_that_the_document_refuses_were_refused_and_no_others_for_their_form(
    traffic: Traffic,
) -> None:
    judge = Judge(DOCUMENT)
    answers = {one.subject.rpartition(".")[2]: json.loads(one.data) for one in traffic.of_the_api() if is_reply(one)}
    asked = [(sent, json.loads(found.data)) for sent, found in traffic.answers() if is_query(sent)]
    sent = [
        (one, answers[one.headers["Nats-Msg-Id"]])
        for one in traffic.of_the_api()
        if is_command(one) and one.headers.get("Nats-Msg-Id") in answers
    ]
    refused = 0
    for message, answer in [*sent, *asked]:
        if judge.judge(message.subject, message.headers, message.data).is_good:
            assert answer["error"] is None or answer["error"]["code"] not in OF_THE_FORM or is_of_the_text(answer), (
                answer
            )
        else:
            refused += 1
            assert answer["error"]["code"] in OF_THE_FORM, (message, answer)
    assert refused >= len(OF_THE_FORM)


def test_what_the_document_takes_for_no_fact_and_no_command_became_dead_letters_and_nothing_else(
    traffic: Traffic,
) -> None:
    judge = Judge(DOCUMENT)
    answers = {one.subject.rpartition(".")[2] for one in traffic.of_the_api() if is_reply(one)}
    lost = {
        (one.subject, one.data)
        for one in traffic.of_the_api()
        if one.subject.startswith("facts.") and not judge.judge(one.subject, one.headers, one.data).is_good
    } | {
        (one.subject, one.data)
        for one in traffic.of_the_api()
        if is_command(one) and one.headers.get("Nats-Msg-Id") not in answers
    }
    letters = {
        (one.headers["Rulestream-Subject"], one.data) for one in traffic.of_the_api() if one.subject.startswith("dead.")
    }
    assert lost == letters
    for one in traffic.of_the_api():
        if is_command(one) and one.headers.get("Nats-Msg-Id") not in answers:
            assert not judge.judge(one.subject, one.headers, one.data).is_good


SCHEMAS = ("components", "schemas")


@pytest.mark.parametrize(
    "path",
    [
        (*SCHEMAS, "RuleView", "properties", "templateId"),
        (*SCHEMAS, "RuleSummary", "properties", "activeVersion"),
        (*SCHEMAS, "MatchBody", "properties", "rows"),
        (*SCHEMAS, "FaultBody", "properties", "line"),
        (*SCHEMAS, "MatchedDecision", "properties", "faultCount"),
        (*SCHEMAS, "HistoryEntry", "properties", "beforeDigest"),
        (*SCHEMAS, "RuleActivatedEvent", "properties", "revision"),
        (*SCHEMAS, "OriginData", "properties", "templateVersion"),
        (*SCHEMAS, "ProblemBody", "properties", "row"),
        (*SCHEMAS, "PartBody", "properties", "value"),
        (*SCHEMAS, "SimulationBody", "properties", "effects"),
        (*SCHEMAS, "LaggingView", "properties", "total"),
        (*SCHEMAS, "DecisionHeaders", "properties", "traceparent"),
        (*SCHEMAS, "EventHeaders", "properties", "ce-time"),
        (*SCHEMAS, "DeadFactHeaders", "patternProperties", "^Original-"),
        (*SCHEMAS, "DeadFactHeaders", "properties", "Rulestream-Reason", "enum", "NOT_JSON"),
        (*SCHEMAS, "RuleView", "properties", "status", "enum", "UNDER_REVIEW"),
        (*SCHEMAS, "RuleView", "properties", "priority", "enum", "CRITICAL"),
        (*SCHEMAS, "CommandRefusal", "properties", "error", "properties", "code", "enum", "BUSINESS_ERROR"),
        (*SCHEMAS, "QueryRefusal", "properties", "error", "properties", "code", "enum", "NOT_FOUND"),
        ("channels", "events", "parameters", "eventName", "enum", "RuleRolledBack"),
        ("channels", "events", "messages", "TemplateDeleted"),
        ("channels", "effects"),
        ("channels", "deadCommands"),
        ("channels", "replies", "messages", "MadeRulesCommandAnswer"),
    ],
    ids=lambda path: ".".join(path[-3:]),
)
def test_a_document_that_has_drifted_is_found_by_the_same_traffic(traffic: Traffic, path: tuple[str, ...]) -> None:
    assert surprises(Judge(without(DOCUMENT, *path)), traffic) != []


def is_command(message: Heard) -> bool:
    return message.subject.startswith("rules.command.")


def is_query(message: Heard) -> bool:
    return message.subject.startswith("rules.query.")


def is_reply(message: Heard) -> bool:
    return message.subject.startswith("rules.reply.")


def is_of_the_text(answer: Mapping[str, Any]) -> bool:
    """Say whether an error is of a text in the rule language, or of a template's values: no schema knows them."""
    problems = answer["error"]["details"]["problems"]
    return all("line" in one or "row" in one or one["code"] == "unknown-parameter" for one in problems)
