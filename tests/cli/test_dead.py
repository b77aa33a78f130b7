"""``rulestream dead`` on real servers: listing, showing and redriving dead letters."""

from __future__ import annotations

import json

import nats
import pytest

from streams.connection import connect
from streams.dead_letters import dead_command_publication
from streams.facts.intake import DeadReason, Delivery, Refused
from streams.facts.outgoing import dead_fact_publication
from streams.wire import BatchPublisher, Publication
from tests.behaviour.bus import Bus, Message
from tests.cli.conftest import Line
from tests.servers.operations import run_apart

STORED_AT_NS = 1_769_860_800_000_000_001
PAYLOAD_MAX = 1024 * 1024
TOO_LARGE = Refused(DeadReason.FACT_TOO_LARGE, "a fact is at most 5 bytes")
NOT_JSON = Refused(DeadReason.NOT_JSON, "JSON is malformed")


def a_fact(number: int, data: bytes, headers: dict[str, str] | None = None, fact_type: str = "order") -> Delivery:
    return Delivery(f"facts.{fact_type}", "", data, headers, "FACTS", number, STORED_AT_NS + number, 1)


LETTERS = [
    dead_fact_publication(a_fact(10, b'{"total": 5}', {"trace": "x"}), TOO_LARGE, PAYLOAD_MAX),
    dead_fact_publication(a_fact(11, b"{not\x1b[2J JSON", None, "flight.late"), NOT_JSON, PAYLOAD_MAX),
    dead_fact_publication(a_fact(12, b"\xff\x00", None), NOT_JSON, PAYLOAD_MAX),
    dead_command_publication("rules.command.ann.create", b"{}", {}, DeadReason.COMMAND_WITHOUT_ID, PAYLOAD_MAX),
    dead_fact_publication(a_fact(14, b'{"a":1}', {"h": "x" * 900}), TOO_LARGE, 1000),
    dead_fact_publication(a_fact(15, b'{"total":15}', {"Nats-Msg-Id": "order-15"}), TOO_LARGE, PAYLOAD_MAX),
]
FACT_LETTERS = [1, 2, 3, 5, 6]
# Words of the list, and the letters that they leave.
CHOSEN: list[tuple[list[str], list[int]]] = [
    (["--facts"], FACT_LETTERS[::-1]),
    (["--commands"], [4]),
    (["--type", "order"], [6, 5, 3, 1]),
    (["--type", "flight.*", "--facts"], [2]),
    (["--reason", "NOT_JSON"], [3, 2]),
    (["--reason", "NOT_JSON", "--reason", "COMMAND_WITHOUT_ID"], [4, 3, 2]),
    (["--limit", "2"], [6, 5]),
    (["--since", "2020-01-01T00:00:00Z", "--limit", "1"], [6]),
    (["--until", "2020-01-01T00:00:00Z"], []),
    (["--since", "2999-01-01T00:00:00Z"], []),
]


@pytest.fixture
def url(line: Line, at_servers: dict[str, str]) -> str:
    """Give a NATS server with the streams and letters one to six."""
    line.run("topology", "apply")
    bury(at_servers["NATS_URL"], LETTERS)
    return at_servers["NATS_URL"]


def bury(url: str, letters: list[Publication]) -> None:
    async def work() -> None:
        client = await connect(url, "test")
        publisher = BatchPublisher(client)
        await publisher.start()
        await publisher.publish(letters)
        await client.close()

    run_apart(work())


def stored(url: str, stream: str) -> list[Message]:
    """Give what a stream holds."""

    async def work() -> list[Message]:
        client = await nats.connect(url)
        try:
            return await Bus(client).stored(stream)
        finally:
            await client.close()

    return list(run_apart(work()))


def sequences(line: Line, *words: str) -> list[int]:
    return [row["sequence"] for row in line.json_lines(["dead", "list", *words])]


