"""FactReader: a fact comes back from its stream as it was decided, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

import nats
import pytest
from nats.aio.client import Client

from domain.decisions.fact import Fact
from domain.errors import UnavailableError
from domain.identifiers import fact_key
from domain.language import parse_timestamp
from domain.ports import FactReader
from streams.connection import connect
from streams.facts.intake import Accepted, Delivery, read_fact
from streams.facts.reader import StreamFacts
from tests.contracts.proxy import proxied
from tests.fakes.facts import FakeFacts

STRUCTURED = {"content-type": "application/cloudevents+json"}


class Stream(Protocol):
    """A stream of facts to read from, with what a test does to it."""

    reader: FactReader

    async def put(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, int]:
        """Store a message and give its sequence and when it was stored."""
        ...

    async def remove(self, sequence: int) -> None: ...


class FakeStream:
    def __init__(self) -> None:
        self.reader = self._facts = FakeFacts()

    async def put(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, int]:
        return self._facts.put(subject, data, headers)

    async def remove(self, sequence: int) -> None:
        self._facts.remove(sequence)


class NatsStream:
    """The real one; when a message was stored is told by a consumer, as to the fact loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream = client.jetstream()
        self.reader = StreamFacts(client, "FACTS")

    async def create(self) -> None:
        await self._jetstream.add_stream(name="FACTS", subjects=["facts.>"])

    async def delete(self) -> None:
        await self._jetstream.delete_stream("FACTS")

    async def put(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, int]:
        sequence = (await self._jetstream.publish(subject, data, headers=headers)).seq
        return sequence, (await self.delivered(sequence)).stored_at_ns

    async def delivered(self, sequence: int) -> Delivery:
        subscription = await self._jetstream.subscribe("facts.>", stream="FACTS", ordered_consumer=True)
        try:
            while True:
                message = await subscription.next_msg(timeout=60)
                place = (message.subject.encode(), message.reply.encode())
                delivery = Delivery.heard(*place, message.data, message.headers)
                if delivery.sequence == sequence:
                    return delivery
        finally:
            await subscription.unsubscribe()

    async def remove(self, sequence: int) -> None:
        await self._jetstream.delete_msg("FACTS", sequence)


@pytest.fixture
async def fake_stream() -> Stream:
    return FakeStream()


@pytest.fixture
async def nats_stream(nats_url: str) -> AsyncIterator[NatsStream]:
    client = await nats.connect(nats_url)
    stream = NatsStream(client)
    await stream.create()
    yield stream
    await client.close()


@pytest.fixture(params=["fake", "nats"])
def stream(request: pytest.FixtureRequest) -> Stream:
    """Give the fake, then the real thing."""
    found: Stream = request.getfixturevalue(f"{request.param}_stream")
    return found


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Nats-Msg-Id": "order-1"}, fact_key("msg", "", "order-1")),
        ({"Nats-Msg-Id": "bestellung-ä"}, fact_key("msg", "", "bestellung-ä")),
        ({"ce-id": "a b", "ce-source": "/shop"}, fact_key("ce", "/shop", "a b")),
    ],
)
async def test_a_fact_is_found_with_its_identity_and_its_data(
    stream: Stream, headers: dict[str, str], key: bytes
) -> None:
    await stream.put("facts.other", b"{}")
    sequence, stored_at_ns = await stream.put("facts.order.placed", b'{"total": 5, "name": "\xc3\xa4"}', headers)
    found = await stream.reader.find(sequence, stored_at_ns)
    fact_id = headers.get("ce-id") or headers["Nats-Msg-Id"]
    assert found == Fact(key, fact_id, "order.placed", sequence, stored_at_ns, {"total": 5, "name": "ä"})


async def test_a_fact_without_an_id_is_named_by_its_place_in_the_stream(stream: Stream) -> None:
    sequence, stored_at_ns = await stream.put("facts.order", b"{}")
    found = await stream.reader.find(sequence, stored_at_ns)
    key = fact_key("seq", "FACTS", f"{sequence}@{stored_at_ns}")
    assert found == Fact(key, f"FACTS:{sequence}", "order", sequence, stored_at_ns, {})


