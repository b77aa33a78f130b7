"""The benchmarks of a whole worker, small: that they measure what they say."""

from __future__ import annotations

import asyncpg
import pytest

from tests.behaviour.bus import connected
from worker.bench import commands, listing
from worker.bench.stack import BenchError, worker_on_a_stack
from worker.service import running_worker
from worker.settings import load_settings

RULES = 400


async def test_commands_are_created_rules_each_answered(nats_url: str, database: str, redis_url: str) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    told: list[int] = []
    async with running_worker(settings), connected(nats_url) as bus:
        report = await commands.send(bus.client, 60, 0.2, told.append)
        sent = commands.WARM_UP + 60 + 10
        assert told == list(range(1, sent + 1))
        assert (await bus.ask("list"))["total"] == sent
        with pytest.raises(ExceptionGroup) as failed:  # the same names again
            await commands.send(bus.client, 1, 0.2)
        assert failed.group_contains(BenchError, match="rule name already exists")
    assert report.commands == 60
    assert report.commands_per_second > 0
    assert 0 < report.p50_ms <= report.p99_ms <= report.max_ms


async def test_every_question_about_a_filled_database_is_asked(nats_url: str, database: str, redis_url: str) -> None:
    """What was filled in are rules: a worker reads them, and each filter finds what it is to find."""
    await listing.fill(database, RULES)
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    told: list[int] = []
    async with running_worker(settings), connected(nats_url) as bus:
        report = await listing.ask(bus.client, RULES, 1, told.append)
        rule = (await bus.ask("list", status="ACTIVE", pageSize=1))["items"][0]
        assert (await bus.ask("get", ruleId=rule["ruleId"]))["activeVersion"] == 1
    assert told == list(range(1, listing.cases_count() + 1))
    assert len(report.cases) == listing.cases_count()
    totals = {case.filter: case.total for case in report.cases}
    assert totals["none"] == totals["nameContains, all"] == RULES
    assert totals["nameContains, none"] == 0
    assert totals["tag, 50 %"] == RULES // 2
    assert 0 < totals["status and priority"] < totals["status, 40 %"] < RULES
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM rule_name") == RULES
    finally:
        await connection.close()


async def test_a_benchmark_has_servers_and_a_worker_of_its_own() -> None:
    seen: list[str] = []

    async def before(dsn: str) -> None:
        seen.append(dsn)
        await listing.fill(dsn, 3)

    async with worker_on_a_stack(before) as at:
        message = await at.connection.request("rules.query.bench.list", b"{}", timeout=10)
        assert b'"total":3' in message.data
    assert len(seen) == 1
