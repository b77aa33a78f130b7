"""Facts a second by the number of rules, of which about five match whatever that number is.

Each workload's rules are compiled once and make one ruleset for each size. A fact's time is from the bytes of its JSON
to its decision, on one core. Nothing wrong is timed: that about five rules match and none fails is counted, and some
facts are decided again by trying every rule in turn, which has to give the same decision.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from domain.decisions.ruleset import BoundRule, Ruleset
from worker.bench.scale_peers import PEERS, PeerReport, ScalePeer, compare_peers, peer_versions
from worker.bench.scale_plain import PlainReport, measure_plain
from worker.bench.scale_rulesets import EveryRule, active_rules, bound_rules, collector_as_in_a_worker
from worker.bench.scale_start import ReadyReport
from worker.bench.scale_timing import (
    LARGE,
    Course,
    cold_facts_per_second,
    decided,
    deliveries,
    facts_per_second,
    facts_within,
    ratio_of,
    ratio_of_pairs,
)
from worker.bench.scale_workloads import MATCHES_MAX, MATCHES_MIN, SIZE_MIN, WORKLOADS, Workload
from worker.bench.stack import BenchError

SIZES: Final = (10, 100, 1_000, 10_000, 100_000)
FEW: Final = 10_000
SMALL_RATIO_MIN: Final = 0.95
COLD_RATIO_MIN: Final = 0.5
COLD_SECONDS_MAX: Final = 12.0
WARM_SECONDS_MAX: Final = 2.0
LARGE_WARM_SECONDS_MAX: Final = 30.0
KB_PER_RULE_MAX: Final = 6.0
SWAP_MS_MAX: Final = 50.0
SECONDS: Final = 2.0

_COMPARED: Final = 20  # facts that are decided again by every rule
_COMPARED_RULES_MAX: Final = 200_000  # by so many rules in all, and by at least three facts
_COMPARED_MIN: Final = 3


class Floor(msgspec.Struct, rename="camel", frozen=True):
    """A figure and the least or the most that it may be."""

    name: str
    value: float
    least: float | None
    most: float | None
    holds: bool


class WorkloadReport(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """One workload; everything by size is by the number of rules.

    ``ratio`` is facts a second with 100,000 rules divided by those with 100, ``unindexed_ratio`` those with 10 rules
    divided by the same without an index; None where a size was not measured. The ``cold`` ones are of facts each of
    which leads to what was not touched for long. ``plain`` is the same of dictionaries alone, None where those are no
    index for the rules. ``matches`` are on average, ``first_fact_ms`` is what the first fact of a new ruleset takes,
    its plan and its index included.
    """

    name: str
    facts_per_second: dict[int, float]
    ratio: float | None
    cold_facts_per_second: dict[int, float]
    cold_ratio: float | None
    unindexed_ratio: float | None
    matches: dict[int, float]
    facts: dict[int, int]
    first_fact_ms: dict[int, float]
    tried_always: dict[int, int]
    fact_bytes: int
    compile_seconds: float
    peers: list[PeerReport]
    plain: PlainReport | None = None


class ScaleReport(msgspec.Struct, rename="camel", frozen=True):
    """All workloads, every floor that was measured, and the names of those that were not."""

    workloads: list[WorkloadReport]
    ready: ReadyReport | None
    floors: list[Floor]
    floors_hold: bool
    unmeasured: list[str]
    python: str
    versions: dict[str, str | None]


def at_least(name: str, value: float, least: float) -> Floor:
    """Return a floor below which a figure may not be."""
    return Floor(name, value, least, None, value >= least)


def at_most(name: str, value: float, most: float) -> Floor:
    """Return a floor above which a figure may not be."""
    return Floor(name, value, None, most, value <= most)


def measure(
    workloads: Sequence[Workload] = tuple(WORKLOADS.values()),
    sizes: Sequence[int] = SIZES,
    seconds: float = SECONDS,
    update: Callable[[int], None] = lambda _done: None,
    peers: Sequence[ScalePeer] = PEERS,
) -> list[WorkloadReport]:
    """Measure workloads one after the other; ``seconds`` is the time for each size.

    ``update`` is told how many rules were compiled. Raises BenchError when a workload is not what it says, or the index
    gives another decision than trying every rule.
    """
    reports: list[WorkloadReport] = []
    for number, workload in enumerate(workloads):
        reports.append(measure_one(workload, sizes, seconds, partial(_update, update, number * max(sizes)), peers))
        update((number + 1) * max(sizes))
    return reports


def measure_one(
    workload: Workload,
    sizes: Sequence[int],
    seconds: float,
    update: Callable[[int], None] = lambda _done: None,
    peers: Sequence[ScalePeer] = PEERS,
) -> WorkloadReport:
    """Measure one workload in every size; raises BenchError."""
    if min(sizes) < SIZE_MIN:
        raise BenchError(f"a workload has at least {SIZE_MIN} rules")
    started = time.perf_counter()
    bound = bound_rules(active_rules(workload.name, workload.rules(max(sizes))), update)
    compile_seconds = time.perf_counter() - started
    courses: dict[int, Course] = {}
    first_fact_ms: dict[int, float] = {}
    with collector_as_in_a_worker():
        for size in sorted(sizes):
            ruleset = Ruleset(1, bound[:size])
            facts = deliveries(workload.payloads(size))
            started = time.perf_counter()
            decided(ruleset, facts[0])
            first_fact_ms[size] = round((time.perf_counter() - started) * 1e3, 2)
            course = Course(ruleset, facts)
            courses[size] = Course(ruleset, facts[: facts_within(course, seconds / 2)])
        matches = {size: _matches(workload, size, course) for size, course in courses.items()}
        found = facts_per_second(courses)
        cold = cold_facts_per_second(courses)
        plain = measure_plain(workload, courses)
        unindexed_ratio = None
        if SIZE_MIN in courses:
            smallest = courses[SIZE_MIN]
            every = Course(EveryRule(1, bound[:SIZE_MIN]), smallest.deliveries)
            _ = _matches(workload, SIZE_MIN, every)  # each rule's functions are made when first needed
            unindexed_ratio = round(ratio_of_pairs(smallest, every), 3)
        asked = compare_peers(workload, courses, peers)
        for size, course in courses.items():  # last, as it may make what only trying every rule needs
            _compare(workload, bound[:size], course)
    return WorkloadReport(
        name=workload.name,
        facts_per_second={size: round(value) for size, value in found.items()},
        ratio=ratio_of(found),
        cold_facts_per_second={size: round(value) for size, value in cold.items()},
        cold_ratio=ratio_of(cold),
        unindexed_ratio=unindexed_ratio,
        matches=matches,
        facts={size: len(course.deliveries) for size, course in courses.items()},
        first_fact_ms=first_fact_ms,
        tried_always={size: _tried_always(course) for size, course in courses.items()},
        fact_bytes=round(sum(len(one.data) for one in facts) / len(facts)),
        compile_seconds=round(compile_seconds, 2),
        peers=asked,
        plain=plain,
    )


def _update(update: Callable[[int], None], before: int, done: int) -> None:
    update(before + done)


def _matches(workload: Workload, size: int, course: Course) -> float:
    """Return how many rules match a fact on average; raises BenchError when these are not about five, or one fails."""
    decisions = [decided(course.ruleset, one) for one in course.deliveries]
    faults = sum(one.fault_count for one in decisions)
    if faults:
        raise BenchError(f"{workload.name}, {size:,} rules: {faults} rules failed")
    average = sum(len(one.matches) for one in decisions) / len(decisions)
    if not MATCHES_MIN <= average <= MATCHES_MAX:
        raise BenchError(f"{workload.name}, {size:,} rules: {average:.2f} rules match a fact, not about five")
    return round(average, 2)


def _compare(workload: Workload, bound: Sequence[BoundRule], course: Course) -> None:
    """Decide some facts by every rule too; raises BenchError when a decision differs."""
    every = EveryRule(course.ruleset.revision, course.ruleset.rules, course.ruleset.digest)
    for delivery in course.deliveries[: max(_COMPARED_MIN, min(_COMPARED, _COMPARED_RULES_MAX // len(bound)))]:
        if decided(every, delivery) != decided(course.ruleset, delivery):
            raise BenchError(
                f"{workload.name}, {len(bound):,} rules: the index gives another decision than every rule in turn for "
                f"{delivery.data.decode()}"
            )


def _tried_always(course: Course) -> int:
    """Return how many rules a ruleset tries on every fact."""
    plan = course.ruleset.plan(_fact_type(course))
    return len(plan.rules) if plan.index is None else len(plan.index.tried)


def _fact_type(course: Course) -> str:
    """Return the type of a course's facts."""
    return course.deliveries[0].subject.partition(".")[2]


