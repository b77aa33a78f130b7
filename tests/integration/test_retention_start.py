"""A worker starts only where decisions outlive their facts, by the stream's own limits, and has partitions at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig

from domain.decisions.retention import RetentionError
from domain.errors import RulestreamError
from streams import topology
from streams.topology import TopologyError
from tests.behaviour.bus import eventually
from worker.service import Worker, running_worker
from worker.settings import Role, Settings, load_settings

DAY_S = 86_400


@pytest.fixture
def settings(nats_url: str, database: str, redis_url: str) -> Settings:
    return load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    made = await nats.connect(nats_url)
    yield made
    await made.close()


async def add_facts_stream(client: Client, *, max_age_s: float, duplicate_window_s: float = 120) -> None:
    config = StreamConfig(
        name="FACTS",
        subjects=["facts.>"],
        discard=DiscardPolicy.NEW,
        max_age=max_age_s,
        duplicate_window=duplicate_window_s,
    )
    await client.jetstream().add_stream(config)


async def refusal_of(settings: Settings) -> RulestreamError:
    with pytest.raises(RetentionError) as refused:
        await Worker(settings).start()
    return refused.value


async def test_a_stream_that_keeps_facts_for_ever_is_refused(client: Client, settings: Settings) -> None:
    await add_facts_stream(client, max_age_s=0)
    refused = await refusal_of(settings)
    for part in ("FACTS has no age limit", "max_age", "RULESTREAM_DECISION_RETENTION_S", "decided twice"):
        assert part in refused.message


@pytest.mark.parametrize(("max_age_s", "window_s"), [(40 * DAY_S, 120), (30 * DAY_S - 60, 60)])
async def test_a_stream_that_keeps_facts_as_long_as_decisions_is_refused_whatever_the_settings_say(
    client: Client, settings: Settings, max_age_s: int, window_s: int
) -> None:
    await add_facts_stream(client, max_age_s=max_age_s, duplicate_window_s=window_s)
    refused = await refusal_of(settings)
    assert refused.message.startswith("RULESTREAM_DECISION_RETENTION_S: 2592000 s must exceed the age limit of FACTS")
    assert f"above {max_age_s + window_s}," in refused.message


async def test_a_worker_that_decides_no_facts_does_not_mind(client: Client, settings: Settings) -> None:
    await add_facts_stream(client, max_age_s=0)
    async with running_worker(settings.model_copy(update={"roles": frozenset({Role.QUERIES})})) as worker:
        assert (await worker.readiness()).is_ready


async def test_the_limits_are_the_streams_own(client: Client, settings: Settings) -> None:
    await add_facts_stream(client, max_age_s=1_000.5, duplicate_window_s=60)
    assert await topology.limits(client, "FACTS") == topology.StreamLimits(1_000.5, 60.0)
    with pytest.raises(TopologyError):
        await topology.limits(client, "ABSENT")


async def test_the_first_fact_and_a_backlog_of_facts_have_their_partitions(
    client: Client, settings: Settings, database: str
) -> None:
    """Partitions for now are there before the first fact is taken, and for all that the stream may hold."""
    await add_facts_stream(client, max_age_s=3 * DAY_S)
    await client.jetstream().publish("facts.order", b"{}")
    connection = await asyncpg.connect(database)
    try:
        async with running_worker(settings):
            await eventually(lambda: connection.fetchval("SELECT count(*) FROM decision"), lambda count: count == 1)
            assert await connection.fetchval("SELECT count(*) FROM decision_default") == 0
            days = await connection.fetchval(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'decision'::regclass AND inhrelid::regclass::text"
                " LIKE 'decision_2%'"
            )
            assert days >= 6  # three back, today, two ahead; two hours more may take in one more of each
    finally:
        await connection.close()
