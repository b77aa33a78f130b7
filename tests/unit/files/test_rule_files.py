"""RULES as files: what is read, and every problem at its true place."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.identifiers import RuleId
from domain.language import Problem, compile_rule
from domain.rules.content import Priority
from worker.files.problems import InvalidRulesError
from worker.files.rules import active_rules, inspect_rules, offline_ruleset, read_rules

ROOT = Path(__file__).parents[3]
A_RULE_ID = "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder ``rules``, in the folder that the test works in: problems name files as they were given."""
    monkeypatch.chdir(tmp_path)
    path = Path("rules")
    path.mkdir()
    return path


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.rule").write_text(text, encoding="utf-8")
    return folder


def write_lines(*rules: dict | str) -> Path:
    path = Path("rules.ndjson")
    lines = [rule if isinstance(rule, str) else json.dumps(rule, ensure_ascii=False) for rule in rules]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def places(path: Path) -> list[str]:
    return [f"{found.file}:{found.line}:{found.column} {found.problem.code}" for found in inspect_rules(path).problems]


class TestRuleFiles:
    def test_a_bare_expression_is_a_rule_named_after_its_file_of_medium_priority(self, folder):
        [rule] = read_rules(write(folder, vip='customer.tier == "VIP"\n'))

        assert rule.content.name == "vip"
        assert rule.content.priority is Priority.MEDIUM
        assert rule.content.dsl_content == 'customer.tier == "VIP"\n'
        assert (rule.origin, rule.rule_id, rule.dsl_line_offset) == ("rules/vip.rule", None, 0)

    def test_front_matter_gives_every_field(self, folder):
        text = (
            '+++\nname = "VIP desk"\ndescription = "calls"\npriority = "HIGH"\ntags = ["a", "b"]\n'
            f'ruleId = "{A_RULE_ID}"\n'
            'effectiveFrom = 2026-01-01T00:00:00+01:00\neffectiveUntil = "2027-01-01T00:00:00Z"\n+++\ntotal > 1\n'
        )
        [rule] = read_rules(write(folder, vip=text))

        content = rule.content
        assert (content.name, content.description, content.tags) == ("VIP desk", "calls", ("a", "b"))
        assert content.priority is Priority.HIGH
        assert content.effective_from == datetime(2025, 12, 31, 23, tzinfo=UTC)
        assert content.effective_until == datetime(2027, 1, 1, tzinfo=UTC)
        assert content.dsl_content == "total > 1\n"
        assert rule.rule_id == RuleId(A_RULE_ID)
        assert rule.dsl_line_offset == 9

    def test_a_folder_is_read_in_the_order_of_names_without_sub_folders_other_files_and_hidden_ones(self, folder):
        write(folder, bbb="x", aaa="x")
        (folder / "README.md").write_text("not a rule")
        (folder / ".hidden.rule").write_text("not a rule (")
        (folder / "more").mkdir()
        write(folder / "more", ccc="not a rule (")

        assert [rule.content.name for rule in read_rules(folder)] == ["aaa", "bbb"]

    def test_one_rule_file_is_a_set_of_one(self, folder):
        write(folder, aaa="x", bbb="x")

        assert [rule.content.name for rule in read_rules(folder / "aaa.rule")] == ["aaa"]

    def test_line_endings_and_a_byte_order_mark_do_not_change_a_rule(self, folder):
        (folder / "vip.rule").write_bytes(b'\xef\xbb\xbf+++\r\npriority = "LOW"\r\n+++\r\nx > 1\r\n&& y\r\n')
        [rule] = read_rules(folder)

        assert rule.content.priority is Priority.LOW
        assert rule.content.dsl_content == "x > 1\n&& y\n"

    def test_plus_signs_that_do_not_begin_the_file_are_dsl(self, folder):
        found = inspect_rules(write(folder, vip="x\n+++\n"))

        assert {problem.problem.code for problem in found.problems} == {"syntax"}

    def test_a_folder_without_rules_is_a_problem(self, folder):
        assert places(folder) == ["rules:1:1 no-rules"]

    def test_a_file_that_cannot_be_read_is_a_problem_beside_the_others(self, folder):
        write(folder, bbb="x >")
        (folder / "aaa.rule").mkdir()

        assert places(folder) == ["rules/aaa.rule:1:1 unreadable", "rules/bbb.rule:1:4 syntax"]


