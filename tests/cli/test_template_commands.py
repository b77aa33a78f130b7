"""``rulestream template`` through a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Line

pytestmark = pytest.mark.usefixtures("a_worker")
FILE = """+++
description = "For a tier."
[[parameters]]
name = "tier"
type = "string"
[[parameters]]
name = "percent"
type = "int"
default = 5
+++
when customer.tier == ${tier} then set discount = ${percent}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tier-discount.template"
    path.write_text(FILE)
    return path


@pytest.fixture
def template(a_worker: None, line: Line, file: Path) -> str:
    found: str = line.json("template", "create", "--actor", "ann", "--file", str(file))["templateId"]
    return found


def make(line: Line, *words: str, name: str = "${tier} discount") -> list[dict]:
    result = line.json("template", "instantiate", "tier-discount", "--actor", "ann", "--name", name, *words)
    assert result["total"] == len(result["items"])
    return list(result["items"])


def test_a_template_goes_through_its_life(line: Line, file: Path) -> None:
    created = line.run("template", "create", "--actor", "ann", "--file", str(file))
    assert created.stdout.startswith("create: tier-discount version 1  ")
    (rule,) = make(line, "--set", "tier=VIP", "--set", "percent=15")
    assert (rule["name"], rule["status"], rule["priority"]) == ("VIP discount", "DRAFT", "MEDIUM")
    shown = line.json("rule", "get", "VIP discount")
    assert shown["dslContent"] == 'when customer.tier == "VIP" then set discount = 15\n'
    assert shown["templateId"] == rule["templateId"]
    file.write_text(FILE.replace("discount =", "rebate ="))
    updated = line.run("template", "update", "tier-discount", "--actor", "bob", "--file", str(file))
    assert "update: tier-discount version 2" in updated.stdout
    assert "rules that lag behind it, 1 of 1:" in updated.stdout
    assert "VIP discount" in updated.stdout
    assert line.json("template", "get", "tier-discount")["laggingRules"] == 1
    deleted = line.run("template", "delete", "tier-discount", "--actor", "bob", "--expected-version", "2")
    assert "delete: tier-discount version 2" in deleted.stdout
    line.run("template", "get", "tier-discount", code=1)


def test_people_see_a_template_whole(line: Line, template: str) -> None:
    shown = line.run("template", "get", template).stdout
    for text in ("tier-discount", "For a tier.", "percent", "int", "5", "when customer.tier == ${tier}"):
        assert text in shown


def test_templates_are_listed_for_people_and_for_programs(line: Line, file: Path, template: str) -> None:
    line.run("template", "create", "--actor", "bob", "--file", str(file), "--name", "other name")
    page = line.json("template", "list", "--sort-order", "desc")
    assert [one["name"] for one in page["items"]] == ["tier-discount", "other name"]
    assert [one["name"] for one in line.json("template", "list", "--created-by", "bob")["items"]] == ["other name"]
    shown = line.run("template", "list", "--page-size", "1").stdout
    assert "other name" in shown
    assert "1 of 2, more with --page-offset 1" in shown
    assert line.json("template", "list", "--page-size", "1", "--all")["total"] == 2


def test_an_update_changes_what_is_given(line: Line, template: str) -> None:
    changed = line.json("template", "update", template, "--actor", "ann", "--name", "new name", "--description", "")
    assert (changed["name"], changed["description"], changed["version"]) == ("new name", "", 2)
    assert changed["dslTemplate"] == FILE.split("+++\n")[2]
    line.run("template", "update", template, "--actor", "ann", code=2)


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", 'tier,percent\nVIP,15\n"A, B",\n'),
        ("rows.ndjson", '{"tier": "VIP", "percent": 15}\n{"tier": "A, B"}\n'),
    ],
)
def test_each_row_of_a_file_becomes_a_rule(line: Line, tmp_path: Path, name: str, text: str) -> None:
    rows = tmp_path / name
    rows.write_text(text)
    made = make(line, "--rows", str(rows), "--priority", "HIGH", name="${tier} gets ${percent}")
    assert [(one["name"], one["priority"]) for one in made] == [("VIP gets 15", "HIGH"), ("A, B gets 5", "HIGH")]


@pytest.mark.usefixtures("template")
def test_rows_may_come_from_standard_input_and_are_told_a_line_each(line: Line) -> None:
    words = ("template", "instantiate", "tier-discount", "--actor", "ann", "--name", "${tier} rule", "--rows", "-")
    said = line.run(*words, given='{"tier": "a"}\n{"tier": "b"}\n').stdout.splitlines()
    assert [one.split("  ")[0] for one in said] == [
        "instantiate: a rule version 1 is DRAFT",
        "instantiate: b rule version 1 is DRAFT",
    ]


@pytest.mark.usefixtures("template")
def test_every_rows_mistakes_are_said_and_nothing_is_made(line: Line, tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"tier": "VIP"}\n{"tier": 5}\n{"percent": 1}\n')
    words = ("template", "instantiate", "tier-discount", "--actor", "ann", "--name", "${tier} rule")
    result = line.run(*words, "--rows", str(rows), code=1)
    assert "row 2: error[parameter-type]: parameter `tier`: a value of type string is expected" in result.stderr
    assert "row 3: error[missing-parameter]: parameter `tier`: a value is missing" in result.stderr
    assert "error[VALIDATION_ERROR]: row 2: parameter `tier`" in result.stderr
    assert line.json("rule", "list")["total"] == 0


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--set", "tier=VIP", "--set", "percent=fifteen"), 1, "written as JSON"),
        (("--set", "tier=VIP", "--set", "colour=red"), 1, "no such parameter"),
        (("--set", "tier"), 2, "NAME=VALUE"),
        (("--set", "tier=a", "--set", "tier=b"), 2, "twice"),
        ((), 2, "--set"),
        (("--set", "tier=a", "--rows", "-"), 2, "--rows"),
        (("--rows", "/nowhere/rows.csv"), 2, "does not exist"),
    ],
)
def test_what_is_wrong_with_values_is_said(line: Line, words: tuple[str, ...], code: int, said: str) -> None:
    head = ("template", "instantiate", "tier-discount", "--actor", "ann", "--name", "some rule")
    assert said in line.run(*head, *words, code=code).stderr


def test_a_mistake_in_a_file_is_shown_where_it_is(line: Line, file: Path) -> None:
    file.write_text(FILE.replace("${tier}", '"${tier}"'))
    result = line.run("template", "create", "--actor", "ann", "--file", str(file), code=1)
    assert f"{file}:11:23 error[quoted-parameter]" in result.stderr
    assert "drop the quotes: `${tier}`" in result.stderr


@pytest.mark.parametrize(
    "verb", [("get",), ("delete", "--actor", "ann"), ("update", "--actor", "ann", "--name", "abc")]
)
def test_a_template_that_is_not_there_is_not_found(line: Line, verb: tuple[str, ...]) -> None:
    result = line.run("template", verb[0], "nobody", *verb[1:], code=1)
    assert "error[NOT_FOUND]: no such template" in result.stderr
