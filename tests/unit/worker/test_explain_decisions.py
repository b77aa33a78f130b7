"""The query explain on fakes: what is explained, from what, and what is refused."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from domain.decisions.engine import decide
from domain.errors import MissingParameterError, NotFoundError, RulestreamError, UnavailableError, ValidationError
from domain.identifiers import Actor, RuleId
from domain.roles import RolePolicy
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule
from streams.facts.intake import FACT_BYTES_MAX, Delivery
from streams.facts.kept import keep_fact
from streams.messages.decisions import stored_decision
from streams.messages.queries import ExplainDecision
from tests.contracts.rules_at_hand import ALICE, BOB, LATER, NOW
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.decisions import FakeDecisions
from tests.fakes.facts import FakeFacts
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.usecases.answer_queries import QueryResponder
from worker.usecases.explain_decisions import PAGE_SECONDS_MAX, RULESETS_MAX, DecisionExplainer
from worker.usecases.paging import PAGE_BYTES_MAX
from worker.usecases.simulate_rules import RuleSimulator

VIEWER = Actor("viewer")


class Ground:
    """A worker's stores, with what a test puts there, and the use case on them."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.decisions = FakeDecisions()
        self.facts = FakeFacts()
        self.rulesets = CompilingRulesets()
        self.compiler = FakeDslCompiler()
        self.seconds = itertools.repeat(0.0)
        self.explainer = DecisionExplainer(
            self.transactions,
            self.decisions,
            self.facts,
            self.rulesets,
            self.compiler,
            now=lambda: next(self.seconds),
        )
        self.responder = QueryResponder(
            self.transactions,
            self.decisions,
            self.compiler,
            self.explainer,
            RuleSimulator(self.transactions, self.rulesets, self.compiler),
            RolePolicy(),
        )

    async def activate(self, name: str, dsl: str, priority: Priority = Priority.MEDIUM) -> RuleId:
        """Let a new rule decide."""
        rule = Rule.create(RuleId.for_name(name), RuleContent(name, dsl, priority), ALICE, NOW)
        rule.submit(None, ALICE, NOW)
        rule.approve(rule.version, None, BOB, NOW)
        rule.activate(BOB, LATER)
        async with self.transactions.begin() as tx:
            await tx.rules.save(rule)
            await tx.active_rules.change(rule, LATER)
        return rule.id

    async def change(self, rule_id: RuleId, dsl: str, *, active: bool) -> None:
        """Give a rule a new version, and let it decide or not."""
        async with self.transactions.begin() as tx:
            rule = await tx.rules.find_by_id(rule_id)
            assert rule is not None
            content = rule.content
            rule.update(RuleContent(content.name, dsl, content.priority), rule.version, ALICE, NOW)
            if active:
                rule.submit(None, ALICE, NOW)
                rule.approve(rule.version, None, BOB, NOW)
                rule.activate(BOB, LATER)
            await tx.rules.save(rule)
            if active:
                await tx.active_rules.change(rule, LATER)

    async def decide(self, data: dict[str, Any], fact_type: str = "order.placed", fact_id: str = "order-1") -> str:
        """Decide a fact by the rules that are active now, store the decision, and give its id."""
        sequence, stored_at_ns = self.facts.put(
            f"facts.{fact_type}", json.dumps(data).encode(), {"Nats-Msg-Id": fact_id}
        )
        fact = await self.facts.find(sequence, stored_at_ns)
        assert fact is not None
        async with self.transactions.begin() as tx:
            ruleset = await CompilingRulesets().snapshot(await tx.active_rules.state(), tx.active_rules)
        decision = decide(ruleset, fact)
        await self.decisions.store([stored_decision(decision, "2026-01-01T00:00:00Z", stored_at_ns, None)])
        return decision.id

    async def explain(self, **payload: Any) -> dict[str, Any]:
        """Ask, and give the result as it is on the wire."""
        answer = await self.ask(**payload)
        assert answer["status"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def ask(self, **payload: Any) -> dict[str, Any]:
        """Ask, and give the answer as it is on the wire."""
        answer: dict[str, Any] = json.loads(
            await self.responder.handle(VIEWER, "explain", json.dumps(payload).encode())
        )
        return answer


@pytest.fixture
def ground() -> Ground:
    return Ground()


def shown(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["name"], item["status"]) for item in result["items"]]


