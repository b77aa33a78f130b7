"""The cache is flushed, killed and brought back under load, while the ruleset changes: no decision is another one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import redis.asyncio

from tests.behaviour.bus import connected, eventually
from tests.end_to_end.stage import (
    VOUCHER_USD,
    activate_flight_rules,
    all_settled,
    as_witnessed,
    change_voucher,
    each_decided_once,
    flight_facts,
    publish,
    witness,
    worker_process,
)
from worker.embedded import EmbeddedStack

PHASE = 1_000
PHASES = 4
VOUCHERS_USD = (VOUCHER_USD, 16, 17, 18)


async def test_flushing_and_losing_the_cache_under_load_changes_no_decision(
    own_stack: EmbeddedStack, tmp_path: Path
) -> None:
    addresses = own_stack.addresses
    facts = flight_facts(PHASE * PHASES)
    witnesses = {}
    async with connected(addresses.nats) as bus:
        async with worker_process(addresses, tmp_path / "worker") as worker:
            await activate_flight_rules(bus)
            revision = int((await bus.ask("ruleset"))["revision"])
            witnesses[revision] = witness(VOUCHER_USD)
            await eventually(worker.revision, lambda seen: seen == revision)

            async def flush() -> None:
                async with redis.asyncio.from_url(addresses.redis) as cache:
                    assert await cache.dbsize() > 0, "there was something to lose"
                    await cache.flushall()

            faults = (flush, own_stack.valkey.kill, own_stack.valkey.start)
            for phase in range(PHASES):
                load = asyncio.create_task(publish(bus, facts[phase * PHASE : (phase + 1) * PHASE]))
                if phase:
                    await faults[phase - 1]()
                    revision = await change_voucher(bus, VOUCHERS_USD[phase])
                    witnesses[revision] = witness(VOUCHERS_USD[phase])
                    await eventually(worker.revision, lambda seen, wanted=revision: seen == wanted)
                if own_stack.valkey.running:
                    await readiness(worker, "up")
                else:
                    await readiness(worker, "degraded")
                await load
            await all_settled(bus, len(facts))

        decisions = await each_decided_once(bus, addresses.postgres, facts)
        assert len(decisions) == len(facts)
        await as_witnessed(bus, decisions, facts, witnesses.__getitem__)
        assert len({decision.body["ruleset"]["revision"] for decision in decisions}) > 1


async def readiness(worker, redis_state: str) -> None:
    """Wait until the worker is ready with the cache in a state."""

    async def look() -> tuple[str, str]:
        ready = json.loads(await worker.get("/readyz"))
        return ready["status"], ready["dependencies"]["redis"]

    await eventually(look, lambda seen: seen == ("ready", redis_state))
