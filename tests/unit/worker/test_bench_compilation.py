"""What is compiled: small rules that differ, large ones that are as large as said; floors hold up to their edge."""

from __future__ import annotations

import pytest

from domain.language import compile_rule
from domain.language.limits import NESTING_MAX, TABLE_ROWS_MAX, TOKENS_MAX
from domain.language.planning import plan_rule
from domain.language.tokens import Positions, scan
from worker.bench import rules
from worker.bench.compilation import (
    LARGE_MB_MAX,
    LARGE_SECONDS_MAX,
    RULES_MB_MAX,
    SMALL_MS_MAX,
    LargeRule,
    Phases,
    Times,
    held_traced_mb,
    large_rule,
    memory_mb,
    report_of,
    times_of,
)
from worker.bench.rules import LARGE, NESTING, TABLE_ROWS, deep_nesting, long_condition, long_table, small_rules


class TestRules:
    def test_small_rules_are_distinct_have_three_lines_and_no_problem(self) -> None:
        found = list(small_rules(300))
        assert len(set(found)) == 300
        for rule in found:
            assert [line.split()[0] for line in rule.splitlines()] == ["on", "when", "then"]
            assert compile_rule(rule).warnings == ()

    def test_they_are_the_same_each_time_and_go_on_where_told(self) -> None:
        assert list(small_rules(40)) == [*small_rules(25), *small_rules(15, 25)]

    def test_the_long_condition_has_a_thousand_operators_and_a_hundred_thousand_code_points(self) -> None:
        source = long_condition()
        tokens = scan(source, Positions(source), [])
        assert 100_000 <= len(source) <= 101_000
        assert 1_000 <= sum(source[token.start : token.end] in {"==", "||"} for token in tokens) + 1 <= 1_010

    def test_the_long_table_has_almost_as_many_rows_as_there_may_be(self) -> None:
        source = long_table()
        plan, _ = plan_rule(source)
        assert plan is not None
        assert plan.table is not None
        assert len(plan.table.rows) == TABLE_ROWS
        assert {len(row.tests) for row in plan.table.rows} == {2}
        tokens = len(scan(source, Positions(source), []))
        assert TABLE_ROWS >= 0.9 * TABLE_ROWS_MAX or tokens >= 0.9 * TOKENS_MAX

    def test_the_deep_condition_is_almost_as_deep_as_it_may_be(self, monkeypatch) -> None:
        assert NESTING == deep_nesting().count("(") == 90
        assert plan_rule(deep_nesting())[0] is not None
        monkeypatch.setattr(rules, "NESTING", NESTING_MAX + 1)
        assert [problem.code for problem in plan_rule(deep_nesting())[1]] == ["too-deep"]


class TestFloors:
    TIMES = Times(SMALL_MS_MAX, Phases(0.1, 0.2, 0.3))
    LARGE = LargeRule("long-table", 70_000, LARGE_SECONDS_MAX, LARGE_MB_MAX)

    def test_they_hold_at_their_edge(self) -> None:
        report = report_of(1_000, self.TIMES, RULES_MB_MAX, 99.0, [self.LARGE])
        assert [floor.holds for floor in report.floors] == [True] * 4
        assert report.floors_hold

    @pytest.mark.parametrize(
        ("times", "rss_mb", "large", "broken"),
        [
            (Times(1.21, TIMES.phases), 8.0, LARGE, "small rule, median ms"),
            (TIMES, 8.01, LARGE, "small rules, resident MB"),
            (TIMES, 8.0, LargeRule("long-table", 1, 1.01, 200.0), "long-table, seconds"),
            (TIMES, 8.0, LargeRule("long-table", 1, 1.0, 200.1), "long-table, peak MB"),
        ],
    )
    def test_past_its_edge_one_breaks_alone(self, times, rss_mb, large, broken) -> None:
        report = report_of(1_000, times, rss_mb, 1.0, [large])
        assert [floor.name for floor in report.floors if not floor.holds] == [broken]
        assert not report.floors_hold

    def test_that_of_memory_goes_by_the_number_of_rules(self) -> None:
        assert report_of(500, self.TIMES, 4.0, 1.0, []).floors_hold
        assert not report_of(500, self.TIMES, 4.01, 1.0, []).floors_hold


class TestMeasuring:
    def test_a_small_rule_is_timed_whole_and_in_phases(self) -> None:
        found = times_of(30)
        assert found.median_ms > 0
        assert found.phases.parse_ms > 0

    def test_more_rules_hold_more(self) -> None:
        assert 0 < held_traced_mb(20) < held_traced_mb(200)

    def test_resident_memory_is_asked_of_the_system(self) -> None:
        assert memory_mb("VmHWM") >= memory_mb("VmRSS") > 1

    def test_a_large_rule_is_told_with_its_length(self) -> None:
        found = large_rule("deep-nesting")
        assert (found.name, found.code_points) == ("deep-nesting", len(LARGE["deep-nesting"]()))
        assert found.seconds > 0
