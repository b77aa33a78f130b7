"""Workers with rules that were put straight into the database, small: that what is timed is what it says."""

from __future__ import annotations

import pytest

from tests.behaviour.bus import connected
from tests.servers.operations import run_apart
from worker.bench import scale_change, scale_start
from worker.bench.scale_rulesets import active_rules
from worker.bench.scale_workloads import assorted_rules
from worker.service import running_worker
from worker.settings import load_settings

RULES = 60


async def test_rules_put_into_the_database_decide_as_activated_ones(
    nats_url: str, database: str, redis_url: str
) -> None:
    """The worker verifies their digest, and every query about them is answered."""
    rules = active_rules("scale", assorted_rules(RULES))
    await scale_start.fill(database, rules)
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings), connected(nats_url) as bus:
        ruleset = await bus.ask("ruleset")
        assert (ruleset["total"], ruleset["revision"]) == (RULES, 1)
        found = await bus.ask("get", ruleId=rules[7].rule_id.value)
        assert (found["name"], found["status"], found["activeVersion"]) == ("scale rule 000007", "ACTIVE", 1)
        assert found["dslContent"] == rules[7].content.dsl_content
        assert (await bus.ask("list", status="ACTIVE"))["total"] == RULES


def test_workers_start_without_a_cache_and_with_it_and_take_over_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_start, "WARM_STARTS", 1)
    monkeypatch.setattr(scale_change, "CHANGES", 1)
    monkeypatch.setattr(scale_change, "SOME", 20)
    monkeypatch.setattr(scale_change, "RATE", 100)
    monkeypatch.setattr(scale_change, "_QUIET_S", 0.01)
    told: list[int] = []
    found = run_apart(scale_start.measure_ready([RULES], told.append))
    assert told == [1, 2, 3]
    (started,) = found.starts
    assert started.rules == found.change.rules == RULES
    assert min(started.cold_seconds, started.warm_seconds) > 0
    assert min(started.cold_cpu_seconds, started.warm_cpu_seconds) > 0
    assert len(started.warm) == len(found.change.each) == 1
    assert found.change.command_ms > 0
    assert started.cache_mb > 0
