"""The ruleset that a worker decides by: Postgres says which it is, whatever the cache does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest
import redis.asyncio

from domain.decisions.engine import decide
from domain.decisions.fact import Fact
from domain.decisions.ruleset import Ruleset
from domain.language import compile_rule
from domain.ports import RulesetChanges
from tests.behaviour.bus import Bus, connected, eventually
from worker.adapters.postgres.active_rules import PostgresActiveRules
from worker.adapters.postgres.cache_key import cache_key
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.adapters.redis.active_rules import RedisActiveRules
from worker.adapters.redis.plans import RedisPlans
from worker.compiler.process import CompilerProcess
from worker.release import language_digest
from worker.ruleset_loading import QUICK_CODE_POINTS, RulesetBrokenError
from worker.rulesets import Rulesets
from worker.service import running_worker
from worker.settings import Settings, load_settings

NOWHERE = "redis://127.0.0.1:1/0"
RULES = {"first": "then set a = 1", "second": "then set b = 2", "third": "then set c = 3"}
LONG = "then set d = 4" + " // a long text" * QUICK_CODE_POINTS
Cache = redis.asyncio.Redis
Tamper = Callable[[Cache], Coroutine[Any, Any, None]]


@pytest.fixture
def settings(nats_url: str, database: str, redis_url: str) -> Settings:
    return load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0, ruleset_poll_s=60)


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    """Give a user of a running worker with three active rules."""
    async with running_worker(settings), connected(settings.nats_url.get_secret_value()) as found:
        for name, dsl in RULES.items():
            await found.activate_new(name, dsl)
        yield found


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with redis.asyncio.from_url(redis_url) as client:
        yield client


@asynccontextmanager
async def rulesets(settings: Settings, redis_url: str, poll_s: float = 60.0) -> AsyncIterator[Rulesets]:
    """Give what another worker would decide by."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.postgres_dsn.get_secret_value(), size_max=4, timeout_s=60)
        stack.push_async_callback(pool.close)
        client = await stack.enter_async_context(redis.asyncio.from_url(redis_url))
        compiler = CompilerProcess()
        stack.push_async_callback(compiler.stop)
        plans = RedisPlans(client, await cache_key(pool), language_digest())
        found = Rulesets(PostgresTransactions(pool), RedisActiveRules(client), plans, compiler, poll_s)
        await found.start()
        stack.push_async_callback(found.stop)
        yield found


async def load(settings: Settings, redis_url: str) -> Ruleset:
    async with rulesets(settings, redis_url) as found:
        return found.current


def told(ruleset: Ruleset) -> tuple[int, str, list[tuple[str, str, int]]]:
    """Tell what a ruleset is: its revision, its digest, its rules."""
    rules = sorted((rule.name, str(rule.rule_id), rule.version) for rule in ruleset.rules)
    return ruleset.revision, ruleset.digest.hex(), rules


def decided(ruleset: Ruleset) -> dict[str, Any]:
    """Decide a fact of a type that every rule is for."""
    return decide(ruleset, Fact(b"k" * 16, "f1", "any.type", 1, None, {})).output


async def truth(bus: Bus) -> tuple[int, str, list[tuple[str, str, int]]]:
    """Tell what Postgres says the ruleset is."""
    found = await bus.ask("ruleset")
    rules = sorted((rule["name"], rule["ruleId"], rule["version"]) for rule in found["items"])
    return found["revision"], found["digest"], rules


async def nothing(cache: Cache) -> None:
    """Leave the cache as it is."""
    assert await cache.dbsize() > len(RULES)


async def flushed(cache: Cache) -> None:
    await cache.flushall()


async def garbage(cache: Cache) -> None:
    for key in await cache.keys("rulestream:*"):
        await cache.set(key, b"\x00garbage")


async def rules_lost(cache: Cache) -> None:
    await cache.delete(*await cache.keys("rulestream:rule:*"))


async def lists_lost(cache: Cache) -> None:
    await cache.delete(*await cache.keys("rulestream:members:*"))


async def one_rule_lost(cache: Cache) -> None:
    await cache.delete((await cache.keys("rulestream:rule:*"))[0])


async def contents_swapped(cache: Cache) -> None:
    keys = await cache.keys("rulestream:rule:*")
    values = await cache.mget(keys)
    for key, value in zip(keys, values[1:] + values[:1], strict=True):
        await cache.set(key, value)


