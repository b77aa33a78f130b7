"""What a value at a path leads to: the rules filed there, or a code that stands for them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.language import Demand
from domain.language.ranges import Values

ENTRIES_PER_RULE_MAX: Final = 64  # places of one path's table that a rule stands in, on average

Labels = tuple[int, ...]
Filed = Sequence[tuple[int, Demand]]


@dataclass(slots=True)
class Table:
    """The rules filed under one path, by value; each is found for exactly the values that it demands.

    ``bounds`` are the numbers where rules begin or end to be found, and ``segments`` the rules found before the first
    bound, at it, between it and the next, and so on. ``numbers`` is in their place where rules name but single numbers.
    """

    labels: Labels = ()
    texts: dict[str, Any] = field(default_factory=dict)
    other_texts: Any = ()
    numbers: dict[float, Any] = field(default_factory=dict)
    other_numbers: Any = ()
    bounds: list[float] = field(default_factory=list)
    segments: list[Any] = field(default_factory=list)
    true: Any = ()
    false: Any = ()
    null: Any = ()
    others: Any = ()
    absent: Any = ()
    unknown: Any = ()

    @classmethod
    def of(cls, filed: Filed) -> Table:
        """Make the table of rules filed under a path; rules that would take too many places are left out."""
        table = cls()
        filed = _fitting(filed)
        table.labels = table.unknown = tuple(label for label, _ in filed)
        table._file_texts(filed)
        table._file_numbers(filed)
        table.true = tuple(label for label, demand in filed if True in demand.values.bools)
        table.false = tuple(label for label, demand in filed if False in demand.values.bools)
        table.null = tuple(label for label, demand in filed if demand.values.null)
        table.others = tuple(label for label, demand in filed if demand.values.others)
        table.absent = tuple(label for label, demand in filed if demand.absent)
        return table

    def coded(self, code: Callable[[Labels], int]) -> Table:
        """Return a table that gives, for each value, a code of the rules that it leads to."""
        return Table(
            self.labels,
            {text: code(labels) for text, labels in self.texts.items()},
            code(self.other_texts),
            {number: code(labels) for number, labels in self.numbers.items()},
            code(self.other_numbers),
            self.bounds,
            [code(labels) for labels in self.segments],
            code(self.true),
            code(self.false),
            code(self.null),
            code(self.others),
            code(self.absent),
            code(self.unknown),
        )

    def _file_texts(self, filed: Filed) -> None:
        self.other_texts = tuple(label for label, demand in filed if demand.values.all_texts_but)
        found = {text: set(self.other_texts) for _, demand in filed for text in demand.values.texts}
        for label, demand in filed:
            for text in demand.values.texts:
                if demand.values.all_texts_but:
                    found[text].remove(label)
                else:
                    found[text].add(label)
        self.texts = {text: tuple(labels) for text, labels in found.items()}

    def _file_numbers(self, filed: Filed) -> None:
        bounds = _bounds(filed)
        places: list[list[int]] = [[] for _ in range(2 * len(bounds) + 1)]
        for label, demand in filed:
            for interval in demand.values.numbers:
                for place in _places(interval, bounds):
                    places[place].append(label)
        segments = [tuple(labels) for labels in places]
        between = segments[::2]
        if all(labels == between[0] for labels in between):
            self.numbers = dict(zip(bounds, segments[1::2], strict=True))
            self.other_numbers = between[0]
        else:
            self.bounds, self.segments = bounds, segments


def _fitting(filed: Filed) -> Filed:
    """Leave out the rules that stand in the most places, until the others fit."""
    bounds = _bounds(filed)
    texts = len({text for _, demand in filed for text in demand.values.texts})
    sizes = sorted((_size(demand.values, bounds, texts), label) for label, demand in filed)
    left = ENTRIES_PER_RULE_MAX * len(filed)
    fitting: set[int] = set()
    for size, label in sizes:
        left -= size
        if left < 0:
            break
        fitting.add(label)
    return [(label, demand) for label, demand in filed if label in fitting]


def _size(values: Values, bounds: list[float], texts: int) -> int:
    named = texts - len(values.texts) if values.all_texts_but else len(values.texts)
    return named + sum(len(_places(interval, bounds)) for interval in values.numbers)


def _bounds(filed: Filed) -> list[float]:
    ends = {end for _, demand in filed for low, _, high, _ in demand.values.numbers for end in (low, high)}
    return sorted(end for end in ends if not math.isinf(end))


def _places(interval: tuple[float, bool, float, bool], bounds: list[float]) -> range:
    """Return the segments that an interval covers: the bounds have the odd numbers, what lies between the even."""
    low, low_in, high, high_in = interval
    first = 0 if low == -math.inf else 2 * bisect_left(bounds, low) + (1 if low_in else 2)
    last = 2 * len(bounds) if high == math.inf else 2 * bisect_left(bounds, high) + (1 if high_in else 0)
    return range(first, last + 1)
