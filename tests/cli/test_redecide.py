"""``rulestream redecide`` on real servers: what is equal, what was changed by hand, and what is gone."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import asyncpg
import msgspec
import pytest

from domain.decisions.fact import Fact
from domain.errors import UnavailableError
from streams.facts.reader import StreamFacts
from tests.cli.conftest import Line
from tests.cli.test_stream_commands import in_force
from tests.servers.operations import run_apart
from worker.release import this_release

VIP = 'on order.placed when total >= 2 then set discount.percent = 15 emit loyalty.points {"points": total}'
FACTS = "".join(
    json.dumps({"id": f"order-{number}", "type": "order.placed", "data": {"total": number}}) + "\n"
    for number in range(4)
)
REPLACE = "UPDATE decision SET body = convert_to(replace(convert_from(body, 'UTF8'), $2, $3), 'UTF8') WHERE key = $1"
SINCE = "2020-01-01T00:00:00Z"


def change(at_servers: dict[str, str], statement: str, *values: Any) -> None:
    """Change by hand what is stored."""

    async def work() -> None:
        connection = await asyncpg.connect(at_servers["POSTGRES_DSN"])
        try:
            changed = await connection.execute(statement, *values)
            assert not changed.endswith(" 0"), "nothing was changed"
        finally:
            await connection.close()

    run_apart(work())


def purge(at_servers: dict[str, str]) -> None:
    async def work() -> None:
        import nats

        client = await nats.connect(at_servers["NATS_URL"])
        await client.jetstream().purge_stream("FACTS")
        await client.close()

    run_apart(work())


def activate(line: Line, name: str, dsl: str) -> None:
    line.run("rule", "create", "--actor", "ann", "--name", name, "--dsl", dsl)
    line.run("rule", "submit", name, "--actor", "ann")
    line.run("rule", "approve", name, "--actor", "bob")
    line.run("rule", "activate", name, "--actor", "bob")


@pytest.fixture
def decided(line: Line, a_worker: None) -> dict[str, dict[str, Any]]:
    """Let a rule decide four facts, and give their decisions by their facts' ids."""
    activate(line, "large orders", VIP)
    in_force(line)
    line.run("fact", "send", "-", given=FACTS)
    found = line.json_lines(
        ["decision", "tail", "--from-start", "--type", "order.placed", "--count", "4"],
    )
    return {decision["factId"]: decision for decision in found}


