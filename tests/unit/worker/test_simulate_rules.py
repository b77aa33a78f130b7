"""The query simulate on fakes: what would be decided, alone and beside the active rules, and what is refused."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import msgspec
import pytest

from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from domain.identifiers import Actor, RuleId
from domain.language import parse_timestamp
from domain.roles import RolePolicy
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule
from streams.messages.bounds import (
    PAGE_BYTES_MAX,
    SIMULATED_FACTS_BYTES_MAX,
    SIMULATED_FACTS_MAX,
    SIMULATED_RULES_MAX,
)
from streams.messages.queries import PAYLOADS
from tests.contracts.rules_at_hand import ALICE, BOB, LATER, NOW
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.decisions import FakeDecisions
from tests.fakes.facts import FakeFacts
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.usecases.answer_queries import QueryResponder
from worker.usecases.explain_decisions import DecisionExplainer
from worker.usecases.simulate_rules import PAGE_SECONDS_MAX, RuleSimulator

VIP = 'when customer.tier == "VIP" then set discount = 15 emit vip.seen {"tier": customer.tier}'
GOLD = {"type": "order.placed", "data": {"customer": {"tier": "gold"}}}
VIP_ORDER = {"id": "o-1", "type": "order.placed", "data": {"customer": {"tier": "VIP"}}}


class Ground:
    """A worker's stores, and the query on them."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.decisions = FakeDecisions()
        self.compiler = FakeDslCompiler()
        self.seconds = itertools.repeat(0.0)
        rulesets = CompilingRulesets()
        self.responder = QueryResponder(
            self.transactions,
            self.decisions,
            self.compiler,
            DecisionExplainer(self.transactions, self.decisions, FakeFacts(), rulesets, self.compiler),
            RuleSimulator(
                self.transactions, rulesets, self.compiler, fact_bytes_max=1000, now=lambda: next(self.seconds)
            ),
            RolePolicy(),
        )

    async def write(
        self, name: str, dsl: str, priority: Priority = Priority.MEDIUM, *, active: bool = True, **dates: Any
    ) -> RuleId:
        """Store a new rule, a draft or one that decides."""
        rule = Rule.create(RuleId.for_name(name), RuleContent(name, dsl, priority, **dates), ALICE, NOW)
        if active:
            rule.submit(None, ALICE, NOW)
            rule.approve(rule.version, None, BOB, NOW)
            rule.activate(BOB, LATER)
        async with self.transactions.begin() as tx:
            await tx.rules.save(rule)
            if active:
                await tx.active_rules.change(rule, LATER)
        return rule.id

    async def rewrite(self, rule_id: RuleId, dsl: str) -> None:
        """Give a rule a new draft."""
        async with self.transactions.begin() as tx:
            rule = await tx.rules.find_by_id(rule_id)
            assert rule is not None
            rule.update(RuleContent(rule.content.name, dsl, rule.content.priority), rule.version, ALICE, NOW)
            await tx.rules.save(rule)

    async def ask(self, **payload: Any) -> dict[str, Any]:
        """Give the answer's envelope."""
        data = json.dumps(payload).encode()
        answer: dict[str, Any] = json.loads(await self.responder.handle(Actor("viewer"), "simulate", data))
        return answer

    async def result(self, **payload: Any) -> dict[str, Any]:
        answer = await self.ask(**payload)
        assert answer["status"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    async def item(self, fact: Any = None, **payload: Any) -> dict[str, Any]:
        """Give what becomes of one fact."""
        (item,) = (await self.result(facts=[fact or VIP_ORDER], **payload))["items"]
        return dict(item)


@pytest.fixture
def ground() -> Ground:
    return Ground()


class TestATextAlone:
    async def test_a_fact_is_decided_and_explained(self, ground: Ground) -> None:
        """The decision is in the stream's form, but for who decided it when; its trace is the query explain's."""
        item = await ground.item(dslContent=VIP)
        rule_id = RuleId.for_name("candidate").value
        output = {"discount": 15}
        decision = item["decision"]
        assert decision == {
            "decisionId": decision["decisionId"],
            "factId": "o-1",
            "factType": "order.placed",
            "factSeq": 1,
            "factTime": None,
            "decidedAt": None,
            "ruleset": None,
            "outcome": "matched",
            "output": output,
            "matches": [
                {
                    "ruleId": rule_id,
                    "name": "candidate",
                    "version": 0,
                    "priority": "MEDIUM",
                    "branch": "then",
                    "output": output,
                }
            ],
            "effects": [{"name": "vip.seen", "effectId": f"{decision['decisionId']}-1"}],
            "faults": [],
            "faultCount": 0,
        }
        assert item["effects"] == [{"tier": "VIP"}]
        (trace,) = item["trace"]
        assert (trace["ruleId"], trace["status"], trace["tree"]["status"]) == (rule_id, "then", "true")

    async def test_each_fact_is_decided_by_itself_in_order(self, ground: Ground) -> None:
        found = await ground.result(dslContent=VIP, facts=[GOLD, VIP_ORDER, {**GOLD, "data": {}}])
        assert found["total"] == 3
        assert "nextOffset" not in found
        assert [
            (one["factId"], one["decision"]["outcome"], one["trace"][0].get("reason")) for one in found["items"]
        ] == [
            ("given:1", "unmatched", "the condition is false"),
            ("o-1", "matched", None),
            ("given:3", "unmatched", "missing: customer.tier"),
        ]

    async def test_a_bare_fact_has_the_type_that_is_given_and_an_envelope_its_own(self, ground: Ground) -> None:
        facts = [{"a": 1}, {"data": {"a": 1}}, {"data": {"a": 1}, "type": "own"}, {"data": 1}]
        found = await ground.result(dslContent="true", facts=facts, factType="given")
        assert [one["decision"]["factType"] for one in found["items"]] == ["given", "given", "own", "given"]

    async def test_a_facts_time_is_seen(self, ground: Ground) -> None:
        fact = {**VIP_ORDER, "time": "2026-02-01T00:00:00Z"}
        dsl = 'when fact.time > timestamp("2026-01-01T00:00:00Z") then set late = true'
        assert (await ground.item(fact, dslContent=dsl))["decision"]["output"] == {"late": True}
        assert (await ground.item(dslContent=dsl))["decision"]["output"] == {}

    async def test_its_name_and_priority_are_shown(self, ground: Ground) -> None:
        item = await ground.item(dslContent=VIP, name="new one", priority="HIGH")
        (match,) = item["decision"]["matches"]
        assert (match["name"], match["priority"]) == ("new one", "HIGH")

    async def test_a_rule_for_another_type_is_told_as_such(self, ground: Ground) -> None:
        (trace,) = (await ground.item(dslContent=f"on order.paid {VIP}"))["trace"]
        assert (trace["status"], trace["reason"]) == ("not concerned", "the rule is for order.paid")

    async def test_a_fault_is_in_the_decision_and_in_the_trace(self, ground: Ground) -> None:
        item = await ground.item(dslContent="when 1 / size(customer.tier.substring(3)) > 0 then set a = 1")
        assert item["decision"]["faultCount"] == 1
        assert item["trace"][0]["status"] == "fault"


class TestStoredRules:
    async def test_the_latest_versions_are_tried_together(self, ground: Ground) -> None:
        first = await ground.write("first", "then set a = 1", active=False)
        second = await ground.write("second", "when decision.a == 2 then set b = 1", active=False)
        await ground.rewrite(first, "then set a = 2")
        item = await ground.item(ruleIds=[first.value, second.value])
        assert [(one["name"], one["version"]) for one in item["decision"]["matches"]] == [("first", 2), ("second", 1)]
        assert item["decision"]["output"] == {"a": 2, "b": 1}

    async def test_active_rules_are_left_out_unless_asked_for(self, ground: Ground) -> None:
        await ground.write("other", "then set b = 1")
        draft = await ground.write("draft", "then set a = 1", active=False)
        assert (await ground.item(ruleIds=[draft.value]))["decision"]["output"] == {"a": 1}

    async def test_their_dates_hold_for_a_fact_with_a_time(self, ground: Ground) -> None:
        later = await ground.write("later", "then set a = 1", active=False, effective_from=LATER)
        fact = {**VIP_ORDER, "time": NOW.isoformat()}
        (trace,) = (await ground.item(fact, ruleIds=[later.value]))["trace"]
        assert trace["status"] == "not effective"


class TestBesideActiveRules:
    async def test_the_effect_beside_the_others_is_seen(self, ground: Ground) -> None:
        """The rule under trial comes first in the trace, whatever it came to."""
        await ground.write("base", "then set base = 1")
        item = await ground.item(GOLD, dslContent=VIP, withActive=True)
        assert item["decision"]["output"] == {"base": 1}
        assert item["decision"]["ruleset"]["revision"] == 1
        assert [(one["name"], one["status"]) for one in item["trace"]] == [
            ("candidate", "not applied"),
            ("base", "then"),
        ]

    async def test_a_draft_takes_the_place_of_its_own_active_version(self, ground: Ground) -> None:
        rule = await ground.write("base", "then set base = 1")
        await ground.rewrite(rule, "then set base = 2")
        item = await ground.item(ruleIds=[rule.value], withActive=True)
        assert [(one["version"], one["output"]) for one in item["decision"]["matches"]] == [(2, {"base": 2})]

    async def test_a_text_takes_the_place_of_the_active_rule_of_its_name(self, ground: Ground) -> None:
        rule = await ground.write("base", "then set base = 1", Priority.HIGH, effective_until=LATER)
        item = await ground.item(dslContent="then set base = 2", name="base", withActive=True)
        (match,) = item["decision"]["matches"]
        assert (match["ruleId"], match["priority"], match["output"]) == (rule.value, "HIGH", {"base": 2})
        late = {**VIP_ORDER, "time": LATER.isoformat()}
        (trace,) = (await ground.item(late, dslContent="true", name="base", withActive=True))["trace"]
        assert trace["status"] == "not effective"
        (match,) = (await ground.item(dslContent="true", name="base", priority="LOW", withActive=True))["decision"][
            "matches"
        ]
        assert match["priority"] == "LOW"

    async def test_it_decides_as_the_engine_does_once_the_rule_is_active(self, ground: Ground) -> None:
        await ground.write("base", "then set base = 1")
        simulated = (await ground.item(dslContent=VIP, name="vip rule", withActive=True))["decision"]
        await ground.write("vip rule", VIP)
        async with ground.transactions.begin() as tx:
            ruleset: Ruleset = await CompilingRulesets().snapshot(await tx.active_rules.state(), tx.active_rules)
        (fact,) = ground.responder._simulator._facts(_query(facts=[VIP_ORDER]))
        decided = decide(ruleset, fact)
        assert simulated["output"] == decided.output
        assert [one["name"] for one in simulated["matches"]] == [one.name for one in decided.matches]

    @pytest.mark.parametrize(
        ("active", "dsl", "message", "details"),
        [
            ("then set a.b = 1", "then set a = 1", "path-conflict", "conflicts"),
            ("when decision.x == 1 then set y = 1", "when decision.y == 1 then set x = 1", "cycle", "rules"),
        ],
    )
    async def test_what_activation_would_refuse_is_refused(
        self, ground: Ground, active: str, dsl: str, message: str, details: str
    ) -> None:
        await ground.write("base", active)
        error = (await ground.ask(dslContent=dsl, facts=[VIP_ORDER], withActive=True))["error"]
        assert error["code"] == "BUSINESS_ERROR"
        assert error["message"].startswith(message)
        assert error["details"][details]
        await ground.result(dslContent=dsl, facts=[VIP_ORDER])

    async def test_rules_that_cannot_stand_together_are_refused_without_active_ones_too(self, ground: Ground) -> None:
        drafts = [
            (await ground.write("one", "then set a.b = 1", active=False)).value,
            (await ground.write("two", "then set a = 1", active=False)).value,
        ]
        assert (await ground.ask(ruleIds=drafts, facts=[]))["error"]["code"] == "BUSINESS_ERROR"


class TestPages:
    async def test_pages_go_through_all_facts(self, ground: Ground) -> None:
        facts = [{**GOLD, "id": str(number)} for number in range(5)]
        seen: list[str] = []
        for offset, following in ((0, 2), (2, 4), (4, None)):
            page = await ground.result(dslContent="true", facts=facts, pageSize=2, pageOffset=offset)
            assert (page["total"], page.get("nextOffset")) == (5, following)
            seen += [one["factId"] for one in page["items"]]
        assert seen == ["0", "1", "2", "3", "4"]

    async def test_a_page_ends_when_it_takes_too_long_with_at_least_one_item(self, ground: Ground) -> None:
        ground.seconds = itertools.count(0.0, PAGE_SECONDS_MAX + 1)  # type: ignore[assignment]
        page = await ground.result(dslContent="true", facts=[GOLD, GOLD, GOLD])
        assert (len(page["items"]), page["total"], page["nextOffset"]) == (1, 3, 1)

    async def test_a_trace_that_takes_too_long_says_how_much_is_left_out(self, ground: Ground) -> None:
        for number in range(3):
            await ground.write(f"rule {number}", "true")
        ground.seconds = itertools.count(0.0, PAGE_SECONDS_MAX + 1)  # type: ignore[assignment]
        item = await ground.item(dslContent="true", withActive=True)
        assert [one["name"] for one in item["trace"]] == ["candidate"]
        assert item["traceOmitted"] == 3

    async def test_an_item_never_outgrows_a_page(self, ground: Ground) -> None:
        """The trace gives way to the decision; the rule under trial is explained before the others."""
        words = " && ".join(f"a{n} == '{'x' * 400}'" for n in range(90))
        for number in range(12):
            await ground.write(f"rule {number}", f"when {words} then set x{number} = true")
        fact = {"type": "t", "data": {"a0": "x" * 400}}
        page = await ground.result(dslContent=f"when {words} then set y = 1", facts=[fact, fact], withActive=True)
        assert len(json.dumps(page["items"][0])) <= PAGE_BYTES_MAX
        assert page["items"][0]["trace"][0]["name"] == "candidate"
        assert len(page["items"][0]["trace"]) + page["items"][0].get("traceOmitted", 0) == 13

    async def test_a_decision_that_fits_no_message_is_told_in_its_place(self, ground: Ground) -> None:
        dsl = " ".join(f"append payload.a to out{n}" for n in range(400))
        item = await ground.item({"type": "t", "data": {"a": "x" * 900}}, dslContent=f"when true then {dsl}")
        assert item["decision"] is None
        assert item["problem"].startswith("DECISION_TOO_LARGE")
        assert item["trace"][0]["status"] == "then"


TEXT: dict[str, Any] = {"dslContent": "true"}
SOME = RuleId.for_name("some").value
DEEP = json.loads('{"a":' * 65 + "1" + "}" * 65)


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ({}, "MISSING_PARAMETER", "facts"),
        ({"facts": []}, "MISSING_PARAMETER", "dslContent"),
        (TEXT, "MISSING_PARAMETER", "facts"),
        ({**TEXT, "facts": {}}, "VALIDATION_ERROR", None),
        ({**TEXT, "facts": [], "ruleIds": [SOME]}, "VALIDATION_ERROR", "dslContent"),
        ({"ruleIds": [SOME], "facts": [], "name": "some"}, "VALIDATION_ERROR", "name"),
        ({"ruleIds": [SOME], "facts": [], "priority": "LOW"}, "VALIDATION_ERROR", "priority"),
        ({"ruleIds": [], "facts": []}, "VALIDATION_ERROR", "ruleIds"),
        ({"ruleIds": [SOME] * (SIMULATED_RULES_MAX + 1), "facts": []}, "VALIDATION_ERROR", "ruleIds"),
        ({"ruleIds": [SOME, SOME.upper()], "facts": []}, "VALIDATION_ERROR", "ruleIds"),
        ({"ruleIds": ["some"], "facts": []}, "VALIDATION_ERROR", "ruleId"),
        ({"ruleIds": [RuleId.for_name("nobody").value], "facts": []}, "NOT_FOUND", None),
        ({**TEXT, "facts": [], "priority": "URGENT"}, "VALIDATION_ERROR", None),
        ({**TEXT, "facts": [], "name": ""}, "VALIDATION_ERROR", None),
        ({"dslContent": "", "facts": []}, "VALIDATION_ERROR", None),
        ({"dslContent": "when", "facts": []}, "VALIDATION_ERROR", None),
        ({**TEXT, "facts": [], "pageSize": 0}, "VALIDATION_ERROR", "pageSize"),
        ({**TEXT, "facts": [], "pageOffset": -1}, "VALIDATION_ERROR", "pageOffset"),
        ({**TEXT, "facts": [], "factType": "a b"}, "VALIDATION_ERROR", "factType"),
        ({**TEXT, "facts": [], "fact": {}}, "INVALID_REQUEST", "fact"),
        ({**TEXT, "facts": [{}] * (SIMULATED_FACTS_MAX + 1), "factType": "t"}, "VALIDATION_ERROR", "facts"),
        ({**TEXT, "facts": [{"a": "x" * SIMULATED_FACTS_BYTES_MAX}], "factType": "t"}, "VALIDATION_ERROR", "facts"),
        ({**TEXT, "facts": [GOLD, {"a": 1}]}, "VALIDATION_ERROR", "facts[1]"),
        ({**TEXT, "facts": [1], "factType": "t"}, "VALIDATION_ERROR", "facts[0]"),
        ({**TEXT, "facts": [None], "factType": "t"}, "VALIDATION_ERROR", "facts[0]"),
        ({**TEXT, "facts": [{"a": "x" * 1000}], "factType": "t"}, "VALIDATION_ERROR", "facts[0]"),
        ({**TEXT, "facts": [{**GOLD, "id": ""}]}, "VALIDATION_ERROR", "facts[0]"),
        ({**TEXT, "facts": [{**GOLD, "type": "a b"}]}, "VALIDATION_ERROR", "facts[0]"),
        ({**TEXT, "facts": [{**GOLD, "time": "yesterday"}]}, "VALIDATION_ERROR", "facts[0]"),
        (
            {**TEXT, "facts": [json.loads('{"a":' * 65 + "1" + "}" * 65)], "factType": "t"},
            "VALIDATION_ERROR",
            "facts[0]",
        ),
    ],
)
async def test_what_cannot_be_simulated_is_refused(
    ground: Ground, payload: dict[str, Any], code: str, field: str | None
) -> None:
    await ground.write("some", "true", active=False)
    answer = await ground.ask(**payload)
    assert (answer["status"], answer["error"]["code"]) == ("error", code), answer
    assert answer["error"]["details"].get("field") == field


