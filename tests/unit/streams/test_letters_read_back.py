"""Dead letters read back, and their facts as they are sent again: the same fact, however often it dies."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from streams.dead_letter_stream import LetterCriteria
from streams.dead_letters import (
    DeadLetter,
    dead_command_publication,
    obstacle,
    read_letter,
    redrive_publication,
)
from streams.facts.intake import FACT_BYTES_MAX, Accepted, DeadReason, Delivery, Refused, read_fact
from streams.facts.outgoing import dead_fact_publication
from streams.wire import Publication

STORED_AT_NS = 1_769_860_800_123_456_789
HOUR_NS = 3_600 * 1_000_000_000
DELIVERY = Delivery("facts.order.placed", "reply", b'{"a":1}', None, "FACTS", 42, STORED_AT_NS, 1)
REFUSED = Refused(DeadReason.FACT_TOO_LARGE, "a fact is at most 5 bytes")
PAYLOAD_MAX = 1024 * 1024


def headers_of(publication: Publication) -> dict[str, str]:
    """Read a header block as the client does."""
    return Client._parse_header_lines(publication.head.removeprefix(b"NATS/1.0\r\n"))


def letter_of(publication: Publication, sequence: int = 7) -> DeadLetter:
    """Read a letter as its stream would give it, an hour after its fact."""
    found, data = headers_of(publication), publication.payload
    return read_letter(sequence, STORED_AT_NS + HOUR_NS, publication.subject, found, data, len(data))


def buried(payload_max: int = PAYLOAD_MAX, **changes: Any) -> DeadLetter:
    return letter_of(dead_fact_publication(replace(DELIVERY, **changes), REFUSED, payload_max))


def sent_again(letter: DeadLetter, sequence: int = 99, stored_at_ns: int = STORED_AT_NS + 2 * HOUR_NS) -> Delivery:
    """Give the delivery of a letter's fact, stored again."""
    assert obstacle(letter) is None
    publication = redrive_publication(letter)
    found = headers_of(publication) or None
    return Delivery(publication.subject, "reply", publication.payload, found, "FACTS", sequence, stored_at_ns, 1)


STRUCTURED = b'{"specversion":"1.0","id":"e1","source":"/shop","data":{"a":1}}'
FACTS = [
    pytest.param(None, b"{}", id="no headers"),
    pytest.param({"x": "y"}, b'{"a":1}', id="no id"),
    pytest.param({"Nats-Msg-Id": "m1"}, b"{}", id="message id"),
    pytest.param({"nats-msg-id": "m1"}, b"{}", id="message id that is none"),
    pytest.param({"Nats-Msg-Id": "bestellung-ä €"}, b"{}", id="message id beyond ASCII"),
    pytest.param({"ce-id": "e 1", "ce-source": "/shop"}, b"{}", id="binary CloudEvent"),
    pytest.param({"CE-ID": "e1", "Ce-Source": ""}, b"{}", id="binary CloudEvent, other case, empty source"),
    pytest.param({"ce-id": "e1", "CE-ID": "e2", "ce-source": "s"}, b"{}", id="two spellings of one header"),
    pytest.param({"ce-id": "e1", "ce-source": "s", "ce-time": "2026-01-01T00:00:00Z"}, b"{}", id="with a time"),
    pytest.param({"Content-Type": "application/cloudevents+json"}, STRUCTURED, id="structured CloudEvent"),
    pytest.param({"original-x": "1", "Original-Nats-Msg-Id": "m9"}, b"{}", id="headers that look like a letter's"),
    pytest.param({"Rulestream-Sequence": "5", "Rulestream-Subject": "facts.b"}, b"{}", id="a letter's own headers"),
]


@pytest.mark.parametrize(("headers", "data"), FACTS)
def test_a_fact_that_is_sent_again_is_the_fact_of_its_first_life(headers: dict[str, str] | None, data: bytes) -> None:
    first = read_fact(replace(DELIVERY, headers=headers, data=data))
    again = read_fact(sent_again(buried(headers=headers, data=data)))
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert again.fact == replace(first.fact, sequence=99)


