"""PlanCache: plans that this release stored with this database, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from domain.language import StoredPlan, compile_rule
from domain.ports import PlanCache
from tests.contracts.proxy import proxied
from tests.fakes.plans import FakePlanCache
from worker.adapters.redis.plans import RedisPlans
from worker.release import language_digest

SECRET = b"s" * 32
RELEASE = b"r" * 32
ONE, OTHER, ABSENT = b"1" * 32, b"2" * 32, b"3" * 32


def plan_of(source: str) -> StoredPlan:
    stored = compile_rule(source).stored
    assert stored is not None
    return stored


PLANS = {ONE: plan_of("a == 18446744073709551615u"), OTHER: plan_of("then set t = timestamp('9999-12-31T23:59:59Z')")}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture(params=["fake", "redis"])
def cache(request: pytest.FixtureRequest, client: Redis) -> PlanCache:
    """Give the fake, then the real thing."""
    return FakePlanCache() if request.param == "fake" else RedisPlans(client, SECRET, RELEASE)


@pytest.fixture
def plans(client: Redis) -> RedisPlans:
    return RedisPlans(client, SECRET, RELEASE)


async def test_what_was_stored_is_found_whole(cache: PlanCache) -> None:
    await cache.store(PLANS)
    assert await cache.load([ONE, OTHER, ABSENT]) == PLANS


async def test_nothing_is_found_of_nothing(cache: PlanCache) -> None:
    await cache.store({})
    assert await cache.load([]) == {}
    assert await cache.load([ABSENT]) == {}


async def test_many_plans_are_found(cache: PlanCache) -> None:
    many = {number.to_bytes(32, "big"): PLANS[ONE] for number in range(1203)}
    await cache.store(many)
    assert await cache.load(list(many)) == many


async def test_what_is_stored_again_is_the_newer(cache: PlanCache) -> None:
    await cache.store(PLANS)
    await cache.store({ONE: PLANS[OTHER]})
    assert await cache.load([ONE, OTHER]) == {ONE: PLANS[OTHER], OTHER: PLANS[OTHER]}


async def test_a_fake_that_is_away_finds_and_stores_nothing() -> None:
    cache = FakePlanCache()
    cache.is_away = True
    await cache.store(PLANS)
    assert await cache.load([ONE]) == {}
    cache.is_away = False
    assert await cache.load([ONE]) == {}


# What somebody with access to the cache alone could do to it


@pytest.mark.parametrize(
    ("secret", "release"), [(b"x" * 32, RELEASE), (SECRET, b"x" * 32)], ids=["another database", "another release"]
)
async def test_what_another_stored_is_as_good_as_absent(
    client: Redis, plans: RedisPlans, secret: bytes, release: bytes
) -> None:
    await RedisPlans(client, secret, release).store(PLANS)
    assert await plans.load([ONE, OTHER]) == {}
    await plans.store(PLANS)
    assert await plans.load([ONE, OTHER]) == PLANS


async def test_a_plan_in_anothers_place_is_as_good_as_absent(client: Redis, plans: RedisPlans) -> None:
    await plans.store(PLANS)
    data: Any = await client.get(f"rulestream:plan:{ONE.hex()}")
    await client.set(f"rulestream:plan:{OTHER.hex()}", data)
    assert await plans.load([ONE, OTHER]) == {ONE: PLANS[ONE]}


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
async def test_a_changed_byte_makes_a_plan_as_good_as_absent(client: Redis, plans: RedisPlans, place: int) -> None:
    await plans.store(PLANS)
    data = bytearray(await client.get(f"rulestream:plan:{ONE.hex()}") or b"")
    data[place] ^= 1
    await client.set(f"rulestream:plan:{ONE.hex()}", bytes(data))
    assert await plans.load([ONE, OTHER]) == {OTHER: PLANS[OTHER]}


@pytest.mark.parametrize("data", [b"", b"\x00" * 31, b"\x00" * 32, b"\x00" * 33, msgspec.msgpack.encode(PLANS[ONE])])
async def test_bytes_that_are_no_entry_are_as_good_as_absent(client: Redis, plans: RedisPlans, data: bytes) -> None:
    await client.set(f"rulestream:plan:{ONE.hex()}", data)
    assert await plans.load([ONE]) == {}


async def test_entries_expire(client: Redis, plans: RedisPlans) -> None:
    await plans.store(PLANS)
    for key in await client.keys("*"):
        assert 0 < await client.ttl(key) <= 7 * 24 * 3600


async def test_a_cache_that_is_away_finds_and_stores_nothing_and_raises_nothing(redis_url: str) -> None:
    async with proxied(redis_url) as proxy, Redis.from_url(proxy.url) as client:
        plans = RedisPlans(client, SECRET, RELEASE)
        await plans.store({ONE: PLANS[ONE]})
        await proxy.cut()
        assert await plans.load([ONE]) == {}
        await plans.store(PLANS)
        proxy.mend()
        assert await plans.load([ONE, OTHER]) == {ONE: PLANS[ONE]}


def test_the_release_is_told_by_the_languages_own_code() -> None:
    assert len(language_digest()) == 32
    assert language_digest() == language_digest()
