"""The cache on a server that hangs, is away or refuses: each call ends, and one time-out is paid, not one a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from domain.errors import UnavailableError
from tests.contracts.proxy import Proxy, proxied
from worker.adapters.redis.active_rules import RedisActiveRules
from worker.adapters.redis.client import asking, open_client
from worker.adapters.redis.plans import RedisPlans
from worker.breakers import Breaker, BusyError

TIMEOUT_S = 1.0
BOUND_S = 60.0
DIGEST = bytes(32)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with proxied(redis_url) as found:
        yield found


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Redis]:
    async with open_client(proxy.url, TIMEOUT_S) as found:
        yield found


@pytest.fixture
def breaker() -> Breaker:
    """Give a breaker as the worker's, that stays open for as long as a test goes on."""
    return Breaker("redis", failures=1, pause_s=3600)


@pytest.mark.parametrize("state", ["hangs", "is away", "hangs from the first connection on"])
async def test_every_call_ends_and_after_the_first_failure_none_asks(
    proxy: Proxy, client: Redis, breaker: Breaker, state: str
) -> None:
    cache = RedisActiveRules(client, breaker)
    plans = RedisPlans(client, b"secret", b"release", breaker)
    async with asyncio.timeout(BOUND_S):
        if state == "hangs":
            await cache.ping(TIMEOUT_S)
        await proxy.cut() if state == "is away" else proxy.freeze()
        assert await cache.members(DIGEST) is None
        assert not cache.is_up
        assert breaker.state == "open"
        proxy.mend()
        proxy.thaw()
        assert await cache.load([DIGEST]) == {}
        await cache.store_rules([])
        await cache.store_members(DIGEST, [])
        assert await plans.load([DIGEST]) == {}
        with pytest.raises(UnavailableError, match="left alone"):
            await cache.ping(TIMEOUT_S)
        assert breaker.state == "open", "none of these asked the server, which would have answered"


async def test_a_call_is_not_made_again_by_the_client(proxy: Proxy, client: Redis) -> None:
    """redis-py's own retries would make one call cost four time-outs and the pauses between them."""
    connections: list[None] = []
    serve = proxy._serve

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        await serve(reader, writer)

    proxy._serve = counting  # type: ignore[method-assign]
    await proxy.stop()
    await proxy.start()
    async with open_client(proxy.url, TIMEOUT_S) as once:
        proxy.freeze()
        assert await RedisActiveRules(once).members(DIGEST) is None
    assert len(connections) == 1


async def test_a_refusal_is_no_absence(client: Redis, breaker: Breaker) -> None:
    """Such as a replica's, or that of a full cache: the next call may well be answered."""
    with pytest.raises(BusyError, match="ResponseError"):
        async with asking(breaker):
            await client.execute_command("NOSUCHCOMMAND")
    assert breaker.state == "closed"


async def test_many_answers_have_one_bound_together(client: Redis) -> None:
    """A server that answers each call just in time does not hold up a ruleset for as many time-outs."""
    never = asyncio.Event()
    with pytest.raises(UnavailableError, match="TimeoutError"):  # noqa: PT012  # two answers, one bound
        async with asyncio.timeout(BOUND_S), asking(None, TIMEOUT_S):
            await client.ping()
            await never.wait()
