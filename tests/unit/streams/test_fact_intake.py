"""From a delivery to a fact: identities, times, numbers, and each reason why a message is no fact, with near misses."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from domain.identifiers import fact_key
from domain.ports import FactPlace
from streams.facts.intake import FACT_BYTES_MAX, Accepted, DeadReason, Delivery, Refused, decode_object, read_fact
from streams.facts.origin import origin_text, parse_origin

STORED_AT_NS = 1_769_860_800_000_000_001
DELIVERY = Delivery("facts.order.placed", "reply", b'{"a":1}', None, "FACTS", 42, STORED_AT_NS, 1)
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def delivered(data: bytes = b'{"a":1}', headers: dict[str, str] | None = None, subject: str | None = None) -> Delivery:
    return replace(DELIVERY, data=data, headers=headers, subject=subject or DELIVERY.subject)


def accepted(delivery: Delivery) -> Accepted:
    found = read_fact(delivery)
    assert isinstance(found, Accepted), found
    return found


def refused(delivery: Delivery) -> DeadReason:
    found = read_fact(delivery)
    assert isinstance(found, Refused), found
    assert found.message
    return found.reason


def cloud_event(**fields: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "e1", "source": "/shop", "data": {"a": 1}, **fields}).encode()


# headers, payload, and the kind, source and id that the fact's identity comes of
IDENTITIES = [
    pytest.param(None, b"{}", ("seq", "FACTS", f"42@{STORED_AT_NS}"), "FACTS:42", id="sequence"),
    pytest.param({"x": "y"}, b"{}", ("seq", "FACTS", f"42@{STORED_AT_NS}"), "FACTS:42", id="sequence beside headers"),
    pytest.param({"Nats-Msg-Id": "m1"}, b"{}", ("msg", "", "m1"), "m1", id="message id"),
    pytest.param(
        {"nats-msg-id": "m1"},
        b"{}",
        ("seq", "FACTS", f"42@{STORED_AT_NS}"),
        "FACTS:42",
        id="message id in lower case, which the server does not know either",
    ),
    pytest.param({"ce-id": "e1", "ce-source": "/shop"}, b"{}", ("ce", "/shop", "e1"), "e1", id="binary CloudEvent"),
    pytest.param({"CE-ID": "e1", "Ce-Source": "/shop"}, b"{}", ("ce", "/shop", "e1"), "e1", id="binary, other case"),
    pytest.param(
        {"ce-id": "e1", "ce-source": "/shop", "Nats-Msg-Id": "m1"},
        b"{}",
        ("ce", "/shop", "e1"),
        "e1",
        id="CloudEvent before message id",
    ),
    pytest.param({"ce-source": "/shop"}, b"{}", ("seq", "FACTS", f"42@{STORED_AT_NS}"), "FACTS:42", id="source alone"),
    pytest.param(STRUCTURED, cloud_event(), ("ce", "/shop", "e1"), "e1", id="structured CloudEvent"),
    pytest.param(
        {**STRUCTURED, "Nats-Msg-Id": "m1", "ce-id": "e2"},
        cloud_event(),
        ("ce", "/shop", "e1"),
        "e1",
        id="structured before all headers",
    ),
    pytest.param(
        {"content-type": "application/json"},
        cloud_event(),
        ("seq", "FACTS", f"42@{STORED_AT_NS}"),
        "FACTS:42",
        id="an envelope of another content type is a plain fact",
    ),
]


@pytest.mark.parametrize(("headers", "data", "identity", "fact_id"), IDENTITIES)
def test_a_facts_identity_is_its_cloud_event_else_its_message_id_else_its_place_in_the_stream(
    headers: dict[str, str] | None, data: bytes, identity: tuple[str, str, str], fact_id: str
) -> None:
    fact = accepted(delivered(data, headers)).fact
    assert (fact.key, fact.id) == (fact_key(*identity), fact_id)
    assert (fact.type, fact.sequence) == ("order.placed", 42)


def test_the_key_of_a_sequence_is_pinned() -> None:
    # Computed by hand: "seq", "FACTS" and "42@1769860800000000001", each behind its length as four bytes.
    text = b"\x00\x00\x00\x03seq\x00\x00\x00\x05FACTS\x00\x00\x00\x1642@1769860800000000001"
    assert accepted(DELIVERY).fact.key == hashlib.sha256(text).digest()[:16]
    assert accepted(DELIVERY).fact.key.hex() == PINNED_KEY


def test_ids_of_different_kinds_or_sources_are_different_facts() -> None:
    keys = {
        accepted(delivered(headers={"Nats-Msg-Id": "x"})).fact.key,
        accepted(delivered(headers={"ce-id": "x", "ce-source": "a"})).fact.key,
        accepted(delivered(headers={"ce-id": "x", "ce-source": "b"})).fact.key,
    }
    assert len(keys) == 3


def test_an_id_spans_fact_types() -> None:
    one = accepted(delivered(headers={"Nats-Msg-Id": "x"}))
    other = accepted(delivered(headers={"Nats-Msg-Id": "x"}, subject="facts.order.amended"))
    assert one.fact.key == other.fact.key


def test_a_stream_made_anew_does_not_give_the_same_sequence_the_same_key() -> None:
    assert accepted(DELIVERY).fact.key != accepted(replace(DELIVERY, stored_at_ns=STORED_AT_NS + 1)).fact.key


def test_what_is_made_of_a_message_does_not_depend_on_its_delivery() -> None:
    assert read_fact(replace(DELIVERY, deliveries=7, reply="other")) == read_fact(DELIVERY)


class TestSentAgain:
    """A dead letter's fact that is sent again names where it was stored first."""

    FIRST = replace(DELIVERY, sequence=7, stored_at_ns=STORED_AT_NS - 1)
    ORIGIN: ClassVar = {"Rulestream-Origin": f"FACTS:7@{STORED_AT_NS - 1}"}

    def test_a_fact_without_an_id_keeps_its_first_key_id_and_time_and_has_its_own_sequence(self) -> None:
        first, again = accepted(self.FIRST).fact, accepted(delivered(headers=self.ORIGIN)).fact
        assert (again.key, again.id, again.time_ns) == (first.key, "FACTS:7", STORED_AT_NS - 1)
        assert again.sequence == 42

    def test_the_headers_spelling_does_not_matter(self) -> None:
        (text,) = self.ORIGIN.values()
        assert accepted(delivered(headers={"rulestream-origin": text})).fact.id == "FACTS:7"

    @pytest.mark.parametrize("headers", [{"Nats-Msg-Id": "m1"}, {"ce-id": "e1", "ce-source": "/shop"}])
    def test_a_fact_with_an_id_has_its_own_key_and_keeps_its_first_time(self, headers: dict[str, str]) -> None:
        first = accepted(replace(self.FIRST, headers=headers)).fact
        again = accepted(delivered(headers=self.ORIGIN | headers)).fact
        assert again == replace(first, sequence=42)

    def test_a_cloud_events_time_stands(self) -> None:
        headers = self.ORIGIN | {"ce-time": "1970-01-01T00:00:00.000000007Z"}
        assert accepted(delivered(headers=headers)).fact.time_ns == 7

    def test_a_stream_made_anew_counts_from_one_again_and_a_fact_of_the_old_one_keeps_its_key(self) -> None:
        text = f"FACTS:900000@{STORED_AT_NS - 1}"
        again = accepted(delivered(headers={"Rulestream-Origin": text})).fact
        assert again.key == accepted(replace(self.FIRST, sequence=900_000)).fact.key

    def test_no_message_can_claim_the_place_of_one_that_is_stored_later(self) -> None:
        for text in (f"FACTS:43@{STORED_AT_NS}", f"FACTS:43@{STORED_AT_NS + 1}"):
            assert refused(delivered(headers={"Rulestream-Origin": text})) is DeadReason.INVALID_ORIGIN

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "FACTS",
            "FACTS:7",
            "FACTS:7@",
            ":7@5",
            "FACTS:0@5",
            "FACTS:7@05",
            "FACTS:7@5 ",
            "A.B:7@5",
            "F:\N{ARABIC-INDIC DIGIT SEVEN}@5",
        ],
    )
    def test_what_names_no_place_is_refused(self, text: str) -> None:
        assert refused(delivered(headers={"Rulestream-Origin": text})) is DeadReason.INVALID_ORIGIN

    def test_a_place_is_written_as_it_is_read(self) -> None:
        for place in (FactPlace("FACTS", 7, 5), FactPlace("a:b@c", 2**62, 2**62)):
            assert parse_origin(origin_text(place)) == place


