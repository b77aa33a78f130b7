"""The index of a plan: which rules a fact can concern, found without trying the others.

Each rule that demands something of a fact (``domain.language.demands``) is filed under one path: the one whose demand
takes the fewest values, as far as the ruleset itself tells. A fact is then looked up once at each path. Whatever it has
there, also nothing or another type, leads to the rules that can give something for it or fail on it; all others would
be silent. Rules without a demand are tried on every fact.

The function that looks a fact up is generated as straight-line Python, as calls would cost more than what they do. An
index never changes once made, so that any number of readers share it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from domain.language import Demand
from domain.language.ranges import Values, within_kinds

RULES_MIN: Final = 8  # rules that can be filed, below which trying them all is as fast
PATH_RULES_MIN: Final = 3  # rules filed under one path, below which trying them is as fast as looking at it
PATHS_MAX: Final = 100  # paths that a fact is looked up at, those with the most rules
STEPS_MAX: Final = 16  # of a path; generated code is indented as deep
ENTRIES_PER_RULE_MAX: Final = 64  # places of one path's table that a rule stands in, on average
_SHARE_MAX: Final = 0.9  # of a path's values; a rule that takes more is tried on every fact
_MARGIN: Final = 0.25  # by which numbers are taken to lie outside the bounds that rules name, of their span

Path = tuple[str, ...]
Positions = tuple[int, ...]
Filed = list[tuple[int, Demand]]


class _Absent:
    """The type of what is not there."""


@dataclass(frozen=True, slots=True)
class Index:
    """``candidates`` gives the positions, in order, of the rules to try on a fact; ``tried`` are those of all facts."""

    candidates: Callable[[Mapping[str, Any]], list[int]]
    tried: Positions


def make_index(demands: Sequence[tuple[Demand, ...]]) -> Index | None:
    """Make the index of rules, given what each demands in the plan's order; None where it would save nothing."""
    tables = {path: _Table.of(filed) for path, filed in _filed(demands).items()}
    found = {position for table in tables.values() for position in table.positions}
    if len(found) < RULES_MIN:
        return None
    tried = tuple(position for position in range(len(demands)) if position not in found)
    return Index(_Writer(tables, tried).function(), tried)


# Which demand of a rule to file it under


def _filed(demands: Sequence[tuple[Demand, ...]]) -> dict[Path, Filed]:
    """Return the rules by the path that each is filed under; those that are not are to be tried."""
    by_path: dict[Path, list[Values]] = defaultdict(list)
    for demand in chain.from_iterable(demands):
        if len(demand.path) <= STEPS_MAX:
            by_path[demand.path].append(demand.values)
    spreads = {path: _Spread.of(values) for path, values in by_path.items()}
    shares = [
        sorted(
            ((share, number) for number, one in enumerate(asked) if (share := _share(one, spreads)) <= _SHARE_MAX),
        )
        for asked in demands
    ]
    paths = Counter(asked[best[0][1]].path for asked, best in zip(demands, shares, strict=True) if best)
    kept = {path for path, count in paths.most_common(PATHS_MAX) if count >= PATH_RULES_MIN}
    filed: dict[Path, Filed] = defaultdict(list)
    for position, (asked, best) in enumerate(zip(demands, shares, strict=True)):
        chosen = next((asked[number] for _, number in best if asked[number].path in kept), None)
        if chosen is not None:
            filed[chosen.path].append((position, chosen))
    return filed


@dataclass(frozen=True, slots=True)
class _Spread:
    """What the demands on one path tell of the values there: their kinds, how many they tell apart, how far they go."""

    kinds: Values
    texts: int
    points: int
    low: float
    high: float

    @classmethod
    def of(cls, asked: Sequence[Values]) -> _Spread:
        texts = {text for one in asked for text in one.texts}
        intervals = [interval for one in asked for interval in one.numbers]
        points = {low for low, _, high, _ in intervals if low == high}
        bounds = [bound for low, _, high, _ in intervals for bound in (low, high) if not math.isinf(bound)]
        low, high = min(bounds, default=0), max(bounds, default=0)
        margin = (high - low) * _MARGIN or 1
        return cls(within_kinds(asked), len(texts), len(points), low - margin, high + margin)


