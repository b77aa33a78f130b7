"""A NATS server that hangs: every wait for it ends, and when it is back the connection is as good as new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.errors import UnavailableError
from streams import connection
from streams.connection import LenientClient, connect, ping
from streams.wire import BatchPublisher, Publication, header_block
from tests.behaviour.bus import eventually
from tests.contracts.proxy import Proxy, proxied

TIMEOUT_S = 0.5
BOUND_S = 60.0
# More than nats-py holds back, and than sockets buffer.
MUCH = 1_000_000
MANY = 40


@pytest.fixture
async def proxy(nats_url: str) -> AsyncIterator[Proxy]:
    async with proxied(nats_url) as found:
        yield found


@pytest.fixture
async def client(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LenientClient]:
    """Give a connection that is not given up as stale while a test goes on."""
    monkeypatch.setattr(connection, "PING_INTERVAL_S", 60)
    monkeypatch.setattr(connection, "FLUSH_TIMEOUT_S", TIMEOUT_S)
    made = await connect(proxy.url, "test")
    yield made
    proxy.thaw()
    await made.close()


async def test_a_ping_is_answered(client: LenientClient) -> None:
    await ping(client, BOUND_S)


async def test_after_pings_that_timed_out_the_same_connection_is_heard_again(
    proxy: Proxy, client: LenientClient
) -> None:
    """Their late answers must not end the client's read loop."""
    heard: list[bytes] = []

    async def hear(message) -> None:
        heard.append(message.data)

    await client.subscribe("somewhere", cb=hear)
    proxy.freeze()
    for _ in range(3):
        with pytest.raises(UnavailableError, match="does not answer"):
            await ping(client, 0.05)
    proxy.thaw()
    await ping(client, BOUND_S)
    await client.publish("somewhere", b"again")

    async def so_far() -> list[bytes]:
        return heard

    await eventually(so_far, lambda seen: seen == [b"again"])
    assert client.stats["reconnects"] == 0


async def test_a_ping_without_a_connection_fails_at_once(proxy: Proxy, client: LenientClient) -> None:
    await proxy.cut()

    async def is_connected() -> bool:
        return client.is_connected

    await eventually(is_connected, lambda seen: not seen)
    with pytest.raises(UnavailableError, match="not connected"):
        await ping(client, 3600)


@pytest.mark.parametrize("flush_timeout_s", [TIMEOUT_S / 2, TIMEOUT_S, TIMEOUT_S * 60])
async def test_publishing_to_a_server_that_does_not_read_ends(
    proxy: Proxy, client: LenientClient, flush_timeout_s: float
) -> None:
    """Whichever time-out is over first, that of writing or that of publishing: nats-py forgets a cancellation there."""
    client._flush_timeout = flush_timeout_s
    publisher = BatchPublisher(client, timeout_s=TIMEOUT_S)
    await publisher.start()
    proxy.freeze()
    publication = Publication("nowhere.at.all", header_block({}), bytes(MUCH))
    publishing = asyncio.create_task(publisher.publish([publication] * MANY))
    done, _ = await asyncio.wait([publishing], timeout=BOUND_S)
    assert done, "it hangs"
    assert isinstance(publishing.exception(), UnavailableError)


async def test_a_cancellation_in_the_midst_of_writing_is_not_lost(proxy: Proxy, client: LenientClient) -> None:
    client._flush_timeout = 3600
    proxy.freeze()

    async def write() -> None:
        for _ in range(MANY):
            await client.publish("nowhere", bytes(MUCH))
        await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    await asyncio.wait([writing], timeout=TIMEOUT_S)
    writing.cancel()
    done, _ = await asyncio.wait([writing], timeout=BOUND_S)
    assert done
    assert writing.cancelled()