async def test_a_cloud_event_in_structured_mode_is_found_with_its_time(stream: Stream) -> None:
    event = {"id": "e1", "source": "/shop", "time": "2026-01-01T00:00:00.5Z", "data": {"a": 1}}
    sequence, stored_at_ns = await stream.put("facts.order", json.dumps(event).encode(), STRUCTURED)
    found = await stream.reader.find(sequence, stored_at_ns)
    time_ns = parse_timestamp("2026-01-01T00:00:00.5Z").ns
    assert found == Fact(fact_key("ce", "/shop", "e1"), "e1", "order", sequence, time_ns, {"a": 1})


async def test_a_fact_as_large_as_a_message_can_be_is_found(stream: Stream) -> None:
    data = json.dumps({"text": "x" * 1_000_000}).encode()
    sequence, stored_at_ns = await stream.put("facts.order", data)
    found = await stream.reader.find(sequence, stored_at_ns)
    assert found is not None
    assert found.payload == {"text": "x" * 1_000_000}


async def test_what_was_removed_or_never_stored_is_not_found(stream: Stream) -> None:
    sequence, stored_at_ns = await stream.put("facts.order", b"{}")
    await stream.remove(sequence)
    assert await stream.reader.find(sequence, stored_at_ns) is None
    assert await stream.reader.find(sequence + 1, stored_at_ns) is None


async def test_another_message_at_the_sequence_is_not_the_fact(stream: Stream) -> None:
    """As after the stream was made anew: the same sequence, stored at another moment."""
    sequence, stored_at_ns = await stream.put("facts.order", b"{}", {"Nats-Msg-Id": "order-1"})
    assert await stream.reader.find(sequence, stored_at_ns - 1) is None


@pytest.mark.parametrize(("subject", "data"), [("facts.order", b"[]"), ("facts.order", b""), ("facts.a+b", b"{}")])
async def test_what_is_no_fact_is_not_found(stream: Stream, subject: str, data: bytes) -> None:
    sequence, stored_at_ns = await stream.put(subject, data)
    assert await stream.reader.find(sequence, stored_at_ns) is None


async def test_without_its_stream_no_fact_is_found(nats_stream: NatsStream) -> None:
    await nats_stream.delete()
    assert await nats_stream.reader.find(1, 1) is None


ODD_HEADERS: list[dict[str, Any]] = [
    {"X": "", "Nats-Msg-Id": "order-1"},
    {"nats-msg-id": "lower"},
    {"CE-Id": "e1", "CE-Source": "s", "ce-time": "2026-01-01T00:00:00Z"},
    {"Nats-Msg-Id": "  spaced  id "},
    {"Nats-Msg-Id": "a:b", "Other": "c:d"},
]


@pytest.mark.parametrize("headers", ODD_HEADERS)
async def test_headers_are_read_as_a_delivery_reads_them(nats_stream: NatsStream, headers: dict[str, str]) -> None:
    sequence, stored_at_ns = await nats_stream.put("facts.order", b"{}", headers)
    delivered = read_fact(await nats_stream.delivered(sequence))
    assert isinstance(delivered, Accepted)
    assert await nats_stream.reader.find(sequence, stored_at_ns) == delivered.fact


async def test_while_nats_is_away_that_is_said_and_afterwards_facts_are_found(
    nats_stream: NatsStream, nats_url: str
) -> None:
    sequence, stored_at_ns = await nats_stream.put("facts.order", b"{}")
    async with proxied(nats_url) as proxy:
        client = await connect(proxy.url, "test", is_patient=False)
        assert await StreamFacts(client, "FACTS", timeout_s=60).find(sequence, stored_at_ns) is not None
        await proxy.cut()
        reader = StreamFacts(client, "FACTS", timeout_s=0.5)
        for _ in range(2):
            with pytest.raises(UnavailableError) as away:
                await reader.find(sequence, stored_at_ns)
            assert away.value.service == "nats"
        await client.close()


async def test_without_jetstream_that_is_said(nats_stream: NatsStream, nats_url: str) -> None:
    """A name that no stream can have is a request that the server's API does not know."""
    client = await nats.connect(nats_url)
    with pytest.raises(UnavailableError):
        await StreamFacts(client, "no.such", timeout_s=0.5).find(1, 1)
    await client.close()


async def test_a_fake_that_is_away_says_so() -> None:
    facts = FakeFacts()
    facts.is_away = True
    with pytest.raises(UnavailableError):
        await facts.find(1, 1)
