"""The query simulate to a worker on real servers: nothing comes of it but its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.behaviour.bus import Bus, connected, eventually
from worker.service import running_worker
from worker.settings import load_settings

STREAMS = ("RULES_COMMANDS", "RULES_EVENTS", "FACTS", "DECISIONS", "EFFECTS", "DEAD_LETTERS")
VIP = 'when customer.tier == "VIP" then set discount = 15 emit vip.seen {"tier": customer.tier}'
FACT = {"id": "o-1", "type": "order.placed", "data": {"customer": {"tier": "VIP"}}}


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str) -> AsyncIterator[Bus]:
    settings = load_settings(
        nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0, ruleset_poll_s=0.05
    )
    async with running_worker(settings), connected(nats_url) as found:
        yield found


async def everything(bus: Bus, database: str) -> dict[str, Any]:
    """Give the content of every table, and how much every stream has ever stored."""
    connection = await asyncpg.connect(database)
    try:
        names = await connection.fetch(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        tables = {
            row["name"]: await connection.fetchval(
                f"SELECT coalesce(json_agg(t ORDER BY t::text)::text, '') FROM {row['name']} t"
            )
            for row in names
        }
    finally:
        await connection.close()
    return {**tables, **{stream: await bus.count(stream) for stream in STREAMS}}


async def test_a_decision_with_its_trace_is_given_and_nothing_is_stored_or_published(bus: Bus, database: str) -> None:
    active = await bus.activate_new("base", "then set base = 1")
    draft = await bus.tell("ann", "create", {"name": "vip rule", "dslContent": VIP, "priority": "HIGH"})
    # From here on the relay has nothing left to do.
    before = await eventually(lambda: everything(bus, database), lambda found: not found["outbox"])
    heard = await bus.client.subscribe(">")
    for rules in ({"ruleIds": [draft["ruleId"]]}, {"dslContent": VIP, "name": "vip rule", "priority": "HIGH"}):
        (item,) = (await bus.ask("simulate", **rules, facts=[FACT], withActive=True))["items"]
        assert item["decision"]["output"] == {"base": 1, "discount": 15}
        assert item["effects"] == [{"tier": "VIP"}]
        assert [(one["name"], one["status"]) for one in item["trace"]] == [("vip rule", "then"), ("base", "then")]
    assert await everything(bus, database) == before
    subjects = {heard._pending_queue.get_nowait().subject for _ in range(heard.pending_msgs)}
    assert {one for one in subjects if not one.startswith(("_INBOX", "$JS", "rules.query."))} == set()
    await heard.unsubscribe()
    assert (await bus.ask("get", ruleId=active["ruleId"]))["status"] == "ACTIVE"


async def test_what_was_simulated_is_what_the_stream_gets_once_the_rule_decides(bus: Bus) -> None:
    draft = await bus.tell("ann", "create", {"name": "vip rule", "dslContent": VIP, "priority": "HIGH"})
    (item,) = (await bus.ask("simulate", ruleIds=[draft["ruleId"]], facts=[FACT], withActive=True))["items"]
    await bus.review_and_activate(draft)
    decided = await eventually(
        lambda: bus.decide("order.placed", FACT["data"]), lambda seen: seen["ruleset"]["revision"] == 1
    )
    for field in ("factType", "outcome", "output", "matches", "faults", "faultCount"):
        assert item["decision"][field] == decided[field], field


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"facts": []}, "MISSING_PARAMETER"),
        ({"dslContent": "when", "facts": [FACT]}, "VALIDATION_ERROR"),
        ({"dslContent": "true", "facts": [{"a": 1}]}, "VALIDATION_ERROR"),
        ({"dslContent": "then set base.x = 1", "facts": [FACT], "withActive": True}, "BUSINESS_ERROR"),
        ({"dslContent": "true", "facts": [FACT], "fact": {}}, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_simulated_is_refused_with_its_code(bus: Bus, payload: dict[str, Any], code: str) -> None:
    await bus.activate_new("base", "then set base = 1")
    answer = await bus.query("viewer", "simulate", payload)
    assert (answer["status"], answer["error"]["code"]) == ("error", code)
