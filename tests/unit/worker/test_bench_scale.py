"""Rules of which about five match at any number of them, the check of what is timed, the engines beside us, floors."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from domain.decisions.ruleset import Ruleset
from worker.bench import scale, scale_peers, scale_workloads
from worker.bench.scale import WorkloadReport, measure_one, report_of
from worker.bench.scale_change import ChangeReport
from worker.bench.scale_conditions import AnyItem, Both, Compared, Condition, Either, Has, Not, cel
from worker.bench.scale_peers import InexpressibleError, Matches, ScalePeer, compare_peers
from worker.bench.scale_plain import measure_plain, plain_course
from worker.bench.scale_rulesets import EveryRule, active_rules, bound_rules
from worker.bench.scale_start import ReadyReport, StartedReport, starts_count, starts_of
from worker.bench.scale_timing import Course, decided, deliveries, facts_within
from worker.bench.scale_workloads import EQUALITY, FLOORED, WORKLOADS, Kind, Workload
from worker.bench.stack import BenchError


def course(workload: Workload, size: int, facts: int = 60) -> Course:
    rules = bound_rules(active_rules(workload.name, workload.rules(size)))
    return Course(Ruleset(1, rules), deliveries(workload.payloads(size, facts)))


class TestWorkloads:
    @pytest.mark.parametrize("name", WORKLOADS)
    @pytest.mark.parametrize("size", [10, 100, 1_000])
    def test_about_five_rules_match_whatever_their_number(self, name: str, size: int) -> None:
        at = course(WORKLOADS[name], size)
        found = [decided(at.ruleset, one) for one in at.deliveries]
        assert 4.0 < statistics.mean(len(one.matches) for one in found) < 6.0
        assert not any(one.fault_count for one in found)
        assert all(one.output for one in found)

    @pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
    def test_facts_differ_and_have_about_300_bytes(self, workload: Workload) -> None:
        payloads = workload.payloads(10)
        assert len(set(payloads)) == len(payloads) >= 1_000
        assert 200 < statistics.mean(map(len, payloads)) < 400
        assert payloads[:50] == workload.payloads(10, 50)

    @pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
    def test_a_larger_number_of_rules_is_the_smaller_with_more(self, workload: Workload) -> None:
        rules = list(workload.rules(60))
        assert rules[:20] == list(workload.rules(20))
        assert rules[20:] == list(workload.rules(40, first=20))
        assert len(set(rules)) == 60
        assert [f"when {cel(one)}\n" in text for one, text in zip(workload.conditions(60), rules, strict=True)] == (
            [True] * 60
        )

    def test_what_is_asked_for_is_more_of_equality(self) -> None:
        asked = {one.name: (one.ratio_min, one.per_second_min) for one in WORKLOADS.values()}
        assert asked.pop("equality") == (0.8, 50_000)
        assert asked.pop("boxes") == (None, None)
        assert set(asked) == {"membership", "ranges", "parts", "case-folded", "mix"}
        assert set(asked.values()) == {(0.5, 10_000)}

    def test_no_two_numbers_share_a_word(self) -> None:
        assert len({scale_workloads.word(n) for n in range(100_000)}) == 100_000

    def test_assorted_rules_are_of_each_floored_workload_in_turn(self) -> None:
        rules = list(scale_workloads.assorted_rules(20))
        assert len(rules) == 20
        assert rules[: len(FLOORED)] == [next(one.rules(1)) for one in FLOORED]
        assert len(set(scale_workloads.assorted_payloads(60, 30))) == 30


def test_conditions_are_written_with_brackets_where_they_are_needed() -> None:
    either = Either((Compared("a.b", "==", "x"), Compared("a.c", "contains", 'y"', folded=True)))
    condition = Both((either, Not(Has("a.d")), AnyItem("a.e", "f", 1)))
    wanted = '(a.b == "x" || a.c.lowerAscii().contains("y\\"")) && !(has(a.d)) && a.e.exists(i, i.f == 1)'
    assert cel(condition) == wanted


class TestOneWorkload:
    def test_each_size_is_measured_with_all_rules_of_it(self) -> None:
        told: list[int] = []
        found = measure_one(EQUALITY, (10, 40), 0.001, told.append, peers=())
        assert found.facts_per_second.keys() == found.matches.keys() == found.first_fact_ms.keys() == {10, 40}
        assert all(value > 0 for value in found.facts_per_second.values())
        assert found.facts == {10: 20, 40: 20}
        assert found.cold_facts_per_second.keys() == {10, 40}
        assert (found.ratio, found.cold_ratio, found.peers) == (None, None, [])
        assert found.plain is not None
        assert found.plain.facts_per_second.keys() == found.plain.cold_facts_per_second.keys() == {10, 40}
        assert found.unindexed_ratio is not None

    def test_dictionaries_lead_to_the_rules_that_match(self) -> None:
        at = course(EQUALITY, 100, 30)
        plain = plain_course(100, at)
        for delivery in at.deliveries:
            matches = decided(at.ruleset, delivery).matches
            assert {int(match.name.rpartition(" ")[2]) for match in matches} <= set(plain.found(delivery.data))

    def test_dictionaries_are_measured_for_equality_alone(self) -> None:
        assert measure_plain(scale_workloads.RANGES, {10: course(scale_workloads.RANGES, 10, 20)}) is None

    def test_a_workload_of_which_not_about_five_match_is_refused(self) -> None:
        never = Kind(lambda _: Compared("order.id", "==", "none"), lambda *_: None)
        with pytest.raises(BenchError, match=r"equality, 10 rules: 0\.00 rules match a fact, not about five"):
            measure_one(Workload("equality", (never,) * 5), (10,), 0.001, peers=())

    def test_rules_that_fail_are_refused(self) -> None:
        failing = Kind(lambda _: Compared("order.id.size() / 0", "==", 1), lambda *_: None)
        with pytest.raises(BenchError, match="rules failed"):
            measure_one(Workload("equality", (failing,) * 5), (10,), 0.001, peers=())

    def test_an_index_that_gives_another_decision_is_refused(self, monkeypatch) -> None:
        at = course(EQUALITY, 100, 20)
        scale._compare(EQUALITY, at.ruleset.rules, at)
        fewer = at.ruleset.rules[:50]
        monkeypatch.setattr(scale, "EveryRule", lambda revision, _, digest: EveryRule(revision, fewer, digest))
        with pytest.raises(BenchError, match="another decision than every rule"):
            scale._compare(EQUALITY, at.ruleset.rules, at)

    def test_fewer_than_ten_rules_are_refused(self) -> None:
        with pytest.raises(BenchError, match="at least 10 rules"):
            measure_one(EQUALITY, (5,), 0.001)

    def test_slow_rulesets_have_fewer_facts_and_never_less_than_twenty(self) -> None:
        at = course(EQUALITY, 10, 60)
        assert facts_within(at, 1e-9) == 20
        assert facts_within(at, 60.0) == 60

    def test_many_rules_compile_to_the_same_in_other_processes(self, monkeypatch) -> None:
        rules = active_rules("equality", EQUALITY.rules(30))
        here = Ruleset(1, bound_rules(rules))
        monkeypatch.setattr("worker.bench.scale_rulesets._ALONE_MAX", 10)
        there = Ruleset(1, bound_rules(rules))
        for one in deliveries(EQUALITY.payloads(30, 20)):
            assert decided(there, one) == decided(here, one)


def peer(prepare: Callable[[Iterable[Condition]], Matches], name: str = "msgspec") -> ScalePeer:
    return ScalePeer(name, prepare)


def right(conditions: Iterable[Condition]) -> Matches:
    """Decide by conditions as these say, over the fact as Python has it."""
    asked = list(conditions)

    def matches(data: bytes) -> list[int]:
        fact = msgspec.json.decode(data)
        return [number for number, one in enumerate(asked) if holds(one, fact)]

    return matches


def holds(condition: Condition, fact: dict[str, Any]) -> bool:
    if isinstance(condition, Both):
        return all(holds(item, fact) for item in condition.items)
    assert isinstance(condition, Compared)
    value: Any = fact
    for name in condition.path.split("."):
        value = value[name]
    return bool(value >= condition.value if condition.operator == ">=" else value == condition.value)


class TestPeers:
    def courses(self) -> dict[int, Course]:
        return {size: course(EQUALITY, size, 40) for size in (10, 50)}

    def compared(self, prepare: Callable[[Iterable[Condition]], Matches]) -> scale_peers.PeerReport:
        (found,) = compare_peers(EQUALITY, self.courses(), [peer(prepare)])
        return found

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch) -> None:
        monkeypatch.setattr(scale_peers, "SECONDS", 0.001)

    def test_an_engine_that_finds_the_same_is_timed_in_each_size(self) -> None:
        found = self.compared(right)
        assert found.note is None
        assert found.facts_per_second.keys() == found.load_seconds.keys() == {10, 50}

    def test_an_engine_that_finds_another_rule_is_not_timed(self) -> None:
        found = self.compared(lambda conditions: lambda data: [*right(conditions)(data), 9_999])
        assert found.facts_per_second == {}
        assert found.note == "disagrees: finds [9999] too, and not []"

    def test_an_engine_that_cannot_express_a_rule_says_why(self) -> None:
        def prepare(_conditions: Iterable[Condition]) -> Matches:
            raise InexpressibleError("it has no numbers")

        assert self.compared(prepare).note == "it has no numbers"

    def test_an_engine_that_fails_is_told_with_its_error(self) -> None:
        def prepare(_conditions: Iterable[Condition]) -> Matches:
            raise ValueError("too many\nand more")

        assert self.compared(prepare).note == "fails with 10 rules: too many"

    def test_an_engine_gives_up_where_the_next_size_would_take_too_long_to_load(self, monkeypatch) -> None:
        monkeypatch.setattr(scale_peers, "LOAD_SECONDS_MAX", -1.0)
        found = self.compared(right)
        assert found.facts_per_second.keys() == {10}
        assert found.note is not None
        assert found.note.startswith("50 rules would take more than")

    def test_an_engine_gives_up_where_it_is_too_slow_already(self, monkeypatch) -> None:
        monkeypatch.setattr(scale_peers, "PER_SECOND_MIN", 1e12)
        assert self.compared(right).note == "less than 1e+12 facts a second with 10 rules"

    def test_an_engine_that_is_not_installed_is_listed(self) -> None:
        (found,) = compare_peers(EQUALITY, self.courses(), [peer(right, "no-such-engine")])
        assert (found.name, found.facts_per_second, found.note) == ("no-such-engine", {}, "not installed")

    @pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
    def test_every_engine_agrees_wherever_it_can_express_the_rules(self, workload: Workload) -> None:
        """What an engine is said not to express is what it lacks, and nothing else is left out."""
        found = {one.name: one.note for one in compare_peers(workload, {20: course(workload, 20, 40)})}
        lacking = {name: note for name, note in found.items() if note is not None}
        assert lacking == {
            name: note for name, note in LACKING[workload.name].items() if found[name] != "not installed"
        }


NO_LOWER = "it has no function that makes a text lower case"
LACKING: dict[str, dict[str, str]] = {
    "equality": {},
    "membership": {},
    "ranges": {"mokaccino": "its numbers are whole"},
    "parts": {"mokaccino": "it has prefixes alone of the parts of a text"},
    "case-folded": {"mokaccino": "it does not ignore case", "common-expression-language": NO_LOWER},
    "mix": {"mokaccino": "it does not ignore case", "common-expression-language": NO_LOWER},
    "boxes": {"mokaccino": "its numbers are whole"},
}


def a_workload(
    name: str, *, small: float, large: float, cold: float | None = None, unindexed: float = 1.0
) -> WorkloadReport:
    return WorkloadReport(
        name=name,
        facts_per_second={10: small, 100: small, 100_000: large},
        ratio=round(large / small, 3),
        cold_facts_per_second={10: small, 100: small, 100_000: cold or large},
        cold_ratio=round((cold or large) / small, 3),
        unindexed_ratio=unindexed,
        matches={10: 5.0, 100: 5.0, 100_000: 5.0},
        facts={10: 20, 100: 20, 100_000: 20},
        first_fact_ms={10: 1.0, 100: 1.0, 100_000: 1.0},
        tried_always={10: 10, 100: 0, 100_000: 0},
        fact_bytes=300,
        compile_seconds=1.0,
        peers=[],
    )


def a_start(
    *, cold: float = 12.0, warm: float = 2.0, large: float = 30.0, kb: float = 6.0, swap: float = 50.0
) -> ReadyReport:
    return ReadyReport(
        starts=[
            StartedReport(10_000, cold, warm, [warm], 1.0, cold, warm),
            StartedReport(100_000, 99.0, large, [large], 1.0, 99.0, large),
        ],
        kb_per_rule=kb,
        loaded_kb_per_rule=1.0,
        compiler_peak_mb=50.0,
        first_fact_ms=1.0,
        change=ChangeReport(100_000, swap, 999.0, 1.0, 1.0, 1.0, 1.0, [swap]),
    )


class TestFloors:
    @pytest.mark.parametrize(
        ("found", "failing"),
        [
            (a_workload("equality", small=62_500, large=50_000), []),
            (a_workload("equality", small=62_600, large=50_000), ["equality, ratio"]),
            (a_workload("equality", small=60_000, large=60_000, cold=50_000), []),
            (a_workload("equality", small=60_000, large=60_000, cold=49_999), ["equality, facts a second, cold"]),
            (a_workload("mix", small=20_000, large=10_000), []),
            (a_workload("mix", small=19_000, large=9_999), ["mix, facts a second, cold"]),
            (a_workload("mix", small=20_100, large=10_000, cold=10_100), ["mix, ratio"]),
            (a_workload("mix", small=20_100, large=10_100, cold=10_000), ["mix, ratio, cold"]),
            (a_workload("mix", small=10_000, large=10_000, unindexed=0.94), ["mix, 10 rules to unindexed"]),
            (a_workload("boxes", small=10_000, large=1, unindexed=0.1), []),
        ],
    )
    def test_workloads_hold_up_to_the_edge(self, found: WorkloadReport, failing: list[str]) -> None:
        report = report_of([found], a_start())
        assert [floor.name for floor in report.floors if not floor.holds] == failing
        assert report.floors_hold == (not failing)
        assert report.unmeasured == []

    @pytest.mark.parametrize(
        ("found", "failing"),
        [
            (a_start(), []),
            (a_start(cold=12.1), ["10,000 rules ready, cold, seconds"]),
            (a_start(warm=2.1), ["10,000 rules ready, cached, seconds"]),
            (a_start(large=30.1), ["100,000 rules ready, cached, seconds"]),
            (a_start(kb=6.1), ["100,000 rules, kB a rule"]),
            (a_start(swap=50.1), ["100,000 rules, a change, ms"]),
        ],
    )
    def test_starts_memory_and_changes_hold_up_to_the_edge(self, found: ReadyReport, failing: list[str]) -> None:
        report = report_of([], found)
        assert [floor.name for floor in report.floors if not floor.holds] == failing
        assert report.floors_hold == (not failing)

    def test_what_was_not_measured_is_told(self) -> None:
        found = msgspec.structs.replace(
            a_workload("mix", small=9.0, large=9.0),
            facts_per_second={50: 9.0},
            ratio=None,
            cold_facts_per_second={50: 9.0},
            cold_ratio=None,
            unindexed_ratio=None,
        )
        report = report_of([found])
        assert report.floors == []
        assert report.unmeasured == [
            "10,000 rules ready, cold, seconds",
            "10,000 rules ready, cached, seconds",
            "100,000 rules ready, cached, seconds",
            "100,000 rules, kB a rule",
            "100,000 rules, a change, ms",
            "mix, ratio",
            "mix, ratio, cold",
            "mix, facts a second, cold",
            "mix, 10 rules to unindexed",
        ]

    @pytest.mark.parametrize(
        ("sizes", "starts"),
        [((10, 10_000, 100_000), [10_000, 100_000]), ((10_000,), [10_000]), ((500, 10), [500])],
    )
    def test_workers_start_with_the_sizes_that_have_a_floor(self, sizes: tuple[int, ...], starts: list[int]) -> None:
        assert starts_of(sizes) == starts
        assert starts_count(starts) == 1 + 4 * len(starts)
