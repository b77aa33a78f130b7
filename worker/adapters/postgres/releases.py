"""Which releases workers have decided facts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements
from worker.release import Release

_SQL: Final = statements("releases")


@dataclass(frozen=True, slots=True)
class StartedRelease:
    """A release, and when a worker of it started first and last, by the database's clock."""

    release: Release
    first_started_at: datetime
    last_started_at: datetime


async def record_start(pool: asyncpg.Pool[asyncpg.Record], release: Release) -> None:
    """Record that a worker of a release begins to decide facts; raises UnavailableError."""
    with translated():
        await pool.execute(_SQL["record_start"], release.version, release.code, release.libraries)


async def started_releases(pool: asyncpg.Pool[asyncpg.Record]) -> Sequence[StartedRelease]:
    """Return every release that has decided facts, the first one first; raises UnavailableError."""
    with translated():
        rows = await pool.fetch(_SQL["releases"])
    return [
        StartedRelease(
            Release(row["version"], row["code"], row["libraries"]), row["first_started_at"], row["last_started_at"]
        )
        for row in rows
    ]
