"""The comparison: nothing wrong is timed, the ratio is to the fastest, floors hold or do not, engines take turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from itertools import count
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from worker.bench import timing
from worker.bench.cases import CASES, Case
from worker.bench.evaluation import agreeing_sweeps, compare, compare_case, report_of
from worker.bench.peers import Fact, MissingPeersError, Peer, Sweep, sweep_of, versions_of

SAMPLE = CASES[0]


def right(fact: Fact) -> Any:
    return fact["customer"]["tier"] == "VIP" and fact["order"]["total"] > 100.0


def wrong(fact: Fact) -> Any:
    return fact["customer"]["tier"] == "VIP"


def failing(_fact: Fact) -> Any:
    raise ValueError("no such overload\nand more")


def peer(**ways: Callable[[Fact], Any]) -> Peer:
    return Peer("msgspec", lambda _text, _fields: {way: sweep_of(decide) for way, decide in ways.items()})


class TestAgreement:
    def test_a_peer_that_agrees_on_the_fact_and_its_near_miss_is_timed(self) -> None:
        report = compare_case(SAMPLE, [peer(dict=right)], 0.001)
        assert report.notes == []
        assert report.peers_us["msgspec"] is not None

    def test_a_peer_that_is_wrong_about_the_near_miss_alone_is_not_timed(self) -> None:
        report = compare_case(SAMPLE, [peer(dict=wrong)], 0.001)
        assert report.peers_us == {"msgspec": None}
        assert report.notes == ["msgspec: disagrees, given dict: True and True"]
        assert report.ratio_to_fastest_peer is None
        assert not report.holds

    def test_a_peer_that_is_wrong_about_the_fact_alone_is_not_timed(self) -> None:
        agreeing, notes = agreeing_sweeps(SAMPLE, peer(dict=lambda _fact: False))
        assert agreeing == {}
        assert notes == ["msgspec: disagrees, given dict: False and False"]

    def test_a_truthy_value_is_no_true(self) -> None:
        agreeing, _ = agreeing_sweeps(SAMPLE, peer(dict=lambda fact: "yes" if right(fact) else ""))
        assert agreeing == {}

    def test_a_peer_that_fails_is_told_by_the_first_line_of_its_error(self) -> None:
        agreeing, notes = agreeing_sweeps(SAMPLE, peer(dict=failing))
        assert agreeing == {}
        assert notes == ["msgspec: fails, given dict: no such overload"]

    def test_a_peer_that_cannot_prepare_the_condition_is_told(self) -> None:
        def prepare(_text: str, _fields: Sequence[str]) -> dict[str, Sweep]:
            raise KeyError

        agreeing, notes = agreeing_sweeps(SAMPLE, Peer("msgspec", prepare))
        assert agreeing == {}
        assert notes == ["msgspec: cannot prepare the condition: KeyError"]

    def test_of_several_ways_only_the_right_ones_are_timed(self) -> None:
        agreeing, notes = agreeing_sweeps(SAMPLE, peer(dict=wrong, bytes=right))
        assert list(agreeing) == ["bytes"]
        assert notes == ["msgspec: disagrees, given dict: True and True"]

    def test_a_case_that_ours_does_not_decide_as_it_says_stops_the_run(self) -> None:
        case = Case("odd", "order", "order.total > 1.0", {}, {}, floor=5)
        with pytest.raises(AssertionError, match="odd is not what it says"):
            compare_case(case, [], 0.001)


class TestNewTimes:
    def test_a_case_with_times_gives_each_fact_its_own(self) -> None:
        case = next(case for case in CASES if case.times)
        seen: list[str] = []

        def decide(fact: Fact) -> bool:
            seen.append(fact["order"]["placedAt"])
            return fact["order"]["promisedAt"] < "2024-05-20T09:31:07Z"

        compare_case(case, [peer(dict=decide)], 0.001)
        timed = seen[2:]
        assert len(timed) > 1_000
        assert len(set(timed)) == len(timed)


class TestRatio:
    @pytest.mark.parametrize(
        ("ours_us", "peers_us", "ratio", "holds"),
        [
            (2.0, {"a": 30.0, "b": 20.0}, 10.0, True),
            (2.0, {"a": 30.0, "b": 19.98}, 9.99, False),
            (2.0, {"a": None, "b": 21.0}, 10.5, True),
            (2.0, {"a": None}, None, False),
            (2.0, {}, None, False),
        ],
    )
    def test_it_is_to_the_fastest_peer_that_has_a_time(self, ours_us, peers_us, ratio, holds) -> None:
        report = report_of(SAMPLE, ours_us, peers_us)
        assert SAMPLE.floor == 10
        assert report.ratio_to_fastest_peer == ratio
        assert report.holds is holds

    def test_a_floor_is_held_against_the_ratio_before_it_is_rounded(self) -> None:
        report = report_of(SAMPLE, 1.0, {"a": 9.999})
        assert report.ratio_to_fastest_peer == 10.0
        assert not report.holds


class TestReport:
    def test_it_has_the_contract_s_names(self) -> None:
        report = compare(0.001, CASES[:1], [peer(dict=right)])
        found = msgspec.to_builtins(report)
        assert {"cases", "lambdaRatio"} <= found.keys()
        assert {"name", "fact", "oursUs", "peersUs", "ratioToFastestPeer"} <= found["cases"][0].keys()
        assert found["factBytes"] == {"order": 1_024}
        assert found["versions"].keys() == {"msgspec"}

    def test_the_floors_hold_only_when_every_case_s_does(self) -> None:
        slow = compare(0.001, CASES[:1], [peer(dict=wrong)])
        assert not slow.floors_hold

    def test_the_lambda_s_ratio_is_the_greater_of_both_facts(self) -> None:
        cases = [CASES[0], next(case for case in CASES if case.fact == "small_order")]
        report = compare(0.001, cases, [peer(dict=right)])
        assert report.lambdas.keys() == {"order", "small_order"}
        assert report.lambda_ratio == max(found.ratio for found in report.lambdas.values())

    def test_progress_is_told_case_by_case(self) -> None:
        done: list[int] = []
        compare(0.001, CASES[:2], [peer(dict=right)], done.append)
        assert done == [1, 2]


class TestInstalled:
    def test_all_engines_that_are_missing_are_named_with_the_extra_that_has_them(self, monkeypatch) -> None:
        def version(name: str) -> str:
            if name == "msgspec":
                return "1.0"
            raise PackageNotFoundError(name)

        monkeypatch.setattr("worker.bench.peers.version", version)
        absent = [Peer(name, lambda _text, _fields: {}) for name in ("msgspec", "one-engine", "other-engine")]
        with pytest.raises(
            MissingPeersError, match=r"not installed: one-engine, other-engine;.*rulestream\[bench\]"
        ) as raised:
            versions_of(absent)
        assert raised.value.missing == ["one-engine", "other-engine"]
        assert versions_of(absent[:1]) == {"msgspec": "1.0"}


class FakeClock:
    """Time that passes only when a sweep says so, in nanoseconds."""

    def __init__(self) -> None:
        self.now_ns = 0

    def perf_counter_ns(self) -> int:
        return self.now_ns


class TestTiming:
    @pytest.fixture
    def clock(self, monkeypatch) -> FakeClock:
        clock = FakeClock()
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter_ns=clock.perf_counter_ns))
        return clock

    def test_the_best_round_counts_for_one_fact(self, clock: FakeClock) -> None:
        spent = iter([9_000, 8_000, 6_000, 4_000, *[7_000] * timing.ROUNDS])

        def sweep(_facts: Sequence[Fact]) -> None:
            clock.now_ns += next(spent)

        assert timing.best_us({"one": sweep}, [{}, {}], 0.0) == {"one": 2.0}

    def test_engines_take_turns(self, clock: FakeClock) -> None:
        ran: list[str] = []

        def sweep_named(name: str) -> Sweep:
            def sweep(_facts: Sequence[Fact]) -> None:
                ran.append(name)
                clock.now_ns += 1_000

            return sweep

        timing.best_us({"a": sweep_named("a"), "b": sweep_named("b")}, [{}], 0.0)
        assert ran == ["a", "b"] * (timing.ROUNDS + 1), "once to see how long it takes, then the rounds"

    def test_a_quick_sweep_runs_as_often_as_its_time_allows(self, clock: FakeClock) -> None:
        ran = 0

        def sweep(_facts: Sequence[Fact]) -> None:
            nonlocal ran
            ran += 1
            clock.now_ns += 1_000

        best = timing.best_us({"one": sweep}, [{}], 1e-6 * 10 * timing.ROUNDS)
        assert ran == 10 * timing.ROUNDS + 1
        assert best == {"one": 1.0}

    def test_new_facts_are_decided_once_and_the_best_round_counts(self, clock: FakeClock) -> None:
        supplied = count()
        seen: list[int] = []

        def supply() -> list[Fact]:
            return [{"n": next(supplied)}, {"n": next(supplied)}]

        def sweep(facts: Sequence[Fact]) -> None:
            seen.extend(fact["n"] for fact in facts)
            clock.now_ns += 3_000 if 10 in seen[-2:] else 8_000

        best = timing.best_of_new_us({"a": sweep, "b": sweep}, supply)
        assert seen == list(range(4 * timing.ROUNDS))
        assert best == {"a": 4.0, "b": 1.5}

    def test_the_garbage_collector_is_off_while_timing_and_on_again_whatever_happens(self) -> None:
        seen: list[bool] = []
        assert gc.isenabled()
        timing.best_us({"one": lambda _facts: seen.append(gc.isenabled())}, [{}], 0.0)
        assert seen == [False] * (timing.ROUNDS + 1)
        assert gc.isenabled()
        with pytest.raises(ZeroDivisionError):
            timing.best_us({"one": lambda _facts: 1 // 0}, [{}], 0.0)
        assert gc.isenabled()
