"""``rulestream bench scale``: its shape, its tables, floors and exit codes. Never how fast it was."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.cli.conftest import Line
from worker.bench.scale import WorkloadReport
from worker.bench.scale_change import ChangeReport
from worker.bench.scale_peers import PeerReport
from worker.bench.scale_start import ReadyReport, StartedReport

QUICK = ("bench", "scale", "--sizes", "10,20", "--seconds", "0.001", "--no-ready")


def a_workload(*, large: float) -> WorkloadReport:
    return WorkloadReport(
        name="equality",
        facts_per_second={10: 70_000.0, 100: 60_000.0, 100_000: large},
        ratio=round(large / 60_000, 3),
        cold_facts_per_second={10: 65_000.0, 100: 55_000.0, 100_000: large},
        cold_ratio=round(large / 55_000, 3),
        unindexed_ratio=1.01,
        matches={10: 5.0, 100: 4.9, 100_000: 5.1},
        facts={10: 2_000, 100: 2_000, 100_000: 2_000},
        first_fact_ms={10: 1.0, 100: 2.0, 100_000: 1_234.0},
        tried_always={10: 10, 100: 0, 100_000: 0},
        fact_bytes=258,
        compile_seconds=12.5,
        peers=[PeerReport("zen-engine", {10: 9_000.0}, {10: 0.1}, "less than 20 facts a second with 10 rules")],
    )


def a_start() -> ReadyReport:
    starts = [
        StartedReport(10_000, 9.0, 1.5, [1.4, 1.5, 1.6], 20.0, 7.5, 1.2),
        StartedReport(100_000, 80.0, 25.0, [25.0], 210.0, 75.0, 24.0),
    ]
    return ReadyReport(
        starts=starts,
        kb_per_rule=4.56,
        loaded_kb_per_rule=3.21,
        compiler_peak_mb=50.0,
        first_fact_ms=12.0,
        change=ChangeReport(100_000, 33.0, 44.0, 55.0, 6.0, 7.0, 3.0, [33.0, 44.0]),
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--workload", "poetry"),
        ("--sizes", "9"),
        ("--sizes", "1000001"),
        ("--sizes", "10,,100"),
        ("--sizes", "ten"),
        ("--seconds", "0"),
    ],
)
def test_wrong_usage_ends_with_2(line: Line, words: tuple[str, ...]) -> None:
    assert "Usage:" in line.run("bench", "scale", *words, code=2).stderr


def test_a_workload_is_measured_in_each_size_beside_every_engine(line: Line, monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.scale_peers.SECONDS", 0.001)
    report = line.json(*QUICK, "--workload", "parts", "--workload", "equality")
    assert [one["name"] for one in report["workloads"]] == ["parts", "equality"]
    for one in report["workloads"]:
        assert one["factsPerSecond"].keys() == {"10", "20"}
        assert one["ratio"] is None
        assert [peer["name"] for peer in one["peers"]] == list(report["versions"])
    assert report["ready"] is None
    assert [floor["name"] for floor in report["floors"]] == [
        "parts, 10 rules to unindexed",
        "equality, 10 rules to unindexed",
    ]
    assert "equality, ratio" in report["unmeasured"]


def test_engines_are_left_out_on_request(line: Line) -> None:
    report = line.json(*QUICK, "--workload", "ranges", "--no-peers")
    assert [one["peers"] for one in report["workloads"]] == [[]]


def test_people_get_tables_and_the_object_as_the_last_line(line: Line, monkeypatch) -> None:
    asked: list[object] = []

    def measure(workloads, sizes, seconds, _update, peers):
        asked.append((len(workloads), sizes, seconds, len(peers)))
        return [a_workload(large=55_000.0)]

    async def measure_ready(sizes, _update):
        asked.append(sizes)
        return a_start()

    monkeypatch.setattr("worker.bench.scale.measure", measure)
    monkeypatch.setattr("worker.bench.scale_start.measure_ready", measure_ready)
    *shown, last = line.run("bench", "scale", "--check").stdout.splitlines()
    assert asked == [(7, [10, 100, 1_000, 10_000, 100_000], 2.0, 5), [10_000, 100_000]]
    found = json.loads(last)
    assert found["floorsHold"] is True
    assert found["workloads"] == [msgspec.to_builtins(a_workload(large=55_000.0), str_keys=True)]
    text = " ".join(" ".join(shown).split())
    for word in ("55,000", "0.92", "zen-engine", "4.9 0 2.0", "1.40 1.50 1.60", "4.56 thousand bytes", "33.0 ms after"):
        assert word in text
    assert "all floors hold" in text


def test_a_floor_that_does_not_hold_is_told_and_fails_only_a_check(line: Line, monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.scale.measure", lambda *_: [a_workload(large=20_000.0)])
    shown = line.run("bench", "scale", "--no-ready").stdout
    assert "a floor does not hold" in shown
    assert "not measured: 100,000 rules, kB a rule" in shown
    assert "NO" in line.run("bench", "scale", "--no-ready", "--check", code=1).stdout
    assert line.json("bench", "scale", "--no-ready", "--check", code=1)["floorsHold"] is False