class TestDecisions:
    async def test_a_decision_is_explained_by_the_rules_that_made_it(self, ground: Ground) -> None:
        await ground.activate("not concerned", "on order.paid then set x = 1")
        await ground.activate("applied", "when total > 1 then set a = 1")
        rule_id = await ground.activate("did not", "when total > 9 then set b = 1", Priority.HIGH)
        key = await ground.decide({"total": 5})
        result = await ground.explain(decisionId=key)
        assert shown(result) == [("applied", "then"), ("did not", "not applied")]
        assert (result["decisionId"], result["factId"], result["factType"]) == (key, "order-1", "order.placed")
        assert result["ruleset"]["revision"] == 3
        assert len(result["ruleset"]["digest"]) == 64
        assert result["total"] == 2
        assert "nextOffset" not in result
        item = result["items"][1]
        assert (item["ruleId"], item["version"], item["priority"]) == (rule_id.value, 1, "HIGH")
        assert item["text"] == "total > 9: false\n  total: 5"

    async def test_it_is_explained_by_its_own_revision_whatever_was_changed_since(self, ground: Ground) -> None:
        rule_id = await ground.activate("discount", "when total > 1 then set a = 1")
        key = await ground.decide({"total": 5})
        await ground.change(rule_id, "when total > 100 then set a = 1", active=True)
        await ground.activate("newcomer", "true")
        result = await ground.explain(decisionId=key)
        assert shown(result) == [("discount", "then")]
        assert result["ruleset"]["revision"] == 1

    async def test_rulesets_of_some_revisions_are_kept(self, ground: Ground) -> None:
        keys = []
        for number in range(RULESETS_MAX + 1):
            await ground.activate(f"rule {number}", "true")
            keys.append(await ground.decide({}, fact_id=f"fact-{number}"))
        for key in [keys[0], keys[0], *keys[1:], keys[1], keys[0]]:
            await ground.explain(decisionId=key)
        revisions = list(range(1, RULESETS_MAX + 2))
        assert ground.rulesets.asked == [*revisions, 1], "the first fell out, and was compiled again"

    @pytest.mark.parametrize("by", ["ruleId", "name"])
    async def test_one_rule_is_explained_whatever_its_on(self, ground: Ground, by: str) -> None:
        await ground.activate("applied", "true")
        rule_id = await ground.activate("other", "on order.paid then set x = 1")
        key = await ground.decide({})
        result = await ground.explain(decisionId=key, **{by: {"ruleId": rule_id.value, "name": "other"}[by]})
        assert shown(result) == [("other", "not concerned")]
        assert result["items"][0]["reason"] == "the rule is for order.paid"
        assert "tree" not in result["items"][0]

    async def test_pages_go_through_all_rules(self, ground: Ground) -> None:
        for number in range(5):
            await ground.activate(f"rule {number}", "true")
        key = await ground.decide({})
        first = await ground.explain(decisionId=key, pageSize=3)
        rest = await ground.explain(decisionId=key, pageSize=3, pageOffset=first["nextOffset"])
        assert [name for name, _ in shown(first) + shown(rest)] == [f"rule {number}" for number in range(5)]
        assert (first["total"], rest["total"]) == (5, 5)
        assert "nextOffset" not in rest

    async def test_a_page_ends_at_its_bytes(self, ground: Ground) -> None:
        fields = ["a" * 100 + str(number) for number in range(4)]
        for number, field in enumerate(fields):
            await ground.activate(f"rule {number}", " && ".join(f"{field} != {n}" for n in range(300)))
        key = await ground.decide(dict.fromkeys(fields, -1))
        names: list[str] = []
        offset: int | None = 0
        pages = 0
        while offset is not None:
            answer = await ground.responder.handle(
                VIEWER, "explain", json.dumps({"decisionId": key, "pageOffset": offset}).encode()
            )
            assert len(answer) < PAGE_BYTES_MAX + 1_000
            result = json.loads(answer)["result"]
            names += [name for name, _ in shown(result)]
            offset = result.get("nextOffset")
            pages += 1
        assert names == [f"rule {number}" for number in range(4)]
        assert pages > 1

    async def test_a_page_ends_when_it_takes_too_long_with_at_least_one_item(self, ground: Ground) -> None:
        for number in range(3):
            await ground.activate(f"rule {number}", "true")
        key = await ground.decide({})
        ground.seconds = itertools.chain([0.0, PAGE_SECONDS_MAX], itertools.repeat(PAGE_SECONDS_MAX + 1))
        result = await ground.explain(decisionId=key)
        assert len(result["items"]) == 2
        assert (result["nextOffset"], result["total"]) == (2, 3)
        ground.seconds = itertools.chain([0.0], itertools.repeat(PAGE_SECONDS_MAX + 1))
        assert len((await ground.explain(decisionId=key))["items"]) == 1

    async def test_a_fact_that_left_its_stream_is_said(self, ground: Ground) -> None:
        key = await ground.decide({})
        ground.facts.remove(1)
        answer = await ground.ask(decisionId=key)
        assert answer["error"] == {
            "code": "NOT_FOUND",
            "message": "the fact is no longer in its stream",
            "details": {"decisionId": key, "factId": "order-1", "factSeq": 1},
        }

    async def test_a_fact_that_was_stored_with_its_decision_is_explained_when_its_stream_lost_it(
        self, ground: Ground
    ) -> None:
        await ground.activate("discount", "when total > 9 then set a = 1")
        key = await ground.decide({"total": 5})
        stored = ground.decisions.stored[bytes.fromhex(key)]
        came = Delivery("facts.order.placed", "", b'{"total":5}', {"Nats-Msg-Id": "order-1"}, "FACTS", 1, 0, 1)
        ground.decisions.stored[stored.key] = replace(stored, fact=keep_fact(came))
        in_stream = await ground.explain(decisionId=key)
        ground.facts.remove(1)
        assert await ground.explain(decisionId=key) == in_stream

    async def test_another_fact_in_its_place_is_not_explained(self, ground: Ground) -> None:
        """As when the stream was made anew: the sequence holds a fact, stored at the moment, of another identity."""
        key = await ground.decide({})
        stored = ground.decisions.stored[bytes.fromhex(key)]
        sequence, stored_at_ns = ground.facts.put("facts.order.placed", b"{}", {"Nats-Msg-Id": "order-2"})
        ground.decisions.stored[stored.key] = replace(stored, sequence=sequence, stored_at_ns=stored_at_ns)
        assert (await ground.ask(decisionId=key))["error"]["message"] == "the fact is no longer in its stream"

    async def test_while_the_stream_is_away_that_is_said(self, ground: Ground) -> None:
        key = await ground.decide({})
        ground.facts.is_away = True
        error = (await ground.ask(decisionId=key))["error"]
        assert (error["code"], error["message"]) == ("UNAVAILABLE", "nats is away; ask again later")