def report_of(reports: Sequence[WorkloadReport], ready: ReadyReport | None = None) -> ScaleReport:
    """Set what was measured against the floors."""
    floors: list[Floor] = []
    unmeasured: list[str] = []
    for name, value, most in _ready_floors(ready):
        if value is None:
            unmeasured.append(name)
        else:
            floors.append(at_most(name, value, most))
    for report in reports:
        workload = WORKLOADS[report.name]
        if workload.ratio_min is None or workload.per_second_min is None:
            continue
        for name, value, least in (
            ("ratio", report.ratio, workload.ratio_min),
            ("ratio, cold", report.cold_ratio, COLD_RATIO_MIN),
            ("facts a second, cold", report.cold_facts_per_second.get(LARGE), workload.per_second_min),
            ("10 rules to unindexed", report.unindexed_ratio, SMALL_RATIO_MIN),
        ):
            if value is None:
                unmeasured.append(f"{report.name}, {name}")
            else:
                floors.append(at_least(f"{report.name}, {name}", value, least))
    return ScaleReport(
        workloads=list(reports),
        ready=ready,
        floors=floors,
        floors_hold=all(floor.holds for floor in floors),
        unmeasured=unmeasured,
        python=platform.python_version(),
        versions=peer_versions(),
    )


def _ready_floors(ready: ReadyReport | None) -> list[tuple[str, float | None, float]]:
    """Return what starts, memory and changes came to, None where that was not measured, and the most they may be."""
    starts = {} if ready is None else {one.rules: one for one in ready.starts}
    few, many = starts.get(FEW), starts.get(LARGE)
    of_large = ready if many is not None else None
    return [
        (f"{FEW:,} rules ready, cold, seconds", None if few is None else few.cold_seconds, COLD_SECONDS_MAX),
        (f"{FEW:,} rules ready, cached, seconds", None if few is None else few.warm_seconds, WARM_SECONDS_MAX),
        (
            f"{LARGE:,} rules ready, cached, seconds",
            None if many is None else many.warm_seconds,
            LARGE_WARM_SECONDS_MAX,
        ),
        (f"{LARGE:,} rules, kB a rule", None if of_large is None else of_large.kb_per_rule, KB_PER_RULE_MAX),
        (f"{LARGE:,} rules, a change, ms", None if of_large is None else of_large.change.swap_ms, SWAP_MS_MAX),
    ]
