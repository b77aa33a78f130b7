"""``rulestream dev``, and a stranger's client: plain nats-py and the contract, nothing of ours."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import stat
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tests.behaviour.bus import WAIT_S, eventually
from tests.end_to_end.stage import PROJECT, RULESTREAM
from tests.servers.operations import run_apart
from tests.servers.probing import runs

DSL = """\
on order.placed
when customer.tier == "gold" && total > 100.0
then
  set discount.percent = 10
  emit mail.voucher { "to": customer.name, "percent": 10 }
"""
VIEW = [
    "ruleId",
    "name",
    "description",
    "dslContent",
    "priority",
    "tags",
    "status",
    "version",
    "activeVersion",
    "createdBy",
    "createdAt",
    "updatedBy",
    "updatedAt",
    "approvedBy",
    "effectiveFrom",
    "effectiveUntil",
    "templateId",
]
EVENT = [
    "eventId",
    "eventType",
    "ruleId",
    "name",
    "version",
    "status",
    "actor",
    "occurredAt",
    "commandId",
    "contentDigest",
    "data",
]
DECISION = [
    "decisionId",
    "factId",
    "factType",
    "factSeq",
    "factTime",
    "decidedAt",
    "ruleset",
    "outcome",
    "output",
    "matches",
    "effects",
    "faults",
    "faultCount",
]
FACT_TIME = "2026-03-01T12:00:00Z"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")


class Dev:
    """The running command, and what its ready line says."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, str], ready_file: Path) -> None:
        self.process = process
        self.ready = ready
        self.ready_file = ready_file


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Give one for the tests that leave it running."""
    with running_dev(tmp_path_factory.mktemp("dev")) as found:
        yield found


@contextmanager
def running_dev(folder: Path) -> Iterator[Dev]:
    """Run the command for the length of a block, at most."""
    ready_file = folder / "ready.json"
    with (
        (folder / "dev.log").open("w+") as log,
        subprocess.Popen(
            [RULESTREAM, "dev", "--ready-file", ready_file], stdout=subprocess.PIPE, stderr=log, text=True, cwd=PROJECT
        ) as process,
    ):
        try:

            async def is_ready() -> bool:
                log.seek(0)
                assert process.poll() is None, log.read()
                return ready_file.exists()

            run_apart(eventually(is_ready, bool, WAIT_S))
            assert process.stdout is not None
            line = process.stdout.readline()
            assert ready_file.read_text() == line
            yield Dev(process, json.loads(line), ready_file)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(WAIT_S)


async def command(client: Client, actor: str, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
    command_id = str(uuid.uuid4())
    replies = await client.subscribe(f"rules.reply.{actor}.{command_id}")
    await client.flush()
    acknowledgement = await client.jetstream().publish(
        f"rules.command.{actor}.{verb}", json.dumps(payload).encode(), headers={"Nats-Msg-Id": command_id}
    )
    assert acknowledgement.stream == "RULES_COMMANDS"
    answer: dict[str, Any] = json.loads((await replies.next_msg(timeout=WAIT_S)).data)
    await replies.unsubscribe()
    assert sorted(answer) == ["commandId", "error", "result", "status"]
    assert answer["commandId"] == command_id
    assert (answer["status"], answer["error"]) == ("ok", None), answer
    result: dict[str, Any] = answer["result"]
    assert sorted(result) == sorted(VIEW)
    return result


async def query(client: Client, verb: str, payload: dict[str, Any]) -> Any:
    asked = client.request(f"rules.query.viewer.{verb}", json.dumps(payload).encode(), timeout=WAIT_S)
    answer = json.loads((await asked).data)
    assert (answer["status"], answer["error"]) == ("ok", None), answer
    return answer["result"]


async def take_through_its_life(client: Client) -> dict[str, Any]:
    """Create, submit, approve and activate the rule, and check what each step answers."""
    payload = {"name": "gold discount", "dslContent": DSL, "priority": "HIGH", "tags": ["shop"]}
    rule = await command(client, "ann", "create", payload)
    assert (rule["status"], rule["version"], rule["createdBy"]) == ("DRAFT", 1, "ann")
    assert MOMENT.match(rule["createdAt"])
    named = {"ruleId": rule["ruleId"]}
    assert (await command(client, "ann", "submit", named))["status"] == "UNDER_REVIEW"
    approved = await command(client, "bob", "approve", {**named, "expectedVersion": 1})
    assert (approved["status"], approved["approvedBy"]) == ("APPROVED", "bob")
    active = await command(client, "bob", "activate", named)
    assert (active["status"], active["activeVersion"]) == ("ACTIVE", 1)
    return active


async def hears_the_events(events: Subscription, rule: dict[str, Any]) -> None:
    for name, actor in (
        ("RuleCreated", "ann"),
        ("RuleSubmittedForApproval", "ann"),
        ("RuleApproved", "bob"),
        ("RuleActivated", "bob"),
    ):
        message = await events.next_msg(timeout=WAIT_S)
        assert message.subject == f"rules.event.{rule['ruleId']}.{name}"
        event = json.loads(message.data)
        assert sorted(event) == sorted([*EVENT, "revision"] if name == "RuleActivated" else EVENT)
        assert (event["eventType"], event["actor"], event["version"]) == (name, actor, 1)
        assert event.get("revision", 1) == 1
        assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == event["eventId"]
        assert message.headers["ce-specversion"] == "1.0"
        assert message.headers["ce-time"] == event["occurredAt"]


async def publish_order(client: Client, fact_id: str, total: float) -> None:
    acknowledgement = await client.jetstream().publish(
        "facts.order.placed",
        json.dumps({"customer": {"name": "Ada", "tier": "gold"}, "total": total}).encode(),
        headers={
            "Nats-Msg-Id": fact_id,
            "ce-specversion": "1.0",
            "ce-id": fact_id,
            "ce-source": "shop",
            "ce-type": "order.placed",
            "ce-time": FACT_TIME,
            "traceparent": TRACEPARENT,
        },
    )
    assert acknowledgement.stream == "FACTS"


def check_matched(message: Msg, rule: dict[str, Any], digest: str, effect: Msg) -> None:
    decision = json.loads(message.data)
    assert message.subject == "decisions.matched.order.placed"
    assert sorted(decision) == sorted(DECISION)
    assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == decision["decisionId"]
    assert message.headers["ce-time"] == decision["factTime"] == FACT_TIME
    assert message.headers["ce-type"] == "rulestream.decision"
    assert message.headers["traceparent"] == TRACEPARENT
    assert re.fullmatch(r"[0-9a-f]{32}", decision["decisionId"])
    assert MOMENT.match(decision["decidedAt"])
    assert decision["ruleset"] == {"revision": 1, "digest": digest}
    assert (decision["outcome"], decision["output"]) == ("matched", {"discount": {"percent": 10}})
    assert decision["matches"] == [
        {
            "ruleId": rule["ruleId"],
            "name": "gold discount",
            "version": 1,
            "priority": "HIGH",
            "branch": "then",
            "output": {"discount": {"percent": 10}},
        }
    ]
    assert (decision["faults"], decision["faultCount"], decision["factSeq"]) == ([], 0, 1)
    assert effect.subject == "effects.mail.voucher"
    assert json.loads(effect.data) == {"to": "Ada", "percent": 10}
    assert decision["effects"] == [{"name": "mail.voucher", "effectId": effect.headers["Nats-Msg-Id"]}]
    assert effect.headers["traceparent"] == TRACEPARENT


async def test_a_client_on_plain_nats_takes_a_rule_through_its_life_and_reads_decisions_effects_and_events(
    dev: Dev,
) -> None:
    client = await nats.connect(dev.ready["nats"])
    try:
        events = await client.subscribe("rules.event.>")
        decisions = await client.subscribe("decisions.>")
        effects = await client.subscribe("effects.>")
        await client.flush()

        rule = await take_through_its_life(client)
        await hears_the_events(events, rule)

        async def revision() -> int:
            with await asyncio.to_thread(urllib.request.urlopen, f"{dev.ready['health']}/readyz") as answer:
                return int(json.load(answer)["ruleset"]["revision"])

        await eventually(revision, lambda seen: seen == 1)
        digest = (await query(client, "ruleset", {}))["digest"]
        await publish_order(client, "order-1", 250.5)
        await publish_order(client, "order-2", 99.0)
        messages = [await decisions.next_msg(timeout=WAIT_S) for _ in range(2)]
        messages.sort(key=lambda message: json.loads(message.data)["factId"])

        check_matched(messages[0], rule, digest, await effects.next_msg(timeout=WAIT_S))
        unmatched = json.loads(messages[1].data)
        assert messages[1].subject == "decisions.unmatched.order.placed"
        assert (unmatched["outcome"], unmatched["output"], unmatched["matches"]) == ("unmatched", {}, [])
        assert unmatched["effects"] == []

        assert await query(client, "decision", {"factId": "order-1"}) == json.loads(messages[0].data)
        assert await query(client, "decision", {"decisionId": unmatched["decisionId"]}) == unmatched
    finally:
        await client.close()


async def test_the_ready_file_holds_the_addresses_for_its_owner_alone(dev: Dev) -> None:
    assert sorted(dev.ready) == ["health", "nats", "postgres", "redis"]
    assert stat.S_IMODE(dev.ready_file.stat().st_mode) == 0o600
    with await asyncio.to_thread(urllib.request.urlopen, f"{dev.ready['health']}/livez") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_everything_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    with running_dev(tmp_path) as dev:
        family = descendants(dev.process.pid)
        assert len(family) >= 6, "three servers, each under its guard"

        dev.process.send_signal(signum)
        code = await asyncio.to_thread(dev.process.wait, WAIT_S)

        assert code == 0
        assert not dev.ready_file.exists()

    async def left() -> list[int]:
        return [pid for pid in family if runs(pid)]

    assert await eventually(left, lambda pids: not pids) == []


def descendants(pid: int) -> list[int]:
    """Give the processes that a process started, and those that these started, by the kernel's account."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: list[int] = []
    level = [pid]
    while level := [child for child, parent in parents.items() if parent in level]:
        found.extend(level)
    return found
