"""Queries to a worker: what they give, page by page, and what they refuse."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import nats.errors
import pytest

from domain.identifiers import Actor, RuleId
from domain.rules.content import RuleContent
from domain.rules.rule import Rule
from tests.behaviour.bus import Bus, connected
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.service import running_worker
from worker.settings import load_settings

PAGE_BYTES_MAX = 512 * 1024
MANY = 450
DSL = "when total > 1 then set seen = true"


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str) -> AsyncIterator[Bus]:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings), connected(nats_url) as found:
        yield found


@pytest.fixture
async def some_rules(bus: Bus) -> list[dict[str, Any]]:
    """Give rules that differ in everything that they can be asked for by."""
    return [
        await bus.tell("ann", "create", _payload("alpha 100%", "LOW", ["shop", "vip"])),
        await bus.tell("bob", "create", _payload("beta_rule", "HIGH", ["shop"])),
        await bus.tell("ann", "create", _payload("Gamma", "CRITICAL", [])),
        await bus.review_and_activate(await bus.tell("ann", "create", _payload("delta", "MEDIUM", ["vip"]))),
    ]


def _payload(name: str, priority: str, tags: list[str]) -> dict[str, Any]:
    return {"name": name, "dslContent": DSL, "priority": priority, "tags": tags}


async def refusal(bus: Bus, verb: str, payload: dict[str, Any] | bytes) -> str:
    """Ask what must be refused and give the code."""
    answer = await bus.query("viewer", verb, payload)
    assert (answer["status"], answer["result"]) == ("error", None), answer
    return str(answer["error"]["code"])


async def test_templates_are_given_page_by_page(bus: Bus) -> None:
    for name in ("gamma", "alpha", "beta one", "beta two"):
        await bus.tell("ann", "create-template", {"name": name, "dslTemplate": "then stop", "parameters": []})
    first = await bus.ask("templates", pageSize=3)
    assert ([one["name"] for one in first["items"]], first["total"]) == (["alpha", "beta one", "beta two"], 4)
    rest = await bus.ask("templates", pageSize=3, pageOffset=first["nextOffset"])
    assert [one["name"] for one in rest["items"]] == ["gamma"]
    assert "nextOffset" not in rest
    found = await bus.ask("templates", nameContains="BETA", sortBy="createdAt", sortOrder="desc")
    assert [one["name"] for one in found["items"]] == ["beta two", "beta one"]
    assert (await bus.ask("templates", createdBy="bob"))["total"] == 0


async def test_a_rule_is_found_by_id_and_by_name(bus: Bus, some_rules: list[dict[str, Any]]) -> None:
    rule = some_rules[1]
    assert await bus.ask("get", ruleId=rule["ruleId"]) == rule
    assert await bus.ask("get", ruleId=rule["ruleId"].upper()) == rule
    assert await bus.ask("get", name="beta_rule") == rule


@pytest.mark.parametrize(
    ("verb", "payload", "code"),
    [
        ("get", {"name": "nobody"}, "NOT_FOUND"),
        ("get", {"ruleId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("get", {"ruleId": "beta"}, "VALIDATION_ERROR"),
        ("get", {}, "MISSING_PARAMETER"),
        ("get", {"nmae": "beta"}, "INVALID_REQUEST"),
        ("get", b"{", "INVALID_REQUEST"),
        ("get", b"[]", "INVALID_REQUEST"),
        ("get", {"name": 7}, "VALIDATION_ERROR"),
        ("list", {"pageSize": 0}, "VALIDATION_ERROR"),
        ("list", {"pageSize": 501}, "VALIDATION_ERROR"),
        ("list", {"pageOffset": -1}, "VALIDATION_ERROR"),
        ("list", {"status": "SLEEPING"}, "VALIDATION_ERROR"),
        ("list", {"sortBy": "dslContent"}, "VALIDATION_ERROR"),
        ("template", {}, "MISSING_PARAMETER"),
        ("template", {"templateId": "tiers"}, "VALIDATION_ERROR"),
        ("template", {"templateId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("template", {"name": "nobody"}, "NOT_FOUND"),
        ("template", {"ruleId": str(uuid.uuid4())}, "INVALID_REQUEST"),
        ("templates", {"pageSize": 0}, "VALIDATION_ERROR"),
        ("templates", {"pageOffset": -1}, "VALIDATION_ERROR"),
        ("templates", {"sortBy": "status"}, "VALIDATION_ERROR"),
        ("templates", {"status": "DRAFT"}, "INVALID_REQUEST"),
        ("history", {"templateId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("history", {"templateId": str(uuid.uuid4()), "ruleId": str(uuid.uuid4())}, "VALIDATION_ERROR"),
        ("validate", {}, "MISSING_PARAMETER"),
        ("validate", {"dslContent": 7}, "VALIDATION_ERROR"),
        ("versions", {}, "MISSING_PARAMETER"),
        ("versions", {"ruleId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("versions", {"ruleId": "beta"}, "VALIDATION_ERROR"),
        ("history", {"ruleId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("history", {"ruleId": str(uuid.uuid4()), "pageSize": 0}, "VALIDATION_ERROR"),
        ("ruleset", {"pageSize": 501}, "VALIDATION_ERROR"),
        ("command", {}, "MISSING_PARAMETER"),
        ("command", {"commandId": str(uuid.uuid4())}, "NOT_FOUND"),
        ("command", {"commandId": "short"}, "INVALID_REQUEST"),
        ("decision", {}, "MISSING_PARAMETER"),
        ("decision", {"decisionId": "0" * 32}, "NOT_FOUND"),
        ("decision", {"decisionId": "xyz"}, "VALIDATION_ERROR"),
        ("decision", {"factId": "never"}, "NOT_FOUND"),
        ("decisions", {"pageSize": 501}, "VALIDATION_ERROR"),
        ("decisions", {"outcome": "maybe"}, "VALIDATION_ERROR"),
        ("decisions", {"since": "yesterday"}, "VALIDATION_ERROR"),
        ("decisions", {"ruleId": str(uuid.uuid4())}, "INVALID_REQUEST"),
        ("sing", {}, "NOT_FOUND"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_its_code(
    bus: Bus, verb: str, payload: dict[str, Any] | bytes, code: str
) -> None:
    assert await refusal(bus, verb, payload) == code


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({}, ["Gamma", "alpha 100%", "beta_rule", "delta"]),
        ({"status": "ACTIVE"}, ["delta"]),
        ({"status": "DRAFT", "createdBy": "ann"}, ["Gamma", "alpha 100%"]),
        ({"priority": "HIGH"}, ["beta_rule"]),
        ({"createdBy": "bob"}, ["beta_rule"]),
        ({"nameContains": "AMM"}, ["Gamma"]),
        ({"nameContains": "%"}, ["alpha 100%"]),
        ({"nameContains": "_"}, ["beta_rule"]),
        ({"tag": "vip"}, ["alpha 100%", "delta"]),
        ({"tag": "vi"}, []),
        ({"sortBy": "priority"}, ["Gamma", "beta_rule", "delta", "alpha 100%"]),
        ({"sortBy": "createdAt", "sortOrder": "desc"}, ["delta", "Gamma", "beta_rule", "alpha 100%"]),
        ({"sortOrder": "desc"}, ["delta", "beta_rule", "alpha 100%", "Gamma"]),
    ],
)
async def test_rules_are_listed_by_criteria_in_the_order_asked_for(
    bus: Bus, some_rules: list[dict[str, Any]], criteria: dict[str, Any], names: list[str]
) -> None:
    page = await bus.ask("list", **criteria)
    assert [rule["name"] for rule in page["items"]] == names
    assert page["total"] == len(names)
    assert all("dslContent" not in rule for rule in page["items"])
    assert "nextOffset" not in page


async def test_pages_follow_each_other_without_gap_or_overlap(bus: Bus, some_rules: list[dict[str, Any]]) -> None:
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await bus.ask("list", pageSize=3, pageOffset=offset)
        assert page["total"] == 4
        names += [rule["name"] for rule in page["items"]]
        offset = page.get("nextOffset")
    assert names == ["Gamma", "alpha 100%", "beta_rule", "delta"]
    assert await bus.ask("list", pageOffset=4) == {"items": [], "total": 4}


async def test_a_page_ends_at_half_a_mebibyte_and_says_where_the_next_one_begins(bus: Bus, database: str) -> None:
    pool = await open_pool(database, size_max=4, timeout_s=60)
    try:
        async with PostgresTransactions(pool).begin() as tx:
            for number in range(MANY):
                content = RuleContent.checked(
                    name=f"rule {number:04}",
                    dsl_content=DSL,
                    priority="LOW",
                    description="d" * 500,
                    tags=[f"{index:02}" + "t" * 48 for index in range(20)],
                )
                rule_id = RuleId(str(uuid.uuid4()))
                await tx.rules.save(Rule.create(rule_id, content, Actor("ann"), datetime.now(UTC)))
    finally:
        await pool.close()

    names: list[str] = []
    sizes: list[int] = []
    offset: int | None = 0
    while offset is not None:
        message = await bus.client.request(
            "rules.query.viewer.list", json.dumps({"pageSize": 500, "pageOffset": offset}).encode(), timeout=60
        )
        sizes.append(len(message.data))
        page = json.loads(message.data)["result"]
        names += [rule["name"] for rule in page["items"]]
        offset = page.get("nextOffset")
        assert offset in {None, len(names)}
    assert names == [f"rule {number:04}" for number in range(MANY)]
    assert len(sizes) > 1
    assert max(sizes) < PAGE_BYTES_MAX + 200, "the envelope included"
    assert sizes[0] > PAGE_BYTES_MAX * 0.95, "and no page ends before it must"


async def test_a_text_is_validated_without_a_rule(bus: Bus) -> None:
    assert await bus.ask("validate", dslContent=DSL) == {"problems": []}
    (problem,) = (await bus.ask("validate", dslContent="when sizeof(items) > 3\nthen set a = 1"))["problems"]
    assert (problem["code"], problem["severity"], problem["line"], problem["column"]) == (
        "unknown-function",
        "error",
        1,
        6,
    )
    assert problem["hint"] == "did you mean `size`?"
    assert (await bus.ask("list"))["total"] == 0


async def test_a_rules_versions_and_history_are_told_whole(bus: Bus) -> None:
    rule = await bus.review_and_activate(await bus.tell("ann", "create", _payload("delta", "MEDIUM", ["vip"])))
    named = {"ruleId": rule["ruleId"]}
    await bus.tell("ann", "update", {**named, "expectedVersion": 1, "description": "another"})
    versions = await bus.ask("versions", **named)
    assert [(one["version"], one["author"], one["approvedBy"]) for one in versions["items"]] == [
        (2, "ann", None),
        (1, "ann", rule["approvedBy"]),
    ]
    assert versions["items"][1]["dslContent"] == DSL
    history = await bus.ask("history", **named)
    assert [one["eventType"] for one in history["items"]] == [
        "RuleCreated",
        "RuleSubmittedForApproval",
        "RuleApproved",
        "RuleActivated",
        "RuleUpdated",
    ]
    assert [one.get("revision") for one in history["items"]] == [None, None, None, 1, None]
    digests = [(one["beforeDigest"], one["contentDigest"]) for one in history["items"]]
    first, second = digests[0][1], digests[-1][1]
    assert first != second
    assert digests == [(None, first), (first, first), (first, first), (first, first), (first, second)]
    page = await bus.ask("history", **named, pageSize=2, pageOffset=3)
    assert ([one["eventType"] for one in page["items"]], page["total"]) == (["RuleActivated", "RuleUpdated"], 5)


async def test_the_ruleset_is_told_page_by_page(bus: Bus) -> None:
    active = [await bus.activate_new(f"rule {number}", DSL) for number in range(5)]
    whole = await bus.ask("ruleset")
    assert (whole["revision"], whole["total"]) == (5, 5)
    assert [rule["ruleId"] for rule in whole["items"]] == sorted(rule["ruleId"] for rule in active)
    assert {(rule["version"], rule["priority"]) for rule in whole["items"]} == {(1, "MEDIUM")}
    items: list[dict[str, Any]] = []
    for offset, following in ((0, 2), (2, 4), (4, None)):
        page = await bus.ask("ruleset", pageSize=2, pageOffset=offset)
        assert page.get("nextOffset") == following
        assert (page["revision"], page["digest"]) == (whole["revision"], whole["digest"])
        items += page["items"]
    assert items == whole["items"]


async def test_a_decision_is_found_by_its_id_and_by_its_facts(bus: Bus) -> None:
    decision = await bus.decide("order.placed", {"total": 5})
    assert await bus.ask("decision", decisionId=decision["decisionId"]) == decision
    assert await bus.ask("decision", decisionId=decision["decisionId"].upper()) == decision
    assert await bus.ask("decision", factId=decision["factId"]) == decision


async def test_decisions_are_listed_by_criteria_newest_first(bus: Bus) -> None:
    for number in range(4):
        headers = {"Nats-Msg-Id": f"f-{number}"}
        await bus.publish_fact("order.placed" if number % 2 else "order.paid.eu", {"total": number}, headers)
    await bus.wait_stored("DECISIONS", 4)

    async def listed(**criteria: Any) -> list[str]:
        return [decision["factId"] for decision in (await bus.ask("decisions", **criteria))["items"]]

    assert await listed() == ["f-3", "f-2", "f-1", "f-0"]
    assert await listed(factType="order.paid.>") == ["f-2", "f-0"]
    assert await listed(factType="order.placed", outcome="unmatched") == ["f-3", "f-1"]
    assert await listed(outcome="matched") == []
    assert await listed(factId="f-2") == ["f-2"]
    assert await listed(until="2020-01-01T00:00:00Z") == []
    page = await bus.ask("decisions", pageSize=3)
    assert page["items"][0] == await bus.ask("decision", factId="f-3")
    rest = await bus.ask("decisions", pageSize=3, pageOffset=page["nextOffset"], until=page["until"])
    assert [one["factId"] for one in rest["items"]] == ["f-0"]
    assert "nextOffset" not in rest


async def test_of_two_facts_with_one_id_the_newer_decision_is_given(bus: Bus) -> None:
    for source in ("first", "second"):
        await bus.publish_fact("order.placed", {}, {"ce-id": "same", "ce-source": source, "ce-specversion": "1.0"})
        await bus.wait_stored("DECISIONS", 1 if source == "first" else 2)
    newest = (await bus.stored("DECISIONS"))[-1].body
    assert await bus.ask("decision", factId="same") == newest


async def test_a_query_is_answered_to_an_inbox_alone(bus: Bus) -> None:
    elsewhere = await bus.client.subscribe("rules.event.forged.RuleCreated")
    await bus.client.publish("rules.query.viewer.list", b"{}", reply="rules.event.forged.RuleCreated")
    await bus.ask("list")  # asked later and answered: the one before was heard too
    with pytest.raises(nats.errors.TimeoutError):
        await elsewhere.next_msg(timeout=0.2)
    await elsewhere.unsubscribe()


@pytest.mark.parametrize("inbox", ["_INBOX_bob.token", "_INBOXES.token", "decisions.matched.x"])
async def test_no_query_is_answered_elsewhere_than_to_the_askers_inbox(bus: Bus, inbox: str) -> None:
    answers = await bus.client.subscribe(inbox)
    mine = await bus.client.subscribe("_INBOX_viewer.token")
    await bus.client.publish("rules.query.viewer.list", b"{}", reply=inbox)
    await bus.client.publish("rules.query.viewer.list", b"{}", reply="_INBOX_viewer.token")
    await mine.next_msg(timeout=60)  # asked later and answered, so that the first would have been
    assert answers.pending_msgs == 0


async def test_an_actor_that_is_no_literal_token_is_not_answered(bus: Bus) -> None:
    with pytest.raises(nats.errors.TimeoutError):
        await bus.client.request("rules.query.a$b.list", b"{}", timeout=0.2)
