"""The benchmarks of a whole worker, small: that they measure what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg
import pytest

from tests.behaviour.bus import connected
from tests.servers.operations import run_apart
from worker.bench import (
    backlog,
    commands,
    jetstream,
    latency,
    listing,
    pipeline,
    starting,
    stopping,
    telemetry,
    workload,
)
from worker.bench.activation import activate
from worker.bench.jetstream import Consumer
from worker.bench.stack import At, BenchError, worker_on_a_stack
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
        message = await at.connection.request("rules.query.bench.list", b"{}", timeout=60)
        assert b'"total":3' in message.data
    assert len(seen) == 1


@dataclass
class Measured:
    """What the benchmarks of deciding facts found, one after the other on one stack, and what they told meanwhile."""

    race: pipeline.PipelineReport
    latency: latency.LatencyReport
    backlog: backlog.BacklogReport
    start: starting.StartReport
    stops: list[stopping.Stop]
    cost: telemetry.TelemetryReport
    refused: list[str]
    told: dict[str, list[int]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    """Give what small measurements found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.bench.latency._WARM_UP_S", 0.05)
        patch.setattr("worker.bench.latency.QUIET_SECONDS", 0.2)
        patch.setattr("worker.bench.backlog._CHUNK", 400)
        yield run_apart(measure())


async def measure() -> Measured:
    told: dict[str, list[int]] = {name: [] for name in ("pairs", "latency", "backlog", "start", "stop", "telemetry")}
    async with worker_on_a_stack() as at:
        every = list(workload.rules())
        await activate(at, [*every[:9], every[80]])  # the last has the effect
        race = await pipeline.race(at, 1_000, 1, 10, update=told["pairs"].append)
        with pytest.raises(BenchError) as refused:
            await a_fact_that_is_not_decided(at)
        await jetstream.purge(at.connection, "FACTS", "DECISIONS")
        await delete_decisions(at)
        late = await latency.send(at, 0.1, 10, told["latency"].append)
        await jetstream.purge(at.connection, "FACTS", "DECISIONS")
        await delete_decisions(at)
        waiting = await backlog.work_off(at, 1_000, 10, told["backlog"].append)
        await at.worker.stop()
        with pytest.raises(BenchError) as ended:
            await Consumer(at.connection, "FACTS", "rulestream-facts", at.worker).until_asked()
        started = await starting.start(at, 10, 1, told["start"].append)
        stops = await stopping.stop(at, 20_000, 1, told["stop"].append)
        cost = await telemetry.compare(at, 80, 1, 10, update=told["telemetry"].append)
    return Measured(race, late, waiting, started, stops, cost, [refused.value.message, ended.value.message], told)


async def a_fact_that_is_not_decided(at: At) -> None:
    await jetstream.call(at.connection, "CONSUMER.DELETE.FACTS.copy-loop")
    await jetstream.call(at.connection, "STREAM.DELETE.COPY")
    await jetstream.purge(at.connection, "FACTS")  # or the new loop would begin with what is left there
    async with pipeline._copying(at) as copier, pipeline._opened(at, copier) as course:
        before = await course._stored()
        await course._prepare(10, effects=True)
        await course._round(course.worker, 10)
        await course.worker.resume()
        await course._check(10, 2, before)


async def delete_decisions(at: At) -> None:
    connection = await asyncpg.connect(at.stack.addresses.postgres)
    try:
        await connection.execute("TRUNCATE decision, fact_key")
    finally:
        await connection.close()


def test_the_worker_and_the_copy_loop_take_turns_in_pairs(measured: Measured) -> None:
    plain, with_effects = measured.race.pairs
    assert (plain.effects, with_effects.effects) == (False, True)
    for pair in measured.race.pairs:
        assert pair.ratio == pytest.approx(pair.worker.facts_per_second / pair.copy_loop.facts_per_second, rel=0.001)
        assert pair.worker.cpu_us_per_fact > 0
    assert measured.told["pairs"] == [1, 2, 3, 4]


def test_what_was_not_copied_is_told(measured: Measured) -> None:
    counts = "rows 10, rows with effects 2, decisions 10, effects 2, copies 0, dead letters 0"
    assert measured.refused[0] == f"of 10 facts with 2 effects there are: {counts}"


def test_a_worker_that_has_ended_is_told(measured: Measured) -> None:
    assert "FACTS/rulestream-facts has ended:" in measured.refused[1]
    assert "worker_stopped" in measured.refused[1]


def test_each_decision_is_timed_once_at_both_rates(measured: Measured) -> None:
    busy, quiet = measured.latency.busy, measured.latency.quiet
    assert (busy.facts, quiet.facts) == (100, 10)
    assert 0 < busy.p50_ms <= busy.p99_ms <= busy.max_ms
    assert measured.told["latency"][-1] == 50 + 100 + 10


def test_a_backlog_is_published_and_decided(measured: Measured) -> None:
    found = measured.backlog
    assert measured.told["backlog"][:3] == [400, 800, 1_000]
    assert measured.told["backlog"][-1] == 2_000
    assert 0 < found.before_mb <= found.worker_peak_mb < found.peak_mb
    assert found.disk_mb > 0


def test_facts_are_decided_with_telemetry_and_without(measured: Measured) -> None:
    (pair,) = measured.cost.pairs
    assert pair.on_us > 0 < pair.off_us
    assert measured.cost.spans > 0 < measured.cost.metrics
    assert measured.told["telemetry"] == [1]


def test_workers_are_started_with_a_cache_and_without(measured: Measured) -> None:
    assert (len(measured.start.warm), len(measured.start.cold)) == (1, 1)
    assert min(*measured.start.warm, *measured.start.cold) > 0
    assert measured.told["start"] == [1, 2, 3]


def test_a_worker_at_its_work_is_stopped_and_nothing_is_delivered_again(measured: Measured) -> None:
    (found,) = measured.stops
    assert found.seconds > 0
    assert 0 < found.pending < 20_000
    assert found.again == 0
    assert measured.told["stop"] == [1]