FILE_PROBLEMS = {
    "a DSL problem is at the file's line, below the front matter": (
        '+++\npriority = "LOW"\n+++\nwhen x\nthen set a = sizeof(x)\n',
        ["rules/one.rule:5:14 unknown-function"],
    ),
    "a DSL problem without front matter": ("when sizeof(x)\n", ["rules/one.rule:1:6 unknown-function"]),
    "an unknown field": ('+++\n\n priorty = "LOW"\n+++\nx\n', ["rules/one.rule:3:2 unknown-field"]),
    "a value of the wrong type": ("+++\nname = 3\n+++\nx\n", ["rules/one.rule:2:1 wrong-type"]),
    "tags that are not texts": ('+++\ntags = ["a", 3]\n+++\nx\n', ["rules/one.rule:2:1 wrong-type"]),
    "a value out of bounds": ('+++\npriority = "URGENT"\n+++\nx\n', ["rules/one.rule:2:1 priority-unknown"]),
    "a day in place of a time": ("+++\neffectiveFrom = 2026-01-01\n+++\nx\n", ["rules/one.rule:2:1 not-a-time"]),
    "an id that is none": ('+++\nruleId = "x"\n+++\nx\n', ["rules/one.rule:2:1 rule-id"]),
    "front matter that is not TOML": ('+++\nname = "oops\n+++\nx\n', ["rules/one.rule:2:13 not-toml"]),
    "TOML that ends too early": ("+++\ntags = [\n+++\nx\n", ["rules/one.rule:3:1 not-toml"]),
    "front matter without an end": ("+++\nname = 'x'\n", ["rules/one.rule:1:1 front-matter-open"]),
    "no DSL": ('+++\npriority = "LOW"\n+++\n', ["rules/one.rule:4:1 dsl-empty"]),
    "an empty file": ("", ["rules/one.rule:1:1 dsl-empty"]),
    "everything at once": (
        '+++\nprio = "LOW"\nname = "x"\n+++\nsizeof(x)\n',
        [
            "rules/one.rule:2:1 unknown-field",
            "rules/one.rule:3:1 name-too-short",
            "rules/one.rule:5:1 unknown-function",
        ],
    ),
    "a rule of more bytes than a command may have": ("x" * (1024 * 1024 + 1), ["rules/one.rule:1:1 too-large"]),
}


@pytest.mark.parametrize(("text", "expected"), FILE_PROBLEMS.values(), ids=FILE_PROBLEMS.keys())
def test_a_problem_of_a_rule_file_is_at_its_place(folder, text, expected):
    found = inspect_rules(write(folder, one=text))

    assert [
        f"{problem.file}:{problem.line}:{problem.column} {problem.problem.code}" for problem in found.problems
    ] == expected
    assert found.sources == ()


def test_bytes_that_are_no_text_are_a_problem_at_their_place(folder):
    (folder / "one.rule").write_bytes("x\né".encode() + b"\xff")

    assert places(folder) == ["rules/one.rule:2:2 not-utf8"]


def test_a_problem_is_printed_as_a_compiler_does_with_the_line_of_the_file(folder):
    found = inspect_rules(write(folder, one='+++\npriority = "LOW"\n+++\nwhen sizeof(x)\n'))

    assert found.problems[0].render() == (
        "rules/one.rule:4:6 error[unknown-function]: no function `sizeof`\n"
        "  4 | when sizeof(x)\n"
        "    |      ^^^^^^ did you mean `size`?"
    )


def test_a_misspelt_field_is_printed_with_what_was_meant(folder):
    found = inspect_rules(write(folder, one='+++\npriorty = "LOW"\n+++\nx\n'))

    assert found.problems[0].render() == (
        "rules/one.rule:2:1 error[unknown-field]: unknown field `priorty`\n"
        '  2 | priorty = "LOW"\n'
        "    | ^^^^^^^ did you mean `priority`?"
    )


