"""Rules filed under two paths at once: each path's value becomes a code, and both codes lead to the rules.

Values that the rules of a pair do not tell apart have one code, as in cross-producting of packet classification
(Srinivasan, Varghese, Suri and Waldvogel, 1998).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.decisions.index.table import ENTRIES_PER_RULE_MAX, Labels, Table
from domain.language import Demand
from domain.language.demands import Step

CELLS_MAX: Final = 4_096  # cells of a pair, up to which there is a list of all of them

Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """What two paths' values lead to together: ``first`` and ``second`` give codes, which added up name the cell."""

    paths: tuple[Path, Path]
    first: Table
    second: Table
    cells: Any
    labels: Labels


class _Codes:
    """Codes of the sets of rules that values lead to: 0, and from there on in steps of ``step``; 0 is of no rules."""

    def __init__(self, step: int = 1) -> None:
        self.step = step
        self.of: dict[Labels, int] = {(): 0}

    def __call__(self, labels: Labels) -> int:
        return self.of.setdefault(tuple(labels), len(self.of) * self.step)

    def by_label(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for labels, code in self.of.items():
            for label in labels:
                found[label].append(code)
        return found


def paired(paths: tuple[Path, Path], filed: Sequence[tuple[int, Demand, Demand]]) -> Pair:
    """Make the cells of rules filed under two paths; those that would take too many are left out."""
    second = Table.of([(label, demand) for label, _, demand in filed])
    seconds = _Codes()
    coded_second = second.coded(seconds)
    first = Table.of([(label, demand) for label, demand, _ in filed])
    firsts = _Codes(len(seconds.of))
    coded_first = first.coded(firsts)
    these, those = firsts.by_label(), seconds.by_label()
    sizes = sorted((len(these[label]) * len(those[label]), label) for label in these.keys() & those.keys())
    left = ENTRIES_PER_RULE_MAX * len(filed)
    cells: dict[int, list[int]] = defaultdict(list)
    labels: list[int] = []
    for size, label in sizes:
        left -= size
        if left < 0:
            break
        labels.append(label)
        for one in these[label]:
            for other in those[label]:
                cells[one + other].append(label)
    kept = {cell: tuple(found) for cell, found in cells.items()}
    count = len(firsts.of) * len(seconds.of)
    listed = [kept.get(cell, ()) for cell in range(count)] if count <= CELLS_MAX else kept
    return Pair(paths, coded_first, coded_second, listed, tuple(labels))