async def test_no_facts_make_an_empty_page(ground: Ground) -> None:
    assert await ground.result(**TEXT, facts=[]) == {"items": [], "total": 0}


async def test_nothing_is_stored(ground: Ground) -> None:
    rule = await ground.write("base", "then set base = 1")
    before = copy.deepcopy(ground.transactions.database)
    await ground.item(ruleIds=[rule.value], withActive=True)
    await ground.item(dslContent=VIP, name="base", withActive=True)
    assert ground.transactions.database == before
    assert (ground.decisions.calls, ground.decisions.stored) == (0, {})


async def test_while_the_compiler_is_away_that_is_said(ground: Ground) -> None:
    ground.compiler.is_away = True
    assert (await ground.ask(**TEXT, facts=[GOLD]))["error"]["code"] == "UNAVAILABLE"


def test_times_are_read_as_in_files() -> None:
    """Both forms of a fact are those of FACTS files, so that one file serves offline and here."""
    (fact,) = Ground().responder._simulator._facts(_query(facts=[{**VIP_ORDER, "time": "2026-02-01T00:00:00Z"}]))
    assert fact.time_ns == parse_timestamp("2026-02-01T00:00:00Z").ns


def _query(**payload: Any) -> Any:
    return msgspec.json.decode(json.dumps({**TEXT, **payload}), type=PAYLOADS["simulate"])
