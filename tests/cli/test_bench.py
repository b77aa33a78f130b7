"""The benchmarks on the command line: their shape, that engines agree, floors and exit codes. Never how fast it was."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec
import pytest

from domain.errors import UnavailableError
from tests.cli.conftest import Line
from worker.bench.backlog import report_of as backlog_of
from worker.bench.cases import CASES
from worker.bench.commands import CommandsReport
from worker.bench.commands import report_of as commands_of
from worker.bench.compilation import LargeRule, Phases, Times
from worker.bench.compilation import report_of as compilation_of
from worker.bench.evaluation import EvaluationReport, LambdaReport, report_of
from worker.bench.latency import report_of as latency_of
from worker.bench.listing import ListingCase
from worker.bench.listing import report_of as listing_of
from worker.bench.peers import PEERS
from worker.bench.pipeline import Pair, PipelineReport, Round
from worker.bench.pipeline import report_of as pipeline_of
from worker.bench.starting import report_of as start_of
from worker.bench.stopping import Stop
from worker.bench.stopping import report_of as stop_of

QUICK = ("bench", "eval", "--seconds", "0.0001")
ENGINES = {peer.name for peer in PEERS}


COMMANDS = ("eval", "compile", "commands", "list", "pipeline", "latency", "backlog", "start")


@pytest.mark.parametrize("command", ["bench", *(f"bench {name}" for name in COMMANDS)])
def test_every_command_has_help(line: Line, command: str) -> None:
    assert command in line.run(*command.split(), "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("bench", "eval", "--seconds", "0"),
        ("bench", "eval", "--seconds", "nan"),
        ("bench", "eval", "--seconds", "61"),
        ("bench", "compile", "--rules", "0"),
        ("bench", "commands", "--commands", "0"),
        ("bench", "commands", "--seconds", "0"),
        ("bench", "list", "--rules", "0"),
        ("bench", "list", "--rounds", "0"),
        ("bench", "pipeline", "--facts", "999"),
        ("bench", "pipeline", "--pairs", "0"),
        ("bench", "pipeline", "--rules", "0"),
        ("bench", "pipeline", "--profile", "worker.pdf"),
        ("bench", "latency", "--seconds", "0"),
        ("bench", "latency", "--rules", "10001"),
        ("bench", "backlog", "--facts", "0"),
        ("bench", "start", "--rounds", "0"),
        ("bench", "sing"),
    ],
)
def test_wrong_usage_ends_with_2(line: Line, words: tuple[str, ...]) -> None:
    assert "Usage:" in line.run(*words, code=2).stderr


def test_every_case_is_compared_with_every_engine_that_can_write_it(line: Line) -> None:
    report = line.json(*QUICK)
    assert [case["name"] for case in report["cases"]] == [case.name for case in CASES]
    for case, found in zip(CASES, report["cases"], strict=True):
        assert found["notes"] == [f"{name}: {reason}" for name, reason in case.inexpressible.items()]
        assert found["peersUs"].keys() == ENGINES
        assert {name for name, spent in found["peersUs"].items() if spent is None} == case.inexpressible.keys()
        fastest = min(spent for spent in found["peersUs"].values() if spent is not None)
        assert found["ratioToFastestPeer"] == pytest.approx(fastest / found["oursUs"], rel=0.02)
        if abs(found["ratioToFastestPeer"] - found["floor"]) > 0.01:  # it is held before it is rounded
            assert found["holds"] == (found["ratioToFastestPeer"] >= found["floor"])
    assert report["lambdaRatio"] == max(found["ratio"] for found in report["lambdas"].values())
    assert report["factBytes"] == {"order": 1_024, "small_order": 100}
    assert report["versions"].keys() == ENGINES


def test_compiling_tells_every_figure_and_its_floor(line: Line, monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.compilation.TRIES", 1)
    report = line.json("bench", "compile", "--rules", "5")
    assert report["rules"] == 5
    assert report["medianMs"] > 0
    assert report["phases"].keys() == {"parseMs", "checkMs", "writeMs"}
    assert {"rssMb", "tracedMb"} <= report.keys()
    assert [rule["name"] for rule in report["large"]] == ["long-condition", "long-table", "deep-nesting"]
    assert [floor["holds"] for floor in report["floors"]] == [
        floor["value"] <= floor["most"] for floor in report["floors"]
    ]
    assert report["floorsHold"] == all(floor["holds"] for floor in report["floors"])


def a_comparison(*, ratio: float) -> EvaluationReport:
    case = report_of(CASES[0], 1.0, {"zen-engine": ratio, "rule-engine": None}, ["rule-engine: disagrees [1]"])
    return EvaluationReport(
        cases=[case],
        lambda_ratio=1.5,
        lambda_ratio_max=4.0,
        lambdas={"order": LambdaReport(1.0, 0.7, 1.5)},
        floors_hold=case.holds,
        fact_bytes={"order": 1_024},
        python="3.11.7",
        versions={"zen-engine": "2.1.3", "rule-engine": "5.1.0"},
    )


def test_people_get_a_table_and_notes_and_the_object_as_the_last_line(line: Line, monkeypatch) -> None:
    report = a_comparison(ratio=12.0)
    monkeypatch.setattr("worker.bench.evaluation.compare", lambda *_, **__: report)
    *shown, last = line.run("bench", "eval", "--check").stdout.splitlines()
    assert json.loads(last) == msgspec.to_builtins(report)
    text = "\n".join(shown)
    for word in (
        "sample",
        "zen-engine",
        "12.00",
        "12.0",
        "yes",
        "sample: rule-engine: disagrees [1]",
        "all floors hold",
    ):
        assert word in text


def test_a_floor_that_does_not_hold_is_told_and_fails_only_a_check(line: Line, monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.evaluation.compare", lambda *_, **__: a_comparison(ratio=9.0))
    assert "a floor does not hold" in line.run("bench", "eval").stdout
    assert "NO" in line.run("bench", "eval", "--check", code=1).stdout
    assert line.json("bench", "eval", "--check", code=1)["floorsHold"] is False


def test_compiling_is_checked_too(line: Line, monkeypatch) -> None:
    def measure(rules, _update):
        times = Times(0.5, Phases(0.1, 0.2, 0.2))
        return compilation_of(rules, times, 9.0, 5.0, [LargeRule("long-table", 70_000, 0.5, 99.0)])

    monkeypatch.setattr("worker.bench.compilation.measure", measure)
    shown = line.run("bench", "compile").stdout
    for word in ("long-table, seconds", "99.000", "hold 5.00 MB", "a floor does not hold"):
        assert word in shown
    line.run("bench", "compile", "--check", code=1)


def some_commands(*, per_second: float, p99_ms: float) -> CommandsReport:
    return commands_of(1_000, 1_000 / per_second, [1.0] * 97 + [p99_ms] * 3, 2.0)


def test_commands_are_told_in_words_and_as_an_object(line: Line, monkeypatch) -> None:
    report = some_commands(per_second=500, p99_ms=12)

    async def measure(count, seconds, _update):
        assert (count, seconds) == (1_000, 2.0)
        return report

    monkeypatch.setattr("worker.bench.commands.measure", measure)
    asked = ("bench", "commands", "--commands", "1000", "--seconds", "2", "--check")
    *shown, last = line.run(*asked).stdout.splitlines()
    assert json.loads(last) == msgspec.to_builtins(report)
    text = " ".join(" ".join(shown).split())
    for words in ("500 commands a second", "12.0 ms (99 %", "all floors hold"):
        assert words in text
    assert line.json(*asked)["commandsPerSecond"] == 500.0


@pytest.mark.parametrize(("per_second", "p99_ms"), [(299, 10), (400, 50)])
def test_either_floor_of_commands_fails_a_check(line: Line, monkeypatch, per_second: float, p99_ms: float) -> None:
    async def measure(*_):
        return some_commands(per_second=per_second, p99_ms=p99_ms)

    monkeypatch.setattr("worker.bench.commands.measure", measure)
    assert line.json("bench", "commands", "--check", code=1)["floorsHold"] is False
    line.run("bench", "commands")


def test_the_ninety_ninth_percentile_is_of_one_command_in_a_hundred() -> None:
    assert commands_of(1, 1.0, [float(n) for n in range(1, 101)], 2.0).p99_ms == 99.0
    assert commands_of(1, 1.0, [7.0], 2.0).p99_ms == 7.0


def test_listing_is_told_as_a_table_and_checked_by_its_slowest_case(line: Line, monkeypatch) -> None:
    fast = ListingCase("none", "name asc", 0, 100_000, 1.0, 2.0, 90.0)
    slow = ListingCase("tag", "status desc", 9_950, 500, 51.0, 52.0, 53.0)
    cases = [fast]

    async def measure(rules, rounds, _update):
        return listing_of(rules, rounds, cases)

    monkeypatch.setattr("worker.bench.listing.measure", measure)
    assert line.json("bench", "list", "--check")["floorsHold"] is True
    cases = [fast, slow, msgspec.structs.replace(slow, offset=0), msgspec.structs.replace(fast, offset=9_950)]
    found = line.json("bench", "list", "--check", "--rounds", "2", code=1)
    assert (found["worst"], found["worstMedianMs"], found["rounds"]) == ("tag; status desc; 9950", 52.0, 2)
    shown = line.run("bench", "list").stdout
    for words in ("1.0 2.0 90.0", "51.0 52.0 53.0", "100,000", "status desc", "a floor does not hold"):
        assert words in shown


def some_pairs(*, ratio: float) -> PipelineReport:
    worker, copy_loop = Round(ratio * 9_000, 30.0, 21.0, 15.5), Round(9_000.0, 41.0, 19.0, 0.0)
    pairs = [Pair(effects, effects, ratio, worker, copy_loop) for effects in (False, True)]
    return pipeline_of(20_000, 100, pairs)


def test_the_pipeline_is_told_as_a_table_and_as_an_object(line: Line, monkeypatch, tmp_path: Path) -> None:
    report = some_pairs(ratio=1.25)
    profile = tmp_path / "worker.svg"

    async def measure(facts, pairs, rules, file, _update):
        assert (facts, pairs, rules, file) == (20_000, 1, 200, profile)
        return report

    monkeypatch.setattr("worker.bench.pipeline.measure", measure)
    asked = ("bench", "pipeline", "--facts", "20000", "--pairs", "1", "--rules", "200", "--profile", str(profile))
    *shown, last = line.run(*asked, "--check").stdout.splitlines()
    assert json.loads(last) == msgspec.to_builtins(report)
    text = " ".join(" ".join(shown).split())
    for words in ("11,250", "9,000", "21.0 19.0", "1.25, with effects 1.25; at least 1", "30.0 us", "all floors hold"):
        assert words in text
    found = line.json(*asked, "--check")
    first = ("ratio", "ratioWithEffects", "factsPerSecond", "copyLoopPerSecond", "cpuUsPerFact", "copyLoopCpuUs")
    assert tuple(found)[:6] == first


def test_a_pipeline_slower_than_copying_fails_a_check(line: Line, monkeypatch) -> None:
    async def measure(*_):
        return some_pairs(ratio=0.9)

    monkeypatch.setattr("worker.bench.pipeline.measure", measure)
    assert "a floor does not hold" in line.run("bench", "pipeline", "--check", code=1).stdout
    line.run("bench", "pipeline")


def test_a_profile_without_the_profiler_is_refused_before_anything_is_measured(line: Line, monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.profiling.shutil.which", lambda *_, **__: None)
    told = line.run("bench", "pipeline", "--profile", "worker.svg", code=1).stderr
    assert "py-spy is not installed" in " ".join(told.split())


def test_latency_is_told_at_both_rates(line: Line, monkeypatch) -> None:
    async def measure(seconds, rules, _update):
        return latency_of(seconds, rules, [4.0] * 98 + [31.0] * 2, [quiet_ms])

    monkeypatch.setattr("worker.bench.latency.measure", measure)
    quiet_ms = 19.0
    shown = " ".join(line.run("bench", "latency", "--seconds", "5", "--check").stdout.split())
    for words in ("1,000", "4.0", "31.0", "19.0", "all floors hold", '"seconds":5.0'):
        assert words in shown
    quiet_ms = 21.0
    found = line.json("bench", "latency", "--check", code=1)
    assert (found["busy"]["p99Ms"], found["quiet"]["p99Ms"], found["floorsHold"]) == (31.0, 21.0, False)


def test_a_backlog_is_told_with_its_memory(line: Line, monkeypatch) -> None:
    async def measure(facts, rules, _update):
        return backlog_of(facts, rules, 2.0, 80.0, [110.0], (121.0, peak_mb), 7_000.0)

    monkeypatch.setattr("worker.bench.backlog.measure", measure)
    peak_mb = 33.0
    shown = " ".join(line.run("bench", "backlog", "--facts", "10000", "--check").stdout.split())
    for words in ("10,000 facts decided in 2 s, 5,000 a second", "154 together, less than 200", "7,000 MB"):
        assert words in shown
    peak_mb = 79.0
    assert line.json("bench", "backlog", "--check", code=1)["peakMb"] == 200.0


def test_a_start_is_told_with_a_cache_and_without(line: Line, monkeypatch) -> None:
    async def measure(rules, rounds, _update):
        return start_of(rules, [1.5] * rounds, [cold] * rounds)

    monkeypatch.setattr("worker.bench.starting.measure", measure)
    cold = 2.5
    shown = " ".join(line.run("bench", "start", "--rounds", "2", "--check").stdout.split())
    for words in ("1.50 1.50", "2.50 2.50", "with 1,000 active rules; less than 3", "all floors hold"):
        assert words in shown
    cold = 3.5
    found = line.json("bench", "start", "--check", code=1)
    assert (found["warmSeconds"], found["coldSeconds"]) == (1.5, 3.5)


@pytest.mark.parametrize(("seconds", "again", "code"), [(9.99, 0, 0), (10.0, 0, 1), (0.5, 1, 1)])
def test_a_stop_is_soon_and_has_nothing_delivered_again(
    line: Line, monkeypatch, seconds: float, again: int, code: int
) -> None:
    async def measure(facts, rounds, rules, _update):
        return stop_of(facts, rules, [Stop(0.4, 20_000, 0)] * (rounds - 1) + [Stop(seconds, 1_000, again)])

    monkeypatch.setattr("worker.bench.stopping.measure", measure)
    shown = " ".join(line.run("bench", "stop", "--check", code=code).stdout.split())
    for words in ("0.40 s (median)", f"{seconds:.2f} s (slowest)", "20,000", f"{again} facts delivered again"):
        assert words in shown
    found = line.json("bench", "stop", "--check", code=code)
    assert (found["slowestSeconds"], found["again"], found["floorsHold"]) == (seconds, again, code == 0)


@pytest.mark.parametrize("command", ["commands", "list", "pipeline", "latency", "backlog", "start", "stop"])
def test_what_does_not_start_is_said(line: Line, monkeypatch, command: str) -> None:
    async def measure(*_):
        raise UnavailableError("postgres", "Postgres did not start")

    module = {"list": "listing", "start": "starting", "stop": "stopping"}.get(command, command)
    monkeypatch.setattr(f"worker.bench.{module}.measure", measure)
    assert "error[UNAVAILABLE]: Postgres did not start" in line.run("bench", command, code=1).stderr


def test_without_the_engines_it_says_which_extra_has_them(line: Line, monkeypatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("worker.bench.peers.version", version)
    told = line.run(*QUICK, code=1).stderr
    assert "rulestream[bench]" in " ".join(told.split())
    assert "zen-engine" in told
    error = json.loads(line.run(*QUICK, "--json", code=1).stderr)["error"]
    assert set(error["details"]["missing"]) == ENGINES


def test_the_command_line_starts_without_the_engines() -> None:
    code = "import sys, worker.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "worker.cli.bench" in loaded
    assert not {"zen", "cel", "celpy", "rule_engine", "cel_expr_python", "worker.bench"} & loaded
