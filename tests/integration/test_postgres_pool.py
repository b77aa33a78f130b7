"""The pool on a server that is away, hangs, only reads or is full: each call ends, and what is broken is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from domain.errors import UnavailableError
from tests.behaviour.bus import eventually
from tests.contracts.proxy import Proxy, proxied
from worker.adapters.postgres.pool import GuardedPool, open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.breakers import Breaker, BusyError

TIMEOUT_S = 1.0
FAILURES = 3
# Far above what every time-out here allows together: who hangs is found out, and nobody's speed is judged.
BOUND_S = 60.0


@asynccontextmanager
async def pool_on(dsn: str, size_max: int = 2, breaker: Breaker | None = None) -> AsyncIterator[GuardedPool]:
    pool = await open_pool(dsn, size_max=size_max, timeout_s=TIMEOUT_S, breaker=breaker)
    try:
        yield pool
    finally:
        pool.terminate()


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    async with proxied(database) as found:
        yield found


@pytest.fixture
def breaker() -> Breaker:
    """Give a breaker that stays open for as long as a test goes on."""
    return Breaker("postgres", failures=FAILURES, pause_s=3600)


def name_of(database: str) -> str:
    return urlsplit(database).path.removeprefix("/")


async def backend(pool: GuardedPool) -> int:
    """Give the server's process behind the connection that the pool gives next."""
    return int(await pool.fetchval("SELECT pg_backend_pid()"))


class TestAServerThatHangs:
    async def test_a_statement_ends_and_its_connection_is_dropped(self, proxy: Proxy) -> None:
        async with pool_on(proxy.url) as pool, asyncio.timeout(BOUND_S):
            before = await backend(pool)
            proxy.freeze()
            with pytest.raises(UnavailableError) as away:
                await pool.fetchval("SELECT 1")
            assert not isinstance(away.value, BusyError)
            proxy.thaw()
            assert await backend(pool) != before

    async def test_every_other_connection_is_dropped_as_well_before_it_is_used(self, proxy: Proxy) -> None:
        """After a failover none of them leads to a server: each would cost another time-out."""
        async with pool_on(proxy.url) as pool, asyncio.timeout(BOUND_S):
            async with pool.acquire() as one, pool.acquire() as other:
                before = {
                    await one.fetchval("SELECT pg_backend_pid()"),
                    await other.fetchval("SELECT pg_backend_pid()"),
                }
            proxy.freeze()
            with pytest.raises(UnavailableError):
                await pool.fetchval("SELECT 1")
            proxy.thaw()
            async with pool.acquire() as one, pool.acquire() as other:
                after = {await one.fetchval("SELECT pg_backend_pid()"), await other.fetchval("SELECT pg_backend_pid()")}
            assert before.isdisjoint(after)

    async def test_connecting_ends(self, proxy: Proxy) -> None:
        proxy.freeze()
        with pytest.raises(UnavailableError, match="does not answer at"):
            async with asyncio.timeout(BOUND_S):
                await open_pool(proxy.url, size_max=1, timeout_s=TIMEOUT_S)

    @pytest.mark.parametrize("moment", ["begin", "statement", "commit", "rollback"])
    async def test_a_transaction_ends(self, proxy: Proxy, moment: str) -> None:
        async with pool_on(proxy.url) as pool, asyncio.timeout(BOUND_S):
            await pool.fetchval("SELECT 1")
            with pytest.raises(UnavailableError):  # noqa: PT012  # freezing is part of the transaction
                if moment == "begin":
                    proxy.freeze()
                async with PostgresTransactions(pool).begin() as tx:
                    if moment == "statement":
                        proxy.freeze()
                    await tx.rules.exists_by_name("x")
                    proxy.freeze()
                    if moment == "rollback":
                        raise RuntimeError("a defect of ours")
            proxy.thaw()
            await pool.fetchval("SELECT 1")

    async def test_a_transaction_that_is_cancelled_ends_at_once(self, proxy: Proxy) -> None:
        """It asks nothing more of the server, which might not answer."""
        async with pool_on(proxy.url) as pool, asyncio.timeout(BOUND_S):
            has_begun = asyncio.Event()

            async def hang() -> None:
                async with PostgresTransactions(pool).begin() as tx:
                    await tx.rules.exists_by_name("x")
                    proxy.freeze()
                    has_begun.set()
                    await tx.rules.exists_by_name("y")

            task = asyncio.create_task(hang())
            await has_begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            proxy.thaw()
            assert pool.get_idle_size() == pool.get_size()
            await pool.fetchval("SELECT 1")

    async def test_pings_open_the_breaker_and_calls_then_fail_without_asking(
        self, proxy: Proxy, breaker: Breaker
    ) -> None:
        async with pool_on(proxy.url, breaker=breaker) as pool, asyncio.timeout(BOUND_S):
            proxy.freeze()
            for _ in range(FAILURES):
                with pytest.raises(UnavailableError):
                    await pool.ping(TIMEOUT_S)
            assert breaker.state == "open"
            with pytest.raises(UnavailableError) as away:
                await pool.fetchval("SELECT 1")
            assert "retryAfterS" in away.value.details

    async def test_closing_the_pool_ends(self, proxy: Proxy) -> None:
        async with pool_on(proxy.url) as pool, asyncio.timeout(BOUND_S):
            await pool.fetchval("SELECT 1")
            proxy.freeze()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    await pool.close()


