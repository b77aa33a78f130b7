"""Decisions that are there while their table is made narrower, and wider again: none is lost or changed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from domain.ports import StoredDecision
from streams.messages.decisions import time_text
from tests.servers.fixtures import Servers
from tests.servers.operations import execute, with_database
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.pool import open_pool
from worker.migrations.runner import downgrade, upgrade

WIDE, NARROW = "0006", "0007"
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
STORED_AT_NS = 20_000 * DAY_NS
YEAR_1_NS, YEAR_9999_NS = -62_135_596_800 * SECOND_NS, 253_402_300_800 * SECOND_NS - 1


def decision(number: int, days: float, time_ns: int, says: object = None, revision: int = 7) -> StoredDecision:
    body = {
        "factSeq": number,
        "factTime": time_text(time_ns),
        "ruleset": {"revision": revision, "digest": "00"},
        "output": says,
        "effects": [{"factSeq": 99, "factTime": "another", "revision": 99}],
    }
    return StoredDecision(
        key=hashlib.sha256(b"%d" % number).digest()[:16],
        stored_at_ns=STORED_AT_NS + round(days * DAY_NS) + number,
        fact_id=f"fact-{number}",
        fact_type="order.placed",
        sequence=number,
        time_ns=time_ns,
        matched=number % 2 == 0,
        revision=revision,
        body=msgspec.json.encode(body),
        effects=(("a", "id", b"\x00\xff"),) if number % 3 == 0 else (),
        traceparent="00-aa-bb-01" if number % 5 == 0 else None,
    )


DECISIONS = [
    decision(1, 0, STORED_AT_NS),
    decision(2, 0.5, STORED_AT_NS + 1),
    decision(3, 0.999, -1, "\0 what jsonb refuses, \\\0, \\\\u0000"),
    decision(4, 1, 0, {"\0": "\\u0000 \ud7ff é"}),
    decision(5, 9, YEAR_1_NS),
    decision(6, 9.5, YEAR_9999_NS),
    decision(7, 9.5, YEAR_1_NS + 1_500_000_000),
    decision(8, 9.5, -SECOND_NS - 120),
    decision(9, 40_000, 2**63 - 1),  # the server's clock was off: in a century
    decision(10, -20_001, YEAR_1_NS),  # and before 1970
    decision(11, 0, STORED_AT_NS + 10, revision=2**63 - 1),
]


@pytest.fixture
async def dsn(servers: Servers) -> AsyncIterator[str]:
    """Give a database before the migration, with decisions."""
    name = f"wide_{secrets.token_hex(6)}"
    await execute(servers.postgres_dsn, f"CREATE DATABASE {name}")
    dsn = with_database(servers.postgres_dsn, name)
    await upgrade(dsn, WIDE)
    connection = await asyncpg.connect(dsn)
    try:
        for one in DECISIONS:
            await connection.execute("INSERT INTO fact_key VALUES ($1, $2)", one.key, one.stored_at_ns)
            await connection.execute(
                """
                INSERT INTO decision (key, stored_at_ns, fact_id, fact_type, sequence, time_ns, matched, revision, body,
                                      effects, traceparent)
                VALUES ($1, $2, $3, $4, $5, $6::text::numeric, $7, $8, $9, $10, $11)
                """,
                *(one.key, one.stored_at_ns, one.fact_id, one.fact_type, one.sequence, str(one.time_ns), one.matched),
                *(
                    one.revision,
                    one.body,
                    msgspec.msgpack.encode(one.effects) if one.effects else None,
                    one.traceparent,
                ),
            )
    finally:
        await connection.close()
    yield dsn
    await execute(servers.postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


WIDE_ROWS = "SELECT d.*, d.time_ns::text AS time_text FROM decision d ORDER BY key"


async def test_decisions_of_before_are_found_whole_afterwards(dsn: str) -> None:
    """What the columns said comes from the bodies: to the nanosecond, for it is published again as it was."""
    await upgrade(dsn, NARROW)
    pool = await open_pool(dsn, size_max=1, timeout_s=60)
    try:
        store = PostgresDecisions(pool)
        assert [await store.find(one.key) for one in DECISIONS] == DECISIONS
        assert (await store.store(DECISIONS)).first == {one.key: one for one in DECISIONS}
    finally:
        await pool.close()


async def test_they_are_in_partitions_by_the_day_and_what_a_clock_dated_wrongly_is_not(dsn: str) -> None:
    await upgrade(dsn, NARROW)
    found = await rows(dsn, "SELECT tableoid::regclass::text, count(*) FROM decision GROUP BY 1 ORDER BY 1")
    assert found == [
        ("decision_20241004t000000", 4),
        ("decision_20241005t000000", 1),
        ("decision_20241013t000000", 4),
        ("decision_default", 2),
    ]


async def test_the_way_back_fills_every_column_as_it_was(dsn: str) -> None:
    before = await rows(dsn, WIDE_ROWS)
    assert len(before) == len(DECISIONS)
    await upgrade(dsn, NARROW)
    await downgrade(dsn, WIDE)
    assert await rows(dsn, WIDE_ROWS) == before


async def test_on_the_way_back_what_is_expired_takes_its_keys_along(dsn: str) -> None:
    """A key without a decision would hold its fact up for ever."""
    await upgrade(dsn, NARROW)
    await execute(
        dsn,
        "ALTER TABLE decision DETACH PARTITION decision_20241004t000000",
        "ALTER TABLE decision_20241004t000000 RENAME TO decision_expired_20241004t000000",
    )
    await downgrade(dsn, WIDE)
    kept = await rows(dsn, "SELECT key FROM decision ORDER BY key")
    assert len(kept) == len(DECISIONS) - 4
    assert await rows(dsn, "SELECT key FROM fact_key ORDER BY key") == kept
    assert await rows(
        dsn, "SELECT relname FROM pg_class WHERE relname LIKE 'decision\\_%' AND relkind IN ('r', 'p')"
    ) == [("decision_default",)]
