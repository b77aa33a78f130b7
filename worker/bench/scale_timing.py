"""Facts a second: each from its JSON bytes to its decision, on one core."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from domain.decisions.decision import Decision
from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from streams import headers, subjects
from streams.facts.intake import Accepted, Delivery, read_fact
from worker.bench.scale_workloads import FACT_TYPE
from worker.bench.stack import BenchError

ROUNDS: Final = 15  # many short ones, of which each lot of facts counts with its best
PAIRS: Final = 41
LOT: Final = 50
FACTS_MIN: Final = 20

_STORED_AT_NS: Final = 1_767_225_600 * 10**9
_TRIALS: Final = 3


@dataclass(frozen=True, slots=True)
class Course:
    """A ruleset with the facts that it decides."""

    ruleset: Ruleset
    deliveries: Sequence[Delivery]


def deliveries(payloads: Sequence[bytes]) -> list[Delivery]:
    """Make deliveries of facts, each under an id of its own."""
    subject = subjects.fact(FACT_TYPE)
    return [
        Delivery(subject, "", payload, {headers.MESSAGE_ID: f"scale-{number:08}"}, "FACTS", number, _STORED_AT_NS, 1)
        for number, payload in enumerate(payloads, start=1)
    ]


def decided(ruleset: Ruleset, delivery: Delivery) -> Decision:
    """Read a fact and decide it; raises BenchError for what is no fact."""
    accepted = read_fact(delivery)
    if not isinstance(accepted, Accepted):
        raise BenchError(f"no fact: {accepted.message}")
    return decide(ruleset, accepted.fact)


def facts_within(course: Course, seconds: float) -> int:
    """Return how many facts of a course a round has time for, where all rounds have ``seconds``; at least 20."""
    tried = course.deliveries[:FACTS_MIN]
    spent_ns = min(_time_ns(course.ruleset, tried) for _ in range(_TRIALS)) / len(tried)  # the first makes functions
    return min(len(course.deliveries), max(FACTS_MIN, int(seconds * 1e9 / ROUNDS / max(1.0, spent_ns))))


def facts_per_second(courses: Mapping[int, Course]) -> dict[int, float]:
    """Return how many facts a second each course decides; courses take turns, and of each lot the best round counts."""
    lots = {
        key: [course.deliveries[start : start + LOT] for start in range(0, len(course.deliveries), LOT)]
        for key, course in courses.items()
    }
    best = {key: [math.inf] * len(found) for key, found in lots.items()}
    for _ in range(ROUNDS):
        for key, course in courses.items():
            mine = best[key]
            for number, lot in enumerate(lots[key]):
                spent_ns = _time_ns(course.ruleset, lot)
                mine[number] = min(mine[number], spent_ns)
    return {key: len(course.deliveries) / sum(best[key]) * 1e9 for key, course in courses.items()}


def ratio_of_pairs(one: Course, other: Course) -> float:
    """Return how many times as fast one course is as the other: the median of pairs, who goes first alternating."""
    ratios: list[float] = []
    for number in range(PAIRS):
        first, second = (one, other) if number % 2 else (other, one)
        spent = {id(course): _time_ns(course.ruleset, course.deliveries) for course in (first, second)}
        ratios.append(spent[id(other)] / spent[id(one)])
    return statistics.median(ratios)


def _time_ns(ruleset: Ruleset, found: Sequence[Delivery]) -> int:
    started = time.perf_counter_ns()
    for delivery in found:
        decide(ruleset, read_fact(delivery).fact)  # type: ignore[union-attr]  # read before: all are facts
    return time.perf_counter_ns() - started
