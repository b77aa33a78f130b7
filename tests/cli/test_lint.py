"""Linting: what is wrong at its place, what looks wrong beside it, and the exit code that says which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.language import TRIED_LINTED_FROM
from worker.cli.app import app

GOOD = "on order.placed\nwhen total > 3\nthen set level = 1\n"


def lint(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["lint", *map(str, arguments)])
    return result.exit_code, result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.rule").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_a_set_without_problems_ends_well(folder: Path) -> None:
    assert lint(folder) == (0, "1 rules, 0 errors, 0 warnings\n")


def test_a_problem_is_printed_at_its_place_and_fails(folder: Path) -> None:
    bad = folder / "bad.rule"
    bad.write_text("when sizeof(items) > 3\nthen set level = 1\n", encoding="utf-8")
    code, printed = lint(folder)
    assert code == 1
    assert f"{bad}:1:6 error[unknown-function]: no function `sizeof`" in printed
    assert "^^^^^^ did you mean `size`?" in printed


def test_rules_that_look_wrong_together_are_warnings_alone(folder: Path) -> None:
    (folder / "other.rule").write_text(GOOD.replace("level = 1", "level = 2"), encoding="utf-8")
    code, printed = lint(folder)
    assert code == 0
    assert "rule 'other' and 'good' warning[conflicting-set]" in printed


def test_a_field_that_no_observed_fact_has_is_a_warning(folder: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.ndjson"
    facts.write_text('{"type": "order.placed", "data": {"totl": 4}}\n', encoding="utf-8")
    code, printed = lint(folder, "--facts", facts)
    assert code == 0
    assert "warning[unobserved-field]: no fact of 1 observed has `total`" in printed


def test_rules_that_are_tried_on_every_fact_are_warnings_where_rules_are_many(tmp_path: Path) -> None:
    """One of few rules costs nothing by being tried: a warning would be noise."""
    names = [f"rule-{number}" for number in range(TRIED_LINTED_FROM - 1)]
    for number, name in enumerate(names):
        (tmp_path / f"{name}.rule").write_text(f"when total == {number}\nthen set a{number} = 1\n", encoding="utf-8")
    for number, word in enumerate(("else", "stop")):
        text = f"when paid < due\nthen set b{number} = 1\n"
        text += "else set c = 2\n" if word == "else" else ""
        (tmp_path / f"{word}.rule").write_text(text, encoding="utf-8")
    code, printed = lint(tmp_path)
    assert code == 0
    header, *shown = printed.splitlines()
    assert header == (
        f"{tmp_path}/stop.rule:1:6 warning[tried-always]: the rule is tried on nearly every fact that has its fields: "
        "it compares two values of the fact"
    )
    assert shown == [
        "  1 | when paid < due",
        "    |      ^^^^^^^^^^ compare one of them with a constant too",
        f"{len(names) + 2} rules, 0 errors, 1 warnings",
    ]
    (problem,) = json.loads(lint(tmp_path, "--json")[1])["problems"]
    assert (problem["code"], problem["severity"], problem["line"]) == ("tried-always", "warning", 1)
    for name in names[:2]:
        (tmp_path / f"{name}.rule").unlink()
    assert lint(tmp_path) == (0, f"{len(names)} rules, 0 errors, 0 warnings\n")


def test_for_programs_it_is_one_object(folder: Path) -> None:
    (folder / "bad.rule").write_text("when", encoding="utf-8")
    code, printed = lint(folder, "--json")
    found = json.loads(printed)
    assert code == 1
    assert found["rules"] == 2
    assert {"file", "line", "column", "code", "message", "severity"} <= found["problems"][0].keys()


def test_a_folder_that_is_not_there_is_wrong_usage() -> None:
    assert lint("/no/such/folder")[0] == 2
