"""The key that vouches for what is in the cache and can't be checked against a content digest."""

from __future__ import annotations

import asyncpg

from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements


async def cache_key(pool: asyncpg.Pool[asyncpg.Record]) -> bytes:
    """Return the database's key, made once by a migration; raises UnavailableError."""
    with translated():
        key: bytes = await pool.fetchval(statements("ruleset")["cache_key"])
    return key
