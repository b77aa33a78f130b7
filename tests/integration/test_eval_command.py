"""``rulestream eval`` as it is run: its decisions, its summary, its exit codes."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner, Result

from domain.errors import BusinessError, NotFoundError, RulestreamError, ValidationError
from worker.cli import output
from worker.cli.evaluate import evaluate

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "examples" / "flights"
ORDERS = ROOT / "examples" / "orders"
COMMAND = [sys.executable, "-c", "import typer; from worker.cli.evaluate import evaluate; typer.run(evaluate)"]


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    """The plain-Python witness of the flights, loaded by its path: it belongs to no package."""
    spec = importlib.util.spec_from_file_location("eval_oracle", ROOT / "tests" / "oracle" / "flights.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def decisions_of(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def summary_of(result: Result) -> dict:
    return json.loads(result.stderr.splitlines()[-1])


@pytest.fixture
def rules(tmp_path) -> Path:
    """A folder with one rule, that matches facts with a total over 100 and reads nothing else."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "large.rule").write_text("when total > 100 then set size = 'large'")
    return folder


@pytest.fixture
def facts(tmp_path):
    def write(*lines: str) -> Path:
        path = tmp_path / "facts.ndjson"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


class TestOrders:
    def test_the_decisions_are_those_worked_out_by_hand(self):
        result = run("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson")
        expected = [json.loads(line) for line in (ORDERS / "expected.ndjson").read_text().splitlines()]
        seen = [
            {
                "factId": decision["factId"],
                "outcome": decision["outcome"],
                "output": decision["output"],
                "matches": [
                    {key: match[key] for key in match if key in {"name", "branch", "rows"}}
                    for match in decision["matches"]
                ],
                "effects": [effect["name"] for effect in decision["effects"]],
            }
            for decision in decisions_of(result)
        ]

        assert result.exit_code == 0
        assert seen == [
            {**decision, "effects": [effect["name"] for effect in decision["effects"]]} for decision in expected
        ]

    def test_a_decision_has_the_form_of_the_contract(self):
        decision = decisions_of(run("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson"))[0]

        assert list(decision) == [
            "decisionId",
            "factId",
            "factType",
            "factSeq",
            "factTime",
            "decidedAt",
            "ruleset",
            "outcome",
            "output",
            "matches",
            "effects",
            "faults",
            "faultCount",
        ]
        assert (decision["factType"], decision["factSeq"], decision["factTime"]) == (
            "order.placed",
            1,
            "2026-03-02T08:00:00Z",
        )
        assert decision["ruleset"]["revision"] == 0
        assert decision["effects"] == [{"name": "loyalty.points", "effectId": f"{decision['decisionId']}-1"}]

    def test_the_same_facts_are_decided_the_same_again_but_for_the_time_of_deciding(self):
        one, other = (
            decisions_of(run("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson")) for _ in range(2)
        )

        assert [{**each, "decidedAt": ""} for each in one] == [{**each, "decidedAt": ""} for each in other]


def test_every_flight_is_decided_as_the_oracle_says(oracle, tmp_path):
    facts = [json.loads(line) for line in gzip.decompress((FLIGHTS / "facts.ndjson.gz").read_bytes()).splitlines()]
    with (tmp_path / "decisions.ndjson").open("w+b") as decided:
        done = subprocess.run(
            [*COMMAND, "--rules", FLIGHTS / "rules", "--facts", FLIGHTS / "facts.ndjson.gz", "--json"],
            stdout=decided,
            stderr=subprocess.PIPE,
            check=True,
        )
        decided.seek(0)
        differences = []
        matched = 0
        for fact, line in zip(facts, decided, strict=True):
            decision = json.loads(line)
            wanted = oracle.expected(fact)
            matched += decision["outcome"] == "matched"
            seen = {
                "outcome": decision["outcome"],
                "output": decision["output"],
                "matches": [
                    {key: match[key] for key in match if key not in {"ruleId", "version"}}
                    for match in decision["matches"]
                ],
                "effects": [effect["name"] for effect in decision["effects"]],
            }
            wanted = {**wanted, "effects": [effect["name"] for effect in wanted["effects"]]}
            if json.dumps(seen, sort_keys=True) != json.dumps(wanted, sort_keys=True):
                differences.append((fact["id"], seen, wanted))

    assert not differences, f"{len(differences)} differ, first {differences[0]}"
    summary = json.loads(done.stderr.splitlines()[-1])
    assert summary["facts"] == len(facts) == 27_612
    assert summary["matched"] == matched
    assert (summary["unmatched"], summary["faults"], summary["refused"]) == (len(facts) - matched, 0, 0)
    assert summary["rules"] == 28
    assert summary["factsPerSecond"] == pytest.approx(summary["facts"] / summary["seconds"], rel=0.01)


