"""Deciding again on real servers what a real worker decided: facts of every kind, many of them, and expired ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.language import compile_rule
from domain.ports import DecisionRange
from streams.connection import connect
from streams.facts.reader import StreamFacts
from tests.behaviour.bus import Bus, connected, eventually
from worker.adapters.postgres.decision_scan import PostgresDecisionScan
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.past_rulesets import PastRulesets
from worker.service import running_worker
from worker.settings import load_settings
from worker.usecases.redecide_facts import Redecider, Redecision

EVERYTHING = DecisionRange(0)
RULES = {
    "vip": (
        """when customer.tier == "VIP" then
  set discount = 15
  append "vip" to reasons
  emit loyalty.points {"points": order.total * 2, "of": fact.id}""",
        "HIGH",
    ),
    "levels": (
        """on order.*
table collect
| order.total | append levels | add score |
| >= 500      | "large"       | 0.1       |
| >= 100      | "medium"      | 0.2       |
| -           | "any"         | 0.3       |""",
        "MEDIUM",
    ),
    "reader": ("when decision.score > 0.5 then set checked = decision.score * 2.0", "LOW"),
    "fails": ("when order.total % 7 == 0 then set x = 1 / 0", "MEDIUM"),
    "early": ('when fact.time < timestamp("2026-01-01T00:00:00Z") then set early = string(fact.time)', "MEDIUM"),
    "stops": ('on order.paid when order.total > 900 then append "stopped" to reasons stop', "CRITICAL"),
}


@pytest.fixture
def compiled() -> list[str]:
    return []


@asynccontextmanager
async def redeciding(nats_url: str, database: str, compiled: list[str]) -> AsyncIterator[Redecider]:
    """Connect as the command does."""

    def compile_one(source: str) -> Any:
        compiled.append(source)
        return compile_rule(source)

    pool = await open_pool(database, size_max=4, timeout_s=60)
    client = await connect(nats_url, "test")
    rulesets = PastRulesets(PostgresTransactions(pool), compile_one)
    yield Redecider(PostgresDecisions(pool), PostgresDecisionScan(pool), StreamFacts(client, "FACTS"), rulesets)
    await client.close()
    await pool.close()


@pytest.fixture
async def redecider(nats_url: str, database: str, compiled: list[str]) -> AsyncIterator[Redecider]:
    async with redeciding(nats_url, database, compiled) as found:
        yield found


@pytest.fixture(params=[False, True], ids=["facts in their stream", "facts with their decisions"])
def store_facts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str, store_facts: bool) -> AsyncIterator[Bus]:
    """Run a worker with rules; they have come one after the other, so that there are as many revisions."""
    settings = load_settings(
        nats_url=nats_url,
        postgres_dsn=database,
        redis_url=redis_url,
        http_port=0,
        ruleset_poll_s=0.05,
        store_facts=store_facts,
    )
    async with running_worker(settings), connected(nats_url) as found:
        yield found


async def activate_all(bus: Bus) -> None:
    for revision, (name, (dsl, priority)) in enumerate(RULES.items(), start=1):
        await bus.activate_new(name, dsl, priority)
        await eventually(
            lambda: bus.decide("order.placed", {"order": {"total": 700}, "customer": {"tier": "VIP"}}),
            lambda seen, revision=revision: seen["ruleset"]["revision"] == revision,
        )


def order(number: int) -> dict[str, Any]:
    return {"order": {"total": number % 1000, "n": number}, "customer": {"tier": "VIP" if number % 3 else "GOLD"}}


def published(number: int) -> tuple[str, bytes, dict[str, str] | None]:
    """Give a fact's subject, body and headers; each of the ways to name a fact in its turn."""
    subject = "facts.order.paid" if number % 5 == 0 else "facts.order.placed"
    body = json.dumps(order(number)).encode()
    time = f"202{4 + number % 3}-03-01T12:00:00.{number % 1000:03}Z"
    kind = number % 4
    if kind == 0:
        return subject, body, {"Nats-Msg-Id": f"order-{number}"}
    if kind == 1:
        return subject, body, {"ce-id": f"é {number}", "ce-source": "/shop", "ce-time": time, "ce-specversion": "1.0"}
    if kind == 2:
        event = {"specversion": "1.0", "id": f"s-{number}", "source": "/shop", "type": "x", "time": time}
        body = json.dumps({**event, "data": order(number)}).encode()
        return subject, body, {"content-type": "application/cloudevents+json"}
    return subject, body, None


async def decided(bus: Bus, count: int) -> None:
    """Publish facts of every kind, and wait until each has its decision."""
    before = await bus.count("DECISIONS")
    pending = []
    for number in range(count):
        subject, body, headers = published(number)
        pending.append(await bus.jetstream.publish_async(subject, body, headers=headers))
        if len(pending) == 500:
            await asyncio.gather(*pending)
            pending.clear()
    await asyncio.gather(*pending)
    await eventually(lambda: bus.count("DECISIONS"), lambda seen: seen >= before + count)


