"""The database's version: nothing works on one that it was not written for, and what works stops when that ends.

A worker runs on a database that has at least what it needs, and whose lowest version for workers is not above its own
(``worker.migrations.phases``): so one of the release before goes on, and can be started, while the next release's
additions are there, until the first removal that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from domain.errors import RulestreamError, UnavailableError
from worker.adapters.postgres.pool import SchemaState, schema_state
from worker.migrations.newest import REQUIRED_VERSION, SCHEMA_VERSION
from worker.migrations.phases import BASELINE

WATCH_PERIOD_S: Final = 2.0

_log = structlog.get_logger(__name__)


class SchemaError(RulestreamError):
    """The database is at another version than this release is written for."""


@dataclass(frozen=True, slots=True)
class SchemaRange:
    """What a release runs on: the version that a database must have at least, and the one it is written for."""

    required: str = REQUIRED_VERSION
    written_for: str = SCHEMA_VERSION

    def problem(self, found: SchemaState, who: str = "this worker") -> str | None:
        """Say why nothing of this release works on a database in a state; None where it does."""
        if found.applied is None or found.applied < self.required:
            state = "has no tables of ours" if found.applied is None else f"is at version {found.applied}"
            advice = "run 'rulestream migrate up --phase pre'"
            return f"the database {state}, {who} needs version {self.required}: {advice} of this release"
        if found.lowest is None or found.lowest < BASELINE:
            return (
                f"the database is at version {found.applied}, but its table schema_version says {found.lowest}: an"
                " older release undid migrations; run that release's 'rulestream migrate up'"
            )
        if found.lowest > self.written_for:
            return (
                f"the database is at version {found.applied}, where what {who} uses is gone: only releases written for"
                f" version {found.lowest} or newer run on it, this one is written for {self.written_for}: start a newer"
                " release, or go back by the newer release's 'rulestream migrate down'"
            )
        return None


OURS: Final = SchemaRange()


async def require_schema(
    pool: asyncpg.Pool[asyncpg.Record], who: str = "this worker", range_: SchemaRange = OURS
) -> None:
    """Raise SchemaError unless the database is one that this release runs on; ``who`` is to name what needs it."""
    problem = range_.problem(await schema_state(pool), who)
    if problem is not None:
        raise SchemaError(problem)


class SchemaWatch:
    """Looks every ``period_s`` whether the database is still one to work on, and says so once when it is not."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        on_problem: Callable[[SchemaError], None],
        *,
        range_: SchemaRange = OURS,
        period_s: float = WATCH_PERIOD_S,
    ) -> None:
        self._pool = pool
        self._on_problem = on_problem
        self._range = range_
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run(), name="schema-watch")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            try:
                await require_schema(self._pool, range_=self._range)
            except SchemaError as error:
                _log.error("schema_unusable", reason=error.message)
                self._on_problem(error)
                return
            except UnavailableError:
                pass  # while it is away nothing is decided either
            except Exception:  # noqa: BLE001  # to be looked at again
                _log.exception("schema_watch_failed")