class TestGivenFacts:
    async def test_the_version_that_decides_is_explained_else_the_latest_or_the_one_asked_for(
        self, ground: Ground
    ) -> None:
        rule_id = await ground.activate("discount", "when total > 1 then set a = 1")
        await ground.change(rule_id, "when total > 100 then set a = 1", active=False)
        by_name = await ground.explain(name="discount", fact={"total": 5})
        assert [(item["version"], item["status"]) for item in by_name["items"]] == [(1, "then")]
        latest = await ground.explain(ruleId=rule_id.value, version=2, fact={"total": 5})
        assert [(item["version"], item["status"]) for item in latest["items"]] == [(2, "not applied")]
        assert (latest["factId"], latest["factType"], latest["total"]) == ("given", "fact", 1)
        assert "decisionId" not in latest

        draft = Rule.create(RuleId.for_name("draft"), RuleContent("draft", "true", Priority.LOW), ALICE, NOW)
        async with ground.transactions.begin() as tx:
            await tx.rules.save(draft)
        assert shown(await ground.explain(name="draft", fact={})) == [("draft", "then")]

    async def test_a_text_is_explained_that_is_no_rule_yet(self, ground: Ground) -> None:
        result = await ground.explain(dslContent="when total > 1 then set a = 1", fact={"total": 0})
        assert result["items"] == [
            {
                "status": "not applied",
                "reason": "the condition is false",
                "tree": {
                    "text": "total > 1",
                    "line": 1,
                    "column": 12,
                    "status": "false",
                    "children": [{"text": "total", "line": 1, "column": 6, "status": "value", "value": 0}],
                },
                "text": "total > 1: false\n  total: 0",
            }
        ]
        assert ground.compiler.compiled == ["when total > 1 then set a = 1"], "where texts are compiled"

    async def test_the_facts_context_and_the_others_decision_are_given_too(self, ground: Ground) -> None:
        dsl = (
            'on order.*\nwhen fact.id == "f-1" && fact.type == "order.paid" && decision.score > 1'
            ' && fact.time == timestamp("2026-01-01T00:00:00Z") then set a = 1'
        )
        given = {"factId": "f-1", "factType": "order.paid", "factTime": "2026-01-01T01:00:00+01:00"}
        result = await ground.explain(dslContent=dsl, fact={}, decision={"score": 2}, **given)
        assert [item["status"] for item in result["items"]] == ["then"]
        assert (result["factId"], result["factType"]) == ("f-1", "order.paid")
        without = await ground.explain(dslContent=dsl, fact={}, **given)
        assert without["items"][0]["reason"] == "missing: decision.score"

    @pytest.mark.parametrize(("on", "fact_type"), [("a.*.b", "a.any.b"), ("a.>", "a.any"), ("a, b", "a"), ("", "fact")])
    async def test_without_a_type_the_fact_is_one_that_the_rule_is_for(
        self, ground: Ground, on: str, fact_type: str
    ) -> None:
        result = await ground.explain(
            dslContent=f"{'on ' + on if on else ''}\nwhen a == 1 then set b = 1", fact={"a": 1}
        )
        assert (result["factType"], result["items"][0]["status"]) == (fact_type, "then")

    async def test_a_type_that_the_rule_is_not_for_is_told(self, ground: Ground) -> None:
        result = await ground.explain(dslContent="on order.paid then set a = 1", fact={}, factType="order.placed")
        assert result["items"] == [{"status": "not concerned", "reason": "the rule is for order.paid"}]

    async def test_a_fact_as_deep_and_as_large_as_facts_may_be_is_explained(self, ground: Ground) -> None:
        deep = json.loads('{"a":' * 64 + "1" + "}" * 64)
        large = {"text": "x" * (FACT_BYTES_MAX - 20)}
        for fact in (deep, large):
            assert (await ground.explain(dslContent="true", fact=fact))["items"][0]["status"] == "then"