def redecided(line: Line, *words: str, code: int = 0) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give what is told of each decision, and the summary."""
    *found, summary = [
        msgspec.json.decode(text) for text in line.run("redecide", *words, "--json", code=code).stdout.splitlines()
    ]
    counts = {status: summary[status] for status in ("equal", "different", "expired", "failed")}
    assert counts == {status: sum(one["status"] == status for one in found) for status in counts}
    assert summary["decisions"] == len(found)
    assert summary["isComplete"] is True
    return found, counts


class TestRedecide:
    def test_decisions_come_out_as_they_are_stored(self, line: Line, decided: dict[str, dict[str, Any]]) -> None:
        ids = [decision["decisionId"] for decision in decided.values()]
        found, counts = redecided(line, *ids)
        assert found == [{"decisionId": key, "status": "equal", "differences": []} for key in ids]
        assert counts["equal"] == 4
        shown = line.run("redecide", ids[0]).stdout.splitlines()
        assert shown[0] == f"equal: {ids[0]} of order.placed order-0, ruleset 1"
        assert re.fullmatch(
            r"1 decision: 1 equal, 0 different, 0 expired, 0 failed; [\d.]+ s, [\d,]+ a second", shown[1]
        )

    def test_every_decision_since_a_time_is_made_again_oldest_first(
        self, line: Line, decided: dict[str, dict[str, Any]]
    ) -> None:
        found, _ = redecided(line, "--since", SINCE, "--type", "order.*")
        in_order = sorted(decided.values(), key=lambda one: one["factSeq"])
        assert [one["decisionId"] for one in found] == [one["decisionId"] for one in in_order]
        everything, _ = redecided(line, "--since", SINCE)
        assert len(everything) > len(found), "probes were decided too"
        chosen, _ = redecided(line, "--since", in_order[1]["factTime"], "--until", in_order[3]["factTime"])
        assert [one["decisionId"] for one in chosen] == [one["decisionId"] for one in in_order[1:3]]
        assert len(redecided(line, "--since", SINCE, "--limit", "3")[0]) == 3
        assert redecided(line, "--since", "2999-01-01T00:00:00Z")[0] == []
        (summary,) = line.run("redecide", "--since", SINCE).stdout.splitlines()
        assert summary.startswith(f"{len(everything)} decisions: {len(everything)} equal, 0 different")

    def test_a_stored_decision_that_was_changed_by_hand_is_told_with_both_values(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        key = decided["order-3"]["decisionId"]
        change(
            at_servers,
            REPLACE,
            bytes.fromhex(key),
            '"percent":15',
            '"percent":16',
        )
        ids = [decision["decisionId"] for decision in decided.values()]
        found, counts = redecided(line, *ids, code=1)
        assert counts == {"equal": 3, "different": 1, "expired": 0, "failed": 0}
        (changed,) = [one for one in found if one["status"] == "different"]
        assert changed == {
            "decisionId": key,
            "status": "different",
            "differences": [
                {"path": "$.output.discount.percent", "stored": 16, "again": 15},
                {"path": "$.matches[0].output.discount.percent", "stored": 16, "again": 15},
            ],
        }
        result = line.run("redecide", "--since", SINCE, "--type", "order.placed", code=1)
        assert result.stdout.startswith(f"different: {key} of order.placed order-3, ruleset 1\n")
        assert re.search(r"\$\.output\.discount\.percent +│ 16 +│ 15 ", result.stdout)
        assert "equal:" not in result.stdout
        assert "4 decisions: 3 equal, 1 different" in result.stdout
        assert f"made again by {this_release()}\n" in result.stderr
        assert "workers of no other release have decided facts here\n" in result.stderr

    def test_an_effect_and_a_column_that_were_changed_are_told(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        key = decided["order-2"]["decisionId"]
        effects = msgspec.msgpack.encode([["loyalty.points", f"{key}-1", b'{"points":9}']])
        change(at_servers, "UPDATE decision SET effects = $2 WHERE key = $1", bytes.fromhex(key), effects)
        (found,), _ = redecided(line, key, code=1)
        assert found["differences"] == [{"path": "$.effects[0].payload.points", "stored": 9, "again": 2}]
        change(at_servers, "UPDATE decision SET matched = false, effects = NULL WHERE key = $1", bytes.fromhex(key))
        (found,), _ = redecided(line, key, code=1)
        effect = {"name": "loyalty.points", "effectId": f"{key}-1", "payload": {"points": 2}}
        assert found["differences"] == [
            {"path": "$.effects[0]", "again": effect},
            {"path": "row.matched", "stored": False, "again": True},
        ]

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            (
                "UPDATE rule_version SET dsl_content = replace(dsl_content, '15', '16')",
                "is not the content that decided",
            ),
            ("DELETE FROM rule_version", "is gone"),
            ("UPDATE ruleset_member SET until_revision = 1", "its 0 rules have the digest"),
            ("UPDATE ruleset_member SET content_digest = sha256(content_digest)", "is not the content that decided"),
        ],
    )
    def test_a_ruleset_that_was_changed_is_not_taken_for_the_one_that_decided(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]], statement: str, reason: str
    ) -> None:
        change(at_servers, statement)
        key = decided["order-2"]["decisionId"]
        (found,), counts = redecided(line, key, code=1)
        assert counts["failed"] == 1
        assert (found["status"], found["error"]["code"]) == ("failed", "RULESET_LOST")
        assert reason in found["error"]["message"]
        shown = line.run("redecide", key, code=1).stdout
        assert f"failed: {key} of order.placed order-2, ruleset 1: error[RULESET_LOST]: " in shown

    @pytest.mark.parametrize(("column", "value"), [("body", b"{}"), ("effects", b"\xc1")])
    def test_what_is_no_decision_any_more_is_told(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]], column: str, value: bytes
    ) -> None:
        key = decided["order-2"]["decisionId"]
        change(at_servers, f"UPDATE decision SET {column} = $2 WHERE key = $1", bytes.fromhex(key), value)
        (found,), _ = redecided(line, key, code=1)
        assert found["error"]["code"] == "RECORD_BROKEN"
        found_all, counts = redecided(line, "--since", SINCE, "--type", "order.placed", code=1)
        assert (counts["equal"], counts["failed"]) == (3, 1)
        assert [one["decisionId"] for one in found_all if one["status"] == "failed"] == [key]

    def test_a_fact_that_its_stream_lost_is_told_as_expired(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        purge(at_servers)
        decision = decided["order-2"]
        (found,), counts = redecided(line, decision["decisionId"], code=1)
        assert counts["expired"] == 1
        assert found == {
            "decisionId": decision["decisionId"],
            "status": "expired",
            "differences": [],
            "error": {
                "code": "FACT_EXPIRED",
                "message": "the fact is no longer in its stream, and was not stored with the decision",
                "details": {"factId": "order-2", "factSeq": decision["factSeq"]},
            },
        }
        result = line.run("redecide", decision["decisionId"], code=1)
        assert "error[FACT_EXPIRED]: the fact is no longer in its stream" in result.stdout
        assert "RULESTREAM_STORE_FACTS" in result.stderr

    def test_many_differences_are_counted_and_the_first_are_told(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        key = decided["order-0"]["decisionId"]
        output = json.dumps({f"n{number}": number for number in range(150)})
        change(
            at_servers,
            REPLACE,
            bytes.fromhex(key),
            '"output":{}',
            f'"output":{output}',
        )
        (found,), _ = redecided(line, key, code=1)
        assert (len(found["differences"]), found["differenceCount"]) == (100, 150)
        assert found["differences"][99] == {"path": "$.output.n99", "stored": 99}
        assert "… 50 more" in line.run("redecide", key, code=1).stdout

    def test_other_releases_that_may_have_made_what_differs_are_told(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        change(
            at_servers,
            "INSERT INTO release VALUES ('0.0.9', 'abc', 'Python 3.11.0', '2025-01-01Z', '2025-06-01T12:00:00Z')",
        )
        key = decided["order-2"]["decisionId"]
        *_, summary = [msgspec.json.decode(text) for text in line.run("redecide", key, "--json").stdout.splitlines()]
        assert summary["release"] == asdict(this_release())
        assert summary["releases"][0] == {
            "version": "0.0.9",
            "code": "abc",
            "libraries": "Python 3.11.0",
            "firstStartedAt": "2025-01-01T00:00:00Z",
            "lastStartedAt": "2025-06-01T12:00:00Z",
        }
        assert [one["code"] for one in summary["releases"]] == ["abc", this_release().code]
        assert line.run("redecide", key).stderr == ""
        change(at_servers, "UPDATE decision SET matched = false WHERE key = $1", bytes.fromhex(key))
        assert (
            "workers have decided facts here by rulestream 0.0.9 (code abc, Python 3.11.0),"
            " started from 2025-01-01T00:00:00Z to 2025-06-01T12:00:00Z\n"
        ) in line.run("redecide", key, code=1).stderr

    def test_the_database_and_the_streams_are_left_as_they_are(
        self, line: Line, at_servers: dict[str, str], decided: dict[str, dict[str, Any]]
    ) -> None:
        before = run_apart(everything(at_servers))
        redecided(line, "--since", SINCE)
        redecided(line, decided["order-2"]["decisionId"])
        assert run_apart(everything(at_servers)) == before

    def test_what_was_told_before_a_service_went_away_stands(
        self, line: Line, monkeypatch: pytest.MonkeyPatch, decided: dict[str, dict[str, Any]]
    ) -> None:
        find, asked = StreamFacts.find, []

        async def found_once(self: StreamFacts, sequence: int, stored_at_ns: int) -> Fact | None:
            asked.append(sequence)
            if len(asked) % 2 == 0:
                raise UnavailableError("nats", "not connected to NATS")
            return await find(self, sequence, stored_at_ns)

        monkeypatch.setattr(StreamFacts, "find", found_once)
        ids = [decision["decisionId"] for decision in decided.values()]
        result = line.run("redecide", *ids, "--json", code=1)
        first, summary = map(msgspec.json.decode, result.stdout.splitlines())
        assert (first["decisionId"], first["status"]) == (ids[0], "equal")
        assert (summary["decisions"], summary["equal"], summary["isComplete"]) == (1, 1, False)
        assert "error[UNAVAILABLE]: not connected to NATS" in result.stderr
        assert "ended early: 1 decision: 1 equal, " in line.run("redecide", *ids, code=1).stdout

    def test_an_id_without_a_decision_is_told(self, line: Line, decided: dict[str, dict[str, Any]]) -> None:
        found, _ = redecided(line, "0" * 32, decided["order-0"]["decisionId"], code=1)
        assert [one["status"] for one in found] == ["failed", "equal"]
        assert found[0]["error"]["code"] == "NOT_FOUND"


async def everything(at_servers: dict[str, str]) -> list[Any]:
    """Give every row of the tables and every stream's state, with its consumers'."""
    import nats

    connection = await asyncpg.connect(at_servers["POSTGRES_DSN"])
    tables = ("decision", "fact_key", "rule", "rule_version", "ruleset", "ruleset_member", "outbox", "command_log")
    found: list[Any] = [sorted(map(repr, await connection.fetch(f"SELECT * FROM {table}"))) for table in tables]
    await connection.close()
    client = await nats.connect(at_servers["NATS_URL"])
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        state = stream.state
        consumers = [one.name for one in await jetstream.consumers_info(str(stream.config.name))]
        found.append((stream.config.name, state.messages, state.last_seq, sorted(consumers)))
    await client.close()
    return found


class TestUsage:
    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["xyz"],
            ["0" * 31],
            ["0" * 32, "--since", SINCE],
            ["0" * 32, "--until", SINCE],
            ["0" * 32, "--type", "order.*"],
            ["0" * 32, "--limit", "1"],
            ["--until", SINCE],
            ["--since", "yesterday"],
            ["--since", "2026-01-01T00:00:00"],
            ["--since", SINCE, "--until", "tomorrow"],
            ["--since", SINCE, "--limit", "0"],
            ["--since", SINCE, "--type", "a b"],
        ],
    )
    def test_what_cannot_be_meant_is_wrong_usage(self, line: Line, words: list[str]) -> None:
        """No server is asked: none is there."""
        assert line.run("redecide", *words, code=2).stdout == ""

    @pytest.mark.usefixtures("at_servers")
    @pytest.mark.parametrize(("name", "url"), [("NATS_URL", "nats"), ("POSTGRES_DSN", "postgresql")])
    def test_a_server_that_does_not_answer_is_named(
        self, line: Line, monkeypatch: pytest.MonkeyPatch, name: str, url: str
    ) -> None:
        monkeypatch.setenv(f"RULESTREAM_{name}", f"{url}://user:secret@127.0.0.1:1/x")
        error = line.run("redecide", "0" * 32, code=1).stderr
        assert "error[UNAVAILABLE]" in error
        assert "127.0.0.1:1" in error
        assert "secret" not in error

    @pytest.mark.usefixtures("at_servers")
    def test_a_database_at_another_version_is_refused(self, line: Line) -> None:
        line.run("migrate", "down")
        error = line.run("redecide", "0" * 32, code=1).stderr
        assert "redecide needs version" in error
        assert "rulestream migrate up" in error
