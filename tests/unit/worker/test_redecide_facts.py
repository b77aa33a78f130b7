"""Deciding facts again, on fakes: what is equal, what is told of what is not, and what cannot be made again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from domain.decisions.engine import decide
from domain.decisions.ruleset import RulesetState
from domain.errors import ErrorCode, RecordBrokenError, RulesetLostError, UnavailableError
from domain.identifiers import RuleId
from domain.language import compile_rule
from domain.ports import DecisionRange, StoredDecision
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule
from streams.facts.intake import Accepted, Delivery, read_fact
from streams.facts.kept import keep_fact
from streams.messages.decisions import stored_decision
from tests.contracts.rules_at_hand import ALICE, BOB, LATER, NOW
from tests.fakes.decision_scan import FakeDecisionScan
from tests.fakes.decisions import FakeDecisions
from tests.fakes.facts import STORED_AT_NS, FakeFacts
from tests.fakes.rulesets import CompilingRulesets
from tests.fakes.transactions import FakeTransactions
from worker.past_rulesets import PastRulesets
from worker.usecases.redecide_facts import FACTS_AT_ONCE, Redecider, Redecision

VIP = """when customer.tier == "VIP" then
  set discount = 15
  append "vip" to reasons
  emit loyalty.points {"points": 25, "of": fact.id}"""
EVERYTHING = DecisionRange(0)


class Ground:
    """A worker's stores, with what a test puts there, and the use case on them."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.decisions = FakeDecisions()
        self.scan = FakeDecisionScan(self.decisions)
        self.facts = FakeFacts()
        self.compiled: list[str] = []
        self.rulesets = PastRulesets(self.transactions, self._compile)
        self.redecider = Redecider(self.decisions, self.scan, self.facts, self.rulesets)

    def _compile(self, source: str) -> Any:
        self.compiled.append(source)
        return compile_rule(source)

    async def activate(self, name: str, dsl: str, priority: Priority = Priority.MEDIUM, **content: Any) -> RuleId:
        """Let a new rule decide, or a new version of a rule."""
        rule_id = RuleId.for_name(name)
        made = RuleContent(name, dsl, priority, **content)
        async with self.transactions.begin() as tx:
            rule = await tx.rules.find_by_id(rule_id)
            if rule is None:
                rule = Rule.create(rule_id, made, ALICE, NOW)
            else:
                rule.update(made, rule.version, ALICE, NOW)
            rule.submit(None, ALICE, NOW)
            rule.approve(rule.version, None, BOB, NOW)
            rule.activate(BOB, LATER)
            await tx.rules.save(rule)
            await tx.active_rules.change(rule, LATER)
        return rule_id

    async def deactivate(self, rule_id: RuleId) -> None:
        async with self.transactions.begin() as tx:
            rule = await tx.rules.find_by_id(rule_id)
            assert rule is not None
            rule.deactivate(BOB, LATER)
            await tx.rules.save(rule)
            await tx.active_rules.change(rule, LATER)

    async def decide(
        self,
        data: dict[str, Any] | bytes,
        headers: dict[str, str] | None = None,
        fact_type: str = "order.placed",
        *,
        is_kept: bool = False,
    ) -> StoredDecision:
        """Decide a fact by the rules that are active now, as the fact loop does, and store the decision."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        sequence, stored_at_ns = self.facts.put(f"facts.{fact_type}", body, headers)
        delivery = Delivery(f"facts.{fact_type}", "", body, headers, "FACTS", sequence, stored_at_ns, 1)
        found = read_fact(delivery)
        assert isinstance(found, Accepted)
        async with self.transactions.begin() as tx:
            ruleset = await CompilingRulesets().snapshot(await tx.active_rules.state(), tx.active_rules)
        decision = decide(ruleset, found.fact)
        kept = keep_fact(delivery) if is_kept else None
        stored = stored_decision(decision, "2026-01-31T12:00:00.5Z", stored_at_ns, found.traceparent, kept)
        await self.decisions.store([stored])
        return stored

    def tamper(self, decision: StoredDecision, **changes: Any) -> None:
        """Change what is stored."""
        self.decisions.stored[decision.key] = msgspec.structs.replace(self.decisions.stored[decision.key], **changes)

    async def again(self, *decisions: StoredDecision) -> list[Redecision]:
        return [one async for one in self.redecider.by_keys([decision.key for decision in decisions])]

    async def all_again(self, wanted: DecisionRange = EVERYTHING, limit: int | None = None) -> list[Redecision]:
        return [one async for one in self.redecider.between(wanted, limit)]


@pytest.fixture
def ground() -> Ground:
    return Ground()


def shown(redecisions: list[Redecision]) -> list[tuple[str, Any]]:
    return [
        (one.status, one.error.code if one.error else [diff.path for diff in one.differences]) for one in redecisions
    ]


STRUCTURED = {"id": "e1", "source": "/shop", "specversion": "1.0", "time": "2025-06-01T00:00:00Z"}
FACTS: dict[str, tuple[Any, dict[str, str] | None]] = {
    "by sequence": ({"customer": {"tier": "VIP"}}, None),
    "by message id": ({"customer": {"tier": "VIP"}}, {"Nats-Msg-Id": "order-ä"}),
    "a CloudEvent's in binary mode": (
        {"customer": {"tier": "VIP"}},
        {"ce-id": "e 1", "ce-source": "/shop", "ce-time": "2025-06-01T00:00:00.123456789Z", "Nats-Msg-Id": "x"},
    ),
    "a CloudEvent's in structured mode": (
        {**STRUCTURED, "data": {"customer": {"tier": "VIP"}}},
        {"content-type": "application/cloudevents+json"},
    ),
    "sent again from its dead letter": (
        {"customer": {"tier": "VIP"}},
        {"Rulestream-Origin": "FACTS:1@1748736000000000000"},
    ),
    "traced": ({"customer": {"tier": "VIP"}}, {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}),
}
RULES = {
    "effects": VIP,
    "faults": "when true then set a = 1 / 0",
    "a table": """table collect