async def all_again(redecider: Redecider) -> list[Redecision]:
    return [one async for one in redecider.between(EVERYTHING)]


async def test_ten_thousand_decisions_of_facts_of_every_kind_are_equal(
    bus: Bus, redecider: Redecider, compiled: list[str], store_facts: bool
) -> None:
    await activate_all(bus)
    await decided(bus, 10_000)
    statuses = [one.status async for one in redecider.between(EVERYTHING)]
    assert len(statuses) >= 10_000 + len(RULES)
    assert set(statuses) == {"equal"}
    assert sorted(compiled) == sorted(dsl for dsl, _ in RULES.values()), "each rule once for all revisions"
    assert await bus.count("DECISIONS") == len(statuses), "nothing was published"


async def test_what_is_compared_is_of_every_kind(bus: Bus, redecider: Redecider, store_facts: bool) -> None:
    """The decisions that the others find equal have rows, faults, effects, readers' output and times of their own."""
    await activate_all(bus)
    await decided(bus, 1_000)
    found = await all_again(redecider)
    assert {one.status for one in found} == {"equal"}
    bodies = [json.loads(one.stored.body) for one in found if one.stored is not None]
    assert any(body["faultCount"] for body in bodies)
    assert any("rows" in match for body in bodies for match in body["matches"])
    assert any("checked" in body["output"] for body in bodies)
    assert any("early" in body["output"] for body in bodies)
    assert any("stopped" in body["output"].get("reasons", []) for body in bodies)
    assert any(body["effects"] for body in bodies)
    assert {body["ruleset"]["revision"] for body in bodies} >= set(range(1, len(RULES) + 1))
    assert {body["factId"].split(":")[0].rstrip("0123456789") for body in bodies} >= {"order-", "é ", "s-", "FACTS"}


async def test_facts_that_their_stream_lost_are_decided_again_where_they_were_stored(
    bus: Bus, redecider: Redecider, store_facts: bool
) -> None:
    await activate_all(bus)
    await decided(bus, 400)
    before = await all_again(redecider)
    await bus.jetstream.purge_stream("FACTS")
    after = await all_again(redecider)
    assert [one.key for one in after] == [one.key for one in before]
    assert {one.status for one in after} == {"equal" if store_facts else "expired"}
    key = before[-1].key.hex()
    explained = await bus.query("viewer", "explain", {"decisionId": key})
    assert explained["status"] == ("ok" if store_facts else "error")


@pytest.mark.parametrize("store_facts", [False], indirect=True)
async def test_effective_dates_that_were_changed_since_decide_as_they_were(bus: Bus, redecider: Redecider) -> None:
    rule = await bus.tell(
        "ann",
        "create",
        {
            "name": "dated",
            "dslContent": "then set dated = true",
            "priority": "LOW",
            "effectiveFrom": "2026-03-01T00:00:00Z",
            "effectiveUntil": "2026-04-01T00:00:00Z",
        },
    )
    await bus.review_and_activate(rule)
    before, on, after = "2026-02-28T23:59:59.999999999Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
    await publish_at(bus, 1, (before, on, after))
    dateless = {"ruleId": rule["ruleId"], "expectedVersion": 1, "effectiveFrom": None}
    await bus.review_and_activate(await bus.tell("ann", "update", dateless))
    await publish_at(bus, 2, (before, on, after))
    found = await all_again(redecider)
    assert {one.status for one in found} == {"equal"}
    matched = {one.stored.fact_id: one.stored.matched for one in found if one.stored is not None}
    assert [matched[f"{time}/{revision}"] for revision in (1, 2) for time in (before, on, after)] == [
        *(False, True, False),
        *(True, True, False),
    ]


async def publish_at(bus: Bus, revision: int, times: tuple[str, ...]) -> None:
    """Publish facts of some times, once a revision is in force, and wait for their decisions."""
    await eventually(lambda: bus.decide("probe", {}), lambda seen: seen["ruleset"]["revision"] == revision)
    for time in times:
        fact_id = f"{time}/{revision}"
        await bus.publish_fact("order.placed", {}, {"ce-id": fact_id, "ce-source": "/shop", "ce-time": time})
        await eventually(
            lambda fact_id=fact_id: bus.query("viewer", "decision", {"factId": fact_id}),
            lambda seen: seen["status"] == "ok",
        )


@pytest.mark.parametrize("store_facts", [True], indirect=True)
async def test_a_fact_that_comes_again_leaves_what_was_stored_with_its_first_decision(
    bus: Bus, redecider: Redecider
) -> None:
    """Another body under the same id, beyond the server's window: the first decision stands, and so does its fact."""
    await bus.activate_new("vip", RULES["vip"][0])
    event = {"ce-id": "e1", "ce-source": "/shop"}
    await bus.publish_fact("order.placed", order(1), event)
    await bus.publish_fact("order.placed", order(2), event)
    await bus.decide("order.placed", order(3))
    await bus.jetstream.purge_stream("FACTS")
    found = await all_again(redecider)
    assert [one.status for one in found] == ["equal", "equal"]