# What makes a message no fact, each with a near miss that is one: (headers, data, subject)
def binary(**more: str) -> dict[str, str]:
    return {"ce-id": "e1", "ce-source": "/shop", **{name.replace("_", "-"): value for name, value in more.items()}}


DEAD: list[tuple[DeadReason, Delivery, Delivery]] = [
    (DeadReason.INVALID_SUBJECT, delivered(subject="facts.a..b"), delivered(subject="facts.a.b")),
    (DeadReason.INVALID_SUBJECT, delivered(subject="facts.é"), delivered(subject="facts.e")),
    (DeadReason.INVALID_SUBJECT, delivered(subject="facts." + "x" * 257), delivered(subject="facts." + "x" * 256)),
    (DeadReason.NOT_JSON, delivered(b""), delivered(b"{}")),
    (DeadReason.NOT_JSON, delivered(b'{"a":1'), delivered(b'{"a":1}')),
    (DeadReason.NOT_JSON, delivered(b"{} {}"), delivered(b" {} \n")),
    (DeadReason.NOT_JSON, delivered(b'{"a":NaN}'), delivered(b'{"a":null}')),
    (DeadReason.NOT_JSON, delivered(b'{"a":"\xff"}'), delivered('{"a":"ÿ"}'.encode())),
    (DeadReason.NOT_JSON, delivered(b'{"a":"\\ud800"}'), delivered(b'{"a":"\\ud83d\\ude00"}')),
    (DeadReason.NOT_JSON, delivered(b"\xef\xbb\xbf{}"), delivered(b"{}")),
    (DeadReason.NOT_AN_OBJECT, delivered(b"[]"), delivered(b'{"a":[]}')),
    (DeadReason.NOT_AN_OBJECT, delivered(b"null"), delivered(b'{"a":null}')),
    (DeadReason.NOT_AN_OBJECT, delivered(b'"{}"'), delivered(b"{}")),
    (DeadReason.NOT_AN_OBJECT, delivered(b"1" * 30), delivered(b'{"a":1}')),
    (
        DeadReason.NOT_AN_OBJECT,
        delivered(cloud_event(data=[]), STRUCTURED),
        delivered(cloud_event(data={}), STRUCTURED),
    ),
    (DeadReason.NOT_AN_OBJECT, delivered(b'{"id":"a","source":"b"}', STRUCTURED), delivered(cloud_event(), STRUCTURED)),
    (DeadReason.NUMBER_OUT_OF_RANGE, delivered(b'{"a":1e400}'), delivered(b'{"a":1e308}')),
    (DeadReason.NUMBER_OUT_OF_RANGE, delivered(b'{"a":[{"b":-1e400}]}'), delivered(b'{"a":[{"b":-1e308}]}')),
    (
        DeadReason.NUMBER_OUT_OF_RANGE,
        delivered(b'{"a":[' + b"9" * 400 + b"]}"),
        delivered(b'{"a":["' + b"9" * 400 + b'"]}'),
    ),
    (DeadReason.NUMBER_OUT_OF_RANGE, delivered(b'{"a":' + b"9" * 309 + b"}"), delivered(b'{"a":' + b"9" * 308 + b"}")),
    (
        DeadReason.NUMBER_OUT_OF_RANGE,
        delivered(b'{"a":' + b"9" * 5000 + b"}"),
        delivered(b'{"a":"' + b"9" * 5000 + b'"}'),
    ),
    (
        DeadReason.FACT_TOO_LARGE,
        delivered(b'{"a":"' + b"x" * (FACT_BYTES_MAX - 7) + b'"}'),
        delivered(b'{"a":"' + b"x" * (FACT_BYTES_MAX - 8) + b'"}'),
    ),
    (
        DeadReason.FACT_TOO_DEEP,
        delivered(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"),
        delivered(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"),
    ),
    (
        DeadReason.FACT_TOO_DEEP,
        delivered(b'{"a":' * 65 + b"1" + b"}" * 65),
        delivered(b'{"a":' * 64 + b'"' + b"{" * 65 + b'"' + b"}" * 64),
    ),
    (DeadReason.INVALID_FACT_ID, delivered(headers={"Nats-Msg-Id": ""}), delivered(headers={"Nats-Msg-Id": " "})),
    (
        DeadReason.INVALID_FACT_ID,
        delivered(headers={"Nats-Msg-Id": "x" * 257}),
        delivered(headers={"Nats-Msg-Id": "x" * 256}),
    ),
    (
        DeadReason.INVALID_FACT_ID,
        delivered(headers={"Nats-Msg-Id": "a\x07"}),
        delivered(headers={"Nats-Msg-Id": "a b"}),
    ),
    (
        DeadReason.INVALID_FACT_ID,
        delivered(headers=binary(ce_id="é" * 129)),
        delivered(headers=binary(ce_id="é" * 128)),
    ),
    (
        DeadReason.INVALID_FACT_ID,
        delivered(headers={"Nats-Msg-Id": "order-\ufffd"}),  # what nats-py makes of bytes that are not UTF-8
        delivered(headers={"Nats-Msg-Id": "order-é"}),
    ),
    (
        DeadReason.INVALID_FACT_ID,
        delivered(headers={"ce-id": "1", "ce-source": "\ufffd"}),
        delivered(headers={"ce-id": "1", "ce-source": "é"}),
    ),
    (
        DeadReason.INVALID_CLOUD_EVENT,
        delivered(headers={"ce-id": "1"}),
        delivered(headers={"ce-id": "1", "ce-source": ""}),
    ),
    (DeadReason.INVALID_FACT_ID, delivered(headers=binary(ce_id="")), delivered(headers=binary(ce_id="0"))),
    (DeadReason.INVALID_FACT_ID, delivered(cloud_event(id=""), STRUCTURED), delivered(cloud_event(id="0"), STRUCTURED)),
    (
        DeadReason.INVALID_CLOUD_EVENT,
        delivered(cloud_event(id=1), STRUCTURED),
        delivered(cloud_event(id="1"), STRUCTURED),
    ),
    (
        DeadReason.INVALID_CLOUD_EVENT,
        delivered(cloud_event(id=None), STRUCTURED),
        delivered(cloud_event(id="null"), STRUCTURED),
    ),
    (
        DeadReason.INVALID_CLOUD_EVENT,
        delivered(cloud_event(source=None), STRUCTURED),
        delivered(cloud_event(source=""), STRUCTURED),
    ),
    (
        DeadReason.INVALID_CLOUD_EVENT,
        delivered(cloud_event(time=5), STRUCTURED),
        delivered(cloud_event(time=None), STRUCTURED),
    ),
    (
        DeadReason.INVALID_TIME,
        delivered(headers=binary(ce_time="2026-02-30T00:00:00Z")),
        delivered(headers=binary(ce_time="2026-02-28T00:00:00Z")),
    ),
    (
        DeadReason.INVALID_TIME,
        delivered(headers=binary(ce_time="2026-01-01T00:00:00")),
        delivered(headers=binary(ce_time="2026-01-01T00:00:00+01:00")),
    ),
    (
        DeadReason.INVALID_TIME,
        delivered(cloud_event(time="yesterday"), STRUCTURED),
        delivered(cloud_event(time="2026-01-01T00:00:00.123456789Z"), STRUCTURED),
    ),
]


@pytest.mark.parametrize(("reason", "bad", "good"), DEAD, ids=[f"{n}-{case[0]}" for n, case in enumerate(DEAD)])
def test_what_is_no_fact_has_its_reason_and_a_near_miss_is_a_fact(
    reason: DeadReason, bad: Delivery, good: Delivery
) -> None:
    assert refused(bad) is reason
    accepted(good)


@pytest.mark.parametrize("size", [FACT_BYTES_MAX + 1, 10 * FACT_BYTES_MAX])
def test_what_is_too_large_is_not_even_decoded(size: int) -> None:
    assert refused(delivered(b"x" * size)) is DeadReason.FACT_TOO_LARGE


# JSON text of a number, and what the language reads it as
NUMBERS: list[tuple[str, int | float]] = [
    ("0", 0),
    ("-0", 0),
    ("1.0", 1.0),
    ("1e2", 100.0),
    ("9223372036854775807", 2**63 - 1),
    ("-9223372036854775808", -(2**63)),
    ("9223372036854775808", 2**63),
    ("18446744073709551615", 2**64 - 1),
    ("18446744073709551616", float(2**64)),
    ("-9223372036854775809", -float(2**63)),
    ("1" + "0" * 308, 1e308),
    ("1e-400", 0.0),
    ("1.7976931348623157e308", 1.7976931348623157e308),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS, ids=[text[:24] for text, _ in NUMBERS])
def test_integers_are_int_else_uint_else_double_wherever_they_stand(text: str, value: float) -> None:
    payload = accepted(delivered(f'{{"a":{text},"b":[{{"c":{text}}}]}}'.encode())).fact.payload
    for found in (payload["a"], payload["b"][0]["c"]):
        assert (found, type(found)) == (value, type(value))


def test_long_digits_in_a_string_stay_as_they_are() -> None:
    digits = "9" * 400
    assert accepted(delivered(f'{{"a":"{digits}"}}'.encode())).fact.payload == {"a": digits}


class TestTime:
    def test_the_facts_time_is_when_the_stream_stored_it(self) -> None:
        assert accepted(delivered(headers={"x": "y"})).fact.time_ns == STORED_AT_NS
        assert accepted(DELIVERY).fact.time_ns == STORED_AT_NS

    @pytest.mark.parametrize(
        "delivery",
        [
            delivered(headers=binary(ce_time="1970-01-01T01:00:00.000000007+01:00")),
            delivered(headers={"ce-time": "1970-01-01T00:00:00.000000007Z"}),
            delivered(cloud_event(time="1970-01-01T00:00:00.000000007Z"), STRUCTURED),
        ],
    )
    def test_or_the_cloud_events_time(self, delivery: Delivery) -> None:
        assert accepted(delivery).fact.time_ns == 7


class TestPayload:
    def test_data_is_the_fact_of_a_structured_cloud_event(self) -> None:
        assert accepted(delivered(cloud_event(), STRUCTURED)).fact.payload == {"a": 1}

    @pytest.mark.parametrize("content_type", ["application/cloudevents+json", "Application/CloudEvents+JSON"])
    def test_the_content_types_spelling_does_not_matter(self, content_type: str) -> None:
        assert accepted(delivered(cloud_event(), {"content-type": content_type})).fact.payload == {"a": 1}

    def test_the_type_is_the_subjects_whatever_the_cloud_event_says(self) -> None:
        assert accepted(delivered(cloud_event(type="x"), STRUCTURED)).fact.type == "order.placed"
        assert accepted(delivered(headers=binary(ce_type="x"))).fact.type == "order.placed"

    def test_readers_of_files_get_the_same_answer(self) -> None:
        assert decode_object(b'{"a":18446744073709551616}') == {"a": float(2**64)}
        found = decode_object(b"[]")
        assert isinstance(found, Refused)
        assert found.reason is DeadReason.NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (TRACEPARENT, TRACEPARENT),
        (TRACEPARENT + "-0f", TRACEPARENT + "-0f"),
        (TRACEPARENT + "-xyz", None),
        (TRACEPARENT.upper(), None),
        (TRACEPARENT[:-1], None),
        (TRACEPARENT + "\r\nX: y", None),
        ("", None),
    ],
)
def test_only_a_well_formed_traceparent_goes_on(sent: str, kept: str | None) -> None:
    assert accepted(delivered(headers={"Traceparent": sent})).traceparent == kept


@pytest.mark.parametrize(
    "reply",
    [
        f"$JS.ACK.FACTS.rulestream-facts.3.42.7.{STORED_AT_NS}.5",
        f"$JS.ACK.hub.ACCHASH.FACTS.rulestream-facts.3.42.7.{STORED_AT_NS}.5",
        f"$JS.ACK._.ACCHASH.FACTS.rulestream-facts.3.42.7.{STORED_AT_NS}.5.RANDOM",
    ],
    ids=["plain", "with a domain", "with a token at the end"],
)
def test_a_delivery_is_read_from_its_acknowledgement_subject(reply: str) -> None:
    heard = Delivery.heard(b"facts.a", reply.encode(), b"{}", {"x": "y"})
    assert heard == Delivery("facts.a", reply, b"{}", {"x": "y"}, "FACTS", 42, STORED_AT_NS, 3)


PINNED_KEY = "100d03a5476077320326db1576458b7a"
