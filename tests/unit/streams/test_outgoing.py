"""What leaves for a fact: decision, effects, dead letter, and the messages that they are made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from domain.decisions.decision import Decision
from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from domain.language import RuleFault
from domain.ports import StoredDecision
from domain.rules.content import Priority
from streams.dead_letters import dead_command_publication
from streams.facts.intake import DeadReason, Delivery, Refused
from streams.facts.outgoing import dead_fact_publication, decision_publications, fits
from streams.messages.decisions import encode_decision, stored_decision
from streams.wire import Publication, publish_frame
from tests.fakes.handmade import bound, fact, outcome

STORED_AT_NS = 1_769_860_800_000_000_001
DECIDED_AT = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
KEY = "0f" * 16
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DELIVERY = Delivery("facts.order.placed", "reply", b"not json", {"Trace": "x"}, "FACTS", 42, STORED_AT_NS, 1)
REFUSED = Refused(DeadReason.NOT_JSON, "the reason")


def headers_of(publication: Publication) -> dict[str, str]:
    """Read a header block."""
    start, *lines = publication.head.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert start == "NATS/1.0"
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def a_decision() -> Decision:
    def fails(*_: object) -> None:
        raise RuleFault("overflow", "too much", 2, 3)

    rules = [
        bound(
            "one", outcome(("set", "a", 1), effects=[("loyalty.points", {"n": 1})], rows=[2]), priority=Priority.HIGH
        ),
        bound("two", outcome(branch="else")),
        bound("bad", fails, priority=Priority.LOW),
    ]
    return decide(Ruleset(7, rules), fact(time_ns=1_500_000_000))


def a_stored_decision(**changes: object) -> StoredDecision:
    return replace(stored_decision(a_decision(), DECIDED_AT, STORED_AT_NS, TRACEPARENT), **changes)  # type: ignore[arg-type]


class TestStoredDecision:
    def test_its_body_is_the_contracts(self) -> None:
        decision = a_decision()
        assert json.loads(a_stored_decision().body) == {
            "decisionId": KEY,
            "factId": "fact-1",
            "factType": "order.placed",
            "factSeq": 1,
            "factTime": "1970-01-01T00:00:01.5Z",
            "decidedAt": "2026-01-31T12:00:00.000005Z",
            "ruleset": {"revision": 7, "digest": decision.digest.hex()},
            "outcome": "matched",
            "output": {"a": 1},
            "matches": [
                {
                    "ruleId": "id-one",
                    "name": "one",
                    "version": 1,
                    "priority": "HIGH",
                    "branch": "then",
                    "output": {"a": 1},
                    "rows": [2],
                },
                {
                    "ruleId": "id-two",
                    "name": "two",
                    "version": 1,
                    "priority": "MEDIUM",
                    "branch": "else",
                    "output": {},
                },
            ],
            "effects": [{"name": "loyalty.points", "effectId": f"{KEY}-1"}],
            "faults": [{"ruleId": "id-bad", "code": "overflow", "message": "too much", "line": 2, "column": 3}],
            "faultCount": 1,
        }

    def test_it_keeps_what_is_needed_to_publish_it_again(self) -> None:
        stored = a_stored_decision()
        assert (stored.key.hex(), stored.matched, stored.revision) == (KEY, True, 7)
        assert (stored.fact_id, stored.fact_type, stored.sequence) == ("fact-1", "order.placed", 1)
        assert (stored.time_ns, stored.stored_at_ns, stored.traceparent) == (1_500_000_000, STORED_AT_NS, TRACEPARENT)
        assert stored.effects == (("loyalty.points", f"{KEY}-1", b'{"n":1}'),)

    def test_the_same_decision_gives_the_same_bytes(self) -> None:
        assert a_stored_decision() == a_stored_decision()

    def test_offline_a_fact_without_a_time_has_none(self) -> None:
        decision = decide(Ruleset(1, []), fact(time_ns=None))
        assert json.loads(encode_decision(decision, "now"))["factTime"] is None

    def test_a_value_that_json_cannot_hold_is_refused(self) -> None:
        with pytest.raises(ValueError, match="surrogate"):
            encode_decision(replace(a_decision(), output={"a": "\ud800"}), "now")


class TestDecisionPublications:
    @pytest.mark.parametrize(("matched", "outcome_token"), [(True, "matched"), (False, "unmatched")])
    def test_a_decision_and_its_effects_go_out_from_the_stored_bytes(self, matched: bool, outcome_token: str) -> None:
        stored = a_stored_decision(matched=matched, body=b"the stored bytes")
        decision, effect = decision_publications(stored)
        assert (decision.subject, decision.payload) == (f"decisions.{outcome_token}.order.placed", b"the stored bytes")
        assert (effect.subject, effect.payload) == ("effects.loyalty.points", b'{"n":1}')

    def test_their_headers_are_a_message_id_and_a_cloud_event(self) -> None:
        decision, effect = decision_publications(a_stored_decision())
        common = {
            "ce-specversion": "1.0",
            "ce-source": "rulestream",
            "ce-time": "1970-01-01T00:00:01.5Z",
            "content-type": "application/json",
            "traceparent": TRACEPARENT,
        }
        decision_head = {"Nats-Msg-Id": KEY, "ce-id": KEY, "ce-type": "rulestream.decision", **common}
        effect_head = {"Nats-Msg-Id": f"{KEY}-1", "ce-id": f"{KEY}-1", "ce-type": "rulestream.effect", **common}
        assert headers_of(decision) == decision_head
        assert headers_of(effect) == effect_head

    def test_without_a_trace_there_is_no_traceparent(self) -> None:
        (decision,) = decision_publications(a_stored_decision(traceparent=None, effects=()))
        assert "traceparent" not in headers_of(decision)

    @pytest.mark.parametrize(
        ("changes", "fit"),
        [
            ({"body": b"x" * 904, "effects": ()}, True),
            ({"body": b"x" * 905, "effects": ()}, False),
            ({"body": b"", "effects": (("a", "1", b"x" * 904), ("b", "2", b"x" * 904))}, True),
            ({"body": b"", "effects": (("a", "1", b""), ("b", "2", b"x" * 905))}, False),
        ],
    )
    def test_each_message_must_fit_by_itself_with_room_for_headers(self, changes: dict[str, object], fit: bool) -> None:
        assert fits(a_stored_decision(**changes), 5000) is fit


class TestDeadFact:
    def test_it_has_the_bytes_the_headers_the_reason_and_where_it_came_from(self) -> None:
        delivery = replace(DELIVERY, headers={"Nats-Msg-Id": "m1", "Nats-Expected-Stream": "FACTS"})
        letter = dead_fact_publication(delivery, REFUSED, 1_000_000)
        assert (letter.subject, letter.payload) == ("dead.facts.order.placed", b"not json")
        assert headers_of(letter) == {
            "Nats-Msg-Id": f"dead-FACTS-42-{STORED_AT_NS}",
            "Rulestream-Reason": "NOT_JSON",
            "Rulestream-Message": "the reason",
            "Rulestream-Subject": "facts.order.placed",
            "Rulestream-Stream": "FACTS",
            "Rulestream-Sequence": "42",
            "Rulestream-Stored-At": "2026-01-31T12:00:00.000000001Z",
            "Original-Nats-Msg-Id": "m1",
            "Original-Nats-Expected-Stream": "FACTS",
        }

    def test_it_is_the_same_whenever_it_is_made(self) -> None:
        again = replace(DELIVERY, deliveries=5, reply="another")
        assert dead_fact_publication(DELIVERY, REFUSED, 10_000) == dead_fact_publication(again, REFUSED, 10_000)

    def test_a_subject_that_is_no_fact_type_has_a_place_of_its_own(self) -> None:
        letter = dead_fact_publication(replace(DELIVERY, subject="facts.é"), REFUSED, 10_000)
        assert letter.subject == "dead.facts._invalid"

    @pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\x00b", "a\r\nX: y"])
    def test_headers_that_only_a_raw_client_can_send_do_not_stop_it(self, value: str) -> None:
        delivery = replace(DELIVERY, headers={"Odd": value, "Od\x00d": "x"}, subject=f"facts.{value}")
        letter = dead_fact_publication(delivery, REFUSED, 10_000)
        assert publish_frame(letter, "reply").count(b"\r\n") == len(headers_of(letter)) + 4
        assert letter.head.decode().count("\N{REPLACEMENT CHARACTER}") >= 3
        assert "X" not in headers_of(letter)

    def test_a_reason_is_one_line_of_bounded_length(self) -> None:
        letter = dead_fact_publication(DELIVERY, Refused(DeadReason.NOT_JSON, "a\r\nb\t" + "x" * 1000), 10_000)
        assert headers_of(letter)["Rulestream-Message"] == "a b " + "x" * 496

    def test_a_letter_that_just_fits_is_whole(self) -> None:
        letter = dead_fact_publication(DELIVERY, REFUSED, 10_000)
        size = len(letter.head) + len(letter.payload)
        assert dead_fact_publication(DELIVERY, REFUSED, size) == letter
        assert headers_of(dead_fact_publication(DELIVERY, REFUSED, size - 1))["Rulestream-Truncated"]

    def test_past_that_the_original_headers_are_left_out_first(self) -> None:
        delivery = replace(DELIVERY, headers={"Big": "x" * 2000})
        letter = dead_fact_publication(delivery, REFUSED, 1500)
        assert headers_of(letter)["Rulestream-Truncated"] == "headers"
        assert "Original-Big" not in headers_of(letter)
        assert letter.payload == b"not json"

    def test_and_then_the_end_of_the_bytes(self) -> None:
        delivery = replace(DELIVERY, data=b"0123456789" * 200)
        letter = dead_fact_publication(delivery, REFUSED, 1500)
        assert headers_of(letter)["Rulestream-Truncated"] == "data"
        assert len(letter.head) + len(letter.payload) == 1500
        assert delivery.data.startswith(letter.payload)


class TestDeadCommand:
    def test_it_has_the_bytes_the_headers_and_the_reason(self) -> None:
        letter = dead_command_publication(
            "rules.command.alice.create", b"{}", {"X": "y"}, DeadReason.COMMAND_WITHOUT_ID, 10_000
        )
        found = headers_of(letter)
        assert (letter.subject, letter.payload) == ("dead.commands.alice.create", b"{}")
        assert found.pop("Nats-Msg-Id").startswith("dead-command-")
        assert "Nats-Msg-Id" in found.pop("Rulestream-Message")
        assert found == {
            "Rulestream-Reason": "COMMAND_WITHOUT_ID",
            "Rulestream-Subject": "rules.command.alice.create",
            "Original-X": "y",
        }

    def test_the_same_message_has_the_same_id_and_another_has_another(self) -> None:
        def message_id(subject: str, payload: bytes, headers: dict[str, str]) -> str:
            letter = dead_command_publication(subject, payload, headers, DeadReason.COMMAND_FORGED, 10_000)
            return headers_of(letter)["Nats-Msg-Id"]

        first = message_id("rules.command.a.b", b"{}", {"x": "y", "a": "b"})
        assert message_id("rules.command.a.b", b"{}", {"a": "b", "x": "y"}) == first
        others = [
            message_id("rules.command.a.c", b"{}", {"x": "y", "a": "b"}),
            message_id("rules.command.a.b", b"[]", {"x": "y", "a": "b"}),
            message_id("rules.command.a.b", b"{}", {"x": "z", "a": "b"}),
        ]
        assert len({first, *others}) == 4

    @pytest.mark.parametrize("subject", ["rules.command.é.create", "rules.command.a\x00.b", "rules.command.a.b\rc"])
    def test_a_subject_that_nobody_could_publish_on_does_not_stop_it(self, subject: str) -> None:
        letter = dead_command_publication(subject, b"{}", {"odd": "a\rb"}, DeadReason.INVALID_ACTOR, 10_000)
        assert letter.subject == "dead.commands._invalid"
        assert publish_frame(letter, "reply")

    def test_past_a_messages_size_headers_go_first_then_the_end_of_the_bytes(self) -> None:
        letter = dead_command_publication("rules.command.a.b", b"x" * 2000, {}, DeadReason.INVALID_ACTOR, 1000)
        assert headers_of(letter)["Rulestream-Truncated"] == "headers"
        assert len(letter.head) + len(letter.payload) == 1000