@pytest.mark.parametrize(("headers", "data"), FACTS)
def test_it_stays_so_when_it_dies_again(headers: dict[str, str] | None, data: bytes) -> None:
    first = read_fact(replace(DELIVERY, headers=headers, data=data))
    second_life = sent_again(buried(headers=headers, data=data))
    third_life = sent_again(letter_of(dead_fact_publication(second_life, REFUSED, PAYLOAD_MAX)), sequence=123)
    third = read_fact(replace(third_life, stored_at_ns=STORED_AT_NS + 3 * HOUR_NS))
    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)
    assert third.fact == replace(first.fact, sequence=123)


def test_a_traceparent_goes_with_it() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    again = read_fact(sent_again(buried(headers={"traceparent": trace})))
    assert isinstance(again, Accepted)
    assert again.traceparent == trace


def test_what_was_asked_of_the_server_the_first_time_is_not_asked_again() -> None:
    asked = {
        "Nats-Expected-Stream": "FACTS",
        "Nats-Expected-Last-Sequence": "7",
        "nats-expected-last-msg-id": "x",
        "Nats-Rollup": "all",
        "Nats-TTL": "1s",
        "Nats-Batch-Id": "b",
        "Nats-Schedule": "@at 2026-01-01T00:00:00Z",
        "Nats-Stream": "OTHER",
        "Nats-Required-Api-Level": "9",
    }
    kept = {"Nats-Msg-Id": "m1", "ce-type": "order", "X-Nats-Thing": "1"}
    publication = redrive_publication(buried(headers={**asked, **kept}))
    assert headers_of(publication) == {**kept, "Rulestream-Origin": f"FACTS:42@{STORED_AT_NS}"}


def test_a_letter_says_what_it_is() -> None:
    letter = buried(headers={"x": "y"})
    assert (letter.kind, letter.reason, letter.message) == ("fact", "FACT_TOO_LARGE", "a fact is at most 5 bytes")
    assert (letter.subject, letter.letter_subject) == ("facts.order.placed", "dead.facts.order.placed")
    assert letter.place == DELIVERY.place
    assert (letter.headers, letter.data, letter.size, letter.truncated) == ({"x": "y"}, b'{"a":1}', 7, "")


def test_a_message_of_anyone_is_a_letter_that_says_nothing_and_is_not_sent_again() -> None:
    for subject in ("dead.facts.order.placed", "dead.other", "dead.facts._invalid"):
        letter = read_letter(1, 2, subject, {}, b"x", 1)
        assert (letter.reason, letter.subject, letter.place, letter.headers) == ("", "", None, {})
        assert obstacle(letter) == "it is no dead letter of a fact"


