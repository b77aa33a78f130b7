"""Transactions on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from worker.adapters.postgres.active_rules import PostgresActiveRules
from worker.adapters.postgres.commands import PostgresCommandLog, PostgresHistory
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.outbox import PostgresOutbox
from worker.adapters.postgres.rules import PostgresRules
from worker.adapters.postgres.templates import PostgresTemplates


class PostgresTransaction:
    """One transaction's repositories, all on one connection."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self.rules = PostgresRules(connection)
        self.commands = PostgresCommandLog(connection)
        self.outbox = PostgresOutbox(connection)
        self.history = PostgresHistory(connection)
        self.active_rules = PostgresActiveRules(connection)
        self.templates = PostgresTemplates(connection)


class PostgresTransactions:
    """Transactions on a pool: read committed, with optimistic revisions on rules and a lock on the ruleset."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresTransaction]:
        with translated():
            async with self._pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    yield PostgresTransaction(connection)
                except (TimeoutError, asyncio.CancelledError):
                    # In the middle of a statement, maybe, which the server may never answer. It undoes the transaction
                    # of a connection that closes.
                    connection.terminate()
                    raise
                except BaseException:
                    await transaction.rollback()
                    raise
                await transaction.commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresTransaction]:
        with translated():
            async with self._pool.acquire() as connection:
                try:
                    yield PostgresTransaction(connection)
                except (TimeoutError, asyncio.CancelledError):
                    connection.terminate()  # as above
                    raise