class TestSummary:
    def test_people_get_a_table_on_standard_error(self, rules, facts):
        result = run("--rules", rules, "--facts", facts('{"total": 101}', '{"total": 1}'), "--type", "t")

        rows = {tuple(row.strip("│ ").split()[::2]) for row in result.stderr.splitlines() if row.startswith("│")}
        assert {("facts", "2"), ("matched", "1"), ("unmatched", "1"), ("rules", "1")} <= rows
        assert [decision["outcome"] for decision in decisions_of(result)] == ["matched", "unmatched"]

    def test_faults_are_counted_and_are_no_failure(self, rules, facts):
        (rules / "bad-sum.rule").write_text("then set x = 1 / zero")
        result = run("--rules", rules, "--facts", facts('{"zero": 0}', '{"zero": 1}'), "--type", "t", "--json")

        assert result.exit_code == 0
        assert summary_of(result)["faults"] == 1
        assert [decision["faultCount"] for decision in decisions_of(result)] == [1, 0]

    def test_facts_without_a_time_are_warned_of_once_and_effective_dates_are_ignored(self, rules, facts):
        (rules / "later.rule").write_text("+++\neffectiveFrom = 2030-01-01T00:00:00Z\n+++\nthen set later = true")
        path = facts('{"type":"t","data":{},"time":"2026-01-01T00:00:00Z"}', '{"total": 1}', '{"total": 2}')
        result = run("--rules", rules, "--facts", path, "--type", "t", "--json")

        assert result.stderr.count("warning") == 1
        assert "facts.ndjson:2: a fact without a time" in result.stderr
        assert [decision["output"] for decision in decisions_of(result)] == [{}, {"later": True}, {"later": True}]

    def test_facts_with_times_are_not_warned_of(self):
        result = run("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson", "--json")

        assert len(result.stderr.splitlines()) == 1


