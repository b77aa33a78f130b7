"""What end-to-end tests work with: worker processes, the flight facts under load, and the witness beside them."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import importlib.util
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
from nats.aio.msg import Msg

from tests.behaviour.bus import Bus, Message, eventually
from worker.embedded import Addresses
from worker.embedded.process import Command, ServerProcess, StopSteps
from worker.files.content import create_payload
from worker.files.rules import read_rules

PROJECT = Path(__file__).parents[2]
FLIGHTS = PROJECT / "examples" / "flights"
RULESTREAM = Path(sys.executable).with_name("rulestream")
START_WAIT_S = 60.0
STOP_WAIT_S = 40.0
DECIDED_WITHIN_S = 60.0
PUBLISHED_AT_ONCE = 250
DIFFERENCES_SHOWN = 3

# The rule that is changed under load: what a passenger may eat for.
CHANGED_RULE = "meal-voucher"
VOUCHER_USD = 15


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A running ``rulestream worker`` and the port of its probes."""

    process: ServerProcess
    health_port: int

    async def get(self, path: str) -> str:
        """Ask its probes and give the answer's body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.health_port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await writer.drain()
            return (await reader.read()).partition(b"\r\n\r\n")[2].decode()
        finally:
            writer.close()
            await writer.wait_closed()

    async def revision(self) -> int:
        """Give the revision of the ruleset that it decides by."""
        return int(json.loads(await self.get("/readyz"))["ruleset"]["revision"])

    async def metric(self, name: str) -> float:
        """Give the value of a counter."""
        for line in (await self.get("/metrics")).splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no metric {name}")


@asynccontextmanager
async def worker_process(addresses: Addresses, folder: Path, **settings: object) -> AsyncIterator[WorkerProcess]:
    """Run a worker under guard for the length of a block; settings are in lower case, without their prefix."""
    environment = {
        "RULESTREAM_NATS_URL": addresses.nats,
        "RULESTREAM_POSTGRES_DSN": addresses.postgres,
        "RULESTREAM_REDIS_URL": addresses.redis,
        "RULESTREAM_HTTP_PORT": "0",
        **{f"RULESTREAM_{name.upper()}": str(value) for name, value in settings.items()},
    }
    steps = ((signal.SIGTERM, STOP_WAIT_S),)
    process = await ServerProcess.launch(
        Command(
            argv=(str(RULESTREAM), "worker"),
            log=folder / "worker.log",
            stop=StopSteps(orderly=steps, orphaned=((signal.SIGTERM, 1.0),)),
            env=environment,
            cwd=PROJECT,
        )
    )
    try:
        yield WorkerProcess(process, await _health_port(process))
    finally:
        await process.stop()


async def _health_port(process: ServerProcess) -> int:
    async def look() -> int:
        assert process.running, process.log_tail()
        for line in process.log_since_start().splitlines():
            entry = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
            if entry.get("event") == "worker_started":
                return int(entry["health_port"])
        return 0

    return await eventually(look, lambda port: port != 0, START_WAIT_S)


def flight_facts(count: int) -> list[dict[str, Any]]:
    """Give the first flights, as envelopes."""
    with gzip.open(FLIGHTS / "facts.ndjson.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]


def witness(voucher_usd: int = VOUCHER_USD) -> ModuleType:
    """Load the plain-Python witness, afresh; another voucher is another version of the rule that is changed."""
    name = f"oracle_flights_{voucher_usd}"
    spec = importlib.util.spec_from_file_location(name, PROJECT / "tests" / "oracle" / "flights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)

    def changed(fact: dict[str, Any]) -> Any:
        if fact["data"]["delay"]["departureMinutes"] >= 120:
            return module.then(module.put("care.meal", True), module.add("care.voucherUsd", voucher_usd))
        return None

    if voucher_usd != VOUCHER_USD:
        at = next(index for index, rule in enumerate(module.RULES) if rule.name == CHANGED_RULE)
        module.RULES[at] = dataclasses.replace(module.RULES[at], decide=changed)
    return module


async def activate_flight_rules(bus: Bus) -> dict[str, dict[str, Any]]:
    """Take every flight rule through its life and give the rules by name."""
    payloads = [create_payload(source.content) for source in read_rules(FLIGHTS / "rules")]
    rules = [await bus.tell("ann", "create", payload) for payload in payloads]
    active = await asyncio.gather(*(bus.review_and_activate(rule) for rule in rules))
    return {rule["name"]: rule for rule in active}


async def change_voucher(bus: Bus, voucher_usd: int) -> int:
    """Change the changed rule through its whole life, and give the ruleset's revision from which it decides."""
    rule = await bus.ask("get", name=CHANGED_RULE)
    dsl, count = _replaced(rule["dslContent"], voucher_usd)
    assert count == 1
    named = {"ruleId": rule["ruleId"], "expectedVersion": rule["version"]}
    rule = await bus.tell("ann", "update", {**named, "dslContent": dsl})
    await bus.review_and_activate(rule)
    return int((await bus.ask("ruleset"))["revision"])


