"""Decisions in Postgres: one narrow table of keys, one partitioned table of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from domain.identifiers import is_fact_id
from domain.ports import StoredDecision, StoreResult
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("decisions")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[tuple[str, str, bytes], ...])


class PostgresDecisions:
    """DecisionStore on a pool; every call is durable by itself (autocommit, synchronous_commit on)."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
        chosen = sorted(decisions, key=lambda decision: decision.key)
        with translated():
            async with self._pool.acquire() as connection:
                claimed = await connection.fetch(
                    _SQL["store_decisions"],
                    [one.key for one in chosen],
                    [one.stored_at_ns for one in chosen],
                    [one.fact_id for one in chosen],
                    [one.fact_type for one in chosen],
                    [one.sequence for one in chosen],
                    [str(one.time_ns) for one in chosen],
                    [one.matched for one in chosen],
                    [one.revision for one in chosen],
                    [one.body for one in chosen],
                    [_ENCODER.encode(one.effects) if one.effects else None for one in chosen],
                    [one.traceparent for one in chosen],
                )
                if len(claimed) == len(chosen):
                    return StoreResult({})
                new = {row["key"] for row in claimed}
                known = [one.key for one in chosen if one.key not in new]
                rows = await connection.fetch(_SQL["first_decisions"], known)
        first = {row["key"]: _decision(row) for row in rows}
        return StoreResult(first, frozenset(known) - first.keys())

    async def find(self, key: bytes) -> StoredDecision | None:
        with translated():
            row = await self._pool.fetchrow(_SQL["first_decisions"], [key])
        return None if row is None else _decision(row)

    async def find_by_fact_id(self, fact_id: str) -> Sequence[StoredDecision]:
        if not is_fact_id(fact_id):
            return []
        with translated():
            rows = await self._pool.fetch(_SQL["decisions_of_fact"], fact_id)
        return [_decision(row) for row in rows]


def _decision(row: asyncpg.Record) -> StoredDecision:
    return StoredDecision(
        key=row["key"],
        stored_at_ns=row["stored_at_ns"],
        fact_id=row["fact_id"],
        fact_type=row["fact_type"],
        sequence=row["sequence"],
        time_ns=int(row["time_ns"]),
        matched=row["matched"],
        revision=row["revision"],
        body=row["body"],
        effects=() if row["effects"] is None else _DECODER.decode(row["effects"]),
        traceparent=row["traceparent"],
    )
