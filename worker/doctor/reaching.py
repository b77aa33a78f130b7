"""Connections for looking: one try each, within a bound, and what is away is said in a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import asyncpg
from redis.asyncio import Redis

from domain.errors import UnavailableError
from streams.connection import LenientClient, connect
from streams.endpoint import Endpoint
from worker.adapters.postgres.pool import address_of
from worker.adapters.postgres.statements import statements
from worker.adapters.redis.client import open_client
from worker.settings import Settings

NAME: Final = "rulestream-doctor"
CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 5.0

_Client = TypeVar("_Client")


@dataclass(frozen=True, slots=True)
class Reached(Generic[_Client]):
    """A connection, or why there is none."""

    client: _Client | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A session that only reads; ``is_read_only`` says that every session there does."""

    connection: asyncpg.Connection[asyncpg.Record]
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class Servers:
    """The connections of a look; on one plane's address both planes have the same."""

    data: Reached[LenientClient]
    control: Reached[LenientClient]
    postgres: Reached[Postgres]
    redis: Redis


@asynccontextmanager
async def reaching(settings: Settings) -> AsyncIterator[Servers]:
    """Connect to everything at once, for the length of a block; raises nothing for what is away."""
    data, control, postgres = await asyncio.gather(
        _nats(settings.data_endpoint), _nats(settings.control_endpoint), _postgres(settings)
    )
    redis = open_client(settings.redis_url.get_secret_value(), settings.redis_timeout_s, settings.redis_ca_file)
    try:
        yield Servers(data, control, postgres, redis)
    finally:
        for one in (data.client, control.client):
            if one is not None and not one.is_closed:
                await one.close()
        if postgres.client is not None:
            postgres.client.connection.terminate()
        await redis.aclose()


async def _nats(where: Endpoint) -> Reached[LenientClient]:
    try:
        return Reached(await connect(where, NAME, timeout_s=CONNECT_TIMEOUT_S, is_patient=False))
    except UnavailableError as error:
        return Reached(None, error.message)


async def _postgres(settings: Settings) -> Reached[Postgres]:
    dsn = settings.postgres_dsn.get_secret_value()
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            server_settings={
                "application_name": NAME,
                "timezone": "UTC",
                "statement_timeout": str(round(STATEMENT_TIMEOUT_S * 1000)),
            },
        )
        is_read_only = await connection.fetchval(statements("schema")["is_read_only"])
        await connection.execute("SET default_transaction_read_only = on")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        reason = str(error) or type(error).__name__
        return Reached(None, f"Postgres does not answer at {address_of(dsn)}: {reason}")
    return Reached(Postgres(connection, is_read_only))
