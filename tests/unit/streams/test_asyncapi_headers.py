"""The API document on headers and facts, and what a worker reads of them: neither takes what the other refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import headers
from streams.asyncapi import document
from streams.control import _sender
from streams.facts.intake import Accepted, DeadReason, Delivery, read_fact
from tests.asyncapi.judge import Judge

JUDGE = Judge(document())
COMMAND = "0123456789abcdef"
STRUCTURED = headers.STRUCTURED_CLOUD_EVENT
IDS = ["", " ", "a", "é", "x" * 256, "x" * 257, "a\u0007", "a\u0085", "\ufffd", "a\ufffd"]
TIMES = [
    "2026-01-01T00:00:00Z",
    "2026-01-01t00:00:00.123456789+01:00",
    "2026-01-01",
    "now",
    "2026-01-01T00:00:00.1234567890Z",
]
ORIGINS = ["FACTS:1@2", "FACTS:0@2", "FACTS:1", "a b:1@2", "FACTS:1@2000000000000000000"]
TYPES = ["application/json", STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper(), "text/plain", ""]
EVENTS: list[dict[str, Any]] = [{"id": identity, "source": "/s", "data": {}} for identity in (*IDS[:8], None, 1)] + [
    {"id": "a", "data": {}},
    {"id": "a", "source": 1, "data": {}},
    {"id": "a", "source": "/s", "data": []},
    {"id": "a", "source": "/s"},
    *({"id": "a", "source": "/s", "data": {}, "time": time} for time in (*TIMES, None, 1)),
]
FACTS = {
    "Nats-Msg-Id": IDS,
    "ce-id": IDS,
    "ce-source": ["", "/shop", "a\ufffd"],
    "ce-time": TIMES,
    "content-type": TYPES,
    "traceparent": ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nope"],
    "Rulestream-Origin": ORIGINS,
    "X-Other": ["", "y"],
}
COMMANDS = {
    "Nats-Msg-Id": ["", COMMAND, COMMAND[:-1], "x" * 64, "x" * 65, f"{COMMAND} ", "é" * 16],
    "Nats-Stream": ["FACTS"],
    "nats-stream-source": ["x"],
    "NATS-SUBJECT": ["x"],
    "Nats-Schedule": ["@every 1s"],
    "Nats-Expected-Stream": ["RULES_COMMANDS"],
    "X-Other": ["y"],
}


def some_of(values: dict[str, list[str]]) -> st.SearchStrategy[dict[str, str]]:
    """Draw headers with some of the names, each with one of its values."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(found) for name, found in values.items()})


def is_taken(found: dict[str, str], data: bytes) -> bool:
    """Say whether a worker makes a fact of a message."""
    delivery = Delivery("facts.order.placed", "", data, found or None, "FACTS", 7, 1_795_000_000_000_000_000, 1)
    return isinstance(read_fact(delivery), Accepted)


@given(found=some_of(COMMANDS))
def test_a_commands_headers_are_refused_by_both_or_by_neither(found: dict[str, str]) -> None:
    subject = "rules.command.ann.activate"
    payload = b'{"ruleId":"5cdb9537-9ff2-525e-b538-50cf40b26e31"}'
    is_command = not isinstance(_sender(subject, found), DeadReason)
    assert JUDGE.judge(subject, found, payload).is_good == is_command


@pytest.mark.parametrize("name", ["Nats-Stream", "NATS-SUBJECT", "nats-schedule-target"])
def test_a_command_with_a_mark_of_the_server_is_refused_by_both(name: str) -> None:
    found = {"Nats-Msg-Id": COMMAND, name: "x"}
    assert _sender("rules.command.ann.activate", found) is DeadReason.COMMAND_FORGED
    assert JUDGE.schema_problems("CommandHeaders", found)


@given(found=some_of(FACTS), event=st.sampled_from(EVENTS))
def test_a_fact_is_refused_by_both_or_by_neither(found: dict[str, str], event: dict[str, Any]) -> None:
    data = json.dumps(event).encode()
    is_late = found.get("Rulestream-Origin") == "FACTS:1@2000000000000000000"
    if is_late:  # a moment after that of the message itself, of which no schema knows
        assert not is_taken(found, data)
        return
    assert JUDGE.judge("facts.order.placed", found, data).is_good == is_taken(found, data)


@pytest.mark.parametrize("event", EVENTS, ids=json.dumps)
def test_a_cloud_event_in_structured_mode_is_refused_by_both_or_by_neither(event: dict[str, Any]) -> None:
    found = {"content-type": STRUCTURED}
    data = json.dumps(event).encode()
    assert JUDGE.judge("facts.order.placed", found, data).is_good == is_taken(found, data)


@pytest.mark.parametrize("data", [b"{}", b"[]", b"1", b"null", b"nope", b"", b'{"a": 1}', b"\xff"])
def test_what_is_no_object_is_no_fact_to_both(data: bytes) -> None:
    assert JUDGE.judge("facts.order.placed", {}, data).is_good == is_taken({}, data)
