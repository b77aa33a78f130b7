"""What is told of how rules are found agrees with the index, and names a reason for each rule that is always tried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from domain.decisions.index import RULES_MIN, FilingKind
from domain.decisions.index.filing import PLACES_MAX
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.decisions.statistics import TYPES_MAX, Bucket, Place, RuleStatistics, ruleset_statistics
from domain.language import compile_rule
from domain.rules.content import Priority
from tests.fakes.handmade import bound

MANY: Final = 2 * RULES_MIN


def ruleset_of(texts: Iterable[str], more: Iterable[BoundRule] = ()) -> Ruleset:
    rules = [
        BoundRule(
            f"id-{number}", f"rule {number:04}", 1, Priority.LOW, compile_rule(text), number.to_bytes(32), None, None
        )
        for number, text in enumerate(texts)
    ]
    return Ruleset(1, [*rules, *more])


def like(text: str, count: int = MANY) -> list[str]:
    return [text.replace("#", f"{number:03}") for number in range(count)]


def last_of(texts: Iterable[str]) -> RuleStatistics:
    return ruleset_statistics(ruleset_of(texts)).rules[-1]


class TestWhereRulesAreFiled:
    def test_each_rule_counts_once_at_each_place_that_it_is_found_at(self) -> None:
        found = ruleset_statistics(
            ruleset_of([*like("a.b == 'x#'"), *like("note.lowerAscii().contains('word#')"), *like("n >= 1# && n < 2#")])
        )
        assert set(found.places) == {
            Place(("a.b",), (FilingKind.EQUALITY,), MANY),
            Place(("note.lowerAscii()",), (FilingKind.CONTAINS,), MANY),
            Place(("n",), (FilingKind.RANGE,), MANY),
        }
        assert found.tried == ()
        assert all(len(one.filings) == 1 for one in found.rules)

    def test_the_values_that_most_rules_ask_for_come_first(self) -> None:
        found = ruleset_statistics(
            ruleset_of([*like("a == 'x#'"), *["a == 'x000'"] * 3, "a in ['x000', 'x001', 'x001']", "a == null"])
        )
        assert found.buckets[:2] == (Bucket('a == "x000"', 5), Bucket('a == "x001"', 2))
        assert Bucket("a == null", 1) in found.buckets

    @pytest.mark.parametrize(
        ("text", "asks"),
        [
            ("a == 1#", "a == 1005"),
            ("a < 1# && a > -1#", "a over -1005 to 1005"),
            ("a == '\"#'", 'a == "\\"005"'),
            ("xs.exists(x, x.k == '#')", 'xs[].k == "005"'),
            ("a.startsWith('#')", 'a.startsWith("005")'),
            ("a.upperAscii().endsWith('#')", 'a.upperAscii().endsWith("005")'),
        ],
    )
    def test_what_is_asked_for_is_shown_as_it_could_be_written(self, text: str, asks: str) -> None:
        found = ruleset_statistics(ruleset_of(like(text)))
        assert asks in {bucket.asks for bucket in found.buckets}

    def test_rules_found_by_two_paths_are_of_one_place_and_of_both_values(self) -> None:
        texts = [f"a == {number % 20} && b == {number // 20}" for number in range(400)]
        found = ruleset_statistics(ruleset_of(texts))
        assert found.places == (Place(("a", "b"), (FilingKind.EQUALITY, FilingKind.EQUALITY), 400),)
        assert Bucket("a == 7 && b == 3", 1) in found.buckets


class TestWhyRulesAreTried:
    @pytest.mark.parametrize(
        ("text", "told", "place"),
        [
            ("on t\nwhen a == b", "compares two values", (2, 6)),
            ("when !note.contains('x')", "negated `contains`", (1, 7)),
            ("when a == 1 ||\n decision.x > 1", "what other rules decide", (2, 2)),
            ("then set x = 1", "no condition", (None, None)),
            ("when a == 1 then set x = 1 else set x = 2", "`else`", (None, None)),
        ],
    )
    def test_what_a_rule_says_is_told_first_and_with_its_place(
        self, text: str, told: str, place: tuple[int | None, int | None]
    ) -> None:
        for texts in ([text], [*like("on t\nwhen a == #"), text]):
            one = last_of(texts)
            assert one.is_own
            assert one.tried_for or one.filings
            (reason,) = one.reasons
            assert told in reason.message
            assert (reason.line, reason.column) == place

    def test_a_rule_that_is_looked_up_by_a_field_being_there_is_told_of_apart(self) -> None:
        found = ruleset_statistics(ruleset_of([*like("when a == b"), *like("when c == #"), "when c == 1 && b != 2"]))
        assert found.tried == ()
        assert [one.rule.name for one in found.wide] == [f"rule {number:04}" for number in range(MANY)]
        assert {one.reasons[0].message for one in found.wide} == {"it compares two values of the fact"}

    def test_rules_that_are_few_are_all_tried_as_that_is_as_fast(self) -> None:
        found = ruleset_statistics(ruleset_of(like("a == #", RULES_MIN - 1)))
        assert len(found.tried) == RULES_MIN - 1
        assert {(one.is_own, one.reasons[0].message[:10]) for one in found.tried} == {(False, "fewer than")}

    def test_a_rule_alone_on_its_field_is_tried_beside_many_others(self) -> None:
        one = last_of([*like("a == #"), "when b == 1"])
        assert (one.is_own, one.reasons[0].message[:15]) == (False, "too few rules a")

    def test_a_rule_that_most_facts_meet_is_tried(self) -> None:
        one = last_of([*like("a > 1# && a < 2#"), *like("b < 1#"), "when a < 2000 || b < 2000"])
        assert (one.is_own, one.reasons[0].message[:21]) == (False, "most facts meet what ")

    def test_rules_for_facts_without_a_field_are_tried_where_fields_are_many(self) -> None:
        one = last_of([*(f"f{number} == 1" for number in range(2 * PLACES_MAX)), "when !has(g.a)"])
        assert one.tried_for == (">",)
        assert one.reasons

    def test_a_rule_that_was_not_made_of_text_has_a_reason_too(self) -> None:
        found = ruleset_statistics(ruleset_of(like("a == #"), [bound("by hand")]))
        (one,) = found.tried
        assert (one.rule.name, one.is_own, len(one.reasons)) == ("by hand", False, 1)


class TestKindsOfFacts:
    def test_types_that_meet_the_same_rules_are_one_kind(self) -> None:
        texts = [*like("on a.x, a.y\nwhen n == #"), "on a.*\nwhen n == 1", "on b\nwhen n == 1", "when n == 1"]
        found = ruleset_statistics(ruleset_of(texts))
        assert [(one.fact_types, one.rules) for one in found.types] == [
            (("a.x", "a.y"), MANY + 2),
            (("a.*",), 2),
            (("b",), 2),
            ((">",), 1),
        ]

    def test_a_rule_is_told_to_be_tried_for_the_kinds_that_try_it(self) -> None:
        found = ruleset_statistics(ruleset_of([*like("on a.x\nwhen n == #"), "on a.*\nwhen n == 1"]))
        one = found.rules[-1]
        assert one.tried_for == ("a.*",)
        assert one.filings
        assert [(kind.fact_types, kind.tried) for kind in found.types] == [(("a.x",), 0), (("a.*",), 1)]

    def test_of_very_many_kinds_the_largest_are_told_and_all_rules(self) -> None:
        pairs = [f"on t{number}, t{number + 1}\nwhen a == {number}" for number in range(2 * TYPES_MAX)]
        found = ruleset_statistics(ruleset_of(pairs))
        assert found.types_left_out
        assert len(found.types) + found.types_left_out == 2 * TYPES_MAX + 1
        assert all(one.tried_for for one in found.rules)

    def test_no_rules_have_no_kinds(self) -> None:
        found = ruleset_statistics(ruleset_of([]))
        assert (found.rules, found.types, found.places, found.buckets) == ((), (), (), ())

    def test_it_agrees_with_the_plan_of_each_type(self) -> None:
        texts = [
            *like("on a\nwhen n == #"),
            *like("on a, b\nwhen m >= # && m < 1#"),
            *like("on b\nwhen decision.x == # && s == 'x#'"),
            *like("s.contains('word#') || n == #"),
            *("on a\nwhen n != 1", "on b\nwhen k == 1", "on c\nwhen k == 1", "then set x = 1", "on *\nwhen a == b"),
        ]
        ruleset = ruleset_of(texts)
        found = ruleset_statistics(ruleset)
        assert {pattern for kind in found.types for pattern in kind.fact_types} == {"a", "b", "c", "*", ">"}
        for fact_type in ("a", "b", "c"):
            plan = ruleset.plan(fact_type)
            assert plan.index is not None
            rules = plan.rules
            by_label = {float(place) if plan.is_chained else rule.position: rule for place, rule in enumerate(rules)}
            tried = {by_label[label].name for label in plan.index.tried}
            assert {one.rule.name for one in found.rules if fact_type in one.tried_for} == tried
            (kind,) = (one for one in found.types if fact_type in one.fact_types)
            assert (kind.rules, kind.tried) == (len(rules), len(tried))
            assert kind.tried <= kind.expected <= kind.rules
