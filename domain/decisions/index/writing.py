"""The function that looks a fact up, generated as straight-line Python: calls would cost more than what they do."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from domain.decisions.index.labels import Labels, alone, distinct, unwrapped
from domain.decisions.index.numbers import Numbers, buckets_of
from domain.decisions.index.pairs import Pair
from domain.decisions.index.table import Path, Place, Table
from domain.language.demands import EACH, EACH_MAX, EACH_TEXT_MAX, View

Candidates = Callable[[Mapping[str, Any]], list[Any]]
Walk = Callable[[Mapping[str, Any], list[Any]], None]
_FOUND: Final = "found +="
_GUARDED_MIN: Final = 16  # places from which on it pays to look first whether a fact has anything there
_FOUND_AGAIN: Final = "again +="  # rules that may be found more than once


class Absent:
    """The type of what is not there."""


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class _Use:
    """What a value is looked up for: a table, and the start of the statement that its answer ends."""

    start: str
    table: Table


_Uses = dict[Path, list[_Use]]


def candidates_function(
    tables: Mapping[Place, Table], pairs: Sequence[Pair], tried: Labels, walk: Walk | None
) -> Candidates:
    """Write the function that gives the rules to try on a fact, in order; ``walk`` adds what is in no table here."""
    return _Writer(tables, pairs, tried, walk).function()


class _Writer:
    """Writes the function of an index. Steps that paths have in common are taken once."""

    def __init__(
        self,
        tables: Mapping[Place, Table],
        pairs: Sequence[Pair],
        tried: Labels,
        walk: Walk | None,
    ) -> None:
        self._names: dict[str, Any] = {"ABSENT": ABSENT, "left": bisect_left, "right": bisect_right}
        self._lines = ["def candidates(fact):"]
        self._count = 0
        self._is_guarded = len(tables) >= _GUARDED_MIN
        uses: _Uses = defaultdict(list)
        for (path, _), table in tables.items():
            uses[path].append(_Use(_FOUND_AGAIN if table.repeats else _FOUND, table))
        repeats = walk is not None or any(table.repeats for table in tables.values())
        cells: list[str] = []
        for number, pair in enumerate(pairs):
            names = f"a{number}", f"b{number}"
            for path, name, table in zip(pair.paths, names, (pair.first, pair.second), strict=True):
                uses[path].append(_Use(f"{name} =", table))
                if len(path) > 1:
                    self._lines.append(f" {name} = {table.absent}")
            held, cell = self._held(pair.cells), " + ".join(names)
            cells.append(
                f" found += {held}[{cell}]" if type(pair.cells) is list else f" found += {held}.get({cell}, ())"
            )
        self._lines.append(f" found = [*{self._held(tried)}]" if tried else " found = []")
        if repeats:
            self._lines.append(" again = []")
        self._write_below(uses, "fact", " ")
        self._lines += cells
        if walk is not None:
            self._lines.append(f" {self._held(walk)}(fact, again)")
        if repeats:
            self._lines.append(" if again: found += {*again}")
        self._lines += [" found.sort()", " return found"]

    def function(self) -> Candidates:
        """Compile what was written."""
        exec(compile("\n".join(self._lines), "<index>", "exec"), self._names)  # noqa: S102  # nosec B102  # names and numbers alone
        found: Candidates = self._names["candidates"]
        return found

    def _write_below(self, uses: _Uses, holder: str, indent: str) -> None:
        """Write what the fields of an object lead to."""
        for step, below in _by_step(uses).items():
            value = self._new_value()
            self._lines.append(f"{indent}{value} = {holder}.get({step!r}, ABSENT)")
            self._write_value(below, value, indent)

    def _write_value(self, uses: _Uses, value: str, indent: str) -> None:
        """Write what a value and what is in it lead to."""
        for use in uses.get((), ()):
            self._write_lookup(use, value, indent)
        each = {path: some for path, some in uses.items() if path and path[0] is EACH}
        fields = {path: some for path, some in uses.items() if path and path[0] is not EACH}
        if fields:
            self._lines.append(f"{indent}if type({value}) is dict:")
            self._write_below(fields, value, indent + " ")
            self._write_absent(fields, indent)
        if each:
            tables = [use.table for some in each.values() for use in some]
            everyone = self._held(distinct(chain.from_iterable(table.labels for table in tables)))
            element = self._new_value()
            self._lines += [
                f"{indent}if type({value}) is list or type({value}) is dict:",
                f"{indent} if len({value}) > {EACH_MAX}: again += {everyone}",
                f"{indent} else:",
                f"{indent}  for {element} in {value}:",
            ]
            self._write_value({path[1:]: some for path, some in each.items()}, element, indent + "   ")
            self._lines.append(
                f"{indent}elif type({value}) is str and len({value}) > {EACH_TEXT_MAX}: again += {everyone}"
            )
            self._write_absent(each, indent)

    def _write_absent(self, uses: _Uses, indent: str) -> None:
        """Write which rules are found where paths are not there; pairs begin with their code of it."""
        lines: list[str] = []
        for start in (_FOUND, _FOUND_AGAIN):
            tables = [use.table for some in uses.values() for use in some if use.start == start]
            labels = distinct(chain.from_iterable(table.absent for table in tables))
            if labels:
                lines.append(f"{indent} {start} {self._held(labels)}")
        if lines:
            self._lines += [f"{indent}else:", *lines]

    def _write_lookup(self, use: _Use, value: str, indent: str) -> None:
        """Write what a value leads to; kinds whose values lead to different rules come first."""
        start, table = use.start, use.table
        if self._is_guarded and table.absent == ():
            self._lines.append(f"{indent}if {value} is not ABSENT:")
            indent += " "
        alike = alike_of(table)
        varied: list[tuple[int, str, list[str]]] = []
        kind = f"k{self._count}"
        if table.tells_texts_apart:
            lines = self._of_text(table, value, start)
            varied.append((len(table.texts) + len(table.parts), f"{kind} is str", lines))
        numbers = table.numbers
        if numbers.tells_apart:
            test = f"{kind} is float or {kind} is int"
            varied.append((len(numbers.points) + len(numbers.bounds), test, self._of_number(table, value, start)))
        if table.true != table.false:
            either = f"{start} {self._held(table.true)} if {value} else {self._held(table.false)}"
            varied.append((1, f"{kind} is bool", [either]))
        self._lines.append(f"{indent}{kind} = type({value})")
        word = "if"
        for _, test, lines in sorted(varied, reverse=True):
            self._lines += [f"{indent}{word} {test}:", *(f"{indent} {line}" for line in lines)]
            word = "elif"
        # What is of no type that JSON has is for each rule to say.
        rest = f"{start} {self._held(alike)}.get({kind}, {self._held(table.unknown)})"
        self._lines += [f"{indent}else:", f"{indent} {rest}"] if varied else [f"{indent}{rest}"]

    def _of_text(self, table: Table, value: str, start: str) -> list[str]:
        if table.parts:
            return [f"{start} {self._held(table.text_finder())}({value})"]
        seen = value
        simple = ""
        if table.view is not View.AS_IS:
            seen = f"{value}.{'lower' if table.view is View.LOWER else 'upper'}()"
            simple = f"{value}.isascii()"
        if table.is_large_too:
            simple += f"{' and ' if simple else ''}len({value}) <= {EACH_TEXT_MAX}"
        lines = self._of_key(table.texts, table.other_texts, seen, start)
        if not simple:
            return lines
        otherwise = f"{start} {self._held(table.text_finder())}({value})"
        return [f"if {simple}:", *(f" {line}" for line in lines), f"else: {otherwise}"]

    def _of_number(self, table: Table, value: str, start: str) -> list[str]:
        numbers = table.numbers
        if numbers.chains:
            return [f"{start} {self._held(table.number_finder())}({value})"]
        if numbers.points:
            return self._of_key(numbers.points, numbers.other, value, start)
        segments = numbers.segments
        at, between = segments[1::2], segments[::2]
        if at == between[1:]:
            return self._bisected(numbers, value, start, between, ["right"])
        if at == between[:-1]:
            return self._bisected(numbers, value, start, between, ["left"])
        return self._bisected(numbers, value, start, segments, ["left", "right"])

    def _bisected(self, numbers: Numbers, value: str, start: str, segments: list[Any], ways: list[str]) -> list[str]:
        """Write what a number leads to by bisection; ``ways`` give what is added up to the place in ``segments``."""
        bounds = self._held(numbers.bounds)
        plain = " + ".join(f"{way}({bounds}, {value})" for way in ways)
        held = self._held([alone(labels) for labels in segments] if start.endswith("+=") else segments)
        buckets = buckets_of(numbers.bounds)
        if buckets is None:
            return self._put(f"{held}[{plain}]", start, is_sure=True)
        low, high, scale, starts = buckets
        within = self._held(starts)
        near = " + ".join(f"{way}({bounds}, {value}, {within}[near], {within}[near + 1])" for way in ways)
        return [
            f"if {low!r} <= {value} <= {high!r}:",
            f" near = int(({value} - {low!r}) * {scale!r})",
            f" place = {near}",
            f"else: place = {plain}",
            *self._put(f"{held}[place]", start, is_sure=True),
        ]

    def _of_key(self, by_key: Mapping[Any, Any], other: Any, key: str, start: str) -> list[str]:
        """Write what a string or a number leads to by hash."""
        if not start.endswith("+=") or other != ():
            return [f"{start} {self._held(dict(by_key))}.get({key}, {self._held(other)})"]
        return self._put(f"{self._held(unwrapped(by_key))}.get({key})", start, is_sure=False)

    @staticmethod
    def _put(text: str, start: str, *, is_sure: bool) -> list[str]:
        """Write what is done with labels of which one needs no tuple, as most places lead to one rule alone."""
        if not start.endswith("+="):
            return [f"{start} {text}"]
        found = start.removesuffix(" +=")
        lines = [f"if type(one) is tuple: {found} += one", f"else: {found}.append(one)"]
        return [f"one = {text}", *(lines if is_sure else ["if one is not None:", *(f" {line}" for line in lines)])]

    def _new_value(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _held(self, value: Any) -> str:
        """Return the name under which the function finds a value; the empty tuple and codes need none."""
        if value == () or type(value) is int:
            return repr(value)
        name = f"t{len(self._names)}"
        self._names[name] = value
        return name


def alike_of(table: Table) -> dict[type, Any]:
    """Return what the types lead to of which all values lead to the same rules."""
    found: dict[type, Any] = {
        type(None): table.null,
        list: table.others,
        dict: table.others,
        Absent: table.absent,
    }
    if not table.tells_texts_apart:
        found[str] = table.other_texts
    if not table.numbers.tells_apart:
        found[int] = found[float] = table.numbers.other
    if table.true == table.false:
        found[bool] = table.true
    return found


def _by_step(uses: _Uses) -> dict[Any, _Uses]:
    below: dict[Any, _Uses] = defaultdict(dict)
    for path, some in uses.items():
        below[path[0]][path[1:]] = some
    return below
