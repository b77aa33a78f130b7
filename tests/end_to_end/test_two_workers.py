"""Two workers on one stack, while a rule changes under load: the whole of the promise at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.behaviour.bus import Bus, eventually
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
from worker.embedded import Addresses

FACTS = 8_000
BEFORE_THE_CHANGE = 3_000
AFTER_THE_CHANGE = 2_000
OTHER_VOUCHER_USD = 18


async def test_two_workers_share_the_facts_and_each_decision_is_its_rulesets_while_a_rule_changes_under_load(
    addresses: Addresses, bus: Bus, tmp_path: Path
) -> None:
    facts = flight_facts(FACTS)
    async with (
        worker_process(addresses, tmp_path / "first") as first,
        worker_process(addresses, tmp_path / "second") as second,
    ):
        await activate_flight_rules(bus)
        before = int((await bus.ask("ruleset"))["revision"])
        for worker in (first, second):
            await eventually(worker.revision, lambda revision: revision == before)

        await publish(bus, facts[:BEFORE_THE_CHANGE])
        await eventually(lambda: bus.count("DECISIONS"), lambda count: count == BEFORE_THE_CHANGE)
        changing = asyncio.create_task(change_voucher(bus, OTHER_VOUCHER_USD))
        await publish(bus, facts[BEFORE_THE_CHANGE:-AFTER_THE_CHANGE])
        after = await changing
        for worker in (first, second):
            await eventually(worker.revision, lambda revision: revision == after)
        await publish(bus, facts[-AFTER_THE_CHANGE:])
        await all_settled(bus, FACTS)
        decided = [await worker.metric("rulestream_facts_decided_total") for worker in (first, second)]

    decisions = await each_decided_once(bus, addresses.postgres, facts)
    assert len(decisions) == FACTS, "none twice"
    assert after == before + 1
    witnesses = {before: witness(VOUCHER_USD), after: witness(OTHER_VOUCHER_USD)}
    await as_witnessed(bus, decisions, facts, witnesses.__getitem__)

    revisions = [decision.body["ruleset"]["revision"] for decision in decisions]
    assert revisions.count(before) >= BEFORE_THE_CHANGE
    assert revisions.count(after) >= AFTER_THE_CHANGE
    vouchers = {decision.body["output"].get("care", {}).get("voucherUsd") for decision in decisions}
    assert {VOUCHER_USD, OTHER_VOUCHER_USD} <= vouchers, "both variants had something to decide"
    assert sum(decided) == FACTS
    assert min(decided) > 0, f"both workers took part: {decided}"
