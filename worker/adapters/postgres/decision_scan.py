"""Going through any number of decisions in Postgres, page by page, by the place behind which a page begins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import asyncpg

from domain.errors import RulestreamError
from domain.ports import BrokenRecord, DecisionRange, StoredDecision
from worker.adapters.postgres.decisions import INT64_MAX, INT64_MIN, _decision, _expression
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements

# Decisions and bytes of a page, and how many decisions are looked at for one where types are asked for.
PAGE_DECISIONS: Final = 512
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
LOOKED_AT_MAX: Final = 20_000

_SQL: Final = statements("decision_scan")


class PostgresDecisionScan:
    """DecisionScan on a pool. Each page is a statement of its own, so that no transaction lasts as long as the scan."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        page_decisions: int = PAGE_DECISIONS,
        page_bytes_max: int = PAGE_BYTES_MAX,
        looked_at_max: int = LOOKED_AT_MAX,
    ) -> None:
        self._pool = pool
        self._page_decisions = page_decisions
        self._page_bytes_max = page_bytes_max
        self._looked_at_max = looked_at_max

    async def pages(self, wanted: DecisionRange) -> AsyncGenerator[Sequence[StoredDecision | BrokenRecord], None]:
        until_ns = await self._until(wanted)
        expression = None if wanted.fact_type is None else _expression(wanted.fact_type)
        looks_at = self._page_decisions if expression is None else self._looked_at_max
        place: tuple[int, bytes] | None = (_bigint(wanted.since_ns), b"")  # a key is never empty: none is left out
        while place is not None:
            asked = (*place, until_ns, looks_at)
            # Both statements see the same decisions: one stored between them would be taken for one looked at.
            with translated():
                async with (
                    self._pool.acquire() as connection,
                    connection.transaction(isolation="repeatable_read", readonly=True),
                ):
                    rows = await connection.fetch(
                        _SQL["decisions_behind"], *asked, expression, self._page_decisions, self._page_bytes_max
                    )
                    last: asyncpg.Record | None
                    if rows and (rows[0]["met"] > len(rows) or len(rows) == self._page_decisions):
                        last = rows[-1]
                    else:
                        last = await connection.fetchrow(_SQL["last_looked_at"], *asked)
            place = None if last is None else (last["stored_at_ns"], last["key"])
            if rows:
                yield [_record(row) for row in rows]

    async def count(self, wanted: DecisionRange, most: int) -> int:
        until_ns = await self._until(wanted)
        with translated():
            found: int = await self._pool.fetchval(_SQL["count_decisions"], _bigint(wanted.since_ns), until_ns, most)
        return found

    async def _until(self, wanted: DecisionRange) -> int:
        if wanted.until_ns is not None:
            return _bigint(wanted.until_ns)
        with translated():
            newest: int | None = await self._pool.fetchval(_SQL["newest_decision"])
        return INT64_MIN if newest is None else _bigint(newest + 1)


def _record(row: asyncpg.Record) -> StoredDecision | BrokenRecord:
    try:
        return _decision(row, row["fact"])
    except RulestreamError as error:
        return BrokenRecord(row["key"], error.message)


def _bigint(value: int) -> int:
    return min(max(value, INT64_MIN), INT64_MAX)
