"""Publishing batches to a real JetStream, one by one and as fast batches: all stored and known to be, or told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import msgspec
import pytest

from domain.errors import UnavailableError
from streams.connection import LenientClient, connect
from streams.wire import BatchPublisher, Publication, header_block, send_settlements

# Acknowledgements are waited for as long as it takes; what is told at once is told in far less.
TIMEOUT_S = 120.0
AT_ONCE_S = 30.0
# Enough for acknowledgements that come, where some do not.
SILENT_S = 2.0


async def add_stream(client: LenientClient, name: str, **more: Any) -> None:
    config = {"name": name, "subjects": [f"{name.lower()}.>"], "discard": "new", **more}
    answer = await client.request(f"$JS.API.STREAM.CREATE.{name}", msgspec.json.encode(config), timeout=AT_ONCE_S)
    assert b'"error"' not in answer.data, answer.data


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[LenientClient]:
    made = await connect(nats_url, "test-wire")
    await add_stream(made, "OUT", allow_batched=True)
    yield made
    if not made.is_closed:
        await made.close()


@pytest.fixture(params=["one by one", "fast batches"])
async def publisher(request: pytest.FixtureRequest, client: LenientClient) -> BatchPublisher:
    """Give a publisher of either kind."""
    made = BatchPublisher(client, TIMEOUT_S, batched={"out", "full"} if request.param == "fast batches" else ())
    await made.start()
    return made


def batch(first: int, count: int, payload: bytes = b'{"a":1}') -> list[Publication]:
    return [
        Publication(f"out.{number % 7}", header_block({"Nats-Msg-Id": f"m{number}", "X": "y: z"}), payload)
        for number in range(first, first + count)
    ]


async def stored(client: LenientClient, stream: str = "OUT") -> int:
    return (await client.jetstream().stream_info(stream)).state.messages


async def test_every_message_of_a_batch_is_stored_as_it_was_given(
    client: LenientClient, publisher: BatchPublisher
) -> None:
    await publisher.publish(batch(0, 1000), is_first=True)
    assert await stored(client) == 1000
    message = await client.jetstream().get_msg("OUT", 500)
    assert (message.subject, message.data) == ("out.2", b'{"a":1}')
    assert message.headers == {"Nats-Msg-Id": "m499", "X": "y: z"}


async def test_batches_may_be_in_flight_together(client: LenientClient, publisher: BatchPublisher) -> None:
    await asyncio.gather(*(publisher.publish(batch(number * 200, 200), is_first=True) for number in range(10)))
    assert await stored(client) == 2000


async def test_a_batch_may_be_published_again_and_is_stored_once(
    client: LenientClient, publisher: BatchPublisher
) -> None:
    await publisher.publish(batch(0, 100))
    await publisher.publish(batch(50, 100))
    await publisher.publish(batch(0, 150))
    assert await stored(client) == 150


async def test_nothing_to_publish_is_done_at_once(publisher: BatchPublisher) -> None:
    await publisher.publish([])


async def test_empty_and_large_payloads_are_stored(client: LenientClient, publisher: BatchPublisher) -> None:
    await publisher.publish([*batch(0, 4, b""), *batch(4, 1, b"x" * 900_000)], is_first=True)
    assert await stored(client) == 5


async def test_a_full_stream_is_told(client: LenientClient, publisher: BatchPublisher) -> None:
    await add_stream(client, "FULL", max_msgs=3, allow_batched=True)
    messages = [Publication("full.a", header_block({}), b"x") for _ in range(5)]
    with pytest.raises(UnavailableError, match="maximum messages") as full:
        await publisher.publish(messages, is_first=True)
    assert full.value.service == "nats"
    assert await stored(client, "FULL") == 3


async def test_a_subject_of_no_stream_is_told_at_once(publisher: BatchPublisher) -> None:
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(UnavailableError, match="no stream"):
            await publisher.publish([*batch(0, 2), Publication("nowhere.a", header_block({}), b"x")])


async def test_acknowledgements_that_do_not_come_are_told_with_their_number(client: LenientClient) -> None:
    async def silent(_message: object) -> None:
        """Listen, so that there is somebody, and do not answer."""

    await client.subscribe("silent.>", cb=silent)
    publisher = BatchPublisher(client, timeout_s=SILENT_S)
    await publisher.start()
    messages = [*batch(0, 2), Publication("silent.a", header_block({}), b"x")]
    with pytest.raises(UnavailableError, match="1 of 3 messages were not acknowledged"):
        await publisher.publish(messages)


async def test_without_a_connection_it_is_told_at_once(client: LenientClient, publisher: BatchPublisher) -> None:
    await client.close()
    with pytest.raises(UnavailableError, match="not connected"):
        await publisher.publish(batch(0, 1))


async def test_a_frame_that_would_break_the_protocol_is_refused_before_anything_is_sent(
    client: LenientClient, publisher: BatchPublisher
) -> None:
    bad = Publication("out.a\r\nPUB out.b 0\r\n", header_block({}), b"")
    with pytest.raises(ValueError, match="subject"):
        await publisher.publish([*batch(0, 2), bad])
    await publisher.publish(batch(10, 1))
    assert await stored(client) == 1


async def test_many_deliveries_are_settled_at_once(client: LenientClient, publisher: BatchPublisher) -> None:
    await publisher.publish(batch(0, 50))
    jetstream = client.jetstream()
    pull = await jetstream.pull_subscribe("out.>", durable="d")
    messages = await pull.fetch(50, timeout=AT_ONCE_S)
    await send_settlements(client, [(message.reply, b"+ACK") for message in messages[:40]])
    await client.flush()
    async with asyncio.timeout(AT_ONCE_S):
        while (await pull.consumer_info()).num_ack_pending != 10:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.01)


def publish_first(publisher: BatchPublisher, messages: list[Publication]) -> Awaitable[None]:
    return publisher.publish(messages, is_first=True)


@pytest.fixture
async def fast(client: LenientClient) -> BatchPublisher:
    made = BatchPublisher(client, TIMEOUT_S, batched={"out", "old", "nowhere", "silent"})
    await made.start()
    return made


async def test_a_fast_batch_is_acknowledged_by_few_messages(client: LenientClient, fast: BatchPublisher) -> None:
    before = client.stats["in_msgs"]
    await publish_first(fast, batch(0, 1000))
    assert await stored(client) == 1000
    assert client.stats["in_msgs"] - before < 10


async def test_a_stream_that_allows_no_fast_batches_is_told_once_and_then_served_one_by_one(
    client: LenientClient, fast: BatchPublisher
) -> None:
    await add_stream(client, "OLD")
    messages = [Publication("old.a", header_block({"Nats-Msg-Id": f"m{number}"}), b"x") for number in range(10)]
    with pytest.raises(UnavailableError, match="batch publish is disabled"):
        await publish_first(fast, messages)
    for _ in range(2):
        await publish_first(fast, messages)
    assert await stored(client, "OLD") == 10


async def test_messages_for_several_streams_go_each_their_way(client: LenientClient, fast: BatchPublisher) -> None:
    await add_stream(client, "PLAIN")
    plain = [Publication("plain.a", header_block({}), b"x") for _ in range(7)]
    single = Publication("plain.b", header_block({}), b"x")
    await publish_first(fast, [*plain, *batch(0, 50), single])
    assert (await stored(client), await stored(client, "PLAIN")) == (50, 8)


async def test_what_may_have_been_sent_before_goes_one_by_one(client: LenientClient, fast: BatchPublisher) -> None:
    await publish_first(fast, batch(0, 100))
    before = client.stats["in_msgs"]
    await fast.publish(batch(50, 100))
    assert client.stats["in_msgs"] - before == 100
    assert await stored(client) == 150


async def test_a_fast_batch_for_no_stream_is_told_at_once(fast: BatchPublisher) -> None:
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(UnavailableError, match="no stream"):
            await publish_first(fast, [Publication("nowhere.a", header_block({}), b"x")] * 5)


async def test_a_fast_batch_whose_end_is_not_acknowledged_is_told(client: LenientClient) -> None:
    heard: list[str] = []

    async def silent(message: Any) -> None:
        """Listen, so that there is somebody, and do not answer."""
        heard.append(message.reply)

    await client.subscribe("silent.>", cb=silent)
    fast = BatchPublisher(client, timeout_s=SILENT_S, batched={"silent"})
    await fast.start()
    with pytest.raises(UnavailableError, match="5 of 5 messages were not acknowledged"):
        await publish_first(fast, [Publication("silent.a", header_block({}), b"x")] * 5)
    assert [reply.endswith(".$FI") for reply in heard] == [True] * 5