class TestBadInput:
    def test_a_bad_line_is_told_with_its_number_the_others_are_decided_and_the_exit_code_is_1(self, rules, facts):
        path = facts('{"total": 101}', "nope", "[1]", '{"total": 1}')
        result = run("--rules", rules, "--facts", path, "--type", "t", "--json")

        assert result.exit_code == 1
        assert "facts.ndjson:2: NOT_JSON: " in result.stderr
        assert "facts.ndjson:3: NOT_AN_OBJECT: " in result.stderr
        assert [decision["factSeq"] for decision in decisions_of(result)] == [1, 4]
        assert (summary_of(result)["facts"], summary_of(result)["refused"]) == (2, 2)

    def test_a_bare_fact_without_a_type_is_told_how_to_get_one(self, rules, facts):
        result = run("--rules", rules, "--facts", facts('{"total": 101}'))

        assert result.exit_code == 1
        assert "facts.ndjson:1: NO_TYPE" in result.stderr
        assert "--type" in result.stderr

    def test_every_problem_of_the_rules_is_printed_before_any_fact_is_read(self, rules, facts):
        (rules / "two.rule").write_text("when sizeof(x) then set a = nope(1)")
        (rules / "large.rule").write_text("when total >")
        result = run("--rules", rules, "--facts", facts("not even JSON"))

        assert result.exit_code == 1
        assert result.stdout == ""
        assert f"{rules}/large.rule:1:13 error[syntax]" in result.stderr
        assert f"{rules}/two.rule:1:6 error[unknown-function]: no function `sizeof`\n  1 | when" in result.stderr
        assert f"{rules}/two.rule:1:29 error[unknown-function]" in result.stderr
        assert result.stderr.endswith("error[VALIDATION_ERROR]: 3 errors in 2 files\n")

    def test_programs_get_the_problems_of_the_rules_as_json(self, rules, facts):
        (rules / "large.rule").write_text("when sizeof(x)")
        result = run("--rules", rules, "--facts", facts("{}"), "--json")

        error = summary_of(result)["error"]
        assert (result.exit_code, error["code"]) == (1, "VALIDATION_ERROR")
        assert [(problem["code"], problem["line"]) for problem in error["details"]["problems"]] == [
            ("unknown-function", 1)
        ]

    def test_what_a_file_holds_cannot_steer_the_terminal(self, rules, facts):
        (rules / "steer.rule").write_text('+++\n"\\u001b[31mred" = 1\n+++\nx')
        result = run("--rules", rules, "--facts", facts("{}"))

        assert "unknown field `\N{REPLACEMENT CHARACTER}[31mred`" in result.stderr
        assert "\x1b" not in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--rules", ORDERS / "none", "--facts", ORDERS / "facts.ndjson"],
            ["--rules", ORDERS / "rules", "--facts", ORDERS / "none"],
            ["--rules", ORDERS / "rules", "--facts", ORDERS],
            ["--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson", "--type", "a b"],
            ["--rules", ORDERS / "rules"],
        ],
        ids=["no rules", "no facts", "a folder as facts", "no fact type", "facts not named"],
    )
    def test_wrong_usage_is_exit_code_2_with_the_reason(self, arguments):
        result = run(*arguments)

        assert result.exit_code == 2
        assert "Invalid value for" in result.stderr or "Missing option" in result.stderr


class TestErrors:
    """Errors of any command, as ``worker.cli.output`` prints them."""

    def printed(self, capsys, error: RulestreamError, **how: bool) -> str:
        with pytest.raises(typer.Exit) as ended:
            output.exit_with(error, **how)
        assert ended.value.exit_code == 1
        return capsys.readouterr().err

    def test_an_error_is_printed_with_its_code_and_message(self, capsys):
        error = BusinessError("rule name already exists")

        assert self.printed(capsys, error) == "error[BUSINESS_ERROR]: rule name already exists\n"

    def test_problems_of_fields_and_of_the_dsl_come_before_it(self, capsys):
        problems = [
            {"code": "name-empty", "field": "name", "message": "rule name cannot be empty", "hint": None},
            {"severity": "warning", "code": "w", "message": "m", "line": 2, "column": 3, "hint": "try"},
        ]
        error = ValidationError("rule name cannot be empty", problems=problems)

        assert self.printed(capsys, error).splitlines() == [
            "error[name-empty]: rule name cannot be empty",
            "2:3 warning[w]: m",
            "  try",
            "error[VALIDATION_ERROR]: rule name cannot be empty",
        ]

    def test_programs_get_code_message_and_details(self, capsys):
        printed = self.printed(capsys, NotFoundError("no such rule", ruleId="x" * 300), as_json=True)

        assert json.loads(printed) == {
            "error": {"code": "NOT_FOUND", "message": "no such rule", "details": {"ruleId": "x" * 300}}
        }