async def dsl_changed(cache: Cache) -> None:
    for key in await cache.keys("rulestream:rule:*"):
        fields = msgspec.msgpack.decode(await cache.get(key))
        fields[3] = "then set a = 666"
        await cache.set(key, msgspec.msgpack.encode(fields))


async def lists_shortened(cache: Cache) -> None:
    for key in await cache.keys("rulestream:members:*"):
        await cache.set(key, msgspec.msgpack.encode(msgspec.msgpack.decode(await cache.get(key))[:1]))


async def lists_of_another_revision(cache: Cache) -> None:
    keys = sorted(await cache.keys("rulestream:members:*"))
    assert len(keys) > 1
    values = await cache.mget(keys)
    for key, value in zip(keys, values[1:] + values[:1], strict=True):
        await cache.set(key, value)


async def ids_forged_and_rules_lost(cache: Cache) -> None:
    """Keep every digest of the lists, which vouches for contents alone, and forge the ids and versions beside them."""
    for key in await cache.keys("rulestream:members:*"):
        members = msgspec.msgpack.decode(await cache.get(key))
        await cache.set(key, msgspec.msgpack.encode([["no-uuid", 2**40, digest] for _, _, digest in members]))
    await rules_lost(cache)


async def plans_lost(cache: Cache) -> None:
    await cache.delete(*await cache.keys("rulestream:plan:*"))


async def plans_swapped(cache: Cache) -> None:
    keys = await cache.keys("rulestream:plan:*")
    assert len(keys) == len(RULES)
    values = await cache.mget(keys)
    for key, value in zip(keys, values[1:] + values[:1], strict=True):
        await cache.set(key, value)


async def plans_forged(cache: Cache) -> None:
    """Put a plan of one's own in every place, sealed as well as one can who has no key."""
    forger = RedisPlans(cache, b"", language_digest())
    plan = compile_rule("then set a = 666").stored
    await forger.store({bytes.fromhex(key[-64:].decode()): plan for key in await cache.keys("rulestream:plan:*")})


@pytest.mark.parametrize(
    "tamper",
    [
        nothing,
        flushed,
        garbage,
        rules_lost,
        lists_lost,
        one_rule_lost,
        contents_swapped,
        dsl_changed,
        lists_shortened,
        lists_of_another_revision,
        ids_forged_and_rules_lost,
        plans_lost,
        plans_swapped,
        plans_forged,
    ],
)
async def test_whatever_is_done_to_the_cache_the_ruleset_is_what_postgres_says(
    bus: Bus, settings: Settings, redis_url: str, cache: Cache, tamper: Tamper
) -> None:
    await load(settings, redis_url)  # the lists of every revision need not be there, the last one's is
    await tamper(cache)
    found = await load(settings, redis_url)
    assert told(found) == await truth(bus)
    assert decided(found) == {"a": 1, "b": 2, "c": 3}
    assert told(await load(settings, redis_url)) == await truth(bus), "nor does what was put back lead astray"


async def test_without_a_cache_the_ruleset_comes_from_postgres(bus: Bus, settings: Settings) -> None:
    assert told(await load(settings, NOWHERE)) == await truth(bus)


async def test_a_flushed_cache_is_filled_again(bus: Bus, settings: Settings, redis_url: str, cache: Cache) -> None:
    await cache.flushall()
    await load(settings, redis_url)
    assert len(await cache.keys("rulestream:rule:*")) == len(RULES)
    assert len(await cache.keys("rulestream:members:*")) == 1