RULE = {"dslContent": "true", "fact": {}}


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ({}, "MISSING_PARAMETER", "decisionId"),
        ({"fact": {}}, "MISSING_PARAMETER", "decisionId"),
        ({"dslContent": "true"}, "MISSING_PARAMETER", "fact"),
        ({"name": "discount"}, "MISSING_PARAMETER", "fact"),
        ({"decisionId": "xyz"}, "VALIDATION_ERROR", "decisionId"),
        ({"decisionId": "0" * 32}, "NOT_FOUND", None),
        ({"decisionId": "0" * 32, "fact": {}}, "VALIDATION_ERROR", "fact"),
        ({"decisionId": "0" * 32, "version": 0}, "VALIDATION_ERROR", "version"),
        ({"decisionId": "0" * 32, "factType": ""}, "VALIDATION_ERROR", "factType"),
        ({"decisionId": "0" * 32, "pageSize": 0}, "VALIDATION_ERROR", "pageSize"),
        ({"decisionId": "0" * 32, "ruleId": "x", "name": "y"}, "VALIDATION_ERROR", "name"),
        ({**RULE, "name": "discount"}, "VALIDATION_ERROR", "dslContent"),
        ({**RULE, "version": 1}, "VALIDATION_ERROR", "version"),
        ({"ruleId": "x", "fact": {}}, "VALIDATION_ERROR", "ruleId"),
        ({"name": "nobody", "fact": {}}, "NOT_FOUND", None),
        ({"ruleId": RuleId.for_name("nobody").value, "fact": {}}, "NOT_FOUND", None),
        ({"name": "discount", "fact": {}, "version": 2}, "NOT_FOUND", None),
        ({"name": "discount", "fact": {}, "version": 10**30}, "NOT_FOUND", None),
        ({"name": "discount", "fact": {}, "version": -1}, "NOT_FOUND", None),
        ({**RULE, "fact": []}, "VALIDATION_ERROR", "fact"),
        ({**RULE, "fact": None}, "VALIDATION_ERROR", "fact"),
        ({**RULE, "fact": json.loads('{"a":' * 65 + "1" + "}" * 65)}, "VALIDATION_ERROR", "fact"),
        ({**RULE, "fact": {"a": "x" * FACT_BYTES_MAX}}, "VALIDATION_ERROR", "fact"),
        ({**RULE, "decision": 1}, "VALIDATION_ERROR", "decision"),
        ({**RULE, "factType": "a b"}, "VALIDATION_ERROR", "factType"),
        ({**RULE, "factId": ""}, "VALIDATION_ERROR", "factId"),
        ({**RULE, "factTime": "yesterday"}, "VALIDATION_ERROR", "factTime"),
        ({**RULE, "dslContent": "when", "fact": {}}, "VALIDATION_ERROR", None),
        ({**RULE, "nmae": "x"}, "INVALID_REQUEST", "nmae"),
        ({**RULE, "fact": json.loads('{"a":' * 128 + "1" + "}" * 128)}, "INVALID_REQUEST", None),
    ],
)
async def test_what_cannot_be_explained_is_refused(
    ground: Ground, payload: dict[str, Any], code: str, field: str | None
) -> None:
    await ground.activate("discount", "true")
    answer = await ground.ask(**payload)
    assert (answer["status"], answer["error"]["code"]) == ("error", code), answer
    assert answer["error"]["details"].get("field") == field


