"""Latency, backlog and start: what their figures are made of, and floors that hold up to their edge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from worker.bench import backlog, latency, starting
from worker.bench.stack import BenchError


class TestLatency:
    def test_the_ninety_ninth_percentile_is_of_one_fact_in_a_hundred(self) -> None:
        found = latency.report_of(30.0, 100, [float(n) for n in range(1, 101)], [3.0, 1.0, 2.0])
        assert (found.busy.p50_ms, found.busy.p99_ms, found.busy.max_ms, found.busy.facts) == (50.5, 99.0, 100.0, 100)
        assert (found.quiet.p50_ms, found.quiet.p99_ms, found.quiet.max_ms, found.quiet.facts) == (2.0, 3.0, 3.0, 3)
        assert (found.busy.seconds, found.quiet.seconds, found.rules) == (30.0, 10.0, 100)

    @pytest.mark.parametrize(
        ("busy", "quiet", "holds"),
        [
            ([9.9] * 98 + [49.9] * 2, [19.9], True),
            ([10.0], [1.0], False),
            ([1.0] * 98 + [50.0] * 2, [1.0], False),
            ([1.0], [20.0], False),
            ([1.0] * 99 + [70.0], [1.0], True),
        ],
    )
    def test_three_figures_have_a_floor(self, busy: list[float], quiet: list[float], holds: bool) -> None:
        assert latency.report_of(30.0, 100, busy, quiet).floors_hold is holds

    def test_facts_are_those_of_the_warm_up_and_of_both_rates(self) -> None:
        assert latency.facts_count(30.0) == 2_000 + 30_000 + 500


class TestBacklog:
    @pytest.mark.parametrize(("compiler_mb", "holds"), [(49.9, True), (50.0, False)])
    def test_the_worker_and_its_compiler_together_have_a_floor(self, compiler_mb: float, holds: bool) -> None:
        found = backlog.report_of(1_000, 100, 0.5, 80.04, [100.0, 90.0, 140.0], (150.0, compiler_mb), 12.0)
        assert found.floors_hold is holds
        assert found.peak_mb == 150.0 + compiler_mb
        assert (found.before_mb, found.median_mb, found.facts_per_second) == (80.0, 100.0, 2_000.0)

    def test_a_disk_with_too_little_room_is_refused_before_it_is_full(self, monkeypatch, tmp_path: Path) -> None:
        @dataclass
        class Usage:
            free: int

        monkeypatch.setattr("worker.bench.backlog.shutil.disk_usage", lambda _: Usage(7_999_999_999))
        with pytest.raises(BenchError, match=r"needed are 8\.0 GB for 1,000,000 facts, there are 8\.0 GB; TMPDIR"):
            backlog._require_room(tmp_path, 1_000_000)
        backlog._require_room(tmp_path, 999_000)


class TestStart:
    def test_medians_of_both_kinds_have_the_same_floor(self) -> None:
        found = starting.report_of(1_000, [1.0, 9.0, 1.2], [2.0, 2.9, 9.0])
        assert (found.warm_seconds, found.cold_seconds, found.floors_hold) == (1.2, 2.9, True)
        assert starting.report_of(1_000, [3.0], [1.0]).floors_hold is False
        assert starting.report_of(1_000, [1.0], [3.0]).floors_hold is False

    def test_one_start_more_does_not_count(self) -> None:
        assert starting.starts_count(5) == 11
