"""``rulestream eval`` with security detection rules: every match of every event, beside a plain-Python witness.

The long form takes the sizes of real rule sets: ``make detection``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from tests.oracle.detection import FAULT, Detection
from tests.oracle.detection_samples import detections, events
from worker.cli.evaluate import evaluate

RULES = int(os.environ.get("RULESTREAM_DETECTION_RULES", "200"))
EVENTS = int(os.environ.get("RULESTREAM_DETECTION_EVENTS", "300"))
SEED = int(os.environ.get("RULESTREAM_DETECTION_SEED", "2"))
GIANTS = 9  # rules of tens of thousands of characters: one of each form
ATTACKS = 0.3  # share of the events that are made to meet a rule


def run(rules: Path, facts: Path) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, ["--rules", str(rules), "--facts", str(facts), "--json"])


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def expected(rules: list[Detection], event_type: str, event: dict[str, Any]) -> tuple[list[str], int]:
    """The names of the rules that match an event, in order, and how many fail on it."""
    verdicts = [(rule.name, rule.verdict(event_type, event)) for rule in rules]
    return [name for name, one in verdicts if one is True], sum(one == FAULT for _, one in verdicts)


def test_every_match_of_every_event_is_the_witness_own(tmp_path):
    """Rules found by the index, long lists of texts, case and missing fields: no match too many, none too few."""
    rules = detections(RULES, SEED, GIANTS)
    made = list(events(EVENTS, SEED + 1, rules, ATTACKS))
    lines = [{"name": rule.name, "priority": rule.priority, "dslContent": rule.text} for rule in rules]
    facts = [
        {"id": f"e-{number}", "type": event_type, "data": event} for number, (event_type, event) in enumerate(made)
    ]

    result = run(written(tmp_path / "rules.ndjson", lines), written(tmp_path / "facts.ndjson", facts))

    assert result.exit_code == 0, result.stderr
    decisions = [json.loads(line) for line in result.stdout.splitlines()]
    in_order = sorted(rules, key=lambda rule: rule.sort_key)
    actions = {rule.name for rule in rules if "\nthen\n" in rule.text}
    found = {True: 0, False: 0}
    failed = 0
    for decision, (event_type, event) in zip(decisions, made, strict=True):
        names, faults = expected(in_order, event_type, event)
        assert [match["name"] for match in decision["matches"]] == names, json.dumps(event)
        assert decision["faultCount"] == faults, json.dumps(event)
        told = [name for name in names if name in actions]
        assert decision["output"] == ({"alerts": told, "score": 10 * len(told)} if told else {})
        found[bool(names)] += 1
        failed += faults
    assert min(found.values()) >= EVENTS // 10
    assert failed


def test_the_rules_are_of_the_size_of_real_ones():
    """Most are a few hundred characters with about ten operators, and some are near the bounds of a rule."""
    rules = detections(RULES, SEED, GIANTS)
    texts = [rule.text for rule in rules]
    small, large = texts[:-GIANTS], texts[-GIANTS:]
    assert 300 <= sum(map(len, small)) / len(small) <= 600
    assert min(map(len, large)) >= 35_000
    assert max(map(len, large)) >= 70_000
