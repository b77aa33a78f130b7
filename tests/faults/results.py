"""What the playing of a fault found, and the table of all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.audit import Audit


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table. ``notes`` say what else was counted, such as statements that had committed unheard."""

    fault: str
    times: int
    kills: int
    published: int
    decided: int
    effects: int
    dead: int
    published_again: int
    redelivered: int
    lost: int
    twice: int
    differing: int
    seconds: float
    seed: int
    notes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        text = (
            f"{self.fault:<45} {self.times:>4} times, {self.decided:>7,} facts, {self.published_again:>6,} again, "
            f"{self.redelivered:>6,} redelivered, {self.seconds:>5} s"
        )
        notes = ", ".join(f"{what} {count}" for what, count in self.notes.items())
        return f"{text} ({notes})" if notes else text

    @classmethod
    def of(
        cls, fault: str, times: int, kills: int, found: Audit, seconds: float, seed: int, notes: dict[str, int]
    ) -> Result:
        """Sum an audit up."""
        return cls(
            fault,
            times,
            kills,
            found.published,
            found.decided,
            found.effects,
            found.dead,
            found.published_again,
            found.redelivered,
            len(found.lost),
            len(found.twice),
            len(found.differing) + len(found.other),
            round(seconds, 1),
            seed,
            notes,
        )


BEGIN = "<!-- written by make faults RENEW=1 -->"
END = "<!-- up to here -->"
COLUMNS = (
    ("fault", "fault"),
    ("times", "times"),
    ("published", "facts published"),
    ("decided", "decided"),
    ("dead", "dead letters"),
    ("published_again", "copies published again"),
    ("redelivered", "redelivered"),
    ("lost", "lost"),
    ("twice", "twice"),
    ("differing", "differing"),
)


def markdown(results: Sequence[Result]) -> str:
    """Write the table, with its sums, and how many workers were killed."""
    lines = [
        "| " + " | ".join(title for _, title in COLUMNS) + " |",
        "|" + "|".join(" --- " if name == "fault" else " ---: " for name, _ in COLUMNS) + "|",
    ]
    rows = [asdict(result) for result in results]
    total = {name: sum(row[name] for row in rows) for name, _ in COLUMNS if name != "fault"}
    for row in [*rows, {"fault": "**all**", **total}]:
        cells = (f"{row[name]:,}" if isinstance(row[name], int) else row[name] for name, _ in COLUMNS)
        lines.append("| " + " | ".join(cells) + " |")
    kills = sum(result.kills for result in results)
    seeds = ", ".join(sorted({str(result.seed) for result in results}))
    return "\n".join([*lines, "", f"{kills:,} workers were killed. Seed: {seeds}.", ""])


def renew(page: Path, results: Sequence[Result]) -> None:
    """Put the table in the place of the one between a page's marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{page} has no mark {BEGIN}"
    assert end, f"{page} has no mark {END}"
    page.write_text(f"{before}{begin}\n\n{markdown(results)}\n{end}{after}", encoding="utf-8")


def write(results: Sequence[Result], folder: Path) -> None:
    """Write the table as ``faults.md`` and ``faults.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.md").write_text(markdown(results), encoding="utf-8")
    (folder / "faults.json").write_text(
        json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8"
    )
