"""The database's version: nothing works on one that it was not written for."""

from __future__ import annotations

import asyncpg

from domain.errors import RulestreamError
from worker.adapters.postgres.pool import schema_version
from worker.migrations.newest import SCHEMA_VERSION


class SchemaError(RulestreamError):
    """The database is at another version than this release is written for."""


async def require_schema(pool: asyncpg.Pool[asyncpg.Record], who: str = "this worker") -> None:
    """Raise SchemaError unless the database is at this release's version; ``who`` is to name what needs it."""
    found = await schema_version(pool)
    if found != SCHEMA_VERSION:
        state = "has no tables of ours" if found is None else f"is at version {found}"
        raise SchemaError(f"the database {state}, {who} needs version {SCHEMA_VERSION}: run 'rulestream migrate up'")
