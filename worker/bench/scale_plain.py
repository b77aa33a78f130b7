"""What dictionaries alone take to find rules by equality: the least that any index in Python can do.

No rules, outcomes or decisions: a fact is read from JSON, and each of its fields that rules ask for is looked up once.
How much slower that is with 100,000 rules than with 100, where each fact leads to other entries, is what the machine's
memory takes, and no index can do without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from streams.facts.intake import Delivery
from worker.bench.scale_conditions import Both, Compared
from worker.bench.scale_timing import Course, cold_facts_per_second, facts_per_second, ratio_of
from worker.bench.scale_workloads import EQUALITY, Workload

_DECODER: Final = msgspec.json.Decoder()


class PlainReport(msgspec.Struct, rename="camel", frozen=True):
    """Facts a second by the number of rules, and those with 100,000 divided by those with 100, as of a workload."""

    facts_per_second: dict[int, float]
    ratio: float | None
    cold_facts_per_second: dict[int, float]
    cold_ratio: float | None


@dataclass(frozen=True, slots=True)
class PlainCourse:
    """Rules' numbers by what they ask for in each field, with the facts to find them for."""

    fields: tuple[tuple[str, str, dict[Any, list[int]]], ...]
    deliveries: Sequence[Delivery]

    def run(self, lot: Sequence[Delivery]) -> list[list[int]]:
        """Find the rules of some facts."""
        return [self.found(delivery.data) for delivery in lot]

    def found(self, data: bytes) -> list[int]:
        """Return the numbers of the rules that a fact leads to, in order."""
        fact = _DECODER.decode(data)
        found: list[int] = []
        for holder, field, rules in self.fields:
            numbers = rules.get(fact[holder][field])
            if numbers is not None:
                found += numbers
        found.sort()
        return found


def plain_course(size: int, course: Course) -> PlainCourse:
    """Make the dictionaries of the first rules of the equality workload, each by its first test."""
    fields: dict[tuple[str, str], dict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, condition in enumerate(EQUALITY.conditions(size)):
        test = condition.items[0] if isinstance(condition, Both) else condition
        assert isinstance(test, Compared)
        holder, field = test.path.split(".")
        fields[holder, field][test.value].append(number)
    return PlainCourse(
        tuple([(holder, field, dict(rules)) for (holder, field), rules in fields.items()]), course.deliveries
    )


def measure_plain(workload: Workload, courses: Mapping[int, Course]) -> PlainReport | None:
    """Measure dictionaries as the workload was measured; None for a workload that they are no index for."""
    if workload is not EQUALITY:
        return None
    plain = {size: plain_course(size, course) for size, course in courses.items()}
    warm, cold = facts_per_second(plain), cold_facts_per_second(plain)
    return PlainReport(
        {size: round(value) for size, value in warm.items()},
        ratio_of(warm),
        {size: round(value) for size, value in cold.items()},
        ratio_of(cold),
    )
