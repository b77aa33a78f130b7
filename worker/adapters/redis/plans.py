"""The plans of active rules in Redis or Valkey, so that a restart need not parse their texts again.

A content digest vouches for a rule's text, not for what was made of it. So each entry carries a BLAKE2b digest of the
plan, keyed with a secret of the database and bound to the content digest and to the release: an entry that anybody
else made, changed, moved or kept from another release is as good as absent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, cast

import structlog
from redis.asyncio import Redis

from domain.errors import UnavailableError
from domain.language import StoredPlan
from worker.adapters.redis.client import asking
from worker.breakers import Breaker

KEY_PREFIX: Final = "rulestream:plan:"
EXPIRY_S: Final = 7 * 24 * 3600
SEAL_BYTES: Final = 32
_CHUNK: Final = 500

_log = structlog.get_logger(__name__)


class RedisPlans:
    """PlanCache on a Redis client; ``secret`` is the database's, ``release`` stands for this code's language."""

    def __init__(self, client: Redis, secret: bytes, release: bytes, breaker: Breaker | None = None) -> None:
        self._client = client
        self._secret = secret
        self._release = release
        self._breaker = breaker

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, StoredPlan]:
        found: dict[bytes, StoredPlan] = {}
        try:
            async with asking(self._breaker):
                for start in range(0, len(digests), _CHUNK):
                    chunk = digests[start : start + _CHUNK]
                    keys = [_key(digest) for digest in chunk]
                    values = cast("list[bytes | None]", await self._client.mget(keys))
                    for digest, data in zip(chunk, values, strict=True):
                        plan = None if data is None else self._opened(digest, data)
                        if plan is not None:
                            found[digest] = plan
        except UnavailableError as error:
            _log.warning("cache_away", call="load_plans", reason=error.message)
        return found

    async def store(self, plans: Mapping[bytes, StoredPlan]) -> None:
        entries = list(plans.items())
        try:
            async with asking(self._breaker):
                for start in range(0, len(entries), _CHUNK):
                    async with self._client.pipeline(transaction=False) as pipeline:
                        for digest, plan in entries[start : start + _CHUNK]:
                            pipeline.set(_key(digest), self._seal(digest, plan) + plan, ex=EXPIRY_S)
                        await pipeline.execute()
        except UnavailableError as error:
            _log.warning("cache_away", call="store_plans", reason=error.message)

    def _opened(self, digest: bytes, data: bytes) -> StoredPlan | None:
        seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(digest, body)):
            _log.info("cache_entry_refused", entry="plan")
            return None
        return body

    def _seal(self, digest: bytes, body: bytes) -> bytes:
        seal = hashlib.blake2b(key=self._secret, digest_size=SEAL_BYTES, person=b"rulestream.plan")
        for part in (self._release, digest, body):
            seal.update(len(part).to_bytes(8, "big") + part)
        return seal.digest()


def _key(digest: bytes) -> str:
    return f"{KEY_PREFIX}{digest.hex()}"
