"""The ruleset: its digest, its plans, and what one snapshot takes over from another."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions import ruleset as module
from domain.decisions.ruleset import ActiveRule, Ruleset, RulesetState, bind, ruleset_digest
from domain.identifiers import RuleId
from domain.language import CompiledRule
from domain.rules.content import Priority, RuleContent
from tests.fakes.handmade import bound, compiled

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), max_size=5)


def active(name: str, version: int = 1, dsl: str = "a == 1") -> ActiveRule:
    return ActiveRule(RuleId.for_name(name), version, RuleContent(name, dsl, Priority.MEDIUM))


class CountingCompiler:
    """Notes what it compiles."""

    def __init__(self) -> None:
        self.sources: list[str] = []

    def __call__(self, source: str) -> CompiledRule:
        self.sources.append(source)
        return compiled()


def test_the_digest_is_of_the_sorted_content_digests() -> None:
    one, two = b"\x01" * 32, b"\x02" * 32
    assert ruleset_digest([two, one]) == hashlib.sha256(one + two).digest()
    assert ruleset_digest([]) == hashlib.sha256(b"").digest()


@given(DIGESTS, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_members(digests: list[bytes], shuffler: object) -> None:
    shuffled = list(digests)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ruleset_digest(shuffled) == ruleset_digest(digests)


@given(DIGESTS, DIGESTS)
def test_other_members_give_another_digest(left: list[bytes], right: list[bytes]) -> None:
    assert (ruleset_digest(left) == ruleset_digest(right)) is (sorted(left) == sorted(right))


def test_a_snapshots_digest_is_of_its_rules_and_changes_with_any_of_them() -> None:
    rules = [active("one"), active("two"), active("six")]
    made = [Ruleset.of(3, order, CountingCompiler()).digest for order in permutations(rules)]
    assert set(made) == {ruleset_digest(rule.digest for rule in rules)}
    for other in ([*rules[:2], active("six", dsl="a == 2")], [*rules[:2], active("six", 2)], rules[:2], []):
        assert Ruleset.of(3, other, CountingCompiler()).digest != made[0]


def test_a_snapshot_says_which_ruleset_it_is() -> None:
    made = Ruleset.of(3, [active("one")], CountingCompiler())
    assert made.state == RulesetState(3, made.digest)


def test_every_rule_is_compiled_from_its_text_and_found_by_its_digest() -> None:
    compiler = CountingCompiler()
    made = Ruleset.of(1, [active("one"), active("two", dsl="b")], compiler)
    assert sorted(compiler.sources) == ["a == 1", "b"]
    assert made.by_digest() == {rule.digest: rule for rule in made.rules}
    assert active("two", dsl="b").digest in made.by_digest()


def test_rules_are_placed_by_priority_then_name_then_id() -> None:
    made = Ruleset(1, [bound("b"), bound("a"), bound("z", priority=Priority.HIGH), bound("a", rule_id="id-0")])
    assert [(rule.rule_id, rule.position) for rule in made.rules] == [
        ("id-z", 0),
        ("id-0", 1),
        ("id-a", 2),
        ("id-b", 3),
    ]


def test_binding_keeps_what_a_decision_tells_of_a_rule_and_its_dates_in_nanoseconds() -> None:
    content = RuleContent(
        "one", "a", Priority.HIGH, "", (), datetime(1970, 1, 1, 0, 0, 1, 2, UTC), datetime(9999, 12, 31, tzinfo=UTC)
    )
    rule = ActiveRule(RuleId.for_name("one"), 7, content)
    made = bind(rule, rule.digest, CountingCompiler()(content.dsl_content))
    assert (made.rule_id, made.name, made.version, made.priority) == (rule.rule_id.value, "one", 7, Priority.HIGH)
    assert (made.from_ns, made.until_ns) == (1_000_002_000, 253_402_214_400 * 10**9)


class TestPlans:
    def test_a_plan_holds_the_rules_that_a_type_can_meet(self) -> None:
        made = Ruleset(1, [bound("any"), bound("orders", on=("order.*",)), bound("flights", on=("x", "flight.>"))])
        assert [rule.name for rule in made.plan("order.placed").rules] == ["any", "orders"]
        assert [rule.name for rule in made.plan("flight.a.b").rules] == ["any", "flights"]
        assert [rule.name for rule in made.plan("order").rules] == ["any"]

    @pytest.mark.parametrize(
        ("rule", "chained"),
        [(bound("a"), False), (bound("a", reads=("x",)), True), (bound("a", may_stop=True), True)],
        ids=["plain", "reads", "may stop"],
    )
    def test_a_plan_is_chained_when_one_of_its_rules_reads_or_may_stop(self, rule: object, chained: bool) -> None:
        assert Ruleset(1, [rule]).plan("t").is_chained is chained  # type: ignore[list-item]

    def test_a_rule_that_a_type_never_meets_does_not_chain_its_plan(self) -> None:
        assert not Ruleset(1, [bound("a"), bound("b", reads=("x",), on=("other",))]).plan("t").is_chained

    def test_a_plan_is_made_once_a_type(self) -> None:
        made = Ruleset(1, [bound("a")])
        assert made.plan("t") is made.plan("t")

    def test_types_that_meet_the_same_rules_share_their_plan(self) -> None:
        made = Ruleset(1, [bound("a"), bound("b", on=("t.*",)), bound("c", on=("t.1", "t.>")), bound("d", on=("x",))])
        assert made.plan("t.1") is made.plan("t.2")
        assert made.plan("other") is made.plan("another")
        assert [rule.name for rule in made.plan("t.1").rules] == ["a", "b", "c"]
        assert [rule.name for rule in made.plan("t.1.2").rules] == ["a", "c"]

    def test_types_beyond_the_bound_are_planned_and_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PLANS_MAX", 2)
        made = Ruleset(1, [bound("a", on=("*",)), bound("b", on=("t3",))])
        kept = [made.plan(name) for name in ("t1", "t2")]
        assert made.plan("t4.x").rules == ()
        assert made.plan("t3").rules == made.rules
        assert made.plan("t3") is not made.plan("t3")
        assert [made.plan(name) for name in ("t1", "t2")] == kept
        assert made.plan("t1") is kept[0]
