"""``rulestream simulate`` against a worker: rules are tried, and nothing comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Line

DSL = 'on order.placed\nwhen order.total >= 100.0\nthen set discount.percent = 15\n  emit loyalty.points {"n": 1}'
FACTS = "".join(
    json.dumps({"id": f"o-{total}", "type": "order.placed", "data": {"order": {"total": total}}}) + "\n"
    for total in (99, 100)
)


@pytest.mark.usefixtures("a_worker")
def test_a_text_is_tried_on_facts_and_each_decision_is_told_with_its_reasons(line: Line) -> None:
    """People see the decision, its output and the condition with the values that it saw."""
    told = line.run("simulate", "--dsl", DSL, "--facts", "-", given=FACTS).stdout.splitlines()
    assert told[0].split() == ["-", "unmatched", "order.placed", "o-99"]
    assert told[1].strip() == "{}"
    assert told[2].strip() == "candidate (version 0, MEDIUM): not applied (the condition is false)"
    assert told[3].strip() == "order.total >= 100.0: false"
    assert "matched   order.placed o-100  candidate" in told[5]
    assert told[6].strip() == '{"discount":{"percent":15}}'


@pytest.mark.usefixtures("a_worker")
def test_a_stored_rule_is_tried_by_its_name_and_by_its_id_and_beside_the_active_ones(line: Line) -> None:
    created = line.json("rule", "create", "--actor", "alice", "--name", "big orders", "--dsl", DSL)
    for named in ("big orders", created["ruleId"]):
        items = line.json_lines(["simulate", "--rule", named, "--with-active", "--facts", _file(FACTS)])
        assert [item["decision"]["outcome"] for item in items] == ["unmatched", "matched"]
        assert [item["decision"]["ruleset"]["revision"] for item in items] == [0, 0]
        assert [item["trace"][0]["name"] for item in items] == ["big orders", "big orders"]
    assert line.json_lines(["decision", "list"]) == []


@pytest.mark.usefixtures("a_worker")
def test_more_facts_than_one_question_holds_are_all_tried(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "facts.ndjson"
    path.write_text("".join(json.dumps({"order": {"total": number}}) + "\n" for number in range(250)))
    words = ["simulate", "--dsl", DSL, "--type", "order.placed", "--facts", str(path)]
    items = line.json_lines(words)
    assert [item["decision"]["outcome"] for item in items] == ["unmatched"] * 100 + ["matched"] * 150


@pytest.mark.usefixtures("a_worker")
def test_a_rule_file_is_tried_under_its_name_and_a_wrong_one_is_refused(line: Line, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.rule", tmp_path / "bad.rule"
    good.write_text(f'+++\npriority = "HIGH"\n+++\n{DSL}\n')
    bad.write_text("when x = 1\n")
    (item, _) = line.json_lines(["simulate", "--file", str(good), "--facts", _file(FACTS)])
    assert (item["trace"][0]["name"], item["trace"][0]["priority"]) == ("good", "HIGH")
    assert "equality is `==`" in line.run("simulate", "--file", str(bad), "--facts", _file(FACTS), code=1).stderr


@pytest.mark.usefixtures("a_worker")
def test_lines_that_are_no_facts_are_told_and_the_others_tried(line: Line) -> None:
    result = line.run("simulate", "--dsl", DSL, "--facts", "-", "--json", given=f"nonsense\n{FACTS}", code=1)
    assert len(result.stdout.splitlines()) == 2
    assert "-:1: NOT_JSON" in result.stderr.replace("<stdin>", "-").replace("stdin", "-")


@pytest.mark.parametrize("words", [[], ["--dsl", "a", "--rule", "b"]])
def test_rules_are_named_in_one_way(line: Line, words: list[str]) -> None:
    line.run("simulate", *words, "--facts", _file(FACTS), code=2)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _file(text: str) -> str:
    Path("given.ndjson").write_text(text)
    return "given.ndjson"