@pytest.mark.usefixtures("url")
class TestList:
    def test_the_newest_come_first_with_all_that_is_known(self, line: Line) -> None:
        rows = line.json_lines(["dead", "list"])
        assert [row["sequence"] for row in rows] == [6, 5, 4, 3, 2, 1]
        first = rows[-1]
        assert first.pop("buriedAt") <= rows[0]["buriedAt"]
        assert first == {
            "sequence": 1,
            "kind": "fact",
            "reason": "FACT_TOO_LARGE",
            "message": "a fact is at most 5 bytes",
            "subject": "facts.order",
            "bytes": 12,
            "factStream": "FACTS",
            "factSeq": 10,
            "factStoredAt": "2026-01-31T12:00:00.000000011Z",
        }
        assert (rows[1]["truncated"], rows[2]["kind"]) == ("headers", "command")
        assert "factSeq" not in rows[2]

    def test_people_see_a_table(self, line: Line) -> None:
        shown = line.run("dead", "list").stdout
        for text in ("facts.flight.late", "rules.command.ann.create", "NOT_JSON", "a fact is at most 5 bytes"):
            assert text in shown

    def test_letters_are_chosen(self, line: Line) -> None:
        for words, found in CHOSEN:
            assert sequences(line, *words) == found, words


@pytest.mark.usefixtures("at_servers")
def test_a_stream_that_is_not_there_is_said(line: Line) -> None:
    for words in (["list"], ["show", "1"], ["redrive", "--all"], ["redrive", "1"]):
        assert "there is no stream DEAD_LETTERS here" in line.run("dead", *words, code=1).stderr


@pytest.mark.usefixtures("url")
class TestShow:
    def test_json_is_shown_as_json(self, line: Line) -> None:
        shown = line.run("dead", "show", "1").stdout
        for text in (
            "facts.order",
            "FACTS 10 at 2026-01-31T12:00:00",
            "RULESTREAM_FACT_BYTES_MAX",
            '"total": 5',
            "trace",
        ):
            assert text in shown
        letter = line.json("dead", "show", "1")
        assert (letter["payload"], letter["headers"]) == ({"total": 5}, {"trace": "x"})
        assert "notRedrivable" not in letter

    def test_text_is_shown_as_text_that_moves_no_cursor(self, line: Line) -> None:
        shown = line.run("dead", "show", "2").stdout
        assert "{not\\u001b[2J JSON" in shown
        assert "\x1b[2J" not in shown
        assert line.json("dead", "show", "2")["payloadText"] == "{not\x1b[2J JSON"

    def test_other_bytes_are_shown_in_hexadecimal(self, line: Line) -> None:
        assert "000000  ff 00" in line.run("dead", "show", "3").stdout
        assert line.json("dead", "show", "3")["payloadHex"] == "ff00"

    def test_what_cannot_be_redriven_says_why(self, line: Line) -> None:
        assert "not possible: a command is its actor's" in line.run("dead", "show", "4").stdout
        assert "did not fit" in line.json("dead", "show", "5")["notRedrivable"]

    def test_a_letter_that_is_not_there_is_said(self, line: Line) -> None:
        assert "error[NOT_FOUND]: there is no dead letter 99" in line.run("dead", "show", "99", code=1).stderr