def _share(demand: Demand, spreads: Mapping[Path, _Spread]) -> float:
    """Return about which part of a path's values a demand takes, from 0 to 1; more for a path that can't be filed."""
    spread = spreads.get(demand.path)
    if spread is None:
        return math.inf
    values, kinds = demand.values, spread.kinds
    shares: list[float] = []
    if kinds.texts or kinds.all_texts_but:
        named = len(values.texts) / (spread.texts + 1)
        shares.append(1 - named if values.all_texts_but else named)
    if kinds.numbers:
        shares.append(min(1.0, sum(_part(low, high, spread) for low, _, high, _ in values.numbers)))
    if kinds.bools:
        shares.append(len(values.bools) / 2)
    if kinds.null:
        shares.append(float(values.null) / 2)
    return sum(shares) / len(shares) if shares else 0.0


def _part(low: float, high: float, spread: _Spread) -> float:
    if low == high:
        return 1 / (spread.points + 1)
    return (min(high, spread.high) - max(low, spread.low)) / (spread.high - spread.low)


# What a path's value leads to


@dataclass(slots=True)
class _Table:
    """The rules filed under one path, by value; each is found for exactly the values that it demands.

    ``bounds`` are the numbers where rules begin or end to be found, and ``segments`` the rules found before the first
    bound, at it, between it and the next, and so on. ``numbers`` is in their place where rules name but single numbers.
    """

    positions: Positions = ()
    texts: dict[str, Positions] = field(default_factory=dict)
    other_texts: Positions = ()
    numbers: dict[float, Positions] = field(default_factory=dict)
    other_numbers: Positions = ()
    bounds: list[float] = field(default_factory=list)
    segments: list[Positions] = field(default_factory=list)
    true: Positions = ()
    false: Positions = ()
    null: Positions = ()
    others: Positions = ()
    absent: Positions = ()

    @classmethod
    def of(cls, filed: Filed) -> _Table:
        """Make the table of rules filed under a path; rules that would take too many places are left out."""
        table = cls()
        filed = _fitting(filed)
        table.positions = tuple(position for position, _ in filed)
        table._file_texts(filed)
        table._file_numbers(filed)
        table.true = tuple(position for position, demand in filed if True in demand.values.bools)
        table.false = tuple(position for position, demand in filed if False in demand.values.bools)
        table.null = tuple(position for position, demand in filed if demand.values.null)
        table.others = tuple(position for position, demand in filed if demand.values.others)
        table.absent = tuple(position for position, demand in filed if demand.absent)
        return table

    def _file_texts(self, filed: Filed) -> None:
        self.other_texts = tuple(position for position, demand in filed if demand.values.all_texts_but)
        found = {text: set(self.other_texts) for _, demand in filed for text in demand.values.texts}
        for position, demand in filed:
            for text in demand.values.texts:
                if demand.values.all_texts_but:
                    found[text].remove(position)
                else:
                    found[text].add(position)
        self.texts = {text: tuple(positions) for text, positions in found.items()}

    def _file_numbers(self, filed: Filed) -> None:
        bounds = _bounds(filed)
        places: list[list[int]] = [[] for _ in range(2 * len(bounds) + 1)]
        for position, demand in filed:
            for interval in demand.values.numbers:
                for place in _places(interval, bounds):
                    places[place].append(position)
        segments = [tuple(positions) for positions in places]
        between = segments[::2]
        if all(positions == between[0] for positions in between):
            self.numbers = dict(zip(bounds, segments[1::2], strict=True))
            self.other_numbers = between[0]
        else:
            self.bounds, self.segments = bounds, segments


def _fitting(filed: Filed) -> Filed:
    """Leave out the rules that stand in the most places, until the others fit."""
    bounds = _bounds(filed)
    texts = len({text for _, demand in filed for text in demand.values.texts})
    sizes = sorted((_size(demand.values, bounds, texts), position) for position, demand in filed)
    left = ENTRIES_PER_RULE_MAX * len(filed)
    fitting: set[int] = set()
    for size, position in sizes:
        left -= size
        if left < 0:
            break
        fitting.add(position)
    return [(position, demand) for position, demand in filed if position in fitting]


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


# The function that looks a fact up