class TestLinesOfRules:
    @pytest.fixture(autouse=True)
    def _in_folder(self, folder): ...

    def test_each_line_is_a_rule_with_the_fields_of_a_command(self):
        path = write_lines(
            {"name": "one rule", "dslContent": "x > 1"},
            "",
            {
                "ruleId": A_RULE_ID,
                "name": "other rule",
                "dslContent": "x > 2",
                "priority": "CRITICAL",
                "description": None,
                "tags": ["a"],
                "effectiveFrom": "2026-01-01T00:00:00Z",
            },
        )
        one, other = read_rules(path)

        assert (one.origin, one.content.name, one.content.priority) == ("rules.ndjson:1", "one rule", Priority.MEDIUM)
        assert (other.origin, other.rule_id, other.content.priority) == (
            "rules.ndjson:3",
            RuleId(A_RULE_ID),
            Priority.CRITICAL,
        )
        assert (other.content.description, other.content.tags) == ("", ("a",))

    def test_compressed_lines_are_read_alike(self):
        Path("rules.ndjson.gz").write_bytes(gzip.compress(b'{"name":"one rule","dslContent":"x"}'))

        assert [rule.content.name for rule in read_rules(Path("rules.ndjson.gz"))] == ["one rule"]

    def test_lines_that_cannot_be_unpacked_are_a_problem(self):
        Path("rules.ndjson.gz").write_bytes(b"not packed")

        assert places(Path("rules.ndjson.gz")) == ["rules.ndjson.gz:1:1 unreadable"]

    @pytest.mark.parametrize(
        ("line", "place"),
        [
            ('{"name": "one rule", "dslContent": ""}', "1:22 dsl-empty"),
            ('{"name": "one rule"}', "1:1 missing-field"),
            ('{"dslContent": "x"}', "1:1 missing-field"),
            ('{"name": "ö", "dslContent": "x", "prio": 1}', "1:34 unknown-field"),
            ('{"name": "one rule", "dslContent": 3}', "1:22 wrong-type"),
            ('{"name": "öne" "dslContent": "x"}', "1:16 not-json"),
            ("[1]", "1:1 not-an-object"),
            ("", "1:1 no-rules"),
        ],
    )
    def test_a_problem_is_at_its_line_and_field(self, line, place):
        assert f"rules.ndjson:{place}" in places(write_lines(line))

    def test_a_line_that_is_too_long_or_no_text_is_a_problem_beside_the_others(self):
        good = b'{"name":"one rule","dslContent":"x"}'
        Path("rules.ndjson").write_bytes(b"x" * (1024 * 1024 + 1) + b"\n" + good + b'\n{"name":"\xc3\xa9\xff"}')
        found = inspect_rules(Path("rules.ndjson"))

        assert places(Path("rules.ndjson")) == ["rules.ndjson:1:1 too-large", "rules.ndjson:3:11 not-utf8"]
        assert [source.origin for source in found.sources] == ["rules.ndjson:2"]

    def test_a_problem_of_the_dsl_is_at_the_character_of_the_line_and_shown_in_the_dsl(self):
        line = r'{"name":"one rule","dslContent":"when a == \"\u00e9\ud83d\ude00\"\n  && sizeof(a)"}'
        [found] = inspect_rules(write_lines(line)).problems

        assert (found.line, found.column) == (1, line.index("sizeof") + 1)
        assert found.render() == (
            f"rules.ndjson:1:{found.column} error[unknown-function]: no function `sizeof`\n"
            "  2 |   && sizeof(a)\n"
            "    |      ^^^^^^ did you mean `size`?"
        )

    def test_a_field_named_in_the_dsl_is_not_taken_for_the_field(self):
        line = r'{"name":"one rule","dslContent":"payload[\"priority\"] == 1","priority":"URGENT"}'

        assert places(write_lines(line)) == [f"rules.ndjson:1:{line.rindex('priority')} priority-unknown"]


