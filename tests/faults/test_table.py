"""The table of docs/reliability.md and the catalogue of faults name the same ones, and nothing in it was found."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from tests.faults.catalogue import SCENARIOS
from tests.faults.results import COLUMNS, Result, markdown

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
KILLS_MIN = 200
ZERO = ("lost", "twice", "differing")


def _rows(text: str) -> list[dict[str, str]]:
    """Read the fault table of a page."""
    titles = [title for _, title in COLUMNS]
    head = "| " + " | ".join(titles) + " |\n"
    assert head in text, "the table has the columns that make faults prints"
    lines = text.partition(head)[2].splitlines()[1:]
    table = itertools.takewhile(bool, lines)
    return [dict(zip(titles, (cell.strip() for cell in line.strip("|").split("|")), strict=True)) for line in table]


def test_the_page_has_a_row_for_each_fault_of_the_catalogue_and_none_of_them_found_anything() -> None:
    """Whoever adds a fault plays it, and tells its figures."""
    rows = _rows(PAGE.read_text(encoding="utf-8"))
    assert [row["fault"] for row in rows[:-1]] == [scenario.title for _, scenario in SCENARIOS.values()]
    assert all(row[name] == "0" for row in rows for name in ZERO)


def test_the_page_tells_of_enough_kills() -> None:
    """Two hundred workers at least died at all the points together."""
    told = re.search(r"([\d,]+) workers were killed", PAGE.read_text(encoding="utf-8"))
    assert told is not None
    assert int(told[1].replace(",", "")) >= KILLS_MIN


def test_the_table_has_the_sums_of_its_columns_in_its_last_row() -> None:
    """Two faults of a thousand facts each are two thousand facts."""
    one = Result("a fault", 3, 3, 1_000, 900, 100, 10, 20, 30, 0, 0, 0, 1.0, 7)
    rows = _rows(markdown([one, one]))
    assert rows[-1]["fault"] == "**all**"
    assert rows[-1]["facts published"] == "2,000"
    assert rows[0]["redelivered"] == "30"
    assert "6 workers were killed" in markdown([one, one])
