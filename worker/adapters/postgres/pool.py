"""The connection pool."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import asyncpg

from domain.errors import UnavailableError
from worker.adapters.postgres.statements import statements

IDLE_TIMEOUTS: Final = 6


async def open_pool(dsn: str, *, size_max: int, timeout_s: float) -> asyncpg.Pool[asyncpg.Record]:
    """Open a pool of at most ``size_max`` connections; every statement has ``timeout_s`` seconds.

    A transaction in which nothing happens for six times as long is ended by the server: what a frozen worker has locked
    must not wait for its return.

    Raises UnavailableError with the server's address (never the password) when it does not answer.
    """
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size_max,
            command_timeout=timeout_s,
            timeout=timeout_s,
            max_inactive_connection_lifetime=300,
            reset=_as_it_is,
            server_settings={
                "application_name": "rulestream",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": str(max(1, round(timeout_s * IDLE_TIMEOUTS * 1000))),
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError("postgres", f"Postgres does not answer at {address_of(dsn)}: {reason}") from error


async def _as_it_is(_: asyncpg.Connection[asyncpg.Record]) -> None:
    """Leave a connection that comes back as it is.

    Nothing here sets what outlives a transaction, and asking the server to forget it would cost each use of a
    connection one more way there and back.
    """


async def schema_version(pool: asyncpg.Pool[asyncpg.Record]) -> str | None:
    """Return the newest migration applied; None for a database without our tables."""
    try:
        version: str | None = await pool.fetchval(statements("schema")["schema_version"])
    except asyncpg.UndefinedTableError:
        return None
    return version


def address_of(dsn: str) -> str:
    """Return host, port and database of a DSN, without user and password."""
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2] or "localhost"
    return f"{hosts if ':' in hosts else f'{hosts}:5432'}{parts.path}"
