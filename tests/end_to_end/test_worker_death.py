"""Workers that end under load, by force and by request."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.behaviour.bus import Bus
from tests.end_to_end.stage import (
    activate_flight_rules,
    all_settled,
    as_witnessed,
    count_decisions,
    each_decided_once,
    flight_facts,
    hearing_decisions,
    publish,
    witness,
    worker_process,
)
from worker.embedded import Addresses

FACTS = 5_000
LEFT_FOR_THE_LAST = 1_000


async def test_after_kill_9_in_mid_load_another_worker_decides_every_acknowledged_fact_exactly_once(
    addresses: Addresses, bus: Bus, tmp_path: Path
) -> None:
    facts = flight_facts(FACTS)
    # What a dead worker had taken comes again after this long.
    settings = {"ack_wait_s": 2}
    async with (
        worker_process(addresses, tmp_path / "first", **settings) as first,
        hearing_decisions(bus) as decided_more_than,
    ):
        await activate_flight_rules(bus)
        publishing = asyncio.create_task(publish(bus, facts[:-LEFT_FOR_THE_LAST]))
        await decided_more_than(500)
        await first.process.kill()
        decided = await count_decisions(addresses.postgres)
        await publishing
    assert 500 < decided < FACTS - LEFT_FOR_THE_LAST, "it died in mid-load"
    async with (
        hearing_decisions(bus) as decided_more_than,
        worker_process(addresses, tmp_path / "second", **settings) as second,
    ):
        await decided_more_than(500)
        await second.process.kill()
    async with worker_process(addresses, tmp_path / "third", **settings):
        await publish(bus, facts[-LEFT_FOR_THE_LAST:])
        await all_settled(bus, FACTS)

    decisions = await each_decided_once(bus, addresses.postgres, facts)
    oracle = witness()
    await as_witnessed(bus, decisions, facts, lambda _: oracle)


async def test_a_worker_told_to_stop_under_load_finishes_what_it_took_and_hands_back_the_rest_at_once(
    addresses: Addresses, bus: Bus, tmp_path: Path
) -> None:
    facts = flight_facts(FACTS)
    # Were a fact still with the first worker, it would come again only after this, far later than it is waited for.
    settings = {"ack_wait_s": 600}
    async with (
        worker_process(addresses, tmp_path / "first", **settings) as first,
        hearing_decisions(bus) as decided_more_than,
    ):
        publishing = asyncio.create_task(publish(bus, facts))
        await decided_more_than(1_000)
        await first.process.stop()
        assert first.process.exit_status == 0
        left = FACTS - await count_decisions(addresses.postgres)
        await publishing
    assert left > 0, "it was told in mid-load"
    async with worker_process(addresses, tmp_path / "second", **settings) as second:
        await all_settled(bus, FACTS)
        assert await second.metric("rulestream_facts_decided_total") == left
        assert await second.metric("rulestream_facts_repeated_total") == 0, "what the first decided stayed acknowledged"
        await second.process.stop()
        assert second.process.exit_status == 0

    decisions = await each_decided_once(bus, addresses.postgres, facts)
    assert len(decisions) == FACTS
