"""Publishing batches to a real JetStream: all stored and known to be, or told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig

from domain.errors import UnavailableError
from streams.wire import BatchPublisher, Publication, header_block, send_settlements


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    made = await nats.connect(nats_url)
    await made.jetstream().add_stream(StreamConfig(name="OUT", subjects=["out.>"]))
    yield made
    if not made.is_closed:
        await made.close()


@pytest.fixture
async def publisher(client: Client) -> BatchPublisher:
    made = BatchPublisher(client, timeout_s=5)
    await made.start()
    return made


def batch(first: int, count: int, payload: bytes = b'{"a":1}') -> list[Publication]:
    return [
        Publication(f"out.{number % 7}", header_block({"Nats-Msg-Id": f"m{number}", "X": "y: z"}), payload)
        for number in range(first, first + count)
    ]


async def stored(client: Client, stream: str = "OUT") -> int:
    return (await client.jetstream().stream_info(stream)).state.messages


async def test_every_message_of_a_batch_is_stored_as_it_was_given(client: Client, publisher: BatchPublisher) -> None:
    await publisher.publish(batch(0, 1000))
    assert await stored(client) == 1000
    message = await client.jetstream().get_msg("OUT", 500)
    assert (message.subject, message.data) == ("out.2", b'{"a":1}')
    assert message.headers == {"Nats-Msg-Id": "m499", "X": "y: z"}


async def test_batches_may_be_in_flight_together(client: Client, publisher: BatchPublisher) -> None:
    await asyncio.gather(*(publisher.publish(batch(number * 200, 200)) for number in range(10)))
    assert await stored(client) == 2000


async def test_a_batch_may_be_published_again_and_is_stored_once(client: Client, publisher: BatchPublisher) -> None:
    await publisher.publish(batch(0, 100))
    await publisher.publish(batch(50, 100))
    await publisher.publish(batch(0, 150))
    assert await stored(client) == 150


async def test_nothing_to_publish_is_done_at_once(publisher: BatchPublisher) -> None:
    await publisher.publish([])


async def test_empty_and_large_payloads_are_stored(client: Client, publisher: BatchPublisher) -> None:
    await publisher.publish([*batch(0, 1, b""), *batch(1, 1, b"x" * 900_000)])
    assert await stored(client) == 2


async def test_a_full_stream_is_told(client: Client, publisher: BatchPublisher) -> None:
    config = StreamConfig(name="FULL", subjects=["full.>"], max_msgs=3, discard=DiscardPolicy.NEW)
    await client.jetstream().add_stream(config)
    messages = [Publication("full.a", header_block({}), b"x") for _ in range(5)]
    with pytest.raises(UnavailableError, match="maximum messages") as full:
        await publisher.publish(messages)
    assert full.value.service == "nats"
    assert await stored(client, "FULL") == 3


async def test_a_subject_of_no_stream_is_told_at_once(publisher: BatchPublisher) -> None:
    async with asyncio.timeout(3):
        with pytest.raises(UnavailableError, match="no stream"):
            await publisher.publish([*batch(0, 2), Publication("nowhere.a", header_block({}), b"x")])


async def test_acknowledgements_that_do_not_come_are_told_with_their_number(client: Client) -> None:
    async def silent(_message: object) -> None:
        """Listen, so that there is somebody, and do not answer."""

    await client.subscribe("silent.>", cb=silent)
    publisher = BatchPublisher(client, timeout_s=0.2)
    await publisher.start()
    messages = [*batch(0, 2), Publication("silent.a", header_block({}), b"x")]
    with pytest.raises(UnavailableError, match="1 of 3 messages were not acknowledged"):
        await publisher.publish(messages)


async def test_without_a_connection_it_is_told_at_once(client: Client, publisher: BatchPublisher) -> None:
    await client.close()
    with pytest.raises(UnavailableError, match="not connected"):
        await publisher.publish(batch(0, 1))


async def test_a_frame_that_would_break_the_protocol_is_refused_before_anything_is_sent(
    client: Client, publisher: BatchPublisher
) -> None:
    bad = Publication("out.a\r\nPUB out.b 0\r\n", header_block({}), b"")
    with pytest.raises(ValueError, match="subject"):
        await publisher.publish([*batch(0, 2), bad])
    await publisher.publish(batch(10, 1))
    assert await stored(client) == 1


async def test_many_deliveries_are_settled_at_once(client: Client, publisher: BatchPublisher) -> None:
    await publisher.publish(batch(0, 50))
    jetstream = client.jetstream()
    pull = await jetstream.pull_subscribe("out.>", durable="d")
    messages = await pull.fetch(50, timeout=5)
    await send_settlements(client, [(message.reply, b"+ACK") for message in messages[:40]])
    await client.flush()
    async with asyncio.timeout(5):
        while (await pull.consumer_info()).num_ack_pending != 10:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.01)
