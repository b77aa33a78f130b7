"""Migrating a database up and down, by phases or as a whole, and saying where it stands.

One runner works at a time. Each migration is a transaction of its own, together with the versions that the database
then tells: a runner that dies leaves what it had finished, and the next one goes on from there. A migration waits for
no lock longer than ``LOCK_WAIT_S``, since all who use the table wait behind it, and is tried again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from domain.errors import RulestreamError, UnavailableError
from worker.adapters.postgres.pool import address_of
from worker.migrations import phases
from worker.migrations.phases import BASELINE, Migration, Phase, lowest_worker
from worker.migrations.sessions import SESSIONS, described, schema_of

# Held while migrating, so that several workers may start at once. The number is arbitrary and ours.
_ADVISORY_LOCK: Final = 7_248_366_101_447_301
# Seconds to connect in. The statements have no bound: what is migrated may be large, and another runner be at it.
CONNECT_TIMEOUT_S: Final = 10.0
# How long a migration waits for a lock, and how often it is tried: whoever stores waits behind it meanwhile.
LOCK_WAIT_S: Final = 2.0
LOCK_TRIES: Final = 10
LOCK_PAUSE_S: Final = 1.0
_LOCK_NOT_AVAILABLE: Final = "55P03"

_SESSION: Final = (
    f"SET lock_timeout = '{round(LOCK_WAIT_S * 1000)}ms'",
    # What a runner that was killed left running is given up, and its locks with it.
    "SET client_connection_check_interval = '1s'",
)
# What is applied is in schema_migration. schema_version has the lowest version that a worker must be written for: the
# releases before phases start where it is exactly theirs.
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (version_num varchar(32) CONSTRAINT schema_version_pkc PRIMARY KEY)",
    "CREATE TABLE schema_migration (version_num varchar(32) CONSTRAINT schema_migration_pkc PRIMARY KEY)",
    "INSERT INTO schema_migration SELECT version_num FROM schema_version",
)


class MigrationError(RulestreamError):
    """The database cannot be migrated so: its version, the phases' order, workers that run, or a script that failed."""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands: its version (None: empty), the newest one, and what lies between, oldest first.

    ``lowest`` is the lowest version that a worker must be written for. A database may be ahead of what is known here.
    """

    current: str | None
    newest: str
    lowest: str | None
    pending: tuple[Migration, ...]

    @property
    def is_current(self) -> bool:
        return self.current == self.newest

    @property
    def is_ahead(self) -> bool:
        return self.current is not None and self.current > self.newest


async def upgrade(
    dsn: str, to: str = "head", *, phase: Phase | None = None, is_forced: bool = False
) -> MigrationStatus:
    """Apply every migration up to a version, or those of one phase; a second runner waits for the first.

    A database that a newer release has migrated is left as it is where this release's workers run on it. Raises
    MigrationError, UnavailableError; unless ``is_forced`` also where workers are connected that it would break.
    """

    def work(runner: _Runner) -> None:
        before = runner.adopted()
        if before.is_ahead:
            _require_usable(before)
            return
        target = to if phase is None else _end_of(phase, before)
        chosen = [one for one in before.pending if target == "head" or one.version <= target]
        if before.current is not None and any(one.phase is Phase.POST for one in chosen) and not is_forced:
            lowest = lowest_worker(chosen[-1].version, runner.known)
            assert lowest is not None
            runner.refuse_sessions(lambda schema: schema < lowest or lowest <= BASELINE)
        if target != before.current:
            runner.patiently(lambda config: command.upgrade(config, target))

    return await _run(dsn, work)


async def downgrade(dsn: str, to: str, *, is_forced: bool = False) -> MigrationStatus:
    """Undo migrations down to a version (``base``: all of them; ``-1``: the last).

    Raises MigrationError, UnavailableError; unless ``is_forced`` also where workers are connected that need what is
    undone.
    """

    def work(runner: _Runner) -> None:
        before = runner.adopted()
        versions = [one.version for one in runner.known if before.current is not None and one.version <= before.current]
        left = {"base": "", "-1": versions[-2] if len(versions) > 1 else ""}.get(to, to)
        if not is_forced:
            runner.refuse_sessions(lambda schema: schema > left)
        runner.patiently(lambda config: command.downgrade(config, to))

    return await _run(dsn, work)


async def status(dsn: str) -> MigrationStatus:
    """Say where the database stands; changes nothing."""
    return await _run(dsn, lambda _: None)


def _end_of(phase: Phase, before: MigrationStatus) -> str:
    """Return the version that a phase leads to; raises MigrationError where the other phase must come first."""
    pre = [one for one in before.pending if one.phase is Phase.PRE]
    post = [one for one in before.pending if one.phase is Phase.POST]
    if phase is Phase.POST:
        if pre and before.current is not None:
            raise MigrationError(
                f"migration {pre[0]} is of phase pre and not applied: run 'rulestream migrate up --phase pre', then"
                " start the new workers and stop the old ones, then run this again"
            )
        return "head"
    if not pre:
        return before.current or "head"
    if before.current is not None and post and post[0].version < pre[-1].version:
        raise MigrationError(
            f"migration {post[0]} comes before {pre[-1]} and must not be applied while old workers run: upgrade by way"
            " of the release that brought it, or stop every worker and run 'rulestream migrate up'"
        )
    return pre[-1].version


def _require_usable(found: MigrationStatus) -> None:
    if found.lowest is None or found.lowest > found.newest:
        raise MigrationError(
            f"the database is at version {found.current}, on which only workers that are written for {found.lowest} or"
            f" newer run; this release knows versions up to {found.newest}: use a newer release"
        )


class _Runner:
    """A connection that holds the lock."""

    def __init__(self, connection: Connection, config: Config, known: tuple[Migration, ...]) -> None:
        self.known = known
        self._connection = connection
        self._config = config
        config.attributes["connection"] = connection
        config.attributes["version_table"] = "schema_migration"
        config.attributes["on_version_apply"] = self._applied

    def status(self) -> MigrationStatus:
        """Read where the database stands."""
        lowest, current = self._version("schema_version"), self._version("schema_migration")
        if not self._exists("schema_migration"):
            current = lowest
        pending = tuple(one for one in self.known if current is None or one.version > current)
        return MigrationStatus(current, phases.newest(self.known), lowest, pending)

    def adopted(self) -> MigrationStatus:
        """Make the tables of versions where they are missing, and see that they agree; give where it stands."""
        if not self._exists("schema_migration"):
            for statement in _TABLES:
                self._connection.execute(text(statement))
            self._connection.commit()
        found = self.status()
        if found.is_ahead or found.lowest == lowest_worker(found.current, self.known):
            self._connection.rollback()
            return found
        if max(found.lowest or "", found.current or "") > BASELINE:
            raise MigrationError(
                f"schema_migration says {found.current}, and schema_version {found.lowest}: the migrations of a release"
                f" before {BASELINE} were run here since; run its 'rulestream migrate up'"
            )
        # An older release's migrations have written what they know of: that is where the database stands.
        self._connection.execute(text("DELETE FROM schema_migration"))
        self._connection.execute(text(_TABLES[2]))
        self._connection.commit()
        return self.status()

    def refuse_sessions(self, is_broken: Callable[[str], bool]) -> None:
        """Raise MigrationError where workers are connected for whose schema ``is_broken`` is true."""
        rows = self._connection.execute(text(SESSIONS)).all()
        self._connection.rollback()
        found = [(row.name, row.sessions) for row in rows if is_broken(schema_of(row.name))]
        if found:
            raise MigrationError(
                f"workers are connected that this migration would break: {described(found)}; stop them first, or give"
                " --force where they are none"
            )

    def patiently(self, migrate: Callable[[Config], None]) -> None:
        """Migrate; what waits for a lock too long is tried again, from where it stands."""
        for statement in _SESSION:
            self._connection.execute(text(statement))
        self._connection.commit()
        for tries in range(1, LOCK_TRIES + 1):
            try:
                migrate(self._config)
            except (asyncpg.PostgresError, DBAPIError) as error:
                if _sqlstate(error) != _LOCK_NOT_AVAILABLE or tries == LOCK_TRIES:
                    raise
                self._connection.rollback()
                await_only(asyncio.sleep(LOCK_PAUSE_S * random.uniform(0.5, 1.5)))  # noqa: S311  # keeps no secret
            else:
                return

    def _applied(self, *, ctx: Any, heads: set[str], **_: Any) -> None:
        """Write, in a migration's transaction, which workers run on what it leaves."""
        lowest = lowest_worker(next(iter(heads), None), self.known)
        ctx.connection.execute(text("DELETE FROM schema_version"))
        if lowest is not None:
            ctx.connection.execute(text("INSERT INTO schema_version VALUES (:lowest)"), {"lowest": lowest})

    def _version(self, table: str) -> str | None:
        if not self._exists(table):
            return None
        version: str | None = self._connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608  # nosec B608
        return version

    def _exists(self, table: str) -> bool:
        return bool(self._connection.execute(text("SELECT to_regclass(:table) IS NOT NULL"), {"table": table}).scalar())


async def _run(dsn: str, action: Callable[[_Runner], None]) -> MigrationStatus:
    folder = Path(__file__).parent
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    engine = create_async_engine(
        "postgresql+asyncpg://",  # asyncpg reads the DSN, as in the pool: it may name several hosts
        async_creator=lambda: asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "rulestream-migrate"}
        ),
    )

    def work(connection: Connection) -> MigrationStatus:
        connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})"))
        connection.commit()
        try:
            runner = _Runner(connection, config, phases.migrations(folder / "versions"))
            action(runner)
            found = runner.status()
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


def _sqlstate(error: asyncpg.PostgresError | DBAPIError) -> str | None:
    found = error.orig if isinstance(error, DBAPIError) else error
    state: str | None = getattr(found, "sqlstate", None)
    return state
