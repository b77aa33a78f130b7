"""``rulestream apply``: rule files become commands, on a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Line
from worker import applying

DSL = 'when customer.tier == "gold"\nthen set discount = 10\n'
HIGH = f'+++\npriority = "HIGH"\n+++\n{DSL}'


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder ``rules`` with two rules, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    folder = Path("rules")
    folder.mkdir()
    (folder / "gold.rule").write_text(DSL)
    (folder / "silver.rule").write_text(HIGH.replace("gold", "silver").replace("discount", "bonus"))
    return folder


def actions(document: dict) -> dict[str, str]:
    return {planned["name"]: planned["action"] for planned in document["plan"]}


def results(document: dict) -> list[tuple[str, str, str | None]]:
    return [(one["name"], one["result"], one["status"]) for one in document["results"]]


@pytest.mark.usefixtures("a_worker")
class TestApply:
    @pytest.mark.usefixtures("rules")
    def test_files_become_rules_and_once_they_are_there_is_nothing_to_do(self, line: Line) -> None:
        done = line.json("apply", "rules", "--actor", "ann", "--yes")
        assert actions(done) == {"gold": "create", "silver": "create"}
        assert results(done) == [("gold", "done", "DRAFT"), ("silver", "done", "DRAFT")]
        assert line.json("rule", "get", "silver")["priority"] == "HIGH"

        again = line.json("apply", "rules", "--actor", "ann")
        assert (again["counts"]["nothing"], again["results"]) == (2, None)
        assert "0 to create, 0 to update, 2 as they are" in line.run("apply", "rules", "--actor", "ann").stdout

    def test_a_changed_file_is_a_new_version_and_goes_to_review_when_asked(self, line: Line, rules: Path) -> None:
        line.run("apply", "rules", "--actor", "ann", "--yes", "--submit")
        for words in (("approve", "gold"), ("activate", "gold")):
            line.run("rule", *words, "--actor", "bob")
        (rules / "gold.rule").write_text(HIGH.replace("= 10", "= 20"))
        shown = line.run("apply", "rules", "--actor", "ann", "--yes", "--submit").stdout
        for text in (
            "update priority, dslContent",
            "\ngold: version 2 in DRAFT; version 1 goes on deciding\n",
            'priority: "MEDIUM" -> "HIGH"',
            "  -then set discount = 10\n  +then set discount = 20\n",
            "update: gold version 2 is UNDER_REVIEW",
            "1 done",
        ):
            assert text in shown
        rule = line.json("rule", "get", "gold")
        assert (rule["version"], rule["activeVersion"], rule["status"]) == (2, 1, "UNDER_REVIEW")
        assert line.json("rule", "get", "silver")["version"] == 1

    @pytest.mark.usefixtures("rules")
    def test_rules_of_no_file_are_told_and_left(self, line: Line) -> None:
        line.run("rule", "create", "--actor", "ann", "--name", "other rule", "--dsl", DSL)
        done = line.json("apply", "rules", "--actor", "ann", "--yes")
        assert [rule["name"] for rule in done["notInFolder"]] == ["other rule"]
        assert line.json("rule", "get", "other rule")["version"] == 1

    @pytest.mark.usefixtures("rules")
    def test_without_a_terminal_nothing_is_sent_unless_yes_is_said(self, line: Line) -> None:
        result = line.run("apply", "rules", "--actor", "ann", code=1, given="y\n")
        assert "plan: 2 to create" in result.stdout
        assert "--yes is needed" in result.stderr
        document = line.json("apply", "rules", "--actor", "ann", code=1)
        assert (document["counts"]["create"], document["results"]) == (2, None)
        assert line.json("rule", "list")["total"] == 0

    @pytest.mark.usefixtures("rules")
    @pytest.mark.parametrize(("answer", "code", "total"), [("y\n", 0, 2), ("n\n", 1, 0), ("\n", 1, 0), ("", 1, 0)])
    def test_at_a_terminal_people_are_asked(
        self, line: Line, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, total: int
    ) -> None:
        monkeypatch.setattr("worker.cli.apply.is_at_terminal", lambda: True)
        result = line.run("apply", "rules", "--actor", "ann", code=code, given=answer)
        assert "Send these 2 changes? [y/N]" in result.stderr
        assert line.json("rule", "list")["total"] == total

    @pytest.mark.usefixtures("rules")
    def test_an_interruption_tells_what_was_done_and_what_may_be(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sending = applying.send_changes

        async def interrupted(*what, **how):
            async for outcome in sending(*what, **how):
                yield outcome
                raise KeyboardInterrupt

        Path("rules/zinc.rule").write_text(DSL.replace("gold", "zinc"))
        monkeypatch.setattr(applying, "send_changes", interrupted)
        document = line.json("apply", "rules", "--actor", "ann", "--yes", code=130)
        assert [one["result"] for one in document["results"]] == ["done", "failed", "not-sent"]
        assert document["results"][1]["error"]["message"].startswith("interrupted before an answer came")

    @pytest.mark.usefixtures("rules")
    def test_a_plan_alone_ends_well_and_sends_nothing(self, line: Line) -> None:
        document = line.json("apply", "rules", "--actor", "ann", "--plan-only")
        assert (document["counts"]["create"], document["results"]) == (2, None)
        assert line.json("rule", "list")["total"] == 0

    def test_a_plan_with_a_problem_is_shown_and_nothing_of_it_is_sent(self, line: Line, rules: Path) -> None:
        line.run("apply", "rules", "--actor", "ann", "--yes", "--submit")
        line.run("rule", "deprecate", "gold", "--actor", "bob")
        (rules / "gold.rule").write_text(HIGH)
        (rules / "new.rule").write_text(DSL)
        result = line.run("apply", "rules", "--actor", "ann", "--yes", code=1)
        assert "a rule in status DEPRECATED cannot be updated" in result.stdout
        assert "nothing was sent: the plan has problems" in result.stderr
        document = line.json("apply", "rules", "--actor", "ann", "--yes", code=1)
        assert document["counts"] == {"create": 1, "update": 0, "nothing": 1, "problem": 1}
        assert line.json("rule", "list")["total"] == 2

    def test_a_rule_that_someone_changed_since_the_plan_is_refused_and_the_others_are_done(
        self, line: Line, rules: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line.run("apply", "rules", "--actor", "ann", "--yes")
        (rules / "gold.rule").write_text(HIGH)
        (rules / "zinc.rule").write_text(DSL)

        def change_meanwhile() -> bool:
            line.run("rule", "update", "gold", "--actor", "bob", "--description", "faster")
            return True

        monkeypatch.setattr("worker.cli.apply.is_at_terminal", change_meanwhile)
        result = line.run("apply", "rules", "--actor", "ann", code=1, given="y\n")
        for text in (
            "update gold failed: error[CONFLICT]: the rule is at version 2, not 1\n",
            "create: zinc version 1 is DRAFT\n",
            "1 done, 1 failed\n",
        ):
            assert text in result.stdout
        assert line.json("rule", "get", "gold")["description"] == "faster"
        assert line.json("apply", "rules", "--actor", "ann", "--plan-only")["counts"]["update"] == 1

    def test_lines_from_standard_input_are_rules_too(self, line: Line) -> None:
        given = json.dumps({"name": "gold", "dslContent": DSL}) + "\n"
        done = line.json("apply", "-", "--actor", "ann", "--yes", given=given)
        assert results(done) == [("gold", "done", "DRAFT")]
        assert done["plan"][0]["file"] == "-:1"


class TestBadFiles:
    """Nothing is asked of a worker, and there is none."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("when sizeof(x)\n", "rules/bad.rule:1:6 error[unknown-function]"),
            ('+++\nname = "gold"\n+++\n' + DSL, "rules/gold.rule:1:1 error[duplicate-name]"),
            ("when a then set discount.percent = 1\n", "rules/gold.rule:1:1 error[path-conflict]"),
        ],
    )
    def test_one_error_keeps_every_file_from_being_sent(self, line: Line, rules: Path, text: str, said: str) -> None:
        (rules / "bad.rule").write_text(text)
        result = line.run("apply", "rules", "--actor", "ann", "--yes", code=1)
        assert result.stdout == ""
        assert said in result.stderr
        error = json.loads(line.run("apply", "rules", "--actor", "ann", "--json", code=1).stderr)["error"]
        assert error["code"] == "VALIDATION_ERROR"

    @pytest.mark.usefixtures("rules")
    @pytest.mark.parametrize(
        "words",
        [
            ("absent", "--actor", "ann"),
            ("rules", "--actor", "not an actor"),
            ("rules",),
            ("rules", "--actor", "ann", "--yes", "--plan-only"),
        ],
    )
    def test_wrong_usage_ends_with_2(self, line: Line, words: tuple[str, ...]) -> None:
        assert line.run("apply", *words, code=2).stdout == ""

    @pytest.mark.usefixtures("rules")
    def test_without_a_server_nothing_is_planned(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RULESTREAM_NATS_URL", "nats://127.0.0.1:9")
        result = line.run("apply", "rules", "--actor", "ann", "--yes", code=1)
        assert result.stdout == ""
        assert "error[UNAVAILABLE]" in result.stderr