class TestObstacles:
    """What cannot be sent again, and why; each beside what can."""

    def test_what_did_not_fit_the_letter_is_lost(self) -> None:
        headers = {"x": "y" * 1000}
        assert obstacle(buried(headers=headers)) is None
        without_headers = obstacle(buried(payload_max=1100, headers=headers))
        without_end = obstacle(buried(payload_max=600, headers=headers, data=b"x" * 1000))
        assert without_headers is not None
        assert without_headers.startswith("its headers did not fit")
        assert without_end is not None
        assert without_end.startswith("its headers and the end of its bytes did not fit")

    @pytest.mark.parametrize("subject", ["facts.a..b", "facts.\ufffd", "facts." + "x" * 257])
    def test_a_subject_that_is_no_facts_stays_none(self, subject: str) -> None:
        letter = buried(subject=subject)
        assert letter.letter_subject == "dead.facts._invalid"
        assert obstacle(letter) == f"its subject can never be a fact's: {subject}"

    def test_a_fact_of_the_type_that_invalid_ones_lie_under_is_told_from_them(self) -> None:
        letter = buried(subject="facts._invalid")
        assert letter.letter_subject == "dead.facts._invalid"
        assert sent_again(letter).subject == "facts._invalid"

    @pytest.mark.parametrize(
        "subject", ["rules.command.admin.activate", "facts.order.paid", "$JS.API.STREAM.PURGE.FACTS"]
    )
    def test_a_letter_cannot_lead_elsewhere_than_it_lies(self, subject: str) -> None:
        publication = dead_fact_publication(DELIVERY, REFUSED, PAYLOAD_MAX)
        found = headers_of(publication) | {"Rulestream-Subject": subject}
        assert obstacle(read_letter(1, 2, publication.subject, found, b"{}", 2)) is not None

    @pytest.mark.parametrize(
        "change",
        [
            {"Rulestream-Sequence": "0"},
            {"Rulestream-Sequence": "9" * 5000},
            {"Rulestream-Stored-At": "yesterday"},
            {"Rulestream-Stream": ""},
        ],
    )
    def test_a_letter_must_say_where_the_fact_was_stored(self, change: dict[str, str]) -> None:
        publication = dead_fact_publication(DELIVERY, REFUSED, PAYLOAD_MAX)
        letter = read_letter(1, 2, publication.subject, headers_of(publication) | change, b"{}", 2)
        assert obstacle(letter) == "it does not say where the fact was stored"

    @pytest.mark.parametrize(
        ("subject", "found", "reason"),
        [
            ("rules.command.ann.create", {}, DeadReason.COMMAND_WITHOUT_ID),
            ("rules.command.ann.create", {"Nats-Stream": "X", "Nats-Msg-Id": "x" * 20}, DeadReason.COMMAND_FORGED),
            ("rules.command.a b.create", {"Nats-Msg-Id": "x" * 20}, DeadReason.INVALID_ACTOR),
        ],
    )
    def test_nobody_speaks_as_an_actor_but_the_actor(
        self, subject: str, found: dict[str, str], reason: DeadReason
    ) -> None:
        """Without the header that it was refused for, a forged command would be decided as its victim's."""
        letter = letter_of(dead_command_publication(subject, b"{}", found, reason, PAYLOAD_MAX))
        assert (letter.kind, letter.reason, letter.subject) == ("command", reason, subject)
        assert (obstacle(letter) or "").startswith("a command is its actor's to send again")


def test_what_was_too_large_is_a_fact_where_more_is_allowed() -> None:
    data = b'{"a":"' + b"x" * FACT_BYTES_MAX + b'"}'
    again = sent_again(buried(data=data))
    assert isinstance(read_fact(again), Refused)
    assert isinstance(read_fact(again, 2 * FACT_BYTES_MAX), Accepted)


class TestCriteria:
    """Which letters are meant."""

    @pytest.mark.parametrize(
        ("criteria", "subject"),
        [
            (LetterCriteria(), "dead.>"),
            (LetterCriteria(kind="fact"), "dead.facts.>"),
            (LetterCriteria(kind="command"), "dead.commands.>"),
            (LetterCriteria(fact_type="order.*"), "dead.facts.order.*"),
            (LetterCriteria(kind="fact", fact_type="_invalid"), "dead.facts._invalid"),
        ],
    )
    def test_kind_and_type_are_subjects(self, criteria: LetterCriteria, subject: str) -> None:
        assert criteria.subject == subject

    @pytest.mark.parametrize(
        ("criteria", "is_meant"),
        [
            (LetterCriteria(), True),
            (LetterCriteria(reasons=frozenset({"FACT_TOO_LARGE", "NOT_JSON"})), True),
            (LetterCriteria(reasons=frozenset({"NOT_JSON"})), False),
            (LetterCriteria(since_ns=STORED_AT_NS + HOUR_NS), True),
            (LetterCriteria(since_ns=STORED_AT_NS + HOUR_NS + 1), False),
            (LetterCriteria(until_ns=STORED_AT_NS + HOUR_NS + 1), True),
            (LetterCriteria(until_ns=STORED_AT_NS + HOUR_NS), False),
        ],
    )
    def test_reasons_and_times_are_looked_at(self, criteria: LetterCriteria, is_meant: bool) -> None:
        assert criteria.admits(buried()) is is_meant
