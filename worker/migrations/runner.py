"""Migrating a database up and down, and saying where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from domain.errors import RulestreamError, UnavailableError
from worker.adapters.postgres.pool import address_of

# Held while migrating, so that several workers may start at once. The number is arbitrary and ours.
_ADVISORY_LOCK: Final = 7_248_366_101_447_301
# Seconds to connect in. The statements have no bound: what is migrated may be large, and another runner be at it.
CONNECT_TIMEOUT_S: Final = 10.0


class MigrationError(RulestreamError):
    """The database is at a version that these migrations do not lead to or from."""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands: its version (None: empty), the newest one, and what lies between, oldest first."""

    current: str | None
    newest: str
    pending: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        return self.current == self.newest


async def upgrade(dsn: str, to: str = "head") -> MigrationStatus:
    """Apply every migration up to a version; a second runner waits for the first."""
    return await _run(dsn, lambda config: command.upgrade(config, to))


async def downgrade(dsn: str, to: str) -> MigrationStatus:
    """Undo migrations down to a version (``base``: all of them; ``-1``: the last)."""
    return await _run(dsn, lambda config: command.downgrade(config, to))


async def status(dsn: str) -> MigrationStatus:
    """Say where the database stands; changes nothing."""
    return await _run(dsn, lambda _: None)


async def _run(dsn: str, action: Callable[[Config], None]) -> MigrationStatus:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    engine = create_async_engine(
        "postgresql+asyncpg://",  # asyncpg reads the DSN, as in the pool: it may name several hosts
        async_creator=lambda: asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S),
    )

    def work(connection: Connection) -> MigrationStatus:
        connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})"))
        connection.commit()
        try:
            config.attributes["connection"] = connection
            action(config)
            found = _status(connection, config)
            connection.commit()
            return found
        finally:
            connection.rollback()
            connection.execute(text(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})"))
            connection.commit()

    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    except OSError as error:
        raise UnavailableError("postgres", f"Postgres does not answer at {address_of(dsn)}: {error}") from error
    except DBAPIError as error:
        raise MigrationError(f"the migration failed: {error.orig}") from error
    except (asyncpg.PostgresError, CommandError) as error:  # a script's own failure; a version that nobody knows
        raise MigrationError(f"the migration failed: {error}") from error
    finally:
        await engine.dispose()


def _status(connection: Connection, config: Config) -> MigrationStatus:
    context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
    current = context.get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head() or ""
    pending: list[str] = []
    if current != newest:
        pending = [f"{script.revision} {script.doc}" for script in scripts.iterate_revisions(newest, current or "base")]
    return MigrationStatus(current, newest, tuple(reversed(pending)))