class _Writer:
    """Writes the function of an index. Steps that paths have in common are taken once."""

    def __init__(self, tables: Mapping[Path, _Table], tried: Positions) -> None:
        self._names: dict[str, Any] = {"ABSENT": _Absent(), "left": bisect_left, "right": bisect_right}
        self._lines = ["def candidates(fact):", f" found = {list(tried)!r}"]
        self._count = 0
        self._write_fields(tables, "fact", " ")
        self._lines += [" found.sort()", " return found"]

    def function(self) -> Callable[[Mapping[str, Any]], list[int]]:
        """Compile what was written."""
        exec(compile("\n".join(self._lines), "<index>", "exec"), self._names)  # noqa: S102 - names and numbers alone
        found: Callable[[Mapping[str, Any]], list[int]] = self._names["candidates"]
        return found

    def _write_fields(self, tables: Mapping[Path, _Table], holder: str, indent: str) -> None:
        below: dict[str, dict[Path, _Table]] = defaultdict(dict)
        for path, table in tables.items():
            below[path[0]][path[1:]] = table
        for step, inner in below.items():
            self._count += 1
            value = f"v{self._count}"
            self._lines.append(f"{indent}{value} = {holder}.get({step!r}, ABSENT)")
            if () in inner:
                self._write_lookup(inner.pop(()), value, indent)
            if inner:
                self._lines.append(f"{indent}if type({value}) is dict:")
                self._write_fields(inner, value, indent + " ")
                absent = tuple(chain.from_iterable(table.absent for table in inner.values()))
                if absent:
                    self._lines += [f"{indent}else:", f"{indent} found += {self._held(absent)}"]

    def _write_lookup(self, table: _Table, value: str, indent: str) -> None:
        """Write what a value leads to; kinds whose values lead to different rules come first."""
        alike: dict[type, Positions] = {
            type(None): table.null,
            list: table.others,
            dict: table.others,
            _Absent: table.absent,
        }
        varied: list[tuple[int, str, str]] = []
        kind = f"k{self._count}"
        if table.texts:
            varied.append((len(table.texts), f"{kind} is str", self._of_text(table, value)))
        else:
            alike[str] = table.other_texts
        if table.numbers or table.bounds:
            test = f"{kind} is float or {kind} is int"
            varied.append((len(table.numbers) + len(table.bounds), test, self._of_number(table, value)))
        else:
            alike[int] = alike[float] = table.other_numbers
        if table.true != table.false:
            either = f"{self._held(table.true)} if {value} else {self._held(table.false)}"
            varied.append((1, f"{kind} is bool", either))
        else:
            alike[bool] = table.true
        self._lines.append(f"{indent}{kind} = type({value})")
        word = "if"
        for _, test, text in sorted(varied, reverse=True):
            self._lines += [f"{indent}{word} {test}:", f"{indent} found += {text}"]
            word = "elif"
        # What is of no type that JSON has is for each rule to say.
        rest = f"found += {self._held(alike)}.get({kind}, {self._held(table.positions)})"
        self._lines += [f"{indent}else:", f"{indent} {rest}"] if varied else [f"{indent}{rest}"]

    def _of_text(self, table: _Table, value: str) -> str:
        return f"{self._held(table.texts)}.get({value}, {self._held(table.other_texts)})"

    def _of_number(self, table: _Table, value: str) -> str:
        if table.numbers:
            return f"{self._held(table.numbers)}.get({value}, {self._held(table.other_numbers)})"
        bounds, segments = self._held(_alike(table.bounds)), table.segments
        at, between = segments[1::2], segments[::2]
        if at == between[1:]:
            return f"{self._held(between)}[right({bounds}, {value})]"
        if at == between[:-1]:
            return f"{self._held(between)}[left({bounds}, {value})]"
        return f"{self._held(segments)}[left({bounds}, {value}) + right({bounds}, {value})]"

    def _held(self, value: Any) -> str:
        """Return the name under which the function finds a value; the empty tuple needs none."""
        if value == ():
            return "()"
        name = f"t{len(self._names)}"
        self._names[name] = value
        return name


def _alike(bounds: Iterable[float]) -> list[float]:
    """Return numbers as doubles where all are exactly that, as those compare fastest with one another."""
    numbers = list(bounds)
    doubles = [float(number) for number in numbers]
    return doubles if doubles == numbers else numbers
