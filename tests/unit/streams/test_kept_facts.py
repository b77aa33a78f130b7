"""Facts that are stored with their decisions: read back as they were read when they were decided."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from domain.decisions.fact import Fact
from domain.errors import UnavailableError
from domain.ports import StoredDecision
from streams.facts.intake import Accepted, Delivery, read_fact
from streams.facts.kept import keep_fact, kept_delivery
from streams.facts.reader import DecidedFacts
from tests.fakes.facts import STORED_AT_NS, FakeFacts

CLOUD_EVENT = b'{"specversion":"1.0","id":"e1","source":"/shop","time":"2026-01-01T00:00:00.5Z","data":{"a":1}}'
DELIVERIES = {
    "without headers, named by its sequence": (b'{"total": 5}', None),
    "with a message id": (b'{"name": "\xc3\xa4"}', {"Nats-Msg-Id": "bestellung-ä"}),
    "a CloudEvent in binary mode": (
        b"{}",
        {"CE-Id": "e 1", "ce-source": "/shop", "ce-time": "2026-01-01T01:00:00+01:00", "Nats-Msg-Id": "other"},
    ),
    "a CloudEvent in structured mode": (CLOUD_EVENT, {"Content-Type": "application/cloudevents+json; charset=utf-8"}),
    "with other headers": (b"{}", {"X": "", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}),
    "larger than facts may be now": (b'{"text": "' + b"x" * 600_000 + b'"}', {"Nats-Msg-Id": "large"}),
    "with numbers and text at their limits": (b'{"n": 18446744073709551616, "t": "\\u0000\\ud83d\\ude00"}', None),
}


def delivery(data: bytes, headers: dict[str, str] | None) -> Delivery:
    return Delivery("facts.order.placed", "reply", data, headers, "FACTS", 7, STORED_AT_NS, 3)


@pytest.mark.parametrize("kind", DELIVERIES)
def test_a_fact_that_was_kept_is_the_fact_that_came(kind: str) -> None:
    came = delivery(*DELIVERIES[kind])
    kept = kept_delivery(keep_fact(came), came.sequence, came.stored_at_ns)
    assert kept is not None
    read = read_fact(kept, bytes_max=len(came.data))
    assert isinstance(read, Accepted)
    assert read == read_fact(came, bytes_max=len(came.data))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\xc1",
        b"{}",
        msgspec.msgpack.encode(["FACTS", "facts.a"]),
        msgspec.msgpack.encode(["a", b"\xff", None, b""]),
    ],
)
def test_bytes_that_are_no_kept_fact_are_none(broken: bytes) -> None:
    assert kept_delivery(broken, 7, STORED_AT_NS) is None


def test_a_kept_fact_with_a_byte_changed_is_another_or_none() -> None:
    """Never an error: what is stored may be anything."""
    whole = keep_fact(delivery(b'{"total": 5}', {"Nats-Msg-Id": "order-1"}))
    for position in range(len(whole)):
        changed = whole[:position] + bytes([whole[position] ^ 0x85]) + whole[position + 1 :]
        kept = kept_delivery(changed, 7, STORED_AT_NS)
        assert kept is None or kept != replace(delivery(b'{"total": 5}', {"Nats-Msg-Id": "order-1"}), deliveries=1)


class TestDecidedFacts:
    """Where a decision's fact is looked for."""

    def decided(self, facts: FakeFacts, data: bytes = b'{"total": 5}', *, fact: bytes | None = None) -> StoredDecision:
        sequence, stored_at_ns = facts.put("facts.order.placed", data, {"Nats-Msg-Id": "order-1"})
        read = read_fact(Delivery("facts.order.placed", "", data, {"Nats-Msg-Id": "order-1"}, "FACTS", 1, 1, 1))
        assert isinstance(read, Accepted)
        return StoredDecision(
            read.fact.key, stored_at_ns, "order-1", "order.placed", sequence, stored_at_ns, False, 1, b"{}", fact=fact
        )

    def kept(self, data: bytes = b'{"total": 5}', fact_id: str = "order-1") -> bytes:
        return keep_fact(delivery(data, {"Nats-Msg-Id": fact_id}))

    async def test_the_stream_goes_first(self) -> None:
        facts = FakeFacts()
        decision = self.decided(facts, fact=self.kept(b'{"total": 6}'))
        found = await DecidedFacts(facts).find(decision)
        assert found is not None
        assert found.payload == {"total": 5}

    async def test_what_the_stream_no_longer_holds_is_read_from_the_decision(self) -> None:
        facts = FakeFacts()
        decision = self.decided(facts, fact=self.kept())
        in_stream = await DecidedFacts(facts).find(decision)
        facts.remove(decision.sequence)
        found = await DecidedFacts(facts).find(decision)
        time_ns = decision.stored_at_ns
        assert found == Fact(decision.key, "order-1", "order.placed", 1, time_ns, {"total": 5}) == in_stream

    async def test_a_stream_made_anew_does_not_hide_what_was_stored_with_the_decision(self) -> None:
        facts = FakeFacts()
        decision = replace(self.decided(facts, fact=self.kept()), stored_at_ns=STORED_AT_NS)
        assert await DecidedFacts(facts).find(decision) is not None

    @pytest.mark.parametrize("fact", [None, b"broken", "another"])
    async def test_what_neither_place_has_is_none(self, fact: bytes | str | None) -> None:
        facts = FakeFacts()
        kept = self.kept(fact_id="order-2") if isinstance(fact, str) else fact
        decision = self.decided(facts, fact=kept)
        facts.remove(decision.sequence)
        assert await DecidedFacts(facts).find(decision) is None

    async def test_while_the_stream_cannot_be_asked_that_is_said(self) -> None:
        facts = FakeFacts()
        decision = self.decided(facts, fact=self.kept())
        facts.is_away = True
        with pytest.raises(UnavailableError):
            await DecidedFacts(facts).find(decision)
