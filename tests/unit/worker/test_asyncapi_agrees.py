"""The API document's schemas of commands and queries, and what a worker takes: neither refuses what the other accepts.

Payloads are changed field by field, to values at the bounds and beyond them, and drawn with fields in random company.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identifiers import Actor, CommandId
from domain.ports import StoredDecision
from domain.roles import RolePolicy
from streams.messages import commands, queries
from tests.asyncapi.agreement import (
    CREATE,
    JUDGE,
    QUERIES,
    SCHEMAS,
    TEMPLATE,
    UUID,
    changed,
    compare,
    encoded,
    filled,
    values,
)
from tests.fakes.clock import FakeClock
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.decisions import FakeDecisions
from tests.fakes.facts import FakeFacts
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.usecases.answer_queries import QueryResponder
from worker.usecases.change_rules import Tools
from worker.usecases.decide_commands import CommandDecider
from worker.usecases.explain_decisions import DecisionExplainer
from worker.usecases.simulate_rules import RuleSimulator

ANN, BOB = Actor("ann"), Actor("bob")
EXAMPLES = 12  # of each verb, beside the table


class Ground:
    """A worker's use cases on fakes, with a rule in every state that a verb needs."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.compiler, self.rulesets, self.decisions = FakeDslCompiler(), CompilingRulesets(), FakeDecisions()
        tools = Tools(self.compiler, self.rulesets)
        self.decider = CommandDecider(self.transactions, FakeClock(), tools, lambda _: None, RolePolicy())
        self.responder = QueryResponder(
            self.transactions,
            self.decisions,
            self.compiler,
            DecisionExplainer(self.transactions, self.decisions, FakeFacts(), self.rulesets, self.compiler),
            RuleSimulator(self.transactions, self.rulesets, self.compiler),
            RolePolicy(),
        )
        self.sent = 0

    async def command(self, actor: Actor, verb: str, payload: bytes) -> dict[str, Any]:
        self.sent += 1
        answer: dict[str, Any] = json.loads(
            await self.decider.handle(actor, CommandId(f"command-{self.sent:012}"), verb, payload)
        )
        return answer

    async def query(self, verb: str, payload: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.responder.handle(ANN, verb, payload))
        return answer

    async def done(self, actor: Actor, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = await self.command(actor, verb, encoded(payload))
        assert answer["status"] == "ok", (verb, answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def template(self) -> str:
        found: str = (await self.done(ANN, "create-template", TEMPLATE))["templateId"]
        return found

    async def rule(self, *verbs: str) -> str:
        """Make a rule and take it through verbs."""
        rule_id: str = (await self.done(ANN, "create", {**CREATE, "name": "held"}))["ruleId"]
        payloads = {"approve": {"expectedVersion": 1}, "update": {"expectedVersion": 1, "name": "held"}}
        for verb in verbs:
            await self.done(ANN if verb != "approve" else BOB, verb, {"ruleId": rule_id, **payloads.get(verb, {})})
        return rule_id

    async def payload_of(self, verb: str) -> dict[str, Any]:
        """Give a payload with every field of a command that this ground would do."""
        match verb:
            case "create":
                return CREATE
            case "update":
                return {"ruleId": await self.rule(), "expectedVersion": 1, **CREATE}
            case "submit":
                return {"ruleId": await self.rule(), "expectedVersion": 1}
            case "approve":
                return {"ruleId": await self.rule("submit"), "expectedVersion": 1, "comment": "fine"}
            case "reject":
                return {"ruleId": await self.rule("submit"), "reason": "no"}
            case "activate":
                return {"ruleId": await self.rule("submit", "approve")}
            case "deactivate" | "deprecate":
                return {"ruleId": await self.rule("submit", "approve", "activate")}
            case "rollback":
                return {"ruleId": await self.rule("submit", "approve", "activate", "update"), "toVersion": 1}
            case "delete":
                return {"ruleId": await self.rule()}
            case "create-template":
                return TEMPLATE
            case "update-template":
                return {"templateId": await self.template(), "expectedVersion": 1, **TEMPLATE}
            case "delete-template":
                return {"templateId": await self.template(), "expectedVersion": 1}
            case _:
                row = {"tier": "VIP", "percent": 2}
                return {"templateId": await self.template(), "name": "of ${tier}", "priority": "LOW", "rows": [row]}


KEY = bytes(range(16))


async def asked_ground() -> tuple[Ground, dict[str, str]]:
    """Give a ground with something to ask for, and the ids that stand for it."""
    ground = Ground()
    rule_id, template_id = await ground.rule(), await ground.template()
    body = b'{"ruleset":{"revision":0,"digest":""}}'
    await ground.decisions.store([StoredDecision(KEY, 1, "f-1", "order.placed", 1, 1, True, 0, body, (), None)])
    return ground, {"RULE": rule_id, "TEMPLATE": template_id, "KEY": KEY.hex()}


@pytest.mark.parametrize("verb", commands.PAYLOADS)
async def test_a_command_with_every_field_is_accepted_by_both(verb: str) -> None:
    ground = Ground()
    payload = await ground.payload_of(verb)
    name = commands.PAYLOADS[verb].__name__
    assert set(payload) >= set(SCHEMAS[name]["properties"]) - {"parameters"}
    assert JUDGE.schema_problems(name, payload) == []
    answer = await ground.command(BOB if verb == "approve" else ANN, verb, encoded(payload))
    assert answer["status"] == "ok", answer


@pytest.mark.parametrize("verb", commands.PAYLOADS)
async def test_a_command_is_refused_by_the_worker_where_its_schema_refuses_it_and_the_other_way(verb: str) -> None:
    name = commands.PAYLOADS[verb].__name__
    accepted = 0
    ground = Ground()
    base = await ground.payload_of(verb)
    for payload in changed(base, SCHEMAS[name]):
        answer = await ground.command(BOB if verb == "approve" else ANN, verb, encoded(payload))
        compare(name, payload, answer)
        if answer["status"] == "ok":  # the next one again finds things as they were
            accepted += 1
            ground = Ground()
            assert await ground.payload_of(verb) == base
    assert accepted


@pytest.mark.parametrize("verb", queries.PAYLOADS)
async def test_a_query_is_refused_by_the_worker_where_its_schema_refuses_it_and_the_other_way(verb: str) -> None:
    name = queries.PAYLOADS[verb].__name__
    ground, ids = await asked_ground()
    fields: set[str] = set()
    for asked in QUERIES[verb]:
        base = filled(asked, ids)
        fields |= set(base)
        first = await ground.query(verb, encoded(base))
        assert first["status"] == "ok", first
        for payload in changed(base, SCHEMAS[name]):
            compare(name, payload, await ground.query(verb, encoded(payload)))
    assert fields | {"decisionId"} >= set(SCHEMAS[name]["properties"]), "each field is asked by at least once"


@st.composite
def payloads(draw: st.DrawFn, name: str, base: dict[str, Any]) -> dict[str, Any]:
    """Draw a payload of some fields as they should be, and others of whatever value."""
    found: dict[str, Any] = {}
    for field, schema in SCHEMAS[name]["properties"].items():
        match draw(st.sampled_from(["kept", "kept", "kept", "absent", "null", "drawn"])):
            case "kept" if field in base:
                found[field] = base[field]
            case "null":
                found[field] = None
            case "drawn":
                found[field] = draw(st.sampled_from(values(schema)) | st.text(max_size=5) | st.integers())
    return found


@pytest.mark.parametrize("verb", commands.PAYLOADS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_random_commands_are_refused_by_both_or_by_neither(verb: str, data: st.DataObject) -> None:
    async def run() -> None:
        ground = Ground()
        name = commands.PAYLOADS[verb].__name__
        payload = data.draw(payloads(name, await ground.payload_of(verb)))
        answer = await ground.command(BOB if verb == "approve" else ANN, verb, encoded(payload))
        compare(name, payload, answer)

    asyncio.run(run())


@pytest.mark.parametrize("verb", queries.PAYLOADS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_random_queries_are_refused_by_both_or_by_neither(verb: str, data: st.DataObject) -> None:
    async def run() -> None:
        ground, ids = await asked_ground()
        name = queries.PAYLOADS[verb].__name__
        base = filled(data.draw(st.sampled_from(QUERIES[verb])), ids)
        payload = data.draw(payloads(name, base))
        compare(name, payload, await ground.query(verb, encoded(payload)))

    asyncio.run(run())


@pytest.mark.parametrize("verb", [*commands.PAYLOADS, *queries.PAYLOADS])
@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"x"', b"{", b"\xff", b"nope"])
async def test_what_is_no_object_is_refused_by_both(verb: str, data: bytes) -> None:
    ground = Ground()
    is_command = verb in commands.PAYLOADS
    answer = await (ground.command(ANN, verb, data) if is_command else ground.query(verb, data))
    assert answer["status"] == "error"
    kind = "command" if is_command else "query"
    head = {"Nats-Msg-Id": "0123456789abcdef"} if is_command else None
    assert not JUDGE.judge(f"rules.{kind}.ann.{verb}", head, data).is_good


def test_the_comparison_finds_a_schema_that_is_too_narrow_or_too_wide() -> None:
    accepted = {"status": "ok", "result": {}, "error": None}
    refused = {"status": "error", "error": {"code": "MISSING_PARAMETER", "message": "", "details": {}}}
    with pytest.raises(AssertionError, match="the worker accepts what ActivateRule refuses"):
        compare("ActivateRule", {"ruleId": UUID, "other": 1}, accepted)
    with pytest.raises(AssertionError, match="ActivateRule accepts what the worker refuses"):
        compare("ActivateRule", {"ruleId": UUID}, refused)
