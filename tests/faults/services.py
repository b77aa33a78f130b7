"""Postgres, NATS and Valkey: killed, restarted, frozen, slow, cut off, flushed, stale, full."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import asyncpg

from tests.behaviour.bus import eventually
from tests.faults.evidence import DECISIONS, EFFECTS, FACTS
from tests.faults.load import Mix, patiently
from tests.faults.scenario import Scenario, repeatedly
from tests.faults.slow_proxy import SlowProxy, slow_proxied
from tests.faults.stage import ACK_WAIT_S, CHANGE_WAIT_S, Stage
from worker.embedded import Addresses, EmbeddedStack
from worker.embedded.server import EmbeddedServer

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Full with some three hundred decisions; then room is made for as many again.
STREAM_BYTES = 300_000
NEARLY_FULL_BYTES = 30_000
WAITING_WHEN_FULL = 150


def _stack(stage: Stage) -> EmbeddedStack:
    assert stage.stack is not None, "this fault is the embedded stack's"
    return stage.stack


async def _away(stage: Stage, server: EmbeddedServer) -> None:
    """Kill a server, see that the workers say that they are not ready, start it, and see that they are again."""
    await server.kill()
    await stage.all_ready(ready=False)
    await server.start()
    await stage.all_ready()


async def kill_postgres(stage: Stage) -> None:
    await _away(stage, _stack(stage).postgres)


async def restart_postgres(stage: Stage) -> None:
    """Stop it in order and start it at once."""
    await _stack(stage).postgres.restart()
    await stage.all_ready()


async def _frozen(stage: Stage, server: EmbeddedServer) -> None:
    await server.freeze()
    try:
        await stage.all_ready(ready=False)
    finally:
        await server.thaw()
    await stage.all_ready()


async def freeze_postgres(stage: Stage) -> None:
    await _frozen(stage, _stack(stage).postgres)


async def cut_postgres_connections(stage: Stage) -> None:
    """End every connection of the workers, whatever it is doing."""
    connection = await asyncpg.connect(stage.addresses.postgres)
    try:
        await connection.fetch(CUT)
    finally:
        await connection.close()


async def terminate_nats(stage: Stage) -> None:
    """Stop it in order and start it at once."""
    await _stack(stage).nats.restart()
    await stage.all_ready()


async def kill_nats(stage: Stage) -> None:
    await _away(stage, _stack(stage).nats)


async def freeze_nats(stage: Stage) -> None:
    await _frozen(stage, _stack(stage).nats)


# --- behind a proxy ---------------------------------------------------------------------------------------------------


def behind_proxy(
    url_of: Callable[[Addresses], str],
    through: Callable[[Addresses, str], Addresses],
    once: Callable[[Stage, SlowProxy], Awaitable[None]],
) -> Callable[[Stage, int], Awaitable[None]]:
    """Make a play in which two workers reach a server through a proxy, and the proxy gets a fault."""

    async def play(stage: Stage, times: int) -> None:
        async with slow_proxied(url_of(stage.addresses)) as proxy:
            at = through(stage.addresses, proxy.url)
            workers = [await stage.start_worker(at), await stage.start_worker(at)]
            for _ in range(times):
                await stage.progress(stage.chance.randrange(20, 200))
                await once(stage, proxy)
                stage.injected += 1
            await stage.progress(100)
            for worker in workers:
                await worker.ends()

    return play


def _postgres_at(addresses: Addresses, url: str) -> Addresses:
    return Addresses(addresses.nats, url, addresses.redis)


def _nats_at(addresses: Addresses, url: str) -> Addresses:
    return Addresses(url, addresses.postgres, addresses.redis)


async def cut(stage: Stage, proxy: SlowProxy) -> None:
    """Break every connection, refuse new ones until the workers say so, and mend it."""
    facts_workers = [one for one in stage.running if one is not stage.steward]
    await proxy.cut()

    async def ready() -> list[bool]:
        return [await one.is_ready() for one in facts_workers]

    await eventually(ready, lambda seen: not any(seen), CHANGE_WAIT_S)
    proxy.mend()
    await eventually(ready, all, CHANGE_WAIT_S)


async def slow(stage: Stage, proxy: SlowProxy) -> None:
    """Let each answer take longer than AckWait, until some have come; the facts stay their workers' meanwhile."""
    proxy.delay_s = ACK_WAIT_S * stage.chance.uniform(1.1, 1.4)
    await stage.progress(stage.chance.randrange(1, 20))
    proxy.delay_s = 0.0


# --- the cache --------------------------------------------------------------------------------------------------------


async def change_some_rule(stage: Stage) -> None:
    """Give one of the rules with several contents another of them."""
    name = stage.chance.choice(("big-order", "vip", "unit-price", "region", "review"))
    if name in stage.ledger.active:
        variants = 3 if name == "big-order" else 2
        others = [number for number in range(variants) if number != stage.ledger.active[name].variant]
        await stage.change_rule(name, stage.chance.choice(others))


