"""The pipeline's figures: medians of pairs, each side's, and floors that hold up to their edge."""

from __future__ import annotations

import pytest

from worker.bench.pipeline import CPU_SHARE_MAX, RATIO_MIN, Pair, PipelineReport, Round, report_of, rounds_count


def pair(ratio: float, *, effects: bool = False, cpu: float = 40.0, copy_cpu: float = 50.0) -> Pair:
    worker = Round(ratio * 10_000, cpu, 20.0, 15.0)
    return Pair(effects, True, ratio, worker, Round(10_000.0, copy_cpu, 18.0, 0.0))


def report(*plain: Pair, with_effects: float = 1.0) -> PipelineReport:
    return report_of(100, 7, [*plain, pair(with_effects, effects=True, cpu=60.0)])


def test_the_figures_are_medians_of_the_pairs_without_effects() -> None:
    found = report(pair(1.2, cpu=30.0), pair(9.0, cpu=90.0), pair(1.1, cpu=35.0), with_effects=1.05)
    assert (found.ratio, found.ratio_with_effects) == (1.2, 1.05)
    assert (found.facts_per_second, found.copy_loop_per_second) == (12_000.0, 10_000.0)
    assert (found.cpu_us_per_fact, found.copy_loop_cpu_us) == (35.0, 50.0)
    assert (found.facts_per_second_with_effects, found.cpu_us_per_fact_with_effects) == (10_500.0, 60.0)
    assert (found.facts, found.rules, len(found.pairs)) == (100, 7, 4)


@pytest.mark.parametrize(
    ("ratio", "with_effects", "cpu", "holds"),
    [
        (RATIO_MIN, RATIO_MIN, CPU_SHARE_MAX * 50, True),
        (RATIO_MIN - 0.001, RATIO_MIN, 10.0, False),
        (RATIO_MIN, RATIO_MIN - 0.001, 10.0, False),
        (2.0, 2.0, CPU_SHARE_MAX * 50 + 0.1, False),
    ],
)
def test_both_ratios_and_the_processor_time_have_a_floor(
    ratio: float, with_effects: float, cpu: float, holds: bool
) -> None:
    assert report(pair(ratio, cpu=cpu), with_effects=with_effects).floors_hold is holds


def test_each_kind_has_one_pair_more_that_does_not_count() -> None:
    assert rounds_count(7) == 16
