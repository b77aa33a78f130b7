"""What the fixtures do to the servers, through ordinary clients, each time over a connection of its own."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import nats
import nats.errors
import nats.js.errors
import redis.asyncio

T = TypeVar("T")
Prepare = Callable[[str], Awaitable[None] | None]
ANSWER_WAIT_S = 60.0
POLL_S = 0.1


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread and loop of its own, so that the test's loop is not touched."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def with_database(dsn: str, name: str) -> str:
    """Give the DSN of another database on the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


async def execute(dsn: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def make_template(dsn: str, prepare: Prepare | None) -> str:
    """Make a database to be copied, filled by ``prepare``, which is given its DSN and must leave no connection."""
    name = f"template_{secrets.token_hex(4)}"
    await execute(dsn, f"CREATE DATABASE {name}")
    if prepare is not None:
        result = prepare(with_database(dsn, name))
        if inspect.isawaitable(result):
            await result
    await execute(dsn, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    return name


async def delete_streams(url: str) -> None:
    """Delete every stream (and with it every consumer, bucket and object store) of the server."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        jetstream = client.jetstream()
        while streams := await jetstream.streams_info():
            for stream in streams:
                assert stream.config.name is not None
                await jetstream.delete_stream(stream.config.name)
    finally:
        await client.close()


async def flush(url: str) -> None:
    """Empty the cache."""
    async with redis.asyncio.from_url(url) as client:
        await client.flushall()


async def await_answers(nats_url: str, dsn: str, redis_url: str) -> None:
    """Wait until all three servers do real work, 60 s at most; then the last error is raised."""
    deadline = time.monotonic() + ANSWER_WAIT_S
    for attempt in (lambda: delete_streams(nats_url), lambda: execute(dsn, "SELECT 1"), lambda: flush(redis_url)):
        while True:
            try:
                await attempt()
                break
            except (OSError, asyncpg.PostgresError, nats.errors.Error, redis.RedisError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_S)
