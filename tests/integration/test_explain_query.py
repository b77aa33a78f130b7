"""The query explain to a worker on real servers: decisions from their streams, pages, and what is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.behaviour.bus import Bus, connected, eventually
from tests.contracts.proxy import proxied
from worker.service import running_worker
from worker.settings import load_settings

PAGE_BYTES_MAX = 512 * 1024
VIP = 'when customer.tier == "VIP" && order.total >= 100.0 then set discount = 15'


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str) -> AsyncIterator[Bus]:
    settings = load_settings(
        nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0, ruleset_poll_s=0.05
    )
    async with running_worker(settings), connected(nats_url) as found:
        yield found


async def decided_under(bus: Bus, revision: int, data: dict[str, Any]) -> dict[str, Any]:
    """Decide facts until one is decided under a revision: a change is in force a moment after it is durable."""
    return await eventually(
        lambda: bus.decide("order.placed", data), lambda seen: seen["ruleset"]["revision"] == revision
    )


async def refusal(bus: Bus, payload: dict[str, Any]) -> dict[str, Any]:
    """Ask what must be refused and give the error."""
    answer = await bus.query("viewer", "explain", payload)
    assert (answer["status"], answer["result"]) == ("error", None), answer
    error: dict[str, Any] = answer["error"]
    return error


async def test_a_decision_is_explained_from_its_fact_and_its_ruleset(bus: Bus) -> None:
    rule = await bus.activate_new("vip discount", VIP)
    decision = await decided_under(bus, 1, {"customer": {"tier": "VIP"}, "order": {"total": 99.5}})
    found = await bus.ask("explain", decisionId=decision["decisionId"])
    assert {key: found[key] for key in ("decisionId", "factId", "factType", "ruleset", "total")} == {
        **{key: decision[key] for key in ("decisionId", "factId", "factType", "ruleset")},
        "total": 1,
    }
    (item,) = found["items"]
    assert {key: item[key] for key in ("ruleId", "name", "version", "priority", "status", "reason")} == {
        "ruleId": rule["ruleId"],
        "name": "vip discount",
        "version": 1,
        "priority": "MEDIUM",
        "status": "not applied",
        "reason": "the condition is false",
    }
    assert item["text"] == (
        'customer.tier == "VIP" && order.total >= 100.0: false\n'
        '  customer.tier == "VIP": true\n'
        '    customer.tier: "VIP"\n'
        "  order.total >= 100.0: false\n"
        "    order.total: 99.5"
    )
    assert item["tree"]["children"][1]["children"] == [
        {"text": "order.total", "line": 1, "column": 38, "status": "value", "value": 99.5}
    ]


async def test_an_old_decision_is_explained_by_the_rules_that_decided_then(bus: Bus) -> None:
    rule = await bus.activate_new("vip discount", VIP)
    decision = await decided_under(bus, 1, {"customer": {"tier": "VIP"}, "order": {"total": 150}})
    named = {"ruleId": rule["ruleId"]}
    await bus.tell("ann", "update", {**named, "expectedVersion": 1, "dslContent": VIP.replace("100.0", "1000.0")})
    await bus.review_and_activate({**rule, "version": 2})
    await bus.activate_new("newcomer", "true")
    await decided_under(bus, 3, {})
    for _ in range(2):
        found = await bus.ask("explain", decisionId=decision["decisionId"])
        assert [(item["name"], item["version"], item["status"]) for item in found["items"]] == [
            ("vip discount", 1, "then")
        ]
    now = await bus.ask("explain", **named, fact={"customer": {"tier": "VIP"}, "order": {"total": 150}})
    assert [(item["version"], item["status"]) for item in now["items"]] == [(2, "not applied")]


async def test_cloud_events_and_facts_without_an_id_are_explained(bus: Bus) -> None:
    await bus.activate_new("timed", 'when fact.time < timestamp("2026-01-01T00:00:00Z") then set early = true')
    await decided_under(bus, 1, {})
    event = {
        "id": "e1",
        "source": "/shop",
        "specversion": "1.0",
        "type": "x",
        "time": "2025-06-01T00:00:00Z",
        "data": {},
    }
    await bus.publish_fact("order.placed", event, {"content-type": "application/cloudevents+json"})
    sequence = await bus.publish_fact("order.placed", {})
    for fact_id, status in (("e1", "then"), (f"FACTS:{sequence}", "not applied")):
        answer = await eventually(
            lambda fact_id=fact_id: bus.query("viewer", "decision", {"factId": fact_id}),
            lambda seen: seen["status"] == "ok",
        )
        found = await bus.ask("explain", decisionId=answer["result"]["decisionId"])
        assert [item["status"] for item in found["items"]] == [status]


async def test_a_fact_that_was_purged_is_said_to_be_gone(bus: Bus) -> None:
    await bus.activate_new("vip discount", VIP)
    decision = await decided_under(bus, 1, {})
    await bus.jetstream.purge_stream("FACTS")
    error = await refusal(bus, {"decisionId": decision["decisionId"]})
    assert error == {
        "code": "NOT_FOUND",
        "message": "the fact is no longer in its stream",
        "details": {
            "decisionId": decision["decisionId"],
            "factId": decision["factId"],
            "factSeq": decision["factSeq"],
        },
    }


async def test_a_stream_that_was_made_anew_explains_no_other_fact(bus: Bus) -> None:
    """The same fact id at the same sequence, with other data: it is not what was decided."""
    await bus.activate_new("vip discount", VIP)
    decision = await decided_under(bus, 1, {"a": 1})
    config = (await bus.jetstream.stream_info("FACTS")).config
    await bus.jetstream.delete_stream("FACTS")
    await bus.jetstream.add_stream(config)
    for number in range(1, decision["factSeq"]):
        await bus.publish_fact("order.other", {}, {"Nats-Msg-Id": f"filler-{number}"})
    headers = {"Nats-Msg-Id": decision["factId"]}
    assert await bus.publish_fact("order.placed", {"a": 2}, headers) == decision["factSeq"]
    assert (await refusal(bus, {"decisionId": decision["decisionId"]}))["code"] == "NOT_FOUND"


async def test_the_largest_rule_on_the_largest_fact_is_answered_in_one_message(bus: Bus) -> None:
    words = [f"payload['{'é' * 60}{n}'].contains('{'x' * 20}') == false" for n in range(1_000)]
    fact = {f"{'é' * 60}{n}": "\x01" * 60 for n in range(1_000)}
    assert len(json.dumps(fact, ensure_ascii=False).encode()) < PAGE_BYTES_MAX
    answer = await bus.client.request(
        "rules.query.viewer.explain",
        json.dumps({"dslContent": " && ".join(words), "fact": fact}, ensure_ascii=False).encode(),
        timeout=60,
    )
    assert len(answer.data) <= PAGE_BYTES_MAX + 1_000
    (item,) = json.loads(answer.data)["result"]["items"]
    assert item["status"] == "then"
    assert "… 1 more part" in item["text"]


async def test_while_the_data_plane_is_away_that_is_said(nats_url: str, database: str, redis_url: str) -> None:
    """The two planes are two connections here; queries still come in when facts cannot be read."""
    async with proxied(nats_url) as proxy:
        settings = load_settings(
            nats_url=proxy.url,
            control_nats_url=nats_url,
            postgres_dsn=database,
            redis_url=redis_url,
            http_port=0,
        )
        async with running_worker(settings), connected(nats_url) as bus:
            decision = await bus.decide("order.placed", {})
            assert (await bus.ask("explain", decisionId=decision["decisionId"]))["items"] == []
            await proxy.cut()
            error = await refusal(bus, {"decisionId": decision["decisionId"]})
            assert (error["code"], error["message"]) == ("UNAVAILABLE", "nats is away; ask again later")
            proxy.mend()
            again = await eventually(
                lambda: bus.query("viewer", "explain", {"decisionId": decision["decisionId"]}),
                lambda seen: seen["status"] == "ok",
            )
            assert again["result"]["decisionId"] == decision["decisionId"]


async def test_many_rules_are_paged(bus: Bus) -> None:
    for number in range(3):
        await bus.activate_new(f"rule {number}", f"when n == {number} then set x = {number}")
    decision = await decided_under(bus, 3, {"n": 1})
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await bus.ask("explain", decisionId=decision["decisionId"], pageSize=2, pageOffset=offset)
        assert page["total"] == 3
        seen += [item["name"] for item in page["items"]]
        offset = page.get("nextOffset")
    assert seen == ["rule 1", "rule 0", "rule 2"], "the one that matched comes first"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "MISSING_PARAMETER"),
        ({"decisionId": "0" * 32}, "NOT_FOUND"),
        ({"decisionId": "xyz"}, "VALIDATION_ERROR"),
        ({"dslContent": "when", "fact": {}}, "VALIDATION_ERROR"),
        ({"dslContent": "true", "fact": []}, "VALIDATION_ERROR"),
        ({"name": "nobody", "fact": {}}, "NOT_FOUND"),
        ({"dslContent": "true", "fact": {}, "facts": []}, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_explained_is_refused_with_its_code(bus: Bus, payload: dict[str, Any], code: str) -> None:
    assert (await refusal(bus, payload))["code"] == code
