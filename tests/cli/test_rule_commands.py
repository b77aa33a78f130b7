"""``rulestream rule`` through a real worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Line

pytestmark = pytest.mark.usefixtures("a_worker")
DSL = 'when customer.tier == "gold" then set discount = 10'
RULE_FILE = '+++\npriority = "HIGH"\ntags = ["shop", "gold"]\ndescription = "For gold."\n+++\n' + DSL + "\n"


def create(line: Line, name: str = "gold discount") -> dict:
    return line.json("rule", "create", "--actor", "ann", "--name", name, "--dsl", DSL)


def test_a_rule_goes_through_its_life(line: Line) -> None:
    rule = create(line)
    assert (rule["status"], rule["version"], rule["priority"], rule["createdBy"]) == ("DRAFT", 1, "MEDIUM", "ann")
    assert line.json("rule", "submit", "gold discount", "--actor", "ann")["status"] == "UNDER_REVIEW"
    rejected = line.json("rule", "reject", rule["ruleId"], "--actor", "bob", "--reason", "too generous")
    assert rejected["status"] == "DRAFT"
    changed = line.json("rule", "update", "gold discount", "--actor", "ann", "--description", "ten", "--tag", "a")
    assert (changed["version"], changed["description"], changed["tags"]) == (2, "ten", ["a"])
    line.run("rule", "submit", "gold discount", "--actor", "ann")
    approved = line.json("rule", "approve", "gold discount", "--actor", "bob", "--comment", "fine")
    assert (approved["status"], approved["approvedBy"]) == ("APPROVED", "bob")
    assert line.json("rule", "activate", "gold discount", "--actor", "bob")["activeVersion"] == 2
    assert line.json("rule", "deactivate", "gold discount", "--actor", "bob")["status"] == "INACTIVE"
    assert line.json("rule", "get", "gold discount")["status"] == "INACTIVE"


def test_people_are_told_what_a_command_made_of_a_rule(line: Line) -> None:
    result = line.run("rule", "create", "--actor", "ann", "--name", "gold discount", "--dsl", DSL)
    assert "create: gold discount version 1 is DRAFT" in result.stdout
    shown = line.run("rule", "get", "gold discount").stdout
    for text in ("gold discount", "DRAFT", "created by", "ann", DSL):
        assert text in shown


def test_a_rule_comes_from_a_file_and_options_go_before_it(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "gold-discount.rule"
    file.write_text(RULE_FILE)
    rule = line.json("rule", "create", "--actor", "ann", "--file", str(file), "--priority", "LOW")
    assert (rule["name"], rule["priority"], rule["tags"]) == ("gold-discount", "LOW", ["shop", "gold"])
    assert rule["dslContent"].strip() == DSL
    assert rule["description"] == "For gold."


def test_the_actor_may_come_from_the_environment(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULESTREAM_ACTOR", "carol")
    assert line.json("rule", "create", "--name", "gold discount", "--dsl", DSL)["createdBy"] == "carol"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--actor", "ann", "--name", "gold discount", "--dsl", DSL), "rule name already exists"),
        (("approve", "gold discount", "--actor", "bob"), "error[BUSINESS_ERROR]"),
        (("update", "gold discount", "--actor", "ann", "--expected-version", "9", "--name", "other"), "CONFLICT"),
        (("update", "gold discount", "--actor", "ann", "--expected-version", "0", "--name", "other"), "CONFLICT"),
        (("get", "nobody"), "error[NOT_FOUND]: no such rule"),
        (("submit", "nobody", "--actor", "ann"), "error[NOT_FOUND]: no such rule"),
    ],
)
def test_a_refusal_is_said_with_its_code_and_ends_with_1(line: Line, words: tuple[str, ...], said: str) -> None:
    create(line)
    result = line.run("rule", *words, code=1)
    assert result.stdout == ""
    assert said in result.stderr


def test_a_mistake_in_the_dsl_is_shown_where_it_is(line: Line) -> None:
    result = line.run("rule", "create", "--actor", "ann", "--name", "wrong", "--dsl", "when a = 1 then", code=1)
    assert "1:8 error[syntax]" in result.stderr
    assert "error[VALIDATION_ERROR]" in result.stderr


def test_rules_are_listed_for_people_and_for_programs(line: Line) -> None:
    for name in ("first rule", "second rule", "other"):
        create(line, name)
    page = line.json("rule", "list", "--name-contains", "rule", "--sort-order", "desc")
    assert [rule["name"] for rule in page["items"]] == ["second rule", "first rule"]
    shown = line.run("rule", "list", "--page-size", "2").stdout
    assert "first rule" in shown
    assert "2 of 3, more with --page-offset 2" in shown
