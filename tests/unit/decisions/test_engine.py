"""The engine: one fact under one ruleset gives one decision, with rules made by hand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from domain.decisions.decision import Decision
from domain.decisions.engine import FAULTS_MAX, decide
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import FactContext, Outcome, RuleFault, Timestamp
from domain.language.limits import OUTPUT_ITEMS_MAX
from domain.rules.content import Priority
from tests.fakes.handmade import Evaluate, bound, fact, outcome

LOW, MEDIUM, HIGH, CRITICAL = Priority.LOW, Priority.MEDIUM, Priority.HIGH, Priority.CRITICAL


def decided(*rules: BoundRule, payload: dict[str, Any] | None = None, time_ns: int | None = 0) -> Decision:
    return decide(Ruleset(7, rules), fact(payload, time_ns=time_ns))


def failing(code: str = "overflow", line: int = 2, column: int = 5) -> Evaluate:
    def evaluate(_payload: dict[str, Any], _fact: FactContext, _decision: Mapping[str, Any]) -> Outcome | None:
        raise RuleFault(code, f"message of {code}", line, column)

    return evaluate


def names(decision: Decision) -> list[str]:
    return [match.name for match in decision.matches]


def test_no_rules_give_an_unmatched_decision_under_the_rulesets_revision_and_digest() -> None:
    ruleset = Ruleset(7, [])
    found = decide(ruleset, fact())
    assert (found.matched, found.output, found.matches, found.effects, found.faults) == (False, {}, (), (), ())
    assert (found.revision, found.digest, found.fault_count) == (7, ruleset.digest, 0)
    assert found.id == "0f" * 16


def test_a_rule_sees_the_fact_and_its_context() -> None:
    def evaluate(payload: dict[str, Any], context: FactContext, _decision: Mapping[str, Any]) -> Outcome | None:
        return outcome(("set", "seen", [payload["a"], context.id, context.type, context.time]))

    found = decided(bound("sees", evaluate), payload={"a": 1}, time_ns=1_000_000_001)
    assert found.output == {"seen": [1, "fact-1", "order.placed", "1970-01-01T00:00:01.000000001Z"]}


def test_a_fact_without_a_time_has_none_in_its_context() -> None:
    seen: list[Timestamp | None] = []
    decided(bound("sees", lambda _payload, context, _decision: seen.append(context.time)), time_ns=None)
    assert seen == [None]


def test_matches_are_by_priority_then_by_name_in_code_points_then_by_id() -> None:
    then = outcome()
    rules = [
        bound("zeta", then, priority=CRITICAL),
        bound("alpha", then, priority=LOW),
        bound("émile", then),
        bound("zoe", then),
        bound("Zoe", then),
        bound("\N{GRINNING FACE}", then),
        bound("\uffee", then),
        bound("same", then, priority=HIGH, rule_id="2"),
        bound("same", then, priority=HIGH, rule_id="1"),
    ]
    found = decided(*rules)
    assert names(found) == ["zeta", "same", "same", "Zoe", "zoe", "émile", "\uffee", "\N{GRINNING FACE}", "alpha"]
    assert [match.rule_id for match in found.matches[1:3]] == ["1", "2"]


def test_a_match_tells_of_its_rule_and_what_it_alone_gave() -> None:
    one = bound("one", outcome(("set", "a", 1), ("append", "b", 2), rows=[3]), priority=HIGH, version=4)
    two = bound("two", outcome(("set", "a", 9), ("append", "b", 3), branch="else"), priority=LOW)
    found = decided(one, two)
    assert found.output == {"a": 1, "b": [2, 3]}
    first, second = found.matches
    assert (first.rule_id, first.version, first.priority, first.branch, first.rows) == ("id-one", 4, HIGH, "then", [3])
    assert (first.output, second.output) == ({"a": 1, "b": [2]}, {"a": 9, "b": [3]})
    assert (second.branch, second.rows) == ("else", None)


def test_a_rule_that_does_not_apply_leaves_no_trace() -> None:
    found = decided(bound("missing"))
    assert (found.matched, found.matches, found.faults) == (False, (), ())


@pytest.mark.parametrize(
    ("branches", "matched"), [([], False), (["else"], False), (["then"], True), (["else", "then", "else"], True)]
)
def test_a_decision_is_matched_when_some_rule_took_its_then(branches: list[Any], matched: bool) -> None:
    found = decided(*(bound(f"rule {n}", outcome(branch=branch)) for n, branch in enumerate(branches)))
    assert found.matched is matched
    assert len(found.matches) == len(branches)


class TestFaults:
    def test_a_fault_contributes_nothing_and_the_other_rules_are_not_affected(self) -> None:
        found = decided(bound("bad", failing(), priority=CRITICAL), bound("good", outcome(("set", "a", 1))))
        assert (found.output, names(found), found.matched) == ({"a": 1}, ["good"], True)
        assert [(one.rule_id, one.code, one.message, one.line, one.column) for one in found.faults] == [
            ("id-bad", "overflow", "message of overflow", 2, 5)
        ]

    def test_a_fact_on_which_every_rule_fails_still_gets_its_decision(self) -> None:
        found = decided(bound("bad", failing()))
        assert (found.matched, found.output, found.fault_count) == (False, {}, 1)

    def test_faults_are_by_priority_then_name_and_the_first_hundred_are_kept(self) -> None:
        rules = [bound(f"rule {number:03}", failing()) for number in range(FAULTS_MAX + 20)]
        rules.append(bound("zz first", failing(), priority=CRITICAL))
        random.Random(1).shuffle(rules)
        found = decided(*rules)
        assert found.fault_count == FAULTS_MAX + 21
        assert [one.rule_id for one in found.faults] == [
            "id-zz first",
            *(f"id-rule {number:03}" for number in range(FAULTS_MAX - 1)),
        ]

    @pytest.mark.parametrize(
        "bad",
        [
            outcome(("set", "a", float("nan"))),
            outcome(("set", "a", 1), ("set", "b", float("inf"))),
            outcome(("append", "a", object())),
            outcome(("set", "a", 1), effects=[("alert", {"x": float("-inf")})]),
        ],
        ids=["set", "second action", "append", "effect"],
    )
    def test_a_value_without_a_json_form_is_a_fault_and_nothing_of_its_rule_is_kept(self, bad: Outcome) -> None:
        found = decided(bound("bad", bad), bound("good", outcome(("set", "z", 1))))
        assert (names(found), found.output, found.effects) == (["good"], {"z": 1}, ())
        assert [(one.rule_id, one.code) for one in found.faults] == [("id-bad", "not-json")]

    def test_a_term_left_out_of_a_sum_is_a_fault_in_its_place_in_the_order(self) -> None:
        found = decided(
            bound("a", outcome(("add", "sum", 1)), priority=HIGH),
            bound("b", outcome(("add", "sum", "text"))),
            bound("c", outcome(("add", "sum", 2)), priority=LOW),
            bound("d", failing(), priority=LOW),
        )
        assert found.output == {"sum": 3}
        assert [one.rule_id for one in found.faults] == ["id-b", "id-d"]
        assert found.fault_count == 2

    def test_terms_that_add_up_past_a_doubles_range_are_faults_too(self) -> None:
        found = decided(
            bound("a", outcome(("add", "sum", 1e308)), priority=HIGH), bound("b", outcome(("add", "sum", 1e308)))
        )
        assert found.output == {"sum": 1e308}
        assert [one.rule_id for one in found.faults] == ["id-b"]


@pytest.mark.parametrize("path", ["all", "all.of.them"])
def test_lists_of_several_rules_may_be_longer_together_than_one_value_may_be(path: str) -> None:
    """A decision that grew too large is refused where it is written, and never fails here."""
    half = list(range(OUTPUT_ITEMS_MAX * 2 // 3))
    rules = [bound(name, outcome(*[("append", path, part) for part in (half, 1, Timestamp(0))])) for name in "ab"]
    found: Any = decided(*rules)
    output = found.output
    for name in path.split("."):
        output = output[name]
    assert output == [half, 1, "1970-01-01T00:00:00Z"] * 2
    assert found.faults == ()


class TestEffects:
    def test_effects_are_numbered_in_the_order_of_the_matches_and_of_each_rules_actions(self) -> None:
        low = bound("low", outcome(effects=[("x", {"n": 3})]), priority=LOW)
        high = bound("high", outcome(effects=[("b", {"n": 1}), ("a", {"n": 2})]), priority=HIGH)
        found = decided(low, high)
        key = "0f" * 16
        assert [(one.name, one.effect_id, one.payload) for one in found.effects] == [
            ("b", f"{key}-1", {"n": 1}),
            ("a", f"{key}-2", {"n": 2}),
            ("x", f"{key}-3", {"n": 3}),
        ]

    def test_an_effects_payload_is_in_its_json_form(self) -> None:
        found = decided(bound("one", outcome(effects=[("x", {"at": Timestamp(0)})])))
        assert found.effects[0].payload == {"at": "1970-01-01T00:00:00Z"}


class TestEffectiveDates:
    @pytest.mark.parametrize(
        ("time_ns", "applies"), [(99, False), (100, True), (199, True), (200, False), (None, True), (-5, False)]
    )
    def test_a_rule_decides_from_its_first_moment_until_before_its_last_by_the_facts_time(
        self, time_ns: int | None, applies: bool
    ) -> None:
        found = decided(bound("dated", outcome(), from_ns=100, until_ns=200), time_ns=time_ns)
        assert found.matched is applies

    @pytest.mark.parametrize(
        ("bounds", "time_ns", "applies"),
        [
            ({"from_ns": 100}, 10**18, True),
            ({"from_ns": 100}, 0, False),
            ({"until_ns": 100}, -(10**18), True),
            ({"until_ns": 100}, 100, False),
        ],
    )
    def test_a_period_may_be_open_on_either_side(self, bounds: dict[str, int], time_ns: int, applies: bool) -> None:
        assert decided(bound("dated", outcome(), **bounds), time_ns=time_ns).matched is applies


class TestStop:
    def test_rules_of_a_lower_class_are_not_considered_and_those_of_the_same_class_are(self) -> None:
        considered: list[str] = []

        def noting(name: str) -> Evaluate:
            def evaluate(*_: object) -> Outcome | None:
                considered.append(name)
                return outcome()

            return evaluate

        found = decided(
            bound("stop", outcome(stop=True), priority=HIGH, may_stop=True),
            bound("above", noting("above"), priority=CRITICAL),
            bound("a same", noting("a same"), priority=HIGH),
            bound("z same", noting("z same"), priority=HIGH),
            bound("below", noting("below"), priority=MEDIUM),
            bound("far below", noting("far below"), priority=LOW),
        )
        assert names(found) == ["above", "a same", "stop", "z same"]
        assert sorted(considered) == ["a same", "above", "z same"]

    def test_a_rule_that_may_stop_but_does_not_stops_nothing(self) -> None:
        found = decided(bound("may", outcome(), priority=HIGH, may_stop=True), bound("below", outcome(), priority=LOW))
        assert names(found) == ["may", "below"]

    def test_a_rule_whose_stop_cannot_be_told_in_json_stops_nothing(self) -> None:
        bad = outcome(("set", "a", float("nan")), stop=True)
        found = decided(bound("bad", bad, priority=HIGH, may_stop=True), bound("below", outcome(), priority=LOW))
        assert names(found) == ["below"]

    def test_the_highest_class_that_stops_counts(self) -> None:
        found = decided(
            bound("high", outcome(stop=True), priority=HIGH, may_stop=True),
            bound("critical", outcome(stop=True), priority=CRITICAL, may_stop=True),
            bound("medium", outcome(), priority=MEDIUM),
        )
        assert names(found) == ["critical"]


class TestChaining:
    def test_a_reader_of_a_lower_class_sees_the_merged_values_of_every_writer(self) -> None:
        seen: list[Any] = []

        def reading(_payload: dict[str, Any], _fact: FactContext, decision: Mapping[str, Any]) -> Outcome | None:
            seen.append(dict(decision))
            return outcome(("set", "label", "risky" if decision["risk"]["score"] > 25 else "fine"))

        writes = (("add", "risk.score"), ("append", "reasons"))
        found = decided(
            bound("reader", reading, priority=CRITICAL, reads=("risk.score",), writes=(("set", "label"),)),
            bound("low", outcome(("add", "risk.score", 20), ("append", "reasons", "l")), priority=LOW, writes=writes),
            bound("high", outcome(("add", "risk.score", 10), ("append", "reasons", "h")), priority=HIGH, writes=writes),
        )
        assert seen == [{"risk": {"score": 30}, "reasons": ["h", "l"]}]
        assert found.output == {"label": "risky", "risk": {"score": 30}, "reasons": ["h", "l"]}
        assert names(found) == ["reader", "high", "low"]

    def test_a_reader_sees_values_not_their_json_forms(self) -> None:
        seen: list[Any] = []
        decided(
            bound("writer", outcome(("set", "at", Timestamp(5))), writes=(("set", "at"),)),
            bound("reader", lambda _p, _f, decision: seen.append(decision["at"]), priority=CRITICAL, reads=("at",)),
        )
        assert seen == [Timestamp(5)]

    def test_a_rule_that_failed_is_not_seen_by_readers(self) -> None:
        seen: list[Any] = []
        decided(
            bound("writer", failing(), writes=(("set", "x"),)),
            bound("reader", lambda _p, _f, decision: seen.append(dict(decision)), reads=("x",)),
        )
        assert seen == [{}]

    def test_a_reader_sees_what_was_written_since_the_reader_before_it(self) -> None:
        seen: list[Any] = []

        def reading(name: str) -> Evaluate:
            return lambda _p, _f, decision: seen.append((name, dict(decision)))

        decided(
            bound("first", outcome(("set", "a", 1)), priority=HIGH, writes=(("set", "a"),)),
            bound("first reader", reading("first reader"), priority=HIGH, reads=("a",)),
            bound("second", outcome(("set", "b", 2)), writes=(("set", "b"),)),
            bound("third", outcome(("set", "c", 3)), writes=(("set", "c"),)),
            bound("second reader", reading("second reader"), reads=("b",)),
        )
        assert seen[0] == ("first reader", {"a": 1})
        assert (seen[1][0], seen[1][1]["a"], seen[1][1]["b"]) == ("second reader", 1, 2)

    def test_where_writes_conflict_all_the_same_a_reader_sees_what_the_output_holds(self) -> None:
        """Such rules are never active together; the path read is written by a rule whose write does not stand."""
        seen: list[Any] = []
        found = decided(
            bound("below", outcome(("set", "a.b", 1)), priority=HIGH, writes=(("set", "a.b"),)),
            bound("whole", outcome(("set", "a", {"c": 1})), writes=(("set", "a"),)),
            bound("reader", lambda _p, _f, decision: seen.append(dict(decision)), priority=LOW, reads=("a.c",)),
        )
        assert seen == [{"a": {"b": 1}}]
        assert found.output == {"a": {"b": 1}}

    def test_chains_go_as_deep_as_they_are(self) -> None:
        def adding(last: str) -> Evaluate:
            return lambda _p, _f, decision: outcome(("set", f"n{int(last[1:]) + 1}", decision[last] + 1))

        rules = [bound("z", outcome(("set", "n0", 0)), writes=(("set", "n0"),))]
        rules += [
            bound(f"a{5 - n}", adding(f"n{n}"), reads=(f"n{n}",), writes=(("set", f"n{n + 1}"),)) for n in range(5)
        ]
        assert decided(*rules).output == {f"n{n}": n for n in range(6)}


def mixed_rules() -> list[BoundRule]:
    """Make rules of every kind, for what holds of all."""
    return [
        bound("sets", outcome(("set", "a.b", 1), effects=[("x", {"k": 1})]), priority=LOW, writes=(("set", "a.b"),)),
        bound("sets too", outcome(("set", "a.b", 2)), priority=HIGH, writes=(("set", "a.b"),)),
        bound("adds", outcome(("add", "sum", 0.1)), writes=(("add", "sum"),)),
        bound("adds too", outcome(("add", "sum", 0.2)), priority=LOW, writes=(("add", "sum"),)),
        bound("adds three", outcome(("add", "sum", 0.3)), priority=HIGH, writes=(("add", "sum"),)),
        bound("appends", outcome(("append", "l", "x"), branch="else"), writes=(("append", "l"),)),
        bound("appends too", outcome(("append", "l", "y")), priority=HIGH, writes=(("append", "l"),)),
        bound("fails", failing()),
        bound("fails too", failing("other"), priority=LOW),
        bound(
            "reads",
            lambda _p, _f, decision: outcome(("set", "seen", decision.get("sum"))),
            priority=CRITICAL,
            reads=("sum",),
            writes=(("set", "seen"),),
        ),
        bound("stops", outcome(stop=True), priority=MEDIUM, may_stop=True),
    ]


@pytest.mark.parametrize("chained", [True, False])
def test_the_same_fact_under_the_same_rules_gives_the_same_decision_whatever_order_the_rules_come_in(
    chained: bool,
) -> None:
    rules = mixed_rules() if chained else mixed_rules()[:-2]
    first = decided(*rules)
    assert decided(*rules) == first
    shuffler = random.Random(1)
    for _ in range(50):
        shuffler.shuffle(rules)
        again = decided(*rules)
        assert again == first
        assert list(again.output) == list(first.output)  # the order of keys is part of the bytes


def test_deciding_changes_neither_the_fact_nor_the_rules_outcomes() -> None:
    rules = mixed_rules()
    payload = {"a": [1, {"b": 2}]}
    subject = fact(payload)
    before = replace(subject, payload={"a": [1, {"b": 2}]})
    ruleset = Ruleset(1, rules)
    first = decide(ruleset, subject)
    assert subject == before
    assert decide(ruleset, subject) == first
