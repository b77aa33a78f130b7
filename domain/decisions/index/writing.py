"""The function that looks a fact up, generated as straight-line Python: calls would cost more than what they do."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from domain.decisions.index.pairs import Pair
from domain.decisions.index.table import Labels, Table
from domain.language.demands import Step

Path = tuple[Step, ...]
_FOUND = "found +="


class _Absent:
    """The type of what is not there."""


def candidates_function(
    tables: Mapping[Path, Table], pairs: Sequence[Pair], tried: Labels
) -> Callable[[Mapping[str, Any]], list[int]]:
    """Write the function that gives the rules to try on a fact, in order."""
    return _Writer(tables, pairs, tried).function()


class _Writer:
    """Writes the function of an index. Steps that paths have in common are taken once.

    ``asked`` are, by path, what its value is for: a table, and the start of the statement that its answer ends.
    """

    def __init__(self, tables: Mapping[Path, Table], pairs: Sequence[Pair], tried: Labels) -> None:
        self._names: dict[str, Any] = {"ABSENT": _Absent(), "left": bisect_left, "right": bisect_right}
        self._lines = ["def candidates(fact):"]
        self._count = 0
        asked: dict[Path, list[tuple[str, Table]]] = {path: [(_FOUND, table)] for path, table in tables.items()}
        cells: list[str] = []
        for number, pair in enumerate(pairs):
            for path, name, table in zip(
                pair.paths, (f"a{number}", f"b{number}"), (pair.first, pair.second), strict=True
            ):
                asked.setdefault(path, []).append((f"{name} =", table))
                if len(path) > 1:
                    self._lines.append(f" {name} = {table.absent}")
            held, cell = self._held(pair.cells), f"a{number} + b{number}"
            cells.append(
                f" found += {held}[{cell}]" if type(pair.cells) is list else f" found += {held}.get({cell}, ())"
            )
        self._lines.append(f" found = {list(tried)!r}")
        self._write_fields(asked, "fact", " ")
        self._lines += [*cells, " found.sort()", " return found"]

    def function(self) -> Callable[[Mapping[str, Any]], list[int]]:
        """Compile what was written."""
        exec(compile("\n".join(self._lines), "<index>", "exec"), self._names)  # noqa: S102 - names and numbers alone
        found: Callable[[Mapping[str, Any]], list[int]] = self._names["candidates"]
        return found

    def _write_fields(self, asked: Mapping[Path, list[tuple[str, Table]]], holder: str, indent: str) -> None:
        below: dict[Step, dict[Path, list[tuple[str, Table]]]] = defaultdict(dict)
        for path, uses in asked.items():
            below[path[0]][path[1:]] = uses
        for step, inner in below.items():
            self._count += 1
            value = f"v{self._count}"
            self._lines.append(f"{indent}{value} = {holder}.get({step!r}, ABSENT)")
            for start, table in inner.pop((), ()):
                self._write_lookup(start, table, value, indent)
            if inner:
                self._lines.append(f"{indent}if type({value}) is dict:")
                self._write_fields(inner, value, indent + " ")
                tables = [table for uses in inner.values() for start, table in uses if start == _FOUND]
                absent = tuple(label for table in tables for label in table.absent)
                if absent:
                    self._lines += [f"{indent}else:", f"{indent} found += {self._held(absent)}"]

    def _write_lookup(self, start: str, table: Table, value: str, indent: str) -> None:
        """Write what a value leads to; kinds whose values lead to different rules come first."""
        alike: dict[type, Any] = {
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
            self._lines += [f"{indent}{word} {test}:", f"{indent} {start} {text}"]
            word = "elif"
        # What is of no type that JSON has is for each rule to say.
        rest = f"{start} {self._held(alike)}.get({kind}, {self._held(table.unknown)})"
        self._lines += [f"{indent}else:", f"{indent} {rest}"] if varied else [f"{indent}{rest}"]

    def _of_text(self, table: Table, value: str) -> str:
        return f"{self._held(table.texts)}.get({value}, {self._held(table.other_texts)})"

    def _of_number(self, table: Table, value: str) -> str:
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
        """Return the name under which the function finds a value; the empty tuple and codes need none."""
        if value == () or type(value) is int:
            return repr(value)
        name = f"t{len(self._names)}"
        self._names[name] = value
        return name


def _alike(bounds: Iterable[float]) -> list[float]:
    """Return numbers as doubles where all are exactly that, as those compare fastest with one another."""
    numbers = list(bounds)
    doubles = [float(number) for number in numbers]
    return doubles if doubles == numbers else numbers