async def test_a_restart_parses_no_rule_again(
    bus: Bus, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(settings, redis_url)
    monkeypatch.setattr("domain.language.rule.plan_rule", None)  # what parses and checks
    found = await load(settings, redis_url)
    assert told(found) == await truth(bus)
    assert decided(found) == {"a": 1, "b": 2, "c": 3}


async def test_beside_deciding_a_long_rule_is_compiled_by_another_process(
    bus: Bus, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rulesets(settings, redis_url) as found:
        await bus.activate_new("fourth", LONG)
        monkeypatch.setattr("domain.language.rule.plan_rule", None)
        assert decided(await found.refresh()) == {"a": 1, "b": 2, "c": 3, "d": 4}


async def test_an_approved_rule_decides_though_the_compiler_fails(
    bus: Bus, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rulesets(settings, redis_url) as found:
        await bus.activate_new("fourth", LONG)
        monkeypatch.setattr("worker.compiler.process.sys.executable", "/nowhere/python")
        assert decided(await found.refresh()) == {"a": 1, "b": 2, "c": 3, "d": 4}


async def test_a_raised_revision_swaps_the_snapshot_and_compiles_only_what_is_new(
    bus: Bus, settings: Settings, redis_url: str
) -> None:
    async with rulesets(settings, redis_url) as found:
        before = found.current
        await bus.activate_new("fourth", "then set d = 4")
        assert found.current is before, "no poll yet, and no hint"
        found.hint()

        async def current() -> int:
            return found.current.revision

        await eventually(current, lambda revision: revision == before.revision + 1)
        compiled = {rule.name: rule.compiled for rule in found.current.rules}
        assert sorted(compiled) == ["first", "fourth", "second", "third"]
        assert all(compiled[rule.name] is rule.compiled for rule in before.rules)
        assert len(before.rules) == len(RULES), "a snapshot never changes"


async def test_after_a_change_only_what_changed_is_read_and_by_one_statement(
    bus: Bus, settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rulesets(settings, redis_url) as found:
        await bus.activate_new("fourth", "then set d = 4")
        second = next(rule for rule in (await bus.ask("ruleset"))["items"] if rule["name"] == "second")["ruleId"]
        await bus.tell("bob", "deactivate", {"ruleId": second})
        with monkeypatch.context() as unread:
            for call in ("state", "members", "load"):
                unread.setattr(PostgresActiveRules, call, None)
            unread.setattr(RedisActiveRules, "members", None)
            assert decided(await found.refresh()) == {"a": 1, "c": 3, "d": 4}
        assert told(found.current) == await truth(bus)
        await bus.tell("bob", "activate", {"ruleId": second})
        assert decided(await found.refresh()) == {"a": 1, "b": 2, "c": 3, "d": 4}
        assert told(found.current) == await truth(bus)


def nothing_changed(found: RulesetChanges) -> RulesetChanges:
    return replace(found, begun=[])


def too_much_changed(found: RulesetChanges) -> RulesetChanges:
    return replace(found, begun=[], is_partial=True)


def another_ended(found: RulesetChanges) -> RulesetChanges:
    return replace(found, ended=[b"of none"])


@pytest.mark.parametrize("changes", [nothing_changed, too_much_changed, another_ended])
async def test_where_the_changes_do_not_make_the_digest_everything_is_looked_at(
    bus: Bus,
    settings: Settings,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    changes: Callable[[RulesetChanges], RulesetChanges],
) -> None:
    honest = PostgresActiveRules.changes

    async def wrong(active_rules: PostgresActiveRules, since: int, most: int) -> RulesetChanges:
        return changes(await honest(active_rules, since, most))

    async with rulesets(settings, redis_url) as found:
        await bus.activate_new("fourth", "then set d = 4")
        monkeypatch.setattr(PostgresActiveRules, "changes", wrong)
        assert decided(await found.refresh()) == {"a": 1, "b": 2, "c": 3, "d": 4}
        assert told(found.current) == await truth(bus)


async def test_rules_that_do_not_have_the_digest_are_refused_and_the_others_go_on_deciding(
    bus: Bus, settings: Settings
) -> None:
    async with rulesets(settings, NOWHERE) as found:  # the cache may have the rule as it was
        before = found.current
        await bus.activate_new("fourth", "then set d = 4")
        connection = await asyncpg.connect(settings.postgres_dsn.get_secret_value())
        try:
            await connection.execute("UPDATE rule_version SET dsl_content = 'then set a = 666' WHERE name = 'fourth'")
        finally:
            await connection.close()
        with pytest.raises(RulesetBrokenError):
            await found.refresh()
        assert found.current is before


async def test_a_worker_that_hears_no_event_finds_a_change_at_its_next_poll(
    bus: Bus, settings: Settings, redis_url: str
) -> None:
    async with rulesets(settings, redis_url, poll_s=0.05) as found:
        revision = found.current.revision
        await bus.activate_new("fourth", "then set d = 4")

        async def current() -> int:
            return found.current.revision

        await eventually(current, lambda seen: seen == revision + 1)


async def test_every_worker_hears_of_a_change_by_its_event_long_before_the_poll(bus: Bus, settings: Settings) -> None:
    async with AsyncExitStack() as stack:  # polls are a minute apart
        workers = [await stack.enter_async_context(running_worker(settings)) for _ in range(2)]
        await bus.activate_new("fourth", "then set d = 4")
        revision = (await truth(bus))[0]
        for worker in workers:

            async def current(worker=worker) -> int:
                return int((await worker.readiness()).details["ruleset"]["revision"])

            await eventually(current, lambda seen: seen == revision)