class TestStreams:
    def test_facts_may_come_from_standard_input(self, rules):
        result = run("--rules", rules, "--facts", "-", "--type", "t", stdin=b'{"total": 101}\n{"total": 1}\n')

        assert [decision["factId"] for decision in decisions_of(result)] == ["stdin:1", "stdin:2"]

    def test_a_decision_on_a_live_stream_does_not_wait_for_the_next_fact(self, rules):
        command = [*COMMAND, "--rules", rules, "--facts", "-", "--type", "t"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as process:
            process.stdin.write(b'{"total": 101}\n')
            decision = json.loads(process.stdout.readline())
            process.stdin.close()
            process.wait(60)

        assert decision["outcome"] == "matched"

    def test_whoever_reads_only_the_first_decisions_meets_no_complaint(self):
        command = [*COMMAND, "--rules", FLIGHTS / "rules", "--facts", FLIGHTS / "facts.ndjson.gz"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            first = json.loads(process.stdout.readline())
            process.stdout.close()
            complaints = process.stderr.read()
            code = process.wait(60)

        assert first["factSeq"] == 1
        assert (code, complaints) == (0, b"")


class TestProgress:
    def on_a_terminal(self, *arguments: object, stdout: int | None, program: str) -> str:
        """Run with standard error on a terminal, and return what the terminal shows."""
        terminal, end = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", program, *[str(argument) for argument in arguments]],
            stdout=end if stdout is None else stdout,
            stderr=end,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        ) as process:
            os.close(end)
            shown = b""
            until = time.monotonic() + 60
            while time.monotonic() < until and select.select([terminal], [], [], 60)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:  # the other end is closed: the program has ended
                    break
            process.wait(60)
        os.close(terminal)
        return shown.decode()

    def command(self, after_s: float) -> str:
        return (
            "import typer; from worker.cli import output; from worker.cli.evaluate import evaluate; "
            f"output.PROGRESS_AFTER_S = {after_s}; typer.run(evaluate)"
        )

    def test_a_bar_is_shown_on_a_terminal_once_it_takes_long(self):
        flights = ("--rules", FLIGHTS / "rules", "--facts", FLIGHTS / "facts.ndjson.gz")
        shown = self.on_a_terminal(*flights, stdout=subprocess.DEVNULL, program=self.command(0.0))

        assert "deciding" in shown
        assert "/27612" in shown

    def test_no_bar_is_shown_before_it_takes_long(self):
        orders = ("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson")

        assert "deciding" not in self.on_a_terminal(*orders, stdout=subprocess.DEVNULL, program=self.command(3600.0))

    def test_no_bar_is_mixed_with_decisions_on_one_terminal(self):
        orders = ("--rules", ORDERS / "rules", "--facts", ORDERS / "facts.ndjson")
        shown = self.on_a_terminal(*orders, stdout=None, program=self.command(0.0))

        assert shown.count("decisionId") == 12
        assert "deciding" not in shown

    def test_no_bar_is_shown_where_standard_error_is_no_terminal(self, monkeypatch, rules, facts):
        monkeypatch.setattr(output, "PROGRESS_AFTER_S", 0.0)
        monkeypatch.setenv("FORCE_COLOR", "1")
        result = run("--rules", rules, "--facts", facts('{"total": 1}'), "--type", "t")

        assert "deciding" not in result.stderr


class TestExplain:
    """What a business user sees of why rules applied to a fact, or did not."""

    @pytest.fixture
    def shop(self, tmp_path) -> Path:
        """Rules that chain, stop, fail, are for other facts, or are not yet in force."""
        folder = tmp_path / "shop"
        folder.mkdir()
        (folder / "vip.rule").write_text('when tier == "VIP" && total >= 100.0 then set discount = 15')
        (folder / "big-discount.rule").write_text("when decision.discount > 10 then append 'big' to notes")
        (folder / "ratio.rule").write_text("then set ratio = total / parts")
        (folder / "returns.rule").write_text("on order.returned\nthen set refund = total")
        (folder / "later.rule").write_text("+++\neffectiveFrom = 2030-01-01T00:00:00Z\n+++\nthen set later = true")
        return folder

    FACT = '{"type":"order.placed","time":"2026-01-01T00:00:00Z","data":{"tier":"GOLD","total":250,"parts":0}}'

    def test_a_decision_is_followed_by_why_each_rule_applied_or_did_not(self, shop, facts):
        result = run("--rules", shop, "--facts", facts(self.FACT), "--explain")
        decision, _, text = result.stdout.partition("\n")

        assert json.loads(decision)["outcome"] == "unmatched"
        assert text == (
            "  ratio (version 1, MEDIUM): fault (line 1, column 24: division by zero)\n"
            "    then: true\n"
            "  big-discount (version 1, MEDIUM): not applied (missing: decision.discount)\n"
            "    decision.discount > 10: missing\n"
            "      decision.discount: missing\n"
            "  later (version 1, MEDIUM): not effective (the rule decides from 2030-01-01T00:00:00Z on)\n"
            "  vip (version 1, MEDIUM): not applied (the condition is false)\n"
            '    tier == "VIP" && total >= 100.0: false\n'
            '      tier == "VIP": false\n'
            '        tier: "GOLD"\n'
            "      total >= 100.0: not evaluated\n"
            "        total: not evaluated\n"
            "\n"
        )

    def test_some_rules_are_explained_whatever_they_are_for(self, shop, facts):
        result = run("--rules", shop, "--facts", facts(self.FACT), "--explain", "--rule", "returns", "--rule", "later")

        assert result.stdout.splitlines()[1:] == [
            "  later (version 1, MEDIUM): not effective (the rule decides from 2030-01-01T00:00:00Z on)",
            "  returns (version 1, MEDIUM): not concerned (the rule is for order.returned)",
            "",
        ]

    def test_as_json_each_line_is_a_decision_with_its_explanations(self, shop, facts):
        path = facts(self.FACT, self.FACT.replace("GOLD", "VIP"))
        plain = decisions_of(run("--rules", shop, "--facts", path))
        explained = decisions_of(run("--rules", shop, "--facts", path, "--explain", "--json"))

        assert [list(one)[-1] for one in explained] == ["explanations"] * 2
        for one, other in zip(explained, plain, strict=True):
            explanations = one.pop("explanations")
            assert {**one, "decidedAt": ""} == {**other, "decidedAt": ""}
            assert [item["name"] for item in explanations if item["status"] == "then"] == [
                match["name"] for match in one["matches"]
            ]
        vip = next(item for item in explanations if item["name"] == "vip")
        assert vip["tree"]["children"][0] == {
            "text": 'tier == "VIP"',
            "line": 1,
            "column": 11,
            "status": "true",
            "children": [{"text": "tier", "line": 1, "column": 6, "status": "value", "value": "VIP"}],
        }

    def test_a_table_tells_its_rows(self, tmp_path, facts):
        file = tmp_path / "risk.rule"
        file.write_text("table collect\n| total | set x |\n| > 1 | 1 |\n| > 9 | 2 |\n| > 2 | 3 |")
        result = run("--rules", file, "--facts", facts('{"total": 5}'), "--type", "t", "--explain")

        assert "  risk (version 1, MEDIUM): then, rows 1, 3\n" in result.stdout

    def test_what_is_in_a_fact_cannot_reach_the_terminal_as_control_characters(self, rules, facts):
        (rules / "seen.rule").write_text("when name != 'x' then set a = 1")
        result = run("--rules", rules, "--facts", facts('{"name": "a\\u001b[31m\\u009b"}'), "--type", "t", "--explain")

        assert "name: " in result.stdout
        assert "\x1b" not in result.stdout
        assert "\x9b" not in "".join(result.stdout.splitlines()[1:])

    def test_without_explain_nothing_is_explained(self, shop, facts):
        result = run("--rules", shop, "--facts", facts(self.FACT), "--rule", "vip")

        assert result.exit_code == 2
        assert "goes with --explain" in result.stderr

    def test_a_rule_that_is_not_there_is_wrong_usage(self, shop, facts):
        result = run("--rules", shop, "--facts", facts(self.FACT), "--explain", "--rule", "vip", "--rule", "nobody")

        assert result.exit_code == 2
        assert "no rule is called 'nobody'" in result.stderr