@pytest.mark.usefixtures("url")
class TestRedrive:
    def test_a_fact_is_sent_again_as_it_was_and_its_letter_goes(self, line: Line, url: str) -> None:
        (done, tally) = line.json_lines(["dead", "redrive", "1"])
        assert done == {
            "sequence": 1,
            "status": "redriven",
            "reason": "FACT_TOO_LARGE",
            "subject": "facts.order",
            "factSeq": 1,
        }
        counts = {"letters": 1, "redriven": 1, "possible": 0, "duplicate": 0, "refused": 0, "missing": 0}
        assert tally == counts
        (fact,) = stored(url, "FACTS")
        assert (fact.subject, fact.data) == ("facts.order", b'{"total": 5}')
        assert fact.headers == {"trace": "x", "Rulestream-Origin": f"FACTS:10@{STORED_AT_NS + 10}"}
        assert sequences(line) == [6, 5, 4, 3, 2]

    def test_people_are_told_what_was_done(self, line: Line) -> None:
        shown = line.run("dead", "redrive", "1", "2").stdout.splitlines()
        assert shown == [
            "letter 1: sent again on facts.order (sequence 1)",
            (
                "letter 2: sent again on facts.flight.late (sequence 2); it is still no fact: NOT_JSON: "
                "JSON is malformed: object keys must be strings (byte 1)"
            ),
            "2 letters: 2 redriven",
        ]

    def test_a_dry_run_does_nothing(self, line: Line, url: str) -> None:
        shown = line.run("dead", "redrive", "--all", "--type", "order", "--dry-run", code=1)
        assert "letter 1: would be sent again on facts.order" in shown.stdout
        assert "letter 5: not sent again; its headers did not fit" in shown.stderr
        assert "4 letters: 3 possible, 1 refused" in shown.stdout
        assert stored(url, "FACTS") == []
        assert sequences(line) == [6, 5, 4, 3, 2, 1]

    def test_all_are_every_fact_that_the_filters_leave_the_oldest_first(self, line: Line, url: str) -> None:
        assert "2 letters: 2 redriven" in line.run("dead", "redrive", "--all", "--reason", "NOT_JSON").stdout
        assert [message.subject for message in stored(url, "FACTS")] == ["facts.flight.late", "facts.order"]
        assert sequences(line, "--facts") == [6, 5, 1]
        assert line.json_lines(["dead", "redrive", "--all", "--limit", "1"])[0]["sequence"] == 1

    def test_letters_can_be_kept(self, line: Line, url: str) -> None:
        line.run("dead", "redrive", "1", "--keep")
        line.run("dead", "redrive", "1", "--keep")
        assert len({message.data for message in stored(url, "FACTS")}) == 1
        assert sequences(line) == [6, 5, 4, 3, 2, 1]

    def test_a_repeat_that_the_stream_drops_is_no_success(self, line: Line) -> None:
        line.run("dead", "redrive", "6", "--keep")
        shown = line.run("dead", "redrive", "6", code=1)
        assert (
            "letter 6: not sent again; FACTS drops it, for it has its message id already (sequence 1)" in shown.stderr
        )
        assert "1 letter: 1 duplicate" in shown.stdout
        (row, tally) = map(json.loads, line.run("dead", "redrive", "6", "--json", code=1).stdout.splitlines())
        assert (row["status"], tally["duplicate"]) == ("duplicate", 1)
        assert 6 in sequences(line)

    def test_what_cannot_be_sent_again_is_refused_and_stays(self, line: Line, url: str) -> None:
        shown = line.run("dead", "redrive", "4", "5", "99", code=1)
        assert "letter 4: not sent again; a command is its actor's to send again" in shown.stderr
        assert "letter 5: not sent again; its headers did not fit" in shown.stderr
        assert "letter 99: not sent again; there is no such letter" in shown.stderr
        assert "3 letters: 2 refused, 1 missing" in shown.stdout
        assert stored(url, "FACTS") == stored(url, "RULES_COMMANDS") == []
        assert sequences(line) == [6, 5, 4, 3, 2, 1]

    def test_without_letters_nothing_is_done(self, line: Line) -> None:
        assert line.run("dead", "redrive", "--all", "--type", "nobody").stdout == "0 letters\n"


class TestWrongUsage:
    """Words that mean nothing, or two things at once: told before any server is asked."""

    @pytest.mark.parametrize(
        "words",
        [
            ["--facts", "--commands"],
            ["--commands", "--type", "order"],
            ["--type", "a*"],
            ["--reason", "BAD_LUCK"],
            ["--since", "yesterday"],
            ["--limit", "0"],
        ],
    )
    def test_of_list(self, line: Line, words: list[str]) -> None:
        line.run("dead", "list", *words, code=2)

    @pytest.mark.parametrize(
        "words", [[], ["1", "--all"], ["1", "--type", "order"], ["1", "--limit", "1"], ["0"], ["--all", "--type", "a*"]]
    )
    def test_of_redrive(self, line: Line, words: list[str]) -> None:
        line.run("dead", "redrive", *words, code=2)

    def test_of_show(self, line: Line) -> None:
        line.run("dead", "show", "0", code=2)