async def test_the_problems_of_a_text_are_told_with_their_places(ground: Ground) -> None:
    error = (await ground.ask(dslContent="when sizeof(a) > 1", fact={}))["error"]
    (problem,) = error["details"]["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("unknown-function", 1, 6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fact": []}, "fact: must be a JSON object"),
        ({"fact": {}, "decision": 1}, "decision: must be a JSON object"),
        ({"fact": {"a": "x" * FACT_BYTES_MAX}}, f"fact: must be at most {FACT_BYTES_MAX} bytes"),
    ],
)
async def test_what_is_wrong_with_a_fact_is_told_in_words(ground: Ground, given: dict[str, Any], message: str) -> None:
    assert (await ground.ask(dslContent="true", **given))["error"]["message"] == message


async def test_a_number_outside_a_double_is_refused_as_in_a_fact(ground: Ground) -> None:
    answer = json.loads(
        await ground.responder.handle(VIEWER, "explain", b'{"dslContent":"true","fact":{"a":' + b"9" * 400 + b"}}")
    )
    assert (answer["error"]["code"], answer["error"]["details"]["reason"]) == (
        "VALIDATION_ERROR",
        "NUMBER_OUT_OF_RANGE",
    )


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (ExplainDecision(), MissingParameterError),
        (ExplainDecision(decision_id="0" * 32), NotFoundError),
        (ExplainDecision(dsl_content="true", fact=msgspec.Raw(b"1")), ValidationError),
    ],
)
async def test_errors_are_typed(ground: Ground, query: ExplainDecision, error: type[RulestreamError]) -> None:
    with pytest.raises(error):
        await ground.explainer.explain(query)


async def test_a_rule_that_did_not_decide_then_is_said(ground: Ground) -> None:
    key = await ground.decide({})
    rule_id = await ground.activate("later", "true")
    for named in ({"ruleId": rule_id.value}, {"name": "later"}):
        error = (await ground.ask(decisionId=key, **named))["error"]
        assert (error["code"], error["message"]) == ("NOT_FOUND", "no such rule in the ruleset")
        assert error["details"]["revision"] == 0


async def test_while_the_compiler_is_away_that_is_said(ground: Ground) -> None:
    ground.compiler.is_away = True
    with pytest.raises(UnavailableError):
        await ground.explainer.explain(ExplainDecision(dsl_content="true", fact=msgspec.Raw(b"{}")))
