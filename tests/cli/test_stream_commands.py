"""``rulestream fact``, ``decision``, ``migrate`` and ``topology`` on real servers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Line
from tests.servers.operations import run_apart
from worker.migrations.newest import REQUIRED_VERSION, SCHEMA_VERSION
from worker.migrations.runner import downgrade

FACTS = [
    {"id": f"order-{number}", "type": "order.placed", "time": "2026-03-01T12:00:00Z", "data": {"total": number}}
    for number in range(3)
]
NDJSON = "".join(json.dumps(fact) + "\n" for fact in FACTS)
MIGRATIONS = [f"{number:04d}" for number in range(1, int(SCHEMA_VERSION) + 1)]
NEWEST = MIGRATIONS[-1]


@pytest.mark.usefixtures("a_worker")
class TestFactsAndDecisions:
    def test_a_files_facts_are_stored_and_decided(self, line: Line, tmp_path: Path) -> None:
        file = tmp_path / "facts.ndjson"
        file.write_text(NDJSON)
        sent = line.json("fact", "send", str(file))
        assert (sent["facts"], sent["refused"]) == (3, 0)
        decisions = line.json_lines(["decision", "tail", "--from-start", "--count", "3"])
        assert {decision["factId"] for decision in decisions} == {fact["id"] for fact in FACTS}
        assert {decision["factTime"] for decision in decisions} == {"2026-03-01T12:00:00Z"}

        one = decisions[0]
        assert line.json("decision", "get", one["decisionId"]) == one
        assert line.json("decision", "get", one["factId"]) == one
        assert one["decisionId"] in line.run("decision", "get", one["factId"]).stdout

    def test_a_compressed_file_is_read_too(self, line: Line, tmp_path: Path) -> None:
        file = tmp_path / "facts.ndjson.gz"
        file.write_bytes(gzip.compress(NDJSON.encode()))
        assert "3 facts stored" in line.run("fact", "send", str(file)).stdout

    def test_facts_come_from_standard_input_with_a_type_of_the_caller(self, line: Line) -> None:
        assert line.json("fact", "send", "-", "--type", "order.paid", given='{"a":1}\n{"a":2}\n')["facts"] == 2
        shown = line.run("decision", "tail", "--from-start", "--count", "2", "--type", "order.paid").stdout
        assert shown.count("order.paid FACTS:") == 2
        assert shown.count("unmatched") == 2

    def test_facts_are_sent_at_a_pace(self, line: Line) -> None:
        assert line.json("fact", "send", "-", "--rate", "1000", given=NDJSON)["facts"] == 3
        line.run("fact", "send", "-", "--rate", "0", code=2, given=NDJSON)

    def test_lines_that_are_no_facts_are_said_and_the_others_sent(self, line: Line) -> None:
        result = line.run("fact", "send", "-", "--json", code=1, given=NDJSON + "[1]\n{}\n")
        assert json.loads(result.stdout)["facts"] == 3
        assert json.loads(result.stdout)["refused"] == 2
        assert "line 4: NOT_AN_OBJECT" in result.stderr
        assert "line 5: NO_TYPE" in result.stderr

    def test_only_matched_decisions_are_followed_when_asked_for(self, line: Line) -> None:
        rule = ["--name", "large orders", "--dsl", "when total >= 2 then set large = true"]
        line.run("rule", "create", "--actor", "ann", *rule)
        line.run("rule", "submit", "large orders", "--actor", "ann")
        line.run("rule", "approve", "large orders", "--actor", "bob")
        line.run("rule", "activate", "large orders", "--actor", "bob")
        in_force(line)
        line.run("fact", "send", "-", given=NDJSON)
        tail = ["decision", "tail", "--from-start", "--only", "matched", "--type", "order.placed", "--count", "1"]
        (matched,) = line.json_lines(tail)
        assert (matched["factId"], matched["output"]) == ("order-2", {"large": True})
        assert "large orders" in line.run(*tail).stdout

    def test_decisions_are_listed_newest_first_and_by_criteria(self, line: Line) -> None:
        line.run("fact", "send", "-", given=NDJSON)
        line.json_lines(["decision", "tail", "--from-start", "--count", "3"])
        ids = [decision["factId"] for decision in line.json_lines(["decision", "list"])]
        assert sorted(ids) == sorted(fact["id"] for fact in FACTS)
        assert [one["factId"] for one in line.json_lines(["decision", "list", "--limit", "2"])] == ids[:2]
        assert [one["factId"] for one in line.json_lines(["decision", "list", "--fact", ids[2]])] == [ids[2]]
        shown = line.run("decision", "list", "--type", "order.*", "--outcome", "unmatched").stdout
        assert shown.count("order.placed order-") == 3
        assert line.run("decision", "list", "--until", "2020-01-01T00:00:00Z").stdout == ""
        assert "error[VALIDATION_ERROR]: since: " in line.run("decision", "list", "--since", "now", code=1).stderr
        for wrong in (["--type", "a*"], ["--type", ">.a"], ["--outcome", "maybe"], ["--limit", "0"]):
            line.run("decision", "list", *wrong, code=2)

    def test_a_decision_that_is_not_there_is_said(self, line: Line) -> None:
        assert "error[NOT_FOUND]" in line.run("decision", "get", "never", code=1).stderr


def in_force(line: Line, revision: int = 1) -> None:
    """Send probes until one is decided under a revision: activation is in force a moment later."""
    for number in range(1, 500):
        line.run("fact", "send", "-", "--type", "probe", given="{}\n")
        seen = line.json_lines(["decision", "tail", "--from-start", "--type", "probe", "--count", str(number)])
        if seen[-1]["ruleset"]["revision"] == revision:
            return
    raise AssertionError("the rule was never in force")


class TestMigrate:
    def test_a_database_goes_up_and_down_and_says_where_it_is(self, line: Line, at_servers: dict[str, str]) -> None:
        run_apart(downgrade(at_servers["POSTGRES_DSN"], "base"))
        empty = line.json("migrate", "status")
        assert (empty["current"], empty["newest"]) == (None, NEWEST)
        assert [pending["version"] for pending in empty["pending"]] == MIGRATIONS
        shown = line.run("migrate", "status").stdout
        assert f"database: empty, newest: {NEWEST}" in shown
        assert all(f"): {name} " in shown for name in MIGRATIONS)

        done = line.json("migrate", "up")
        assert done == {"current": NEWEST, "newest": NEWEST, "lowestWorker": done["lowestWorker"], "pending": []}
        assert done["lowestWorker"] <= NEWEST
        assert line.json("migrate", "up")["current"] == NEWEST, "again changes nothing"
        assert line.json("migrate", "down")["current"] == MIGRATIONS[-2]
        line.run("migrate", "up", "head")
        assert line.json("migrate", "down", "base")["pending"] == empty["pending"]

    def test_each_phase_is_applied_by_itself(self, line: Line, at_servers: dict[str, str]) -> None:
        """On an empty database the additions are everything but the last removals."""
        run_apart(downgrade(at_servers["POSTGRES_DSN"], "base"))
        assert [one["phase"] for one in line.json("migrate", "status")["pending"]].count("post") >= 1
        added = line.json("migrate", "up", "--phase", "pre")
        assert added["current"] == REQUIRED_VERSION
        assert all(one["phase"] == "post" for one in added["pending"])
        assert line.json("migrate", "up", "--phase", "post")["pending"] == []
        shown = line.run("migrate", "status").stdout
        assert f"workers that run on it: written for {added['lowestWorker']} or newer" in shown

    def test_a_phase_with_a_version_is_wrong_usage(self, line: Line) -> None:
        assert "a phase leads to its own end" in line.run("migrate", "up", "0003", "--phase", "pre", code=2).stderr
        assert line.run("migrate", "up", "--phase", "later", code=2).stdout == ""


class TestTopology:
    def test_what_is_declared_is_shown_without_a_server(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RULESTREAM_FACTS_STREAM", "ORDERS")
        shown = line.json("topology", "show")
        names = [stream["name"] for stream in shown["streams"]]
        assert names == ["RULES_COMMANDS", "RULES_EVENTS", "ORDERS", "DECISIONS", "EFFECTS", "DEAD_LETTERS"]
        assert [consumer["stream"] for consumer in shown["consumers"]] == ["RULES_COMMANDS", "ORDERS"]
        assert "rulestream-facts" in line.run("topology", "show").stdout

    @pytest.mark.usefixtures("at_servers")
    def test_what_is_missing_is_declared_and_what_differs_is_left_alone(
        self, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missing = line.json("topology", "diff", code=1)["differences"]
        assert "stream FACTS is missing" in missing
        assert "consumer FACTS/rulestream-facts is missing" in missing

        created = line.json("topology", "apply")
        assert len(created["created"]) == len(missing) == 8
        assert line.json("topology", "diff") == {"differences": []}
        assert line.run("topology", "apply").stdout == "streams and consumers are as the settings want them\n"

        monkeypatch.setenv("RULESTREAM_ACK_WAIT_S", "30")
        for command, code in (("apply", 0), ("diff", 1), ("diff", 1)):
            (_, facts) = line.json("topology", command, code=code)["differences"]
            assert facts.startswith("consumer FACTS/rulestream-facts: ack_wait is 60")


@pytest.mark.usefixtures("a_worker")
class TestExplaining:
    @pytest.fixture
    def decided(self, line: Line) -> dict[str, Any]:
        """Let two rules decide, one of which is for other facts, and give a decision."""
        for name, dsl in (
            ("large orders", "on order.placed when total >= 2 then set large = true"),
            ("refunds", "on order.returned then set refund = total"),
        ):
            line.run("rule", "create", "--actor", "ann", "--name", name, "--dsl", dsl)
            line.run("rule", "submit", name, "--actor", "ann")
            line.run("rule", "approve", name, "--actor", "bob")
            line.run("rule", "activate", name, "--actor", "bob")
        in_force(line, revision=2)
        line.run("fact", "send", "-", given=NDJSON)
        (found,) = line.json_lines(
            ["decision", "tail", "--from-start", "--only", "unmatched", "--type", "order.placed", "--count", "1"]
        )
        assert found["factId"] in {"order-0", "order-1"}
        return dict(found)

    def test_people_see_why_a_rule_did_not_apply(self, line: Line, decided: dict[str, Any]) -> None:
        total = int(decided["factId"][-1])
        assert line.run("decision", "explain", decided["decisionId"]).stdout == (
            f"decision {decided['decisionId']} of order.placed {decided['factId']}, ruleset 2\n"
            "large orders (version 1, MEDIUM): not applied (the condition is false)\n"
            "  total >= 2: false\n"
            f"    total: {total}\n"
        )

    def test_a_rule_is_named_by_its_name_or_its_id_and_a_decision_by_its_facts_id(
        self, line: Line, decided: dict[str, Any]
    ) -> None:
        refunds = line.json("rule", "get", "refunds")
        for rule in ("refunds", refunds["ruleId"]):
            shown = line.run("decision", "explain", decided["factId"], "--rule", rule).stdout
            assert shown.splitlines()[1:] == [
                "refunds (version 1, MEDIUM): not concerned (the rule is for order.returned)"
            ]

    def test_programs_get_the_querys_result(self, line: Line, decided: dict[str, Any]) -> None:
        found = line.json("decision", "explain", decided["decisionId"])
        assert [item["status"] for item in found["items"]] == ["not applied"]
        assert found["total"] == 1
        assert found["items"][0]["tree"]["text"] == "total >= 2"

    def test_what_cannot_be_explained_is_said(self, line: Line, decided: dict[str, Any]) -> None:
        assert "error[NOT_FOUND]: no such decision" in line.run("decision", "explain", "never", code=1).stderr
        unknown = line.run("decision", "explain", decided["decisionId"], "--rule", "nobody", code=1)
        assert "error[NOT_FOUND]: no such rule in the ruleset" in unknown.stderr
