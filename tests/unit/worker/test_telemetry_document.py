"""The metrics' table in docs/telemetry.md is that of the instruments."""

from __future__ import annotations

from pathlib import Path

from worker.telemetry.identity import VERSION
from worker.telemetry.instruments import BUILD_INFO_NAME, Instrument, instruments

DOCUMENT = Path(__file__).parents[3] / "docs" / "telemetry.md"
WORDS_MAX = 8  # values of a label that are written out


def row(one: Instrument) -> str:
    """Write a metric's row."""
    labels = "; ".join(f"`{name}`: {values(one, name)}" for name in one.labels)
    unit = "seconds" if one.unit else ""
    return f"| `{one.prometheus_name}` | {one.kind} | {unit} | {one.description} | {labels} |"


def values(one: Instrument, label: str) -> str:
    """Write a label's values, or how many there are."""
    if one.name == BUILD_INFO_NAME:
        return "the release"
    known = one.labels[label]
    return " ".join(known) if len(known) <= WORDS_MAX else f"{len(known)} of them"


def test_the_table_has_every_metric_as_it_is_and_no_other() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    told = [line for line in text.splitlines() if line.startswith("| `rulestream_")]
    assert told == [row(one) for one in instruments(VERSION)]