class TestAServerThatIsBusy:
    async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
        self, database: str, breaker: Breaker
    ) -> None:
        """What is slow must not have everything else stop, as what hangs has."""
        async with pool_on(database, breaker=breaker) as pool:
            before = await backend(pool)
            for _ in range(FAILURES):
                with pytest.raises(BusyError, match="QueryCanceled"):
                    await pool.fetchval("SELECT pg_sleep(60)")
            assert breaker.state == "closed"
            assert await backend(pool) == before, "the connection is as good as new"

    async def test_waiting_for_a_connection_ends(self, database: str, breaker: Breaker) -> None:
        async with (
            pool_on(database, size_max=1, breaker=breaker) as pool,
            pool.acquire(),
            asyncio.timeout(BOUND_S),
        ):
            for _ in range(FAILURES):
                with pytest.raises(BusyError, match="all 1 connections"):
                    await pool.fetchval("SELECT 1")
            assert breaker.state == "closed"

    async def test_a_defect_of_ours_never_opens_the_breaker(self, database: str, breaker: Breaker) -> None:
        async with pool_on(database, breaker=breaker) as pool:
            for _ in range(FAILURES):
                with pytest.raises(asyncpg.PostgresSyntaxError):
                    await pool.fetchval("SELEKT 1")
                with pytest.raises(asyncpg.InterfaceError):
                    await pool.fetchval("SELECT 1", "an argument too many")
            assert breaker.state == "closed"


class TestAServerThatIsAway:
    async def test_it_opens_the_breaker(self, proxy: Proxy, breaker: Breaker) -> None:
        async with pool_on(proxy.url, breaker=breaker) as pool:
            await proxy.cut()
            for _ in range(FAILURES):
                with pytest.raises(UnavailableError):
                    await pool.fetchval("SELECT 1")
            assert breaker.state == "open"

    async def test_so_does_one_without_room_for_a_connection(self, database: str, breaker: Breaker) -> None:
        async with pool_on(database, breaker=breaker) as pool:
            if await pool.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
                pytest.skip("no limit holds for a superuser")
            await pool.execute(f"ALTER DATABASE {name_of(database)} CONNECTION LIMIT 1")
            async with pool.acquire():
                for _ in range(FAILURES):
                    with pytest.raises(UnavailableError, match="TooManyConnections"):
                        await pool.fetchval("SELECT 1")
                assert breaker.state == "open"
            assert breaker.state == "closed", "the call that was made meanwhile was answered"
            await pool.fetchval("SELECT 1")

    async def test_connections_that_were_ended_are_replaced(self, database: str, breaker: Breaker) -> None:
        """An administrator, or a restart, has ended them while they were idle."""
        async with pool_on(database, breaker=breaker) as pool:
            async with pool.acquire() as one, pool.acquire() as other:
                ended = [await one.fetchval("SELECT pg_backend_pid()"), await other.fetchval("SELECT pg_backend_pid()")]
            connection = await asyncpg.connect(database)
            try:
                await connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest($1::int[]) pid", ended)
            finally:
                await connection.close()

            async def dropped() -> int:
                return pool.get_size()

            await eventually(dropped, lambda size: size == 0)
            async with pool.acquire() as one, pool.acquire() as other:
                assert await one.fetchval("SELECT pg_backend_pid()") not in ended
                assert await other.fetchval("SELECT pg_backend_pid()") not in ended


class TestAServerThatOnlyReads:
    """As a primary does that became a standby; the name leads to another server by then."""

    @asynccontextmanager
    async def read_only(self, pool: GuardedPool, database: str) -> AsyncIterator[None]:
        """Have new sessions only read; those of the pool have begun before, so they are told apart."""
        name = name_of(database)
        connection = await asyncpg.connect(database)
        try:
            await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            await pool.expire_connections()
            yield
            await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        finally:
            await connection.close()

    async def test_it_is_away_and_its_connections_are_dropped(self, database: str, breaker: Breaker) -> None:
        async with pool_on(database, breaker=breaker) as pool:
            async with self.read_only(pool, database):
                standby = await backend(pool)
                with pytest.raises(UnavailableError, match="ReadOnly"):
                    await pool.execute("INSERT INTO fact_key VALUES ('\\x00', 1)")
                assert await backend(pool) != standby
                with pytest.raises(UnavailableError, match="only reads"):
                    await pool.ping(TIMEOUT_S)
            await pool.ping(TIMEOUT_S)


class TestAConnectionThatEndsUnderOurHands:
    async def test_however_its_end_meets_a_statement_the_server_is_away_and_comes_back(self, database: str) -> None:
        """The server's last words may come while nobody asks anything, or in the middle: none is a defect of ours."""
        outcomes = set()
        administrator = await asyncpg.connect(database)
        try:
            async with pool_on(database, size_max=4) as pool:
                for _ in range(60):
                    calls = [asyncio.create_task(pool.fetchval(f"SELECT {number}")) for number in range(8)]
                    await administrator.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    outcomes |= {type(found) for found in await asyncio.gather(*calls, return_exceptions=True)}
                assert await eventually(lambda: self.answer(pool), lambda found: found == 1) == 1
        finally:
            await administrator.close()
        assert outcomes == {int, UnavailableError}

    @staticmethod
    async def answer(pool: GuardedPool) -> int | None:
        try:
            return int(await pool.fetchval("SELECT 1"))
        except UnavailableError:
            return None

    async def test_a_connection_whose_state_the_driver_lost_is_dropped(self, database: str) -> None:
        async with pool_on(database, size_max=1) as pool:
            before = await backend(pool)
            with pytest.raises(UnavailableError, match="cannot switch to state"):
                async with pool.acquire():
                    raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
            assert await backend(pool) != before
