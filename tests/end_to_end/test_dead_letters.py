"""Facts that are none: a dead letter each, once, beside facts that are decided as usual."""

from __future__ import annotations

import json

from tests.behaviour.bus import Bus
from tests.end_to_end.stage import all_settled, each_decided_once
from worker.embedded import Addresses
from worker.service import running_worker
from worker.settings import load_settings

# What is sent: subject, bytes, headers; and the dead letter's subject and reason.
BAD = [
    ("order.placed", b"{not JSON", {"Nats-Msg-Id": "a"}, "dead.facts.order.placed", "NOT_JSON"),
    ("order.placed", b"", {"Nats-Msg-Id": "b"}, "dead.facts.order.placed", "NOT_JSON"),
    ("order.placed", b"\xff\xfe", {"Nats-Msg-Id": "c"}, "dead.facts.order.placed", "NOT_JSON"),
    ("order.placed", b"[1, 2]", {"Nats-Msg-Id": "d"}, "dead.facts.order.placed", "NOT_AN_OBJECT"),
    ("order.placed", b"7", {"Nats-Msg-Id": "e"}, "dead.facts.order.placed", "NOT_AN_OBJECT"),
    (
        "order.placed",
        json.dumps({"text": "x" * 512 * 1024}).encode(),
        {"Nats-Msg-Id": "f"},
        "dead.facts.order.placed",
        "FACT_TOO_LARGE",
    ),
    (
        "order.placed",
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        {"Nats-Msg-Id": "g"},
        "dead.facts.order.placed",
        "FACT_TOO_DEEP",
    ),
    ("order.placed", b'{"a": 1e999}', {"Nats-Msg-Id": "h"}, "dead.facts.order.placed", "NUMBER_OUT_OF_RANGE"),
    ("order.placed", b"{}", {"Nats-Msg-Id": "i" * 257}, "dead.facts.order.placed", "INVALID_FACT_ID"),
    ("order.placed", b"{}", {"Nats-Msg-Id": "j", "ce-time": "noon"}, "dead.facts.order.placed", "INVALID_TIME"),
    ("order:placed", b"{}", {"Nats-Msg-Id": "k"}, "dead.facts._invalid", "INVALID_SUBJECT"),
]
# As near to each of them as a fact can be.
GOOD = [
    {"id": "good-large", "data": json.dumps({"text": "x" * (512 * 1024 - len('{"text": ""}'))}).encode()},
    {"id": "good-deep", "data": b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"},
    {"id": "good-number", "data": b'{"a": 1e308}'},
    {"id": "g" * 256, "data": b"{}"},
]


async def test_what_is_no_fact_becomes_one_dead_letter_with_its_bytes_and_reason(
    addresses: Addresses, bus: Bus
) -> None:
    settings = load_settings(
        nats_url=addresses.nats, postgres_dsn=addresses.postgres, redis_url=addresses.redis, http_port=0
    )
    async with running_worker(settings):
        sequences = [await bus.publish_fact(subject, data, headers) for subject, data, headers, _, _ in BAD]
        for fact in GOOD:
            await bus.publish_fact("order.placed", fact["data"], {"Nats-Msg-Id": fact["id"]})
        letters = await bus.wait_stored("DEAD_LETTERS", len(BAD))
        await all_settled(bus, len(GOOD))
    async with running_worker(settings):  # another worker finds nothing more to do
        last = {"id": "last", "data": b"{}"}
        await bus.publish_fact("order.placed", last["data"], {"Nats-Msg-Id": last["id"]})
        await all_settled(bus, len(GOOD) + 1)
    assert await bus.count("DEAD_LETTERS") == len(BAD), "once each"

    by_sequence = {int(letter.headers["Rulestream-Sequence"]): letter for letter in letters}
    for sequence, (subject, data, headers, dead_subject, reason) in zip(sequences, BAD, strict=True):
        letter = by_sequence[sequence]
        assert letter.subject == dead_subject
        assert letter.headers["Rulestream-Reason"] == reason
        assert letter.headers["Rulestream-Message"]
        assert letter.headers["Rulestream-Subject"] == f"facts.{subject}"
        assert letter.headers["Rulestream-Stream"] == "FACTS"
        assert {name: letter.headers[f"Original-{name}"] for name in headers} == headers
        assert letter.data == data
    await each_decided_once(bus, addresses.postgres, [*GOOD, last])