| customer.tier | append levels |
| "VIP"         | "vip"         |
| "GOLD"        | "gold"        |
| -             | "any"         |""",
    "a reader": 'when decision.discount > 10 then set checked = decision.discount * 2 append "read" to reasons',
    "time": 'when fact.time < timestamp("2026-01-01T00:00:00Z") then set early = true else set early = false',
    "sums": "when true then add 0.1 to score add 0.2 to score",
    "stop": 'when customer.tier == "STOP" then set stopped = true stop',
}


@pytest.mark.parametrize("identity", FACTS)
@pytest.mark.parametrize("is_kept", [False, True], ids=["in the stream", "with the decision"])
async def test_what_was_decided_comes_out_equal(ground: Ground, identity: str, is_kept: bool) -> None:
    for number, (name, dsl) in enumerate(RULES.items()):
        await ground.activate(name, dsl, list(Priority)[number % 4])
    data, headers = FACTS[identity]
    decision = await ground.decide(data, headers, is_kept=is_kept)
    body = json.loads(decision.body)
    assert body["outcome"] == "matched"
    assert len(decision.effects) == 1
    assert body["faultCount"] == 1
    assert {match["name"] for match in body["matches"]} == {"effects", "a table", "a reader", "time", "sums"}
    if is_kept:
        ground.facts.remove(decision.sequence)
    assert shown(await ground.again(decision)) == [("equal", [])]
    assert shown(await ground.all_again()) == [("equal", [])]


async def test_a_decision_is_made_again_by_its_own_revision(ground: Ground) -> None:
    rule_id = await ground.activate("discount", "when total > 1 then set discount = 1")
    first = await ground.decide({"total": 5})
    await ground.activate("discount", "when total > 1 then set discount = 2")
    second = await ground.decide({"total": 5})
    await ground.deactivate(rule_id)
    third = await ground.decide({"total": 5})
    assert [json.loads(one.body)["output"] for one in (first, second, third)] == [{"discount": 1}, {"discount": 2}, {}]
    assert shown(await ground.again(third, second, first)) == [("equal", [])] * 3


async def test_effective_dates_are_those_of_the_version_that_decided(ground: Ground) -> None:
    await ground.activate("dated", "true", effective_from=NOW, effective_until=LATER)
    inside = await ground.decide({}, {"ce-id": "1", "ce-source": "s", "ce-time": "2026-01-31T13:00:00Z"})
    outside = await ground.decide({}, {"ce-id": "2", "ce-source": "s", "ce-time": "2026-02-01T00:00:00Z"})
    await ground.activate("dated", "true")
    assert [one.matched for one in (inside, outside)] == [True, False]
    assert shown(await ground.again(inside, outside)) == [("equal", [])] * 2


class TestTampering:
    """A change anywhere in what is kept is found."""

    @pytest.fixture
    async def decision(self, ground: Ground) -> StoredDecision:
        await ground.activate("vip", VIP)
        return await ground.decide({"customer": {"tier": "VIP"}}, {"Nats-Msg-Id": "order-1"})

    async def test_in_the_output(self, ground: Ground, decision: StoredDecision) -> None:
        ground.tamper(decision, body=decision.body.replace(b'"discount":15', b'"discount":16', 1))
        (found,) = await ground.again(decision)
        assert found.status == "different"
        (difference,) = found.differences
        assert (difference.path, difference.stored, difference.again) == ("$.output.discount", 16, 15)

    async def test_in_any_byte_of_the_body(self, ground: Ground, decision: StoredDecision) -> None:
        """But those of the moment of deciding, which nothing else records."""
        decided_at = decision.body.index(b"2026-01-31T12:00:00.5Z")
        for position in range(len(decision.body)):
            if decided_at <= position < decided_at + len("2026-01-31T12:00:00.5Z"):
                continue
            changed = bytearray(decision.body)
            changed[position] ^= 1
            ground.tamper(decision, body=bytes(changed))
            (found,) = await ground.again(decision)
            assert found.status in {"different", "failed"}, bytes(changed)

    async def test_in_an_effect(self, ground: Ground, decision: StoredDecision) -> None:
        (name, effect_id, _) = decision.effects[0]
        ground.tamper(decision, effects=((name, effect_id, b'{"points":26,"of":"order-1"}'),))
        assert shown(await ground.again(decision)) == [("different", ["$.effects[0].payload.points"])]
        ground.tamper(decision, effects=())
        assert shown(await ground.again(decision)) == [("different", ["$.effects[0]"])]

    async def test_in_a_column(self, ground: Ground, decision: StoredDecision) -> None:
        ground.tamper(decision, matched=False)
        assert shown(await ground.again(decision)) == [("different", ["row.matched"])]

    async def test_in_the_digest_that_the_decision_names(self, ground: Ground, decision: StoredDecision) -> None:
        digest = json.loads(decision.body)["ruleset"]["digest"].encode()
        ground.tamper(decision, body=decision.body.replace(digest, digest[::-1]))
        (found,) = await ground.again(decision)
        assert isinstance(found.error, RulesetLostError)
        assert found.error.details == {"revision": 1, "digest": digest[::-1].decode(), "found": digest.decode()}

    async def test_in_the_revision_that_it_names(self, ground: Ground, decision: StoredDecision) -> None:
        await ground.activate("another", "true")
        for revision in (b"0", b"2", b"9223372036854775807"):
            ground.tamper(decision, body=decision.body.replace(b'"revision":1', b'"revision":' + revision))
            assert shown(await ground.again(decision)) == [("failed", ErrorCode.RULESET_LOST)]

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"\xff", b"{}", b'{"decidedAt":1}']
        + [
            b'{"decidedAt":"x","ruleset":{"revision":%s,"digest":"%s"}}' % (revision, digest)
            for revision, digest in [(b"-1", b"0" * 64), (b"1.5", b"0" * 64), (b"1e30", b"0" * 64), (b"1", b"0" * 62)]
        ],
    )
    async def test_so_that_it_is_no_decision(self, ground: Ground, decision: StoredDecision, body: bytes) -> None:
        ground.tamper(decision, body=body)
        assert shown(await ground.again(decision)) == [("failed", ErrorCode.RECORD_BROKEN)]

    async def test_in_a_rules_text(self, ground: Ground, decision: StoredDecision) -> None:
        rule_id = RuleId.for_name("vip")
        versions = ground.transactions.database.versions
        version = versions[rule_id, 1]
        versions[rule_id, 1] = replace(version, content=replace(version.content, dsl_content=VIP.replace("15", "16")))
        (found,) = await ground.again(decision)
        assert isinstance(found.error, RulesetLostError)
        assert found.error.message == (
            "the ruleset of revision 1 cannot be made again:"
            f" version 1 of 'vip' ({rule_id}) is not the content that decided"
        )
        del versions[rule_id, 1]
        assert shown(await Redecided(ground).again(decision)) == [("failed", ErrorCode.RULESET_LOST)]

    async def test_in_the_rulesets_members(self, ground: Ground, decision: StoredDecision) -> None:
        (member,) = ground.transactions.database.memberships
        for changes in (
            {"until_revision": 1},
            {"digest": b"\0" * 32},
            {"version": 2},
            {"rule_id": RuleId.for_name("x")},
        ):
            was = {name: getattr(member, name) for name in changes}
            for name, value in changes.items():
                setattr(member, name, value)
            assert shown(await Redecided(ground).again(decision)) == [("failed", ErrorCode.RULESET_LOST)], changes
            for name, value in was.items():
                setattr(member, name, value)
        assert shown(await Redecided(ground).again(decision)) == [("equal", [])]

    async def test_in_the_fact_that_is_stored_with_it(self, ground: Ground) -> None:
        headers = {"Nats-Msg-Id": "order-2"}
        await ground.activate("vip", VIP)
        decision = await ground.decide({"customer": {"tier": "VIP"}}, headers, is_kept=True)
        other = {"customer": {"tier": "GOLD"}}
        delivery = Delivery("facts.order.placed", "", json.dumps(other).encode(), headers, "FACTS", 1, 1, 1)
        ground.tamper(decision, fact=keep_fact(delivery))
        assert shown(await ground.again(decision)) == [("equal", [])], "the stream has the fact itself"
        ground.facts.remove(decision.sequence)
        (found,) = await ground.again(decision)
        assert found.status == "different"
        assert "$.output.discount" in {difference.path for difference in found.differences}
        for broken in (b"", keep_fact(msgspec.structs.replace(delivery, headers={"Nats-Msg-Id": "order-3"}))):
            ground.tamper(decision, fact=broken)
            assert shown(await ground.again(decision)) == [("failed", ErrorCode.RECORD_BROKEN)]


class Redecided(Ground):
    """The same stores, asked anew: nothing is remembered of rulesets."""

    def __init__(self, ground: Ground) -> None:
        self.transactions, self.decisions, self.facts = ground.transactions, ground.decisions, ground.facts
        self.rulesets = PastRulesets(self.transactions)
        self.redecider = Redecider(self.decisions, ground.scan, self.facts, self.rulesets)


async def test_a_fact_that_is_gone_is_told_as_expired(ground: Ground) -> None:
    decision = await ground.decide({}, {"Nats-Msg-Id": "order-1"})
    ground.facts.remove(decision.sequence)
    (found,) = await ground.again(decision)
    assert found.status == "expired"
    assert found.error is not None
    assert (found.error.code, found.error.details) == (ErrorCode.FACT_EXPIRED, {"factId": "order-1", "factSeq": 1})


async def test_a_key_without_a_decision_is_told(ground: Ground) -> None:
    decision = await ground.decide({})
    missing = msgspec.structs.replace(decision, key=b"\1" * 16)
    assert shown(await ground.again(missing, decision)) == [("failed", ErrorCode.NOT_FOUND), ("equal", [])]


async def test_a_store_that_cannot_read_a_decision_does_not_end_the_others(ground: Ground) -> None:
    decision, other = await ground.decide({}), await ground.decide({})
    ground.scan.broken.add(decision.key)
    assert shown(await ground.all_again()) == [("failed", ErrorCode.RECORD_BROKEN), ("equal", [])]

    async def find(key: bytes) -> StoredDecision | None:
        if key == decision.key:
            raise RecordBrokenError("it cannot be read")
        return ground.decisions.stored[key]

    ground.decisions.find = find  # type: ignore[method-assign]
    assert shown(await ground.again(decision, other)) == [("failed", ErrorCode.RECORD_BROKEN), ("equal", [])]


async def test_a_rule_that_this_release_refuses_is_named(ground: Ground) -> None:
    await ground.activate("legacy", "when sizeof(a) > 1 then set b = 1")
    database = ground.transactions.database
    state = database.state
    decision = await self_made(ground, state)
    (found,) = await ground.again(decision)
    assert isinstance(found.error, RulesetLostError)
    assert "this release refuses version 1 of 'legacy'" in found.error.message
    assert found.error.message.endswith("line 1, column 6: no function `sizeof`")


async def self_made(ground: Ground, state: RulesetState) -> StoredDecision:
    """Store a decision that names a ruleset, without deciding."""
    sequence, stored_at_ns = ground.facts.put("facts.order", b"{}", {"Nats-Msg-Id": "order-1"})
    fact = await ground.facts.find(sequence, stored_at_ns)
    assert fact is not None
    ruleset = {"revision": state.revision, "digest": state.digest.hex()}
    body = json.dumps({"decidedAt": "2026-01-01T00:00:00Z", "ruleset": ruleset}).encode()
    stored = StoredDecision(fact.key, stored_at_ns, fact.id, fact.type, sequence, stored_at_ns, False, 1, body)
    await ground.decisions.store([stored])
    return stored


class TestRanges:
    """Any number of decisions, in order and within bounds."""

    async def test_decisions_come_oldest_first_with_what_came_of_each(self, ground: Ground) -> None:
        made = [await ground.decide({"n": number}) for number in range(5)]
        ground.tamper(made[3], matched=True)
        ground.facts.remove(made[1].sequence)
        found = await ground.all_again()
        assert [one.key for one in found] == [one.key for one in made]
        assert [one.status for one in found] == ["equal", "expired", "equal", "different", "equal"]

    async def test_times_types_and_a_limit_choose(self, ground: Ground) -> None:
        made = [await ground.decide({}, fact_type=f"order.{number % 2}") for number in range(10)]
        since = DecisionRange(made[2].stored_at_ns, made[8].stored_at_ns)
        assert [one.key for one in await ground.all_again(since)] == [one.key for one in made[2:8]]
        odd = await ground.all_again(DecisionRange(0, fact_type="order.1"))
        assert [one.key for one in odd] == [one.key for one in made[1::2]]
        for limit in (1, 3, 10, 11):
            assert [one.key for one in await ground.all_again(limit=limit)] == [one.key for one in made[:limit]]
        assert await ground.all_again(DecisionRange(made[-1].stored_at_ns + 1)) == []
        assert await ground.redecider.count(EVERYTHING, 100) == 10

    @pytest.mark.parametrize("limit", [FACTS_AT_ONCE - 1, FACTS_AT_ONCE, FACTS_AT_ONCE + 1, 2 * FACTS_AT_ONCE])
    async def test_a_limit_may_lie_anywhere_in_a_page(self, ground: Ground, limit: int) -> None:
        for _ in range(2 * FACTS_AT_ONCE + 3):
            await ground.decide({})
        assert len(await ground.all_again(limit=limit)) == limit

    async def test_a_page_is_asked_for_when_the_one_before_it_is_done(self, ground: Ground) -> None:
        ground.scan.page_decisions = 10
        for _ in range(100):
            await ground.decide({})
        seen = 0
        async for _ in ground.redecider.between(EVERYTHING):
            seen += 1
            assert ground.scan.pages_given == (seen + 9) // 10

    async def test_facts_are_held_a_few_at_a_time(self, ground: Ground) -> None:
        asked: list[int] = []
        find = ground.facts.find

        async def counted(sequence: int, stored_at_ns: int) -> Any:
            asked.append(sequence)
            return await find(sequence, stored_at_ns)

        for _ in range(FACTS_AT_ONCE * 3):
            await ground.decide({})
        ground.facts.find = counted  # type: ignore[method-assign]
        seen = 0
        async for _ in ground.redecider.between(EVERYTHING):
            seen += 1
            assert seen <= len(asked) <= seen + FACTS_AT_ONCE

    @pytest.mark.parametrize("service", ["facts", "decisions", "transactions"])
    async def test_while_a_service_is_away_that_is_said(self, ground: Ground, service: str) -> None:
        await ground.decide({})
        if service == "transactions":
            ground.transactions.failure = UnavailableError("postgres", "away")
        else:
            getattr(ground, service).is_away = True
        with pytest.raises(UnavailableError):
            await ground.all_again()
        if service != "decisions":
            with pytest.raises(UnavailableError):
                await ground.again(*ground.decisions.stored.values())


class TestRulesets:
    """What is kept of earlier revisions."""

    async def test_a_rule_is_compiled_once_for_all_revisions(self, ground: Ground) -> None:
        for number in range(12):
            await ground.activate(f"rule {number}", f"when n == {number} then set x = {number}")
            await ground.decide({"n": number})
        assert {one.status for one in await ground.all_again()} == {"equal"}
        assert sorted(ground.compiled) == sorted(f"when n == {number} then set x = {number}" for number in range(12))

    async def test_a_rule_that_comes_back_is_not_compiled_again(self, ground: Ground) -> None:
        rule_id = await ground.activate("comes and goes", "true")
        await ground.decide({})
        for number in range(6):
            await ground.activate(f"rule {number}", "true")
            await ground.deactivate(rule_id)
            await ground.decide({})
            async with ground.transactions.begin() as tx:
                rule = await tx.rules.find_by_id(rule_id)
                assert rule is not None
                rule.activate(BOB, LATER)
                await tx.rules.save(rule)
                await tx.active_rules.change(rule, LATER)
            await ground.decide({})
        assert {one.status for one in await ground.all_again()} == {"equal"}
        assert len(ground.compiled) == 7

    async def test_rules_and_rulesets_that_are_kept_are_bounded(self, ground: Ground) -> None:
        rulesets = PastRulesets(ground.transactions, ground._compile, rulesets_max=2, rules_max=3)
        states = []
        for number in range(5):
            rule_id = await ground.activate(f"rule {number}", f"when n == {number} then set x = 1")
            states.append(ground.transactions.database.state)
            await ground.deactivate(rule_id)
        for state in states:
            assert len((await rulesets.find(state)).rules) == 1
        assert (len(rulesets._rulesets), len(rulesets._rules)) == (2, 3)
        before = len(ground.compiled)
        await rulesets.find(states[4])
        await rulesets.find(states[2])
        assert len(ground.compiled) == before, "the ruleset is kept, or its rules are"
        await rulesets.find(states[0])
        assert len(ground.compiled) == before + 1

    async def test_a_ruleset_larger_than_what_is_kept_is_made_whole(self, ground: Ground) -> None:
        for number in range(5):
            await ground.activate(f"rule {number}", f"when n == {number} then set x = 1")
        rulesets = PastRulesets(ground.transactions, ground._compile, rules_max=2)
        assert len((await rulesets.find(ground.transactions.database.state)).rules) == 5
        await ground.activate("rule 5", "true")
        assert len((await rulesets.find(ground.transactions.database.state)).rules) == 6
        assert len(ground.compiled) == 6, "what the newest ruleset has is kept"

    async def test_a_ruleset_that_is_lost_is_looked_for_once(self, ground: Ground) -> None:
        made = [await ground.decide({"n": number}) for number in range(3)]
        state = RulesetState(1, b"\0" * 32)
        for one in made:
            digest = json.loads(one.body)["ruleset"]["digest"].encode()
            ground.tamper(one, body=one.body.replace(digest, b"00" * 32).replace(b'"revision":0', b'"revision":1'))
        begun = 0
        begin = ground.transactions.begin

        def counted() -> Any:
            nonlocal begun
            begun += 1
            return begin()

        ground.transactions.begin = counted  # type: ignore[method-assign]
        assert shown(await ground.all_again()) == [("failed", ErrorCode.RULESET_LOST)] * 3
        assert begun == 1
        with pytest.raises(RulesetLostError):
            await ground.rulesets.find(state)

    async def test_many_rules_that_are_wrong_are_not_all_named(self, ground: Ground) -> None:
        for number in range(15):
            await ground.activate(f"rule {number}", "true")
        ground.transactions.database.versions.clear()
        with pytest.raises(RulesetLostError, match=r"is gone and 5 more$"):
            await ground.rulesets.find(ground.transactions.database.state)


async def test_nothing_is_stored(ground: Ground) -> None:
    await ground.decide({})
    before = dict(ground.decisions.stored)
    calls = ground.decisions.calls
    assert await ground.all_again()
    assert (ground.decisions.stored, ground.decisions.calls) == (before, calls)


def test_the_moment_of_the_fakes_stream_is_ours() -> None:
    """Facts here are stored in 2026: dates in this module stand on either side of it."""
    assert STORED_AT_NS == 1_769_860_800_000_000_000
