"""Redis or Valkey: whether it answers, and whether it makes room for what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.doctor.findings import Code, Finding


@dataclass(frozen=True, slots=True)
class CacheSeen:
    """What was seen of it; ``away`` is why nothing was. ``bytes_max`` 0: as much as the machine has."""

    away: str = ""
    version: str = ""
    bytes_max: int = 0
    policy: str = ""


async def look(client: Redis, timeout_s: float) -> CacheSeen:
    """Ask it about itself."""
    try:
        async with asyncio.timeout(2 * timeout_s):
            await client.ping()
            said = await client.info()
    except (RedisError, OSError, TimeoutError) as error:
        return CacheSeen(away=str(error) or type(error).__name__)
    version = said.get("valkey_version") or said.get("redis_version", "")
    return CacheSeen("", str(version), int(said.get("maxmemory", 0)), str(said.get("maxmemory_policy", "")))


def judge(seen: CacheSeen) -> Iterator[Finding]:
    """Say what is wrong with it; without it workers go on."""
    if seen.away:
        yield Finding(
            Code.REDIS_AWAY,
            f"Redis does not answer: {seen.away}",
            "see that the server runs and can be reached from here, and that RULESTREAM_REDIS_URL is right",
        )
    elif seen.bytes_max and seen.policy == "noeviction":
        yield Finding(
            Code.REDIS_NEVER_EVICTS,
            f"maxmemory-policy is noeviction with maxmemory {seen.bytes_max}",
            "CONFIG SET maxmemory-policy allkeys-lru, and the same in its configuration file",
        )
