"""``rulestream export``: rules as files, which ``apply`` reads back with nothing to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Line

pytestmark = pytest.mark.usefixtures("a_worker")
DSL = "when total > {}\nthen set a{} = 1"
AWKWARD = [
    "gold",
    "GOLD",
    "gold/../silver",
    "../../etc/passwd",
    "价格 élevé 🎉",
    "e\u0301te\u0301",
    "\u00e9t\u00e9",
    'quote " and \\',
    "x" * 100,
    "価" * 100,
    "con",
    "...",
    "+++",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create(line: Line, name: str, number: int = 1, *words: str) -> dict:
    dsl = DSL.format(number, number)
    return line.json("rule", "create", "--actor", "ann", "--name", name, "--dsl", dsl, *words)


def activate(line: Line, name: str) -> None:
    for verb, actor in (("submit", "ann"), ("approve", "bob"), ("activate", "bob")):
        line.run("rule", verb, name, "--actor", actor)


def counts(line: Line, *words: str, given: str | None = None) -> dict[str, int]:
    return line.json("apply", *words, "--actor", "ann", "--plan-only", given=given)["counts"]


def test_every_rule_is_read_back_with_nothing_to_do(line: Line, folder: Path) -> None:
    for number, name in enumerate(AWKWARD):
        create(line, name, number)
    whole = ("--description", 'Says "x",\n\ttwice.', "--tag", "b", "--tag", "a", "--priority", "CRITICAL")
    create(line, "whole", 99, *whole, "--effective-from", "2026-01-01T00:00:00+02:00")

    done = line.json("export", "rules")
    assert (done["rules"], len(done["written"])) == (len(AWKWARD) + 1, len(AWKWARD) + 1)
    assert {path.parent for path in folder.rglob("*.rule")} == {folder / "rules"}
    assert counts(line, "rules") == {"create": 0, "update": 0, "nothing": len(AWKWARD) + 1, "problem": 0}
    lines = line.run("export").stdout
    assert counts(line, "-", given=lines)["nothing"] == len(AWKWARD) + 1

    before = {path: path.read_bytes() for path in folder.rglob("*.rule")}
    again = line.json("export", "rules")
    assert (again["written"], len(again["unchanged"]), again["others"]) == ([], len(AWKWARD) + 1, [])
    line.run("export", "elsewhere")
    assert {(folder / "elsewhere" / path.name).read_bytes() for path in before} == set(before.values())
    assert line.run("export").stdout == lines


def test_an_exported_file_is_changed_applied_and_exported_again(line: Line) -> None:
    create(line, "gold")
    line.run("export", "rules")
    file = Path("rules/gold.rule")
    file.write_text(file.read_text().replace('priority = "MEDIUM"', 'priority = "HIGH"'))
    refused = line.run("export", "rules", code=1)
    assert "rules/gold.rule is kept: it says something else" in refused.stderr
    assert 'priority = "HIGH"' in file.read_text()

    line.run("apply", "rules", "--actor", "ann", "--yes")
    assert line.run("export", "rules").stdout == "1 rules: 0 files written, 1 unchanged\n"
    line.run("rule", "update", "gold", "--actor", "ann", "--priority", "LOW")
    assert line.json("export", "rules", code=1)["refused"].keys() == {"gold.rule"}
    assert line.json("export", "rules", "--force")["written"] == ["gold.rule"]
    assert 'priority = "LOW"' in file.read_text()
    line.run("rule", "update", "gold", "--actor", "ann", "--priority", "HIGH")
    assert line.json("export", "rules")["written"] == ["gold.rule"], "an export wrote it so"


def test_files_of_other_rules_are_left_and_told(line: Line) -> None:
    create(line, "gold")
    Path("rules").mkdir()
    Path("rules/mine.rule").write_text("total > 1\n")
    result = line.run("export", "rules")
    assert "of no exported rule, left as they are: mine.rule" in result.stderr
    assert Path("rules/mine.rule").read_text() == "total > 1\n"


def test_rules_are_chosen_by_status_and_tag_and_deprecated_ones_by_status_alone(line: Line) -> None:
    create(line, "draft", 1, "--tag", "x")
    create(line, "active", 2, "--tag", "x")
    create(line, "old", 3)
    activate(line, "active")
    line.run("rule", "submit", "old", "--actor", "ann")
    line.run("rule", "deprecate", "old", "--actor", "ann")

    def exported(*words: str) -> list[str]:
        return [json.loads(one)["name"] for one in line.run("export", "-", *words).stdout.splitlines()]

    assert exported() == ["active", "draft"]
    assert exported("--status", "ACTIVE", "--tag", "x") == ["active"]
    assert exported("--status", "DEPRECATED") == ["old"]
    assert "DEPRECATED, not exported without --status DEPRECATED: 1" in line.run("export").stderr
    assert "error[VALIDATION_ERROR]" in line.run("export", "--status", "NONE", code=1).stderr


def test_the_deciding_version_is_exported_when_asked(line: Line) -> None:
    create(line, "gold", 1)
    create(line, "draft", 2)
    activate(line, "gold")
    line.run("rule", "update", "gold", "--actor", "ann", "--name", "renamed", "--priority", "LOW")
    (latest, active) = (line.run("export", words).stdout.splitlines() for words in ("--latest", "--active-version"))
    assert [json.loads(one)["name"] for one in latest] == ["draft", "renamed"]
    assert [(json.loads(one)["name"], json.loads(one)["priority"]) for one in active] == [("gold", "MEDIUM")]


def test_without_ids_rules_go_by_their_names(line: Line) -> None:
    create(line, "gold")
    line.run("export", "rules", "--no-ids")
    assert "ruleId" not in Path("rules/gold.rule").read_text()
    assert "ruleId" not in line.run("export", "--no-ids").stdout
    assert counts(line, "rules")["nothing"] == 1


def test_a_file_of_lines_is_not_written_over_without_force(line: Line) -> None:
    create(line, "gold")
    assert line.json("export", "all.ndjson")["written"] == ["all.ndjson"]
    assert line.json("export", "all.ndjson")["unchanged"] == ["all.ndjson"]
    assert counts(line, "all.ndjson")["nothing"] == 1
    create(line, "silver", 2)
    assert "all.ndjson is kept" in line.run("export", "all.ndjson", code=1).stderr
    assert line.json("export", "all.ndjson", "--force")["rules"] == 2


@pytest.mark.parametrize(
    "words",
    [("-", "--format", "rule"), ("x", "--format", "xml"), ("file.txt",), ("taken", "--format", "ndjson")],
)
def test_wrong_usage_ends_with_2(line: Line, words: tuple[str, ...]) -> None:
    Path("file.txt").touch()
    Path("taken").mkdir()
    assert line.run("export", *words, code=2).stdout == ""
