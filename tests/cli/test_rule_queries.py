"""What the command line asks of a real worker about rules: every query has a form, and every page is reached."""

from __future__ import annotations

import io
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Line
from worker.cli.tables import command_answer

pytestmark = pytest.mark.usefixtures("a_worker")
DSL = "when total > {}\nthen set a{} = 1\n"


def create(line: Line, name: str = "gold", number: int = 1, *words: str) -> dict:
    dsl = DSL.format(number, number)
    return line.json("rule", "create", "--actor", "ann", "--name", name, "--dsl", dsl, *words)


def activate(line: Line, name: str) -> None:
    for verb, actor in (("submit", "ann"), ("approve", "bob"), ("activate", "bob")):
        line.run("rule", verb, name, "--actor", actor)


class TestLists:
    def test_every_criterion_of_the_list_has_an_option(self, line: Line) -> None:
        create(line, "gold", 1, "--tag", "a", "--priority", "HIGH")
        create(line, "silver", 2, "--tag", "b")
        activate(line, "gold")
        for words in (
            ("--status", "ACTIVE"),
            ("--priority", "HIGH"),
            ("--name-contains", "GOL"),
            ("--tag", "a"),
            ("--sort-by", "createdAt", "--page-size", "1"),
            ("--sort-by", "name", "--sort-order", "desc", "--page-offset", "1"),
        ):
            assert [rule["name"] for rule in line.json("rule", "list", *words)["items"]] == ["gold"], words
        assert line.json("rule", "list", "--created-by", "bob")["total"] == 0
        assert "error[VALIDATION_ERROR]" in line.run("rule", "list", "--sort-by", "colour", code=1).stderr

    def test_all_follows_the_pages_to_the_end(self, line: Line) -> None:
        for number in range(3):
            create(line, f"rule {number}", number)
        found = line.json("rule", "list", "--all", "--page-size", "1")
        assert [rule["name"] for rule in found["items"]] == ["rule 0", "rule 1", "rule 2"]
        assert "nextOffset" not in found
        assert "3 of 3" in line.run("rule", "list", "--all", "--page-size", "2").stdout

    def test_versions_come_in_pages_or_all_together(self, line: Line) -> None:
        create(line)
        for priority in ("LOW", "HIGH"):
            line.run("rule", "update", "gold", "--actor", "ann", "--priority", priority)
        page = line.json("rule", "versions", "gold", "--page-size", "1", "--page-offset", "1")
        assert ([version["version"] for version in page["items"]], page["nextOffset"]) == ([2], 2)
        found = line.json("rule", "versions", "gold", "--page-size", "1", "--all")
        assert [version["version"] for version in found["items"]] == [3, 2, 1]


class TestOneRule:
    def test_an_earlier_version_is_shown_whole(self, line: Line) -> None:
        create(line, "gold", 1, "--description", "the first")
        line.run("rule", "update", "gold", "--actor", "ann", "--description", "the second", "--dsl", "total > 2")
        first = line.json("rule", "get", "gold", "--version", "1")
        assert (first["version"], first["description"], first["dslContent"]) == (1, "the first", DSL.format(1, 1))
        shown = line.run("rule", "get", "gold", "--version", "1").stdout
        for text in ("gold", "the first", "author", "ann", "when total > 1"):
            assert text in shown
        assert "error[NOT_FOUND]: no such version" in line.run("rule", "get", "gold", "--version", "3", code=1).stderr
        assert "error[NOT_FOUND]: no such rule" in line.run("rule", "get", "tin", "--version", "1", code=1).stderr

    def test_nothing_of_a_rule_steers_the_terminal_of_who_looks_at_it(self, line: Line) -> None:
        dsl = "when total > 1 // \x1b[2Kharmless\u202e\nthen set a = 1"
        line.run("rule", "create", "--actor", "ann", "--name", "gold", "--description", "a\x1bb\nc", "--dsl", dsl)
        shown = line.run("rule", "get", "gold").stdout
        assert not {"\x1b", "\u202e"} & set(shown)
        assert "when total > 1 // \\u001b[2Kharmless\\u202e\nthen set a = 1" in shown
        assert "a\\u001bb" in shown
        turned = "silver\u202e"
        refused = line.run("rule", "create", "--actor", "ann", "--name", turned, "--dsl", "total > 1", code=1)
        assert "invisible characters" in refused.stderr
        assert turned not in refused.stderr

    def test_a_field_is_emptied(self, line: Line) -> None:
        create(line, "gold", 1, "--description", "x", "--tag", "a", "--effective-from", "2026-01-01T00:00:00Z")
        words = [word for field in ("description", "tags", "effective-from") for word in ("--clear", field)]
        rule = line.json("rule", "update", "gold", "--actor", "ann", *words)
        assert (rule["description"], rule["tags"], rule["effectiveFrom"], rule["version"]) == ("", [], None, 2)
        for words in (["--clear", "name"], ["--clear", "description", "--description", "y"]):
            line.run("rule", "update", "gold", "--actor", "ann", *words, code=2)

    def test_a_submission_may_be_of_one_version_only(self, line: Line) -> None:
        create(line)
        refused = line.run("rule", "submit", "gold", "--actor", "ann", "--expected-version", "2", code=1)
        assert "error[CONFLICT]: the rule is at version 1, not 2" in refused.stderr
        assert line.json("rule", "submit", "gold", "--actor", "ann", "--expected-version", "1")["version"] == 1


