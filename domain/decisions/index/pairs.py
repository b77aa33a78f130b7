"""Rules filed under two paths at once: each path's value becomes a code, and both codes lead to the rules.

Values that the rules of a pair do not tell apart have one code, as in cross-producting of packet classification
(Srinivasan, Varghese, Suri and Waldvogel, 1998).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.decisions.index.filing import PathPair
from domain.decisions.index.labels import Gathered, Label, Labels
from domain.decisions.index.table import ENTRIES_PER_RULE_MAX, Table
from domain.language.demands import Demand, View

CELLS_MAX: Final = 4_096  # cells of a pair, up to which there is a list of all of them


@dataclass(frozen=True, slots=True)
class Pair:
    """What two paths' values lead to together: ``first`` and ``second`` give codes, which added up name the cell."""

    paths: PathPair
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
        return self.of.setdefault(labels, len(self.of) * self.step)

    def by_label(self) -> dict[Label, list[int]]:
        found: dict[Label, list[int]] = defaultdict(list)
        for labels, code in self.of.items():
            for label in labels:
                found[label].append(code)
        return found


def paired(paths: PathPair, filed: Sequence[tuple[Label, Demand, Demand]]) -> Pair | None:
    """Make the cells of rules filed under two paths, but for those that take too many; None where no rule is left."""
    one = Table.of((paths[0], View.AS_IS), [(label, demand) for label, demand, _ in filed])
    other = Table.of((paths[1], View.AS_IS), [(label, demand) for label, _, demand in filed])
    if not (one.can_be_coded and other.can_be_coded):
        return None
    seconds = _Codes()
    second = other.coded(seconds)
    firsts = _Codes(len(seconds.of))
    first = one.coded(firsts)
    these, those = firsts.by_label(), seconds.by_label()
    sizes = sorted((len(these[label]) * len(those[label]), label) for label in these.keys() & those.keys())
    left = ENTRIES_PER_RULE_MAX * len(filed)
    cells = Gathered[int]()
    labels: list[Label] = []
    for size, label in sizes:
        left -= size
        if left < 0:
            break
        labels.append(label)
        for a in these[label]:
            for b in those[label]:
                cells.put(a + b, label)
    kept = cells.done()
    count = len(firsts.of) * len(seconds.of)
    listed = [kept.get(cell, ()) for cell in range(count)] if count <= CELLS_MAX else kept
    return Pair(paths, first, second, listed, tuple(labels)) if labels else None
