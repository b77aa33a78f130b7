"""ActiveRulesCache: what passes its digest, and nothing else, whatever becomes of the cache."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import pytest
from redis.asyncio import Redis

from domain.decisions.ruleset import ActiveRule, ruleset_digest
from domain.errors import UnavailableError
from domain.identifiers import RuleId
from domain.ports import ActiveRulesCache
from domain.rules.content import Priority, RuleContent
from tests.contracts.proxy import proxied
from tests.fakes.cache import FakeActiveRulesCache
from worker.adapters.redis.active_rules import RedisActiveRules


class Spoiler(Protocol):
    """What somebody with access to a cache could do to it."""

    async def put_rule(self, digest: bytes, other: bytes) -> None:
        """Put one rule's entry in another's place."""
        ...

    async def put_members(self, digest: bytes, other: bytes) -> None:
        """Put one ruleset's list in another's place."""
        ...

    async def flush(self) -> None: ...


@dataclass
class CacheUnderTest:
    cache: ActiveRulesCache
    spoil: Spoiler


class FakeSpoiler:
    def __init__(self, cache: FakeActiveRulesCache) -> None:
        self._cache = cache

    async def put_rule(self, digest: bytes, other: bytes) -> None:
        self._cache.rules[digest] = self._cache.rules[other]

    async def put_members(self, digest: bytes, other: bytes) -> None:
        self._cache.lists[digest] = self._cache.lists[other]

    async def flush(self) -> None:
        self._cache.rules.clear()
        self._cache.lists.clear()


class RedisSpoiler:
    def __init__(self, client: Redis) -> None:
        self._client = client

    async def put_rule(self, digest: bytes, other: bytes) -> None:
        await self._put("rule", digest, other)

    async def put_members(self, digest: bytes, other: bytes) -> None:
        await self._put("members", digest, other)

    async def flush(self) -> None:
        await self._client.flushall()

    async def _put(self, kind: str, digest: bytes, other: bytes) -> None:
        data = await self._client.get(f"rulestream:{kind}:{other.hex()}")
        assert data
        await self._client.set(f"rulestream:{kind}:{digest.hex()}", data)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
async def fake_cache() -> CacheUnderTest:
    cache = FakeActiveRulesCache()
    return CacheUnderTest(cache, FakeSpoiler(cache))


@pytest.fixture
async def redis_cache(client: Redis) -> CacheUnderTest:
    return CacheUnderTest(RedisActiveRules(client), RedisSpoiler(client))


@pytest.fixture(params=["fake", "redis"])
def under_test(request: pytest.FixtureRequest) -> CacheUnderTest:
    """Give the fake, then the real thing."""
    found: CacheUnderTest = request.getfixturevalue(f"{request.param}_cache")
    return found


@pytest.fixture
def cache(under_test: CacheUnderTest) -> ActiveRulesCache:
    return under_test.cache


def rule(name: str, version: int = 1, **changes: object) -> ActiveRule:
    content = RuleContent(name, "a == 1", Priority.MEDIUM)
    return ActiveRule(RuleId.for_name(name), version, replace(content, **changes))  # type: ignore[arg-type]


FULL = rule(
    "Ünï",
    7,
    dsl_content='a == "\n"',
    priority=Priority.CRITICAL,
    description="text",
    tags=("b", "a"),
    effective_from=datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    effective_until=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
)
RULES = [rule("one rule"), rule("two rule"), FULL]


def members_of(rules: list[ActiveRule]) -> list[tuple[RuleId, int, bytes]]:
    return [(one.rule_id, one.version, one.digest) for one in rules]


def digest_of(rules: list[ActiveRule]) -> bytes:
    return ruleset_digest(one.digest for one in rules)


async def keep(cache: ActiveRulesCache, rules: list[ActiveRule]) -> None:
    await cache.store_rules(rules)
    await cache.store_members(digest_of(rules), members_of(rules))


async def test_what_was_stored_is_found_whole(cache: ActiveRulesCache) -> None:
    await keep(cache, RULES)
    assert await cache.members(digest_of(RULES)) == members_of(RULES)
    assert await cache.load([one.digest for one in RULES]) == {one.digest: one for one in RULES}


async def test_a_ruleset_without_rules_is_found_too(cache: ActiveRulesCache) -> None:
    await keep(cache, [])
    assert await cache.members(digest_of([])) == []
    assert await cache.load([]) == {}


async def test_what_was_not_stored_is_not_found(cache: ActiveRulesCache) -> None:
    await keep(cache, RULES[:1])
    assert await cache.members(digest_of(RULES)) is None
    found = await cache.load([one.digest for one in RULES])
    assert found == {RULES[0].digest: RULES[0]}


async def test_rules_of_an_earlier_ruleset_are_still_there_for_the_next(cache: ActiveRulesCache) -> None:
    await keep(cache, RULES[:2])
    await cache.store_rules(RULES[2:])
    await cache.store_members(digest_of(RULES), members_of(RULES))
    assert await cache.members(digest_of(RULES)) == members_of(RULES)
    assert len(await cache.load([one.digest for one in RULES])) == 3
    assert await cache.members(digest_of(RULES[:2])) == members_of(RULES[:2])


async def test_many_rules_are_found(cache: ActiveRulesCache) -> None:
    rules = [rule(f"rule {number}") for number in range(1203)]
    await keep(cache, rules)
    assert await cache.load([one.digest for one in rules]) == {one.digest: one for one in rules}


async def test_an_entry_in_anothers_place_is_as_good_as_absent(under_test: CacheUnderTest) -> None:
    cache = under_test.cache
    await keep(cache, RULES)
    await keep(cache, RULES[:1])
    await under_test.spoil.put_rule(RULES[1].digest, RULES[0].digest)
    await under_test.spoil.put_members(digest_of(RULES), digest_of(RULES[:1]))
    assert await cache.members(digest_of(RULES)) is None
    assert await cache.load([one.digest for one in RULES]) == {one.digest: one for one in (RULES[0], FULL)}
    assert await cache.members(digest_of(RULES[:1])) == members_of(RULES[:1])


async def test_a_cache_that_was_flushed_finds_nothing_and_can_be_filled_again(under_test: CacheUnderTest) -> None:
    cache = under_test.cache
    await keep(cache, RULES)
    await under_test.spoil.flush()
    assert await cache.members(digest_of(RULES)) is None
    assert await cache.load([one.digest for one in RULES]) == {}
    await keep(cache, RULES)
    assert await cache.members(digest_of(RULES)) == members_of(RULES)


GARBAGE = [
    b"",
    b"\x00",
    b"\xff\xff",
    b"not msgpack",
    msgspec.msgpack.encode({"a": 1}),
    msgspec.msgpack.encode([["not-a-uuid", 1]]),
    msgspec.msgpack.encode(["id", 1, "name", "dsl", "URGENT", "", [], None, None]),
    msgspec.msgpack.encode(["id", 1, "name", "dsl", "HIGH", "", [], "yesterday", None]),
    msgspec.msgpack.encode([[RULES[0].rule_id.value, 1, RULES[1].digest]]),
    msgspec.msgpack.encode([["id", 2**63, b""]]),
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_bytes_that_are_no_entry_are_as_good_as_absent(
    redis_cache: CacheUnderTest, client: Redis, data: bytes
) -> None:
    await keep(redis_cache.cache, RULES)
    await client.set(f"rulestream:rule:{FULL.digest.hex()}", data)
    await client.set(f"rulestream:members:{digest_of(RULES).hex()}", data)
    assert await redis_cache.cache.members(digest_of(RULES)) is None
    assert await redis_cache.cache.load([one.digest for one in RULES]) == {one.digest: one for one in RULES[:2]}


async def test_a_value_of_another_type_is_as_good_as_absent(redis_cache: CacheUnderTest, client: Redis) -> None:
    await client.rpush(f"rulestream:rule:{FULL.digest.hex()}", "x")
    await client.rpush(f"rulestream:members:{digest_of(RULES).hex()}", "x")
    assert await redis_cache.cache.members(digest_of(RULES)) is None
    assert await redis_cache.cache.load([FULL.digest]) == {}


async def test_entries_expire(redis_cache: CacheUnderTest, client: Redis) -> None:
    await keep(redis_cache.cache, RULES)
    keys = await client.keys("*")
    assert len(keys) == 4
    for key in keys:
        assert 0 < await client.ttl(key) <= 7 * 24 * 3600


async def test_a_list_whose_members_were_swapped_does_not_pass_for_the_ruleset(
    redis_cache: CacheUnderTest, client: Redis
) -> None:
    spoilt = [(one.rule_id.value, one.version, hashlib.sha256(b"x").digest()) for one in RULES]
    await client.set(f"rulestream:members:{digest_of(RULES).hex()}", msgspec.msgpack.encode(spoilt))
    assert await redis_cache.cache.members(digest_of(RULES)) is None


async def test_a_cache_that_is_away_finds_and_stores_nothing_and_says_so_and_raises_nothing(redis_url: str) -> None:
    async with proxied(redis_url) as proxy, Redis.from_url(proxy.url) as client:
        cache = RedisActiveRules(client)
        await keep(cache, RULES)
        assert cache.is_up
        await proxy.cut()
        for _ in range(2):
            assert await cache.members(digest_of(RULES)) is None
            assert await cache.load([FULL.digest]) == {}
            await keep(cache, RULES)
            with pytest.raises(UnavailableError):
                await cache.ping(5)
            assert not cache.is_up
        proxy.mend()
        await cache.ping(5)
        assert await cache.members(digest_of(RULES)) == members_of(RULES)
        assert cache.is_up


async def test_a_fake_that_is_away_finds_and_stores_nothing() -> None:
    cache = FakeActiveRulesCache()
    await keep(cache, RULES[:1])
    cache.is_away = True
    await keep(cache, RULES)
    assert await cache.members(digest_of(RULES[:1])) is None
    assert await cache.load([RULES[0].digest]) == {}
    cache.is_away = False
    assert await cache.members(digest_of(RULES)) is None
    assert await cache.members(digest_of(RULES[:1])) == members_of(RULES[:1])
