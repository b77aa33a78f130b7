"""The client of Redis or Valkey: each answer has a bound, nothing is tried twice, and what fails is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from domain.errors import UnavailableError
from worker.breakers import Breaker, BusyError

# What loading or storing everything may take in all: the rest then comes from Postgres, or is stored the next time.
WHOLE_TIMEOUT_S: Final = 10.0


class CacheObserver(Protocol):
    """Hears how many entries of a cache were found, not found, found and refused, or could not be asked for."""

    def cache_read(self, cache: str, result: Literal["hit", "miss", "refused", "away"], count: int = 1) -> None: ...


class Unobserved:
    """CacheObserver that does not listen."""

    def cache_read(self, cache: str, result: str, count: int = 1) -> None: ...


def open_client(url: str, timeout_s: float, ca_file: Path | None = None) -> Redis:
    """Make a client that connects when it is first used; connecting and each answer have ``timeout_s`` seconds.

    An address ``rediss://`` is for TLS: the server's certificate must be its name's, of an authority in ``ca_file`` or
    of one that the system trusts. redis-py would try a call again three times, with pauses: that is the breaker's to
    decide.
    """
    trusted: dict[str, Any] = {} if ca_file is None else {"ssl_ca_certs": str(ca_file)}
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), retries=0), **trusted
    )


@asynccontextmanager
async def asking(breaker: Breaker | None, timeout_s: float = WHOLE_TIMEOUT_S) -> AsyncIterator[None]:
    """Make calls to Redis in the block, for ``timeout_s`` in all; raises UnavailableError if it is away or refuses."""
    with nullcontext() if breaker is None else breaker.call():
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except ResponseError as error:  # it is there, and does not do this
            raise BusyError("redis", type(error).__name__) from error
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError("redis", type(error).__name__) from error
