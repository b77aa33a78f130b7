"""The query validate on fakes: the compiler is asked, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.identifiers import Actor
from domain.roles import RolePolicy
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.decisions import FakeDecisions
from tests.fakes.facts import FakeFacts
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.usecases.answer_queries import QueryResponder
from worker.usecases.explain_decisions import DecisionExplainer
from worker.usecases.simulate_rules import RuleSimulator


@pytest.fixture
def compiler() -> FakeDslCompiler:
    return FakeDslCompiler()


async def ask(compiler: FakeDslCompiler, dsl: str) -> dict[str, Any]:
    transactions, decisions = FakeTransactions(), FakeDecisions()
    explainer = DecisionExplainer(transactions, decisions, FakeFacts(), CompilingRulesets(), compiler)
    simulator = RuleSimulator(transactions, CompilingRulesets(), compiler)
    responder = QueryResponder(transactions, decisions, compiler, explainer, simulator, RolePolicy())
    answer: dict[str, Any] = json.loads(
        await responder.handle(Actor("viewer"), "validate", json.dumps({"dslContent": dsl}).encode())
    )
    return answer


async def test_errors_and_warnings_are_told_by_position(compiler: FakeDslCompiler) -> None:
    problems = (await ask(compiler, "when sizeof(a) > 1 then set b = nope(1)"))["result"]["problems"]
    assert [(problem["code"], problem["column"]) for problem in problems] == [
        ("unknown-function", 6),
        ("unknown-function", 33),
    ]


async def test_a_text_is_read_by_the_compiler_alone(compiler: FakeDslCompiler) -> None:
    compiler.is_away = True
    answer = await ask(compiler, "true")
    assert answer["error"]["code"] == "UNAVAILABLE"