async def _decided_by_a_new_worker(stage: Stage) -> None:
    """Let a worker start, which reads the cache, and decide."""
    worker = await stage.start_worker()
    await stage.progress(60)
    await worker.ends()


async def kill_valkey(stage: Stage) -> None:
    """Without a cache rules change all the same, and workers start."""
    await _stack(stage).valkey.kill()
    await change_some_rule(stage)
    await _decided_by_a_new_worker(stage)
    await _stack(stage).valkey.start()
    await change_some_rule(stage)


async def flush_valkey(stage: Stage) -> None:
    await stage.cache.flushall()
    await change_some_rule(stage)
    await _decided_by_a_new_worker(stage)


async def make_valkey_stale(stage: Stage) -> None:
    """Put what was cached before a change in the place of what is cached after it."""
    before = await _entries(stage)
    await change_some_rule(stage)
    await stage.progress(10)
    after = await _entries(stage)
    for key in sorted(after):
        kind = key.rpartition(b":")[0]
        olds = sorted(value for old, value in before.items() if old.rpartition(b":")[0] == kind)
        if olds:
            await stage.cache.set(key, stage.chance.choice(olds))
    await _decided_by_a_new_worker(stage)
    for key, value in before.items():
        await stage.cache.set(key, value)
    await _decided_by_a_new_worker(stage)


async def _entries(stage: Stage) -> dict[bytes, bytes]:
    keys = [key async for key in stage.cache.scan_iter()]
    return {key: await stage.cache.get(key) for key in keys}


# --- full -------------------------------------------------------------------------------------------------------------


async def fill_streams(stage: Stage, times: int) -> None:
    """Let the streams run full, which then refuse what is new, and make room when the workers stand still."""
    await stage.start_worker()
    await stage.start_worker()
    for number in range(1, times + 1):
        await eventually(lambda: _room(stage), lambda room: room < NEARLY_FULL_BYTES, CHANGE_WAIT_S)
        await eventually(stage.waiting, lambda seen: sum(seen) > WAITING_WHEN_FULL, CHANGE_WAIT_S)
        for name in (FACTS, DECISIONS, EFFECTS):
            await _allow(stage, name, STREAM_BYTES * (number + 1))
        stage.injected += 1
    for name in (FACTS, DECISIONS, EFFECTS):
        await _allow(stage, name, -1)
    await stage.progress(100)


async def _room(stage: Stage) -> int:
    info = await patiently(lambda: stage.bus.jetstream.stream_info(DECISIONS))
    return int(info.config.max_bytes) - int(info.state.bytes)


async def _allow(stage: Stage, name: str, bytes_max: int) -> None:
    """Change a stream's limit, as an operator does."""
    answer = await stage.bus.client.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=10)
    config = {**json.loads(answer.data)["config"], "max_bytes": bytes_max}
    answer = await stage.bus.client.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode(), timeout=10)
    assert "error" not in json.loads(answer.data), answer.data


SCENARIOS = (
    Scenario("postgres-kill", "Postgres killed and started", 6, repeatedly(kill_postgres)),
    Scenario("postgres-restart", "Postgres restarted", 6, repeatedly(restart_postgres)),
    Scenario("postgres-freeze", "Postgres frozen", 4, repeatedly(freeze_postgres)),
    Scenario(
        "postgres-slow",
        "Postgres slower than AckWait",
        4,
        behind_proxy(lambda at: at.postgres, _postgres_at, slow),
        settings={"postgres_timeout_s": 20},
    ),
    Scenario("postgres-cut", "Postgres connections ended", 20, repeatedly(cut_postgres_connections)),
    Scenario("postgres-away", "network to Postgres cut", 5, behind_proxy(lambda at: at.postgres, _postgres_at, cut)),
    Scenario("nats-restart", "NATS restarted", 6, repeatedly(terminate_nats)),
    Scenario("nats-kill", "NATS killed and started", 6, repeatedly(kill_nats)),
    Scenario("nats-freeze", "NATS frozen", 3, repeatedly(freeze_nats)),
    Scenario("nats-away", "network to NATS cut", 5, behind_proxy(lambda at: at.nats, _nats_at, cut)),
    Scenario("valkey-kill", "Valkey killed", 4, repeatedly(kill_valkey)),
    Scenario("valkey-flush", "Valkey flushed", 4, repeatedly(flush_valkey)),
    Scenario("valkey-stale", "Valkey stale", 4, repeatedly(make_valkey_stale)),
    Scenario(
        "streams-full", "streams full", 4, fill_streams, Mix(poison=0), settings={"stream_max_bytes": STREAM_BYTES}
    ),
)
