"""The figures of what telemetry costs: best turns, medians of pairs, and a floor that holds up to its edge."""

from __future__ import annotations

import pytest

from streams.traceparent import read_traceparent
from worker.bench.otlp_sink import Counts
from worker.bench.stack import BenchError
from worker.bench.telemetry import COST_MAX, SAMPLED_EVERY, Pair, Turn, pair_of, report_of, traced
from worker.bench.workload import Facts

COUNTS = Counts(spans=1, metrics=1)


def turn(us: float, facts: int = 1_000) -> Turn:
    return Turn(facts, facts / 10_000, us * facts / 1e6)


def pair(cost: float) -> Pair:
    return Pair(True, 30.0 * (1 + cost), 30.0, cost, 10_000.0, 10_000.0)


def test_a_pairs_cost_is_of_the_best_turns_and_what_is_told_beside() -> None:
    found = pair_of([turn(33.0), turn(22.0), turn(99.0)], [turn(30.0), turn(20.0), turn(30.0)], 0.0006, on_first=True)
    assert (found.on_us, found.off_us) == (pytest.approx(22.2), 20.0)
    assert found.cost == pytest.approx(0.11)
    assert (found.on_per_second, found.off_per_second) == (10_000.0, 10_000.0)


@pytest.mark.parametrize(
    ("costs", "cost", "holds"),
    [
        ([0.01, 0.9, 0.02], 0.02, True),
        ([COST_MAX - 0.0001], COST_MAX - 0.0001, True),
        ([COST_MAX], COST_MAX, False),
        ([-0.01, 0.2, 0.3], 0.2, False),
    ],
)
def test_the_median_of_the_pairs_is_below_the_floor(costs: list[float], cost: float, holds: bool) -> None:
    found = report_of(1_000, 100, [pair(one) for one in costs], COUNTS)
    assert (found.cost, found.floors_hold) == (pytest.approx(cost), holds)


@pytest.mark.parametrize("counts", [Counts(), Counts(spans=1), Counts(metrics=1)])
def test_a_measurement_in_which_nothing_was_sent_is_none(counts: Counts) -> None:
    with pytest.raises(BenchError, match="telemetry was not on"):
        report_of(1_000, 100, [pair(0.0)], counts)


def test_every_fact_has_a_trace_and_one_in_a_hundred_is_recorded() -> None:
    messages = traced(Facts("run").take(200, effects=False), [f"{number:016x}" * 2 for number in range(1, 201)])
    assert [one.head.endswith(b"\r\n\r\n") for one in messages] == [True] * 200
    lines = [one.head.decode().split("traceparent: ")[1].strip() for one in messages]
    read = [read_traceparent(line) for line in lines]
    assert [number for number, one in enumerate(read) if one is not None and one.is_sampled] == [0, SAMPLED_EVERY]