def _replaced(dsl: str, voucher_usd: int) -> tuple[str, int]:
    lines = dsl.splitlines()
    found = [index for index, line in enumerate(lines) if line.endswith(" to care.voucherUsd")]
    for index in found:
        lines[index] = f"  add {voucher_usd} to care.voucherUsd"
    return "\n".join(lines) + "\n", len(found)


async def publish(bus: Bus, facts: Sequence[dict[str, Any]]) -> None:
    """Publish facts and wait until the stream has acknowledged every one."""

    async def one(fact: dict[str, Any]) -> None:
        headers = {
            "Nats-Msg-Id": fact["id"],
            "ce-specversion": "1.0",
            "ce-id": fact["id"],
            "ce-source": "flights",
            "ce-type": fact["type"],
            "ce-time": fact["time"],
        }
        await bus.publish_fact(fact["type"], fact["data"], headers)

    for start in range(0, len(facts), PUBLISHED_AT_ONCE):
        await asyncio.gather(*(one(fact) for fact in facts[start : start + PUBLISHED_AT_ONCE]))


@asynccontextmanager
async def hearing_decisions(bus: Bus) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Give what waits until more than so many decisions were published in the block, and is told of each at once."""
    heard = 0
    told = asyncio.Condition()

    async def hear(_message: Msg) -> None:
        nonlocal heard
        async with told:
            heard += 1
            told.notify_all()

    async def more_than(count: int) -> None:
        async with asyncio.timeout(DECIDED_WITHIN_S), told:
            await told.wait_for(lambda: heard > count)

    subscription = await bus.client.subscribe("decisions.>", cb=hear)
    await bus.client.flush()
    try:
        yield more_than
    finally:
        await subscription.unsubscribe()


async def all_settled(bus: Bus, decisions: int, within_s: float = 60.0) -> None:
    """Wait until so many decisions are on the stream and no fact waits for a delivery or an acknowledgement."""
    await eventually(lambda: bus.count("DECISIONS"), lambda count: count >= decisions, within_s)

    async def waiting() -> tuple[int, int]:
        info = await bus.jetstream.consumer_info("FACTS", "rulestream-facts")
        return info.num_pending or 0, info.num_ack_pending or 0

    await eventually(waiting, lambda seen: seen == (0, 0), within_s)


async def stored_decisions(dsn: str) -> list[tuple[str, bytes]]:
    """Give every decision row of Postgres: the fact's id and the decision's bytes."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT fact_id, body FROM decision")
        return [(row["fact_id"], row["body"]) for row in rows]
    finally:
        await connection.close()


async def count_decisions(dsn: str) -> int:
    """Give how many decisions Postgres holds."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM decision"))
    finally:
        await connection.close()


async def each_decided_once(bus: Bus, dsn: str, facts: Sequence[dict[str, Any]]) -> list[Message]:
    """Check that each fact has one decision, the same in Postgres and on the stream, and give the decisions."""
    ids = sorted(fact["id"] for fact in facts)
    rows = await stored_decisions(dsn)
    assert sorted(fact_id for fact_id, _ in rows) == ids, "in Postgres"
    messages = await bus.stored("DECISIONS")
    bodies = dict(rows)
    by_id: dict[str, Message] = {}
    for message in messages:
        body = message.body
        assert bodies[body["factId"]] == message.data, "what is published is what is stored"
        by_id[body["decisionId"]] = message
    assert sorted(message.body["factId"] for message in by_id.values()) == ids, "on the stream"
    return messages


async def as_witnessed(
    bus: Bus,
    decisions: Sequence[Message],
    facts: Sequence[dict[str, Any]],
    witness_of: Callable[[int], ModuleType],
) -> None:
    """Compare every decision, with its effects, with what the witness of its ruleset's revision says."""
    of_id = {fact["id"]: fact for fact in facts}
    payloads = {message.headers["Nats-Msg-Id"]: message.body for message in await bus.stored("EFFECTS")}
    expected_effects = 0
    differences = []
    for message in decisions:
        body = message.body
        found = {
            "outcome": body["outcome"],
            "output": body["output"],
            "matches": [
                {key: match[key] for key in match if key not in {"ruleId", "version"}} for match in body["matches"]
            ],
            "effects": [
                {"name": effect["name"], "payload": payloads.get(effect["effectId"])} for effect in body["effects"]
            ],
        }
        wanted = witness_of(body["ruleset"]["revision"]).expected(of_id[body["factId"]])
        expected_effects += len(wanted["effects"])
        if canonical(found) != canonical(wanted) or body["faultCount"]:
            differences.append((body["factId"], found, wanted))
    assert not differences, f"{len(differences)} differ: {differences[:DIFFERENCES_SHOWN]}"
    assert len(payloads) == expected_effects
    assert expected_effects > 0


def canonical(value: Any) -> str:
    """Write JSON in which 1, 1.0 and true differ, and the order of keys does not matter."""
    return json.dumps(value, sort_keys=True)
