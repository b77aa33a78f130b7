"""The connection pool: every wait has a bound, and a server that is away is known to be.

Broken connections are dropped by the pool, and a new one resolves the server's name again. After a sign of a failover
(a statement that nothing answered, a server that only reads) every connection is replaced before it is used again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from domain.errors import UnavailableError
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements
from worker.breakers import Breaker, BusyError
from worker.migrations.newest import SCHEMA_VERSION
from worker.migrations.sessions import session_name

if TYPE_CHECKING:  # generic in its stubs only
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Pool = asyncpg.Pool

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

IDLE_TIMEOUTS: Final = 6
# The server ends a statement a little before the client gives it up: what is slow is then told from what hangs.
SERVER_SHARE: Final = 0.9
RELEASE_TIMEOUT_S: Final = 2.0
_IDLE_LIFETIME_S: Final = 300.0
_QUERIES_MAX: Final = 50_000


class GuardedPool(_Pool):
    """asyncpg's pool behind a breaker. All that it does, by itself or with a connection of it, raises domain errors.

    A block that has acquired a connection, and each ``fetch`` and ``execute``, is one call for the breaker.
    """

    def __init__(
        self, dsn: str, *, size_max: int, timeout_s: float, connect_timeout_s: float, breaker: Breaker | None
    ) -> None:
        super().__init__(
            dsn,
            init_size=1,
            min_size=0,  # so that asyncpg does not connect by itself, and log, while the server is away
            max_size=size_max,
            max_queries=_QUERIES_MAX,
            max_inactive_connection_lifetime=_IDLE_LIFETIME_S,
            reset=_as_it_is,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            command_timeout=timeout_s,
            timeout=connect_timeout_s,
            server_settings={
                "application_name": session_name(SCHEMA_VERSION),
                "timezone": "UTC",
                "statement_timeout": str(max(1, round(timeout_s * SERVER_SHARE * 1000))),
                "idle_in_transaction_session_timeout": str(max(1, round(timeout_s * IDLE_TIMEOUTS * 1000))),
            },
        )
        self._breaker = breaker
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def acquire(  # type: ignore[override]  # as a context only: nobody awaits it
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # asyncpg's signature
    ) -> AsyncIterator[Connection]:
        """Hold a connection for the length of a block; waits ``timeout`` seconds for it (default: a statement's).

        Raises UnavailableError when the server is away, BusyError when every connection is in use for so long.
        """
        with self._call(), translated():
            connection = await self._taken(self._timeout_s if timeout is None else timeout)
            try:
                yield connection
            except TimeoutError:
                connection.terminate()  # the server undoes what it did; asking it to would be waiting once more
                await self.expire_connections()
                raise
            except asyncpg.InternalClientError:
                connection.terminate()  # the driver knows no more where it stands with the server
                raise
            except asyncpg.ReadOnlySQLTransactionError:
                await self.expire_connections()
                raise
            finally:
                with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await self.release(connection, timeout=RELEASE_TIMEOUT_S)  # else asyncpg has dropped it

    async def ping(self, timeout_s: float) -> None:
        """Ask the server whether it answers and takes writes, within twice ``timeout_s``; raises UnavailableError."""
        async with self.acquire(timeout=timeout_s) as connection:
            if await connection.fetchval(statements("schema")["is_read_only"], timeout=timeout_s):
                await self.expire_connections()
                raise UnavailableError("postgres", "Postgres is away: this server only reads, as a standby does")

    async def _taken(self, timeout_s: float) -> Connection:
        try:
            return await super().acquire(timeout=timeout_s)
        except TimeoutError:
            if self.get_size() < self.get_max_size() or self.get_idle_size():
                raise
            message = f"all {self.get_max_size()} connections to Postgres were in use for {timeout_s:g} s"
            raise BusyError("postgres", message) from None

    def _call(self) -> AbstractContextManager[None]:
        return nullcontext() if self._breaker is None else self._breaker.call()


async def open_pool(
    dsn: str,
    *,
    size_max: int,
    timeout_s: float,
    connect_timeout_s: float | None = None,
    breaker: Breaker | None = None,
) -> GuardedPool:
    """Open a pool of at most ``size_max`` connections; ``timeout_s`` is for a statement, or a wait for one.

    A transaction in which nothing happens for six times as long is ended by the server: what a frozen worker has locked
    must not wait for its return.

    Raises UnavailableError with the server's address (never the password) when it does not answer.
    """
    pool = GuardedPool(
        dsn,
        size_max=size_max,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s or timeout_s,
        breaker=breaker,
    )
    try:
        await pool
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError("postgres", f"Postgres does not answer at {address_of(dsn)}: {reason}") from error
    return pool


async def _as_it_is(_: asyncpg.Connection[asyncpg.Record]) -> None:
    """Leave a connection that comes back as it is.

    Nothing here sets what outlives a transaction, and asking the server to forget it would cost each use of a
    connection one more way there and back.
    """


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The newest migration applied, and the lowest version that a worker must be written for; None: no tables."""

    applied: str | None
    lowest: str | None


async def schema_state(pool: asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]) -> SchemaState:
    """Return where a database stands; raises UnavailableError on a guarded pool."""
    for name in ("schema_state", "schema_state_before_phases"):
        try:
            row = await pool.fetchrow(statements("schema")[name])
        except asyncpg.UndefinedTableError:
            continue
        return SchemaState(None, None) if row is None else SchemaState(row["applied"], row["lowest"])
    return SchemaState(None, None)


def address_of(dsn: str) -> str:
    """Return host, port and database of a DSN, without user and password."""
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2] or "localhost"
    return f"{hosts if ':' in hosts else f'{hosts}:5432'}{parts.path}"