class TestValidation:
    def test_a_right_rule_ends_well(self, line: Line, tmp_path: Path) -> None:
        file = tmp_path / "gold.rule"
        file.write_text('+++\npriority = "HIGH"\n+++\n' + DSL.format(1, 1))
        assert line.run("rule", "validate", str(file)).stdout == "0 errors, 0 warnings\n"
        assert line.json("rule", "validate", "-", given="total > 1\n") == {"problems": []}
        assert line.json("rule", "validate", "--dsl", "total > 1") == {"problems": []}
        assert line.json("rule", "list")["total"] == 0

    def test_a_problem_is_printed_at_its_place_in_the_file(self, line: Line, tmp_path: Path) -> None:
        file = tmp_path / "gold.rule"
        file.write_bytes(b'+++\r\npriority = "HIGH"\r\n+++\r\nwhen sizeof(x) > 1\r\n')
        result = line.run("rule", "validate", str(file), code=1)
        assert f"{file}:4:6 error[unknown-function]: no function `sizeof`" in result.stdout
        assert "^^^^^^ did you mean `size`?" in result.stdout
        assert result.stdout.endswith("1 errors, 0 warnings\n")
        (problem,) = line.json("rule", "validate", "-", given="when sizeof(x) > 1", code=1)["problems"]
        assert (problem["file"], problem["line"], problem["column"], problem["endColumn"]) == ("stdin", 1, 6, 12)

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"\xff", "the text is not UTF-8"),
            (b"+++\nname = 'x'\n", "error[front-matter-open]"),
            (b"x" * (1024 * 1024 + 1), "a rule is at most 1048576 bytes"),
        ],
    )
    def test_what_cannot_be_read_is_said(self, line: Line, tmp_path: Path, data: bytes, said: str) -> None:
        (tmp_path / "bad.rule").write_bytes(data)
        assert said in line.run("rule", "validate", str(tmp_path / "bad.rule"), code=1).stderr
        assert said in line.run("rule", "validate", "-", given=data, code=1).stderr

    @pytest.mark.parametrize("words", [(), ("absent.rule",), ("-", "--dsl", "x")])
    def test_wrong_usage_ends_with_2(self, line: Line, words: tuple[str, ...]) -> None:
        line.run("rule", "validate", *words, code=2)


class TestTheRuleset:
    def test_the_rules_that_decide_are_shown_with_revision_and_digest(self, line: Line) -> None:
        for number, name in enumerate(("gold", "silver", "bronze"), start=1):
            create(line, name, number)
            activate(line, name)
        create(line, "draft", 9)
        page = line.json("ruleset", "show", "--page-size", "2")
        assert (page["revision"], page["total"], page["nextOffset"]) == (3, 3, 2)
        found = line.json("ruleset", "show", "--page-size", "1", "--all")
        assert {rule["name"] for rule in found["items"]} == {"gold", "silver", "bronze"}
        assert (len(found["items"]), found["digest"]) == (3, page["digest"])
        assert "nextOffset" not in found
        shown = line.run("ruleset", "show").stdout
        assert shown.startswith(f"ruleset 3, digest {page['digest']}\n")
        assert "3 of 3" in shown


class TestCommands:
    def test_what_became_of_a_command_is_shown_to_its_actor(self, line: Line) -> None:
        rule = create(line)
        (event,) = line.json("rule", "history", "gold")["items"]
        found = line.json("command", "get", event["commandId"], "--actor", "ann")
        assert (found["commandId"], found["status"], found["result"]) == (event["commandId"], "ok", rule)
        shown = line.run("command", "get", event["commandId"], "--actor", "ann").stdout
        assert "ok: gold version 1 is DRAFT" in shown
        assert "error[NOT_FOUND]" in line.run("command", "get", event["commandId"], "--actor", "bob", code=1).stderr

    def test_one_that_nobody_sent_is_not_found_and_no_id_is_none(self, line: Line) -> None:
        absent = line.run("command", "get", str(uuid.uuid4()), "--actor", "ann", code=1)
        assert "error[NOT_FOUND]: no such command of this actor was decided yet" in absent.stderr
        assert "error[INVALID_REQUEST]" in line.run("command", "get", "x", "--actor", "ann", code=1).stderr
        line.run("command", "get", "x" * 16, code=2)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({"result": None, "error": {"code": "CONFLICT", "message": "no", "details": {}}}, "error[CONFLICT]: no\n"),
            ({"result": {"templateId": "t"}, "error": None}, '{\n  "templateId": "t"\n}\n'),
        ],
    )
    def test_a_refusal_is_an_answer_and_so_is_what_is_no_rule(self, answer: dict, said: str) -> None:
        console = Console(file=io.StringIO())
        console.print(command_answer(answer))
        assert console.file.getvalue() == said