class TestSets:
    def test_a_name_is_used_once_whatever_the_file(self, folder):
        write(folder, one="x", two='+++\nname = "one"\n+++\nx')

        assert places(folder) == ["rules/two.rule:2:1 duplicate-name"]
        assert inspect_rules(folder).problems[0].problem.hint == "also in rules/one.rule"

    def test_an_id_is_used_once_whatever_the_name(self, folder):
        front = f'+++\nruleId = "{A_RULE_ID}"\n+++\nx'

        assert places(write(folder, one=front, two=front)) == ["rules/two.rule:2:1 duplicate-id"]

    def test_an_id_that_another_rule_has_by_its_name_is_a_duplicate_too(self, folder):
        write(folder, one="x", two=f'+++\nruleId = "{RuleId.for_name("one")}"\n+++\nx')

        assert places(folder) == ["rules/two.rule:2:1 duplicate-id"]

    def test_problems_of_all_files_are_found_before_anything_is_refused(self, folder):
        write(folder, one="sizeof(x)", two="x", three="x >")

        with pytest.raises(InvalidRulesError, match="2 errors in 2 files") as raised:
            read_rules(folder)
        assert [problem.file for problem in raised.value.problems] == ["rules/one.rule", "rules/three.rule"]
        assert raised.value.details["problems"][0] == {
            "severity": "error",
            "code": "unknown-function",
            "message": "no function `sizeof`",
            "file": "rules/one.rule",
            "line": 1,
            "column": 1,
            "endColumn": 7,
            "hint": "did you mean `size`?",
        }

    def test_a_later_rule_whose_path_conflicts_is_a_problem_at_its_dsl(self, folder):
        write(folder, one="then set a.b = 1", two='+++\ntags = ["t"]\n+++\nthen set a = 1', xxx="then set c = 1")
        found = inspect_rules(folder)

        assert places(folder) == ["rules/two.rule:4:1 path-conflict"]
        assert found.problems[0].problem.message == "rules 'two' and 'one' write a path and one below it at a"
        assert [source.content.name for source in found.sources] == ["one", "xxx"]

    def test_set_and_add_on_one_path_conflict_only_where_one_fact_can_meet_both(self, folder):
        write(folder, one="on a\nthen set p = 1", two="on b\nthen add 1 to p", xxx="on *\nthen append 1 to p")

        assert places(folder) == ["rules/xxx.rule:1:1 path-conflict"]

    def test_the_rule_that_closes_a_cycle_is_the_problem(self, folder):
        write(
            folder,
            one="when decision.c == 1 then set a = 1",
            two="when decision.a == 1 then set b = 1",
            xxx="when decision.b == 1 then set c = 1",
            zzz="when decision.b == 1 then set d = 1",
        )

        assert places(folder) == ["rules/xxx.rule:1:1 cycle"]
        assert [source.content.name for source in inspect_rules(folder).sources] == ["one", "two", "zzz"]

    def test_rules_that_read_what_others_write_are_no_problem(self, folder):
        write(folder, one="when decision.b == 1 then set a = 1", two="then set b = 1")

        assert places(folder) == []

    def test_a_warning_is_at_its_place_and_refuses_nothing(self, folder, monkeypatch):
        warning = Problem("some-lint", "look here", 1, 3, severity="warning")
        compiled = replace(compile_rule("x"), warnings=(warning,))
        monkeypatch.setattr("worker.files.compiling.compile_rule", lambda _: compiled)
        write(folder, one='+++\ntags = ["t"]\n+++\nx\n')
        found = inspect_rules(folder)

        assert places(folder) == ["rules/one.rule:4:3 some-lint"]
        assert not found.has_errors
        assert [source.content.name for source in read_rules(folder)] == ["one"]

    def test_active_rules_have_their_own_ids_or_those_of_their_names_at_version_1(self, folder):
        write(folder, one="x", two=f'+++\nruleId = "{A_RULE_ID}"\n+++\nx')
        active = active_rules(read_rules(folder))

        assert [(rule.rule_id, rule.version) for rule in active] == [
            (RuleId.for_name("one"), 1),
            (RuleId(A_RULE_ID), 1),
        ]

    def test_an_offline_ruleset_has_revision_0_and_the_digest_of_its_rules(self, folder):
        sources = read_rules(write(folder, one="x"))
        ruleset = offline_ruleset(sources)
        changed = offline_ruleset(read_rules(write(folder, one="y")))

        assert ruleset.revision == 0
        assert [rule.name for rule in ruleset.rules] == ["one"]
        assert ruleset.digest == offline_ruleset(sources).digest != changed.digest

    @pytest.mark.usefixtures("folder")
    def test_rules_that_share_no_path_in_conflict_are_not_compared_in_pairs(self, monkeypatch):
        """Sets of thousands of rules are real: pair by pair they would take minutes."""
        path = write_lines(*({"name": f"rule {n}", "dslContent": f"then set p{n % 7} = 1"} for n in range(40)))
        compared = []
        monkeypatch.setattr("worker.files.rules.require_no_conflict", lambda *rules: compared.append(rules))

        assert len(read_rules(path)) == 40
        assert compared == []


@pytest.mark.parametrize(("example", "rules"), [("orders", 8), ("flights", 28)])
def test_the_examples_are_well(example, rules):
    found = inspect_rules(ROOT / "examples" / example / "rules")

    assert found.problems == ()
    assert len(found.sources) == rules
