"""The fixtures that give servers to tests: clean each time, and quick."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import nats
import pytest
import redis.asyncio
from nats.js.errors import NotFoundError

from tests.servers.fixtures import Servers
from tests.servers.operations import make_template, run_apart


@pytest.fixture(scope="module")
def database_template(servers: Servers) -> str:
    """Make a template of this module's own: the session's holds whatever the other tests want."""

    async def prepare(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE prepared (a int); INSERT INTO prepared VALUES (42)")
        await connection.close()

    return run_apart(make_template(servers.postgres_dsn, prepare))


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_of_its_own_made_from_the_template(database: str, turn: int) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT a FROM prepared") == 42
        await connection.execute("UPDATE prepared SET a = 0")  # the next turn must not see it
    finally:
        await connection.close()


async def test_a_test_can_have_several_databases(make_database: Callable[[], str]) -> None:
    assert make_database() != make_database()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_finds_a_bus_without_streams(nats_url: str, turn: int) -> None:
    client = await nats.connect(nats_url)
    try:
        jetstream = client.jetstream()
        with pytest.raises(NotFoundError):
            await jetstream.stream_info("LEFT")
        await jetstream.add_stream(name="LEFT", subjects=["left.>"])
        await jetstream.publish("left.a", b"a")
    finally:
        await client.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_finds_an_empty_cache(redis_url: str, turn: int) -> None:
    async with redis.asyncio.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "a")


def test_a_test_without_an_event_loop_has_servers_too(database: str, nats_url: str, redis_url: str) -> None:
    assert database.startswith("postgresql://")
    assert nats_url.startswith("nats://")
    assert redis_url.startswith("redis://")


def test_the_servers_say_what_they_are(servers: Servers) -> None:
    assert servers.kind in {"containers", "embedded"}
    assert (servers.stack is not None) == (servers.kind == "embedded")


def test_each_database_is_a_fresh_one(make_database: Callable[[], str]) -> None:
    assert len({make_database() for _ in range(5)}) == 5
