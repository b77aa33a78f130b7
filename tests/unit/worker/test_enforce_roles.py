"""Commands and queries of actors without the role: refused before anything is looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import UnavailableError
from domain.identifiers import Actor, CommandId
from domain.roles import RolePolicy
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

ANN, VERA, EVE = Actor("ann"), Actor("vera"), Actor("eve")
POLICY = RolePolicy.of({"ann": ["author"], "vera": ["viewer"]})
FIRST, SECOND = CommandId("first-command-id"), CommandId("second-command-id")
CREATE = json.dumps({"name": "gold", "dslContent": "a == 1", "priority": "LOW"}).encode()


class Ground:
    """Commands and queries on fakes, under a policy."""

    def __init__(self, policy: RolePolicy = POLICY) -> None:
        self.transactions = FakeTransactions()
        self.allow(policy)

    def allow(self, policy: RolePolicy) -> None:
        """Begin anew with another policy, on the same database."""
        compiler, rulesets, decisions = FakeDslCompiler(), CompilingRulesets(), FakeDecisions()
        self.decider = CommandDecider(self.transactions, FakeClock(), Tools(compiler, rulesets), lambda _: None, policy)
        self.responder = QueryResponder(
            self.transactions,
            decisions,
            compiler,
            DecisionExplainer(self.transactions, decisions, FakeFacts(), rulesets, compiler),
            RuleSimulator(self.transactions, rulesets, compiler),
            policy,
        )

    async def command(self, actor: Actor, command_id: CommandId, verb: str, payload: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.decider.handle(actor, command_id, verb, payload))
        return answer

    async def query(self, actor: Actor, verb: str, payload: bytes = b"{}") -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.responder.handle(actor, verb, payload))
        return answer


async def test_a_forbidden_command_is_refused_with_who_what_and_which_roles_and_changes_nothing() -> None:
    ground = Ground()
    answer = await ground.command(VERA, FIRST, "create", CREATE)
    assert (answer["status"], answer["error"]["code"]) == ("error", "FORBIDDEN")
    assert answer["error"]["details"] == {"actor": "vera", "verb": "create", "neededRoles": ["admin", "author"]}
    database = ground.transactions.database
    assert (database.rules, database.history, database.outbox) == ({}, [], [])


async def test_the_refusal_is_the_commands_answer_for_ever_whatever_the_policy_says_later() -> None:
    ground = Ground()
    first = await ground.command(VERA, FIRST, "create", CREATE)
    ground.allow(RolePolicy.of({"vera": ["admin"]}))
    assert await ground.command(VERA, FIRST, "create", CREATE) == first
    assert (await ground.command(VERA, SECOND, "create", CREATE))["status"] == "ok"


async def test_an_answer_stands_when_its_actor_has_lost_the_role() -> None:
    ground = Ground()
    first = await ground.command(ANN, FIRST, "create", CREATE)
    assert first["status"] == "ok"
    ground.allow(RolePolicy.of({"vera": ["viewer"]}))
    assert await ground.command(ANN, FIRST, "create", CREATE) == first
    found = await ground.query(ANN, "command", json.dumps({"commandId": FIRST.value}).encode())
    assert found == {"status": "ok", "result": first, "error": None}


@pytest.mark.parametrize("payload", [b"{not JSON", b"{}", b'{"ruleId": "no-uuid", "colour": 1}'])
async def test_a_forbidden_command_is_not_read(payload: bytes) -> None:
    """Neither a mistake in it nor whether the rule exists is told."""
    ground = Ground()
    assert (await ground.command(VERA, FIRST, "submit", payload))["error"]["code"] == "FORBIDDEN"


async def test_a_forbidden_query_is_refused_before_anything_is_looked_at() -> None:
    ground = Ground()
    ground.transactions.failure = UnavailableError("postgres", "the fake is away")
    assert (await ground.query(EVE, "get", b"{not JSON"))["error"]["code"] == "FORBIDDEN"
    assert (await ground.query(EVE, "list"))["error"]["code"] == "FORBIDDEN"
    assert (await ground.query(VERA, "list"))["error"]["code"] == "UNAVAILABLE"


async def test_a_verb_that_nobody_knows_stays_unknown_for_those_without_a_role() -> None:
    ground = Ground()
    assert (await ground.command(EVE, FIRST, "promote", b"{}"))["error"]["code"] == "NOT_FOUND"
    assert (await ground.query(EVE, "promote"))["error"]["code"] == "NOT_FOUND"


async def test_the_answers_of_others_are_not_found_by_whoever_asks() -> None:
    ground = Ground()
    await ground.command(ANN, FIRST, "create", CREATE)
    asked = json.dumps({"commandId": FIRST.value}).encode()
    for actor in (VERA, EVE):
        assert (await ground.query(actor, "command", asked))["error"]["code"] == "NOT_FOUND"
