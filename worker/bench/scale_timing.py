"""Facts a second: each from its JSON bytes to its decision, on one core."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.decisions.decision import Decision
from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from streams import headers, subjects
from streams.facts.intake import Accepted, Delivery, read_fact
from worker.bench.scale_workloads import FACT_TYPE
from worker.bench.stack import BenchError

SMALL: Final = 100  # what the largest is set against
LARGE: Final = 100_000
ROUNDS: Final = 15  # many short ones, of which each lot of facts counts with its best
PAIRS: Final = 41
LOT: Final = 50
FACTS_MIN: Final = 20

_STORED_AT_NS: Final = 1_767_225_600 * 10**9
_TRIALS: Final = 3


class Timed(Protocol):
    """What is timed: something that is done with facts."""

    @property
    def deliveries(self) -> Sequence[Delivery]: ...

    def run(self, lot: Sequence[Delivery]) -> object:
        """Do it with some of them."""


@dataclass(frozen=True, slots=True)
class Course:
    """A ruleset with the facts that it decides."""

    ruleset: Ruleset
    deliveries: Sequence[Delivery]

    def run(self, lot: Sequence[Delivery]) -> None:
        """Read and decide some facts, which were read before: all are facts."""
        ruleset = self.ruleset
        for delivery in lot:
            decide(ruleset, read_fact(delivery).fact)  # type: ignore[union-attr]


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
    spent_ns = min(_time_ns(course, tried) for _ in range(_TRIALS)) / len(tried)  # the first makes functions
    return min(len(course.deliveries), max(FACTS_MIN, int(seconds * 1e9 / ROUNDS / max(1.0, spent_ns))))


def facts_per_second(courses: Mapping[int, Timed]) -> dict[int, float]:
    """Return how many facts a second each course decides, where what they need is at hand.

    Courses take turns by lots. Each lot is done many times over and counts with the best, so that what its facts lead
    to is in the processor's caches: it is the work that is timed, and not the memory.
    """
    best = {key: [math.inf] * len(_lots(course)) for key, course in courses.items()}
    for number in range(max(map(len, best.values()))):
        for key, course in courses.items():
            if number < len(best[key]):
                lot = _lots(course)[number]
                best[key][number] = min(_time_ns(course, lot) for _ in range(ROUNDS))
    return _rates(courses, best)


def cold_facts_per_second(courses: Mapping[int, Timed]) -> dict[int, float]:
    """Return how many facts a second each course decides, where each fact leads to what was not touched for long.

    Courses take turns by rounds over all of their facts, and of each lot the best round counts: whatever a round
    touches was last touched one round before.
    """
    lots = {key: _lots(course) for key, course in courses.items()}
    best = {key: [math.inf] * len(found) for key, found in lots.items()}
    for _ in range(ROUNDS):
        for key, course in courses.items():
            for number, lot in enumerate(lots[key]):
                best[key][number] = min(best[key][number], _time_ns(course, lot))
    return _rates(courses, best)


def ratio_of(rates: Mapping[int, float]) -> float | None:
    """Return the facts a second with 100,000 rules divided by those with 100; None where one was not measured."""
    return round(rates[LARGE] / rates[SMALL], 3) if LARGE in rates and SMALL in rates else None


def _lots(course: Timed) -> list[Sequence[Delivery]]:
    return [course.deliveries[start : start + LOT] for start in range(0, len(course.deliveries), LOT)]


def _rates(courses: Mapping[int, Timed], spent_ns: Mapping[int, Sequence[float]]) -> dict[int, float]:
    return {key: len(course.deliveries) / sum(spent_ns[key]) * 1e9 for key, course in courses.items()}


def ratio_of_pairs(one: Course, other: Course) -> float:
    """Return how many times as fast one course is as the other: the median of pairs, who goes first alternating."""
    ratios: list[float] = []
    for number in range(PAIRS):
        first, second = (one, other) if number % 2 else (other, one)
        spent = {id(course): _time_ns(course, course.deliveries) for course in (first, second)}
        ratios.append(spent[id(other)] / spent[id(one)])
    return statistics.median(ratios)


def _time_ns(course: Timed, lot: Sequence[Delivery]) -> int:
    started = time.perf_counter_ns()
    course.run(lot)
    return time.perf_counter_ns() - started
