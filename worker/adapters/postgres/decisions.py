"""Decisions in Postgres: one narrow table of keys, one partitioned table of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg
import msgspec

from domain.errors import RulestreamError
from domain.identifiers import is_fact_id
from domain.language import parse_timestamp
from domain.ports import DecisionCriteria, DecisionPage, ListedDecision, StoredDecision, StoreResult
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.pool import Connection
from worker.adapters.postgres.statements import statements

# How many decisions one page of a listing looks at, and how many bytes of them it holds before it ends.
LOOKED_AT_MAX: Final = 50_000
PAGE_BYTES_MAX: Final = 512 * 1024
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
# How often a batch is stored at most that meets a partition in the making.
ROUTINGS_MAX: Final = 4

T = TypeVar("T")

_WILDCARDS: Final = {"*": "[^.]+", ">": ".+"}
_SQL: Final = statements("decisions")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[tuple[str, str, bytes], ...])


class _Revision(msgspec.Struct, frozen=True):
    revision: int


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """What a stored decision's body says that no column repeats."""

    fact_seq: int
    fact_time: str
    ruleset: _Revision


_BODY_DECODER: Final = msgspec.json.Decoder(_Body)


class UnreadableDecisionError(RulestreamError):
    """A stored decision is not what a worker has stored: its bytes were changed."""


class PostgresDecisions:
    """DecisionStore on a pool; every call is durable by itself (autocommit, synchronous_commit on)."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], looked_at_max: int = LOOKED_AT_MAX) -> None:
        self._pool = pool
        self._looked_at_max = looked_at_max

    async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
        columns = _columns(decisions)
        with translated():
            async with self._pool.acquire() as connection:
                claimed = await _stored(connection, columns)
                if claimed is None:
                    return StoreResult({})
                new = set(claimed)
                known = [one.key for one in decisions if one.key not in new]
                rows = await connection.fetch(_SQL["first_decisions"], known)
        first = {row["key"]: _decision(row) for row in rows}
        return StoreResult(first, frozenset(known) - first.keys())

    async def find(self, key: bytes) -> StoredDecision | None:
        with translated():
            row = await self._pool.fetchrow(_SQL["find_decision"], key)
        return None if row is None else _decision(row, row["fact"])

    async def list_by_criteria(self, criteria: DecisionCriteria) -> DecisionPage:
        if criteria.fact_id is not None and not is_fact_id(criteria.fact_id):
            return DecisionPage([], None, criteria.until_ns)
        with translated():
            async with self._pool.acquire() as connection:
                until_ns = criteria.until_ns
                if until_ns is None:
                    newest: int | None = await connection.fetchval(_SQL["newest_decision"])
                    if newest is None:
                        return DecisionPage([], None, None)
                    until_ns = newest + 1
                kind = "list_decisions" if criteria.fact_id is None else "list_decisions_of_fact"
                between = (
                    criteria.fact_id or "",
                    INT64_MIN if criteria.since_ns is None else min(max(criteria.since_ns, INT64_MIN), INT64_MAX),
                    min(max(until_ns, INT64_MIN), INT64_MAX),
                )
                rows = await connection.fetch(
                    _SQL[kind],
                    *between,
                    criteria.offset,
                    self._looked_at_max,
                    None if criteria.fact_type is None else _expression(criteria.fact_type),
                    criteria.matched,
                    criteria.size,
                    PAGE_BYTES_MAX,
                )
                items = [ListedDecision(_decision(row), row["place"]) for row in rows]
                if rows and rows[0]["met"] > len(rows):
                    return DecisionPage(items, items[-1].next_offset, until_ns)
                end = criteria.offset + self._looked_at_max
                goes_on = await connection.fetchval(_SQL[f"{kind}_go_on"], *between, end)
                return DecisionPage(items, end if goes_on else None, until_ns)

    async def find_by_fact_id(self, fact_id: str) -> Sequence[StoredDecision]:
        if not is_fact_id(fact_id):
            return []
        with translated():
            rows = await self._pool.fetch(_SQL["decisions_of_fact"], fact_id)
        return [_decision(row) for row in rows]


def _expression(pattern: str) -> str:
    """Write a fact type with NATS wildcards as a regular expression: its tokens have no signs with a meaning there."""
    parts = [_WILDCARDS.get(part, part) for part in pattern.split(".")]
    return "^" + r"\.".join(parts) + "$"


def _columns(decisions: Sequence[StoredDecision]) -> Sequence[object]:
    """Return a batch as the parameters of the statement that stores it."""
    return (
        [one.key for one in decisions],
        [one.stored_at_ns for one in decisions],
        _once([one.matched for one in decisions]),
        [one.fact_id for one in decisions],
        _once([one.fact_type for one in decisions]),
        [one.body for one in decisions],
        _unless_empty([_ENCODER.encode(one.effects) if one.effects else None for one in decisions]),
        _unless_empty([one.traceparent for one in decisions]),
        _unless_empty([one.fact for one in decisions]),
    )


async def _stored(connection: Connection, columns: Sequence[object]) -> Sequence[bytes] | None:
    """Store a batch and return the keys that were new, None when all were.

    A row that is on its way into the default partition in the moment in which its own partition is made is refused by
    both, and nothing is stored: then again, for now there is the partition.
    """
    for _ in range(ROUTINGS_MAX - 1):
        with suppress(asyncpg.CheckViolationError):
            return await _claimed(connection, columns)
    return await _claimed(connection, columns)


async def _claimed(connection: Connection, columns: Sequence[object]) -> Sequence[bytes] | None:
    claimed: Sequence[bytes] | None = await connection.fetchval(_SQL["store_decisions"], *columns)
    return claimed


def _once(values: list[T]) -> list[T]:
    """Return a column of a batch, or its one value when all are that: each element of an array costs."""
    return values[:1] if values and values.count(values[0]) == len(values) else values


def _unless_empty(values: list[T | None]) -> list[T | None] | None:
    """Return a column of a batch, or None when it holds nothing: an array of nulls costs more than one null."""
    return values if any(value is not None for value in values) else None


def _decision(row: asyncpg.Record, fact: bytes | None = None) -> StoredDecision:
    try:
        said = _BODY_DECODER.decode(row["body"])
        time_ns = parse_timestamp(said.fact_time).ns
        effects = () if row["effects"] is None else _DECODER.decode(row["effects"])
    except ValueError as error:  # msgspec's errors are such too
        raise UnreadableDecisionError("a stored decision cannot be read", decisionId=row["key"].hex()) from error
    return StoredDecision(
        key=row["key"],
        stored_at_ns=row["stored_at_ns"],
        fact_id=row["fact_id"],
        fact_type=row["fact_type"],
        sequence=said.fact_seq,
        time_ns=time_ns,
        matched=row["matched"],
        revision=said.ruleset.revision,
        body=row["body"],
        effects=effects,
        traceparent=row["traceparent"],
        fact=fact,
    )
