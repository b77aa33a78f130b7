"""The plans of active rules in Redis or Valkey, so that a restart need not parse their texts again.

A content digest vouches for a rule's text, not for what was made of it. So each entry carries a BLAKE2b digest of the
plan, keyed with a secret of the database and bound to the content digest and to the release: an entry that anybody
else made, changed, moved or kept from another release is as good as absent.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, cast

import structlog
from redis.asyncio import Redis

from domain.errors import UnavailableError
from domain.language import StoredPlan
from worker.adapters.redis.client import CacheObserver, Unobserved, asking
from worker.breakers import Breaker

KEY_PREFIX: Final = "rulestream:plan:"
EXPIRY_S: Final = 7 * 24 * 3600
SEAL_BYTES: Final = 32
_CHUNK: Final = 500
_CACHE: Final = "plans"

_log = structlog.get_logger(__name__)


class RedisPlans:
    """PlanCache on a Redis client; ``secret`` is the database's, ``release`` stands for this code's language."""

    def __init__(
        self,
        client: Redis,
        secret: bytes,
        release: bytes,
        breaker: Breaker | None = None,
        observer: CacheObserver | None = None,
    ) -> None:
        self._client = client
        self._secret = secret
        self._release = release
        self._breaker = breaker
        self._observer = observer or Unobserved()
        self._is_up = True
        self._is_refusing = False

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, StoredPlan]:
        found: dict[bytes, StoredPlan] = {}
        start = 0
        try:
            for start in range(0, len(digests), _CHUNK):
                chunk = digests[start : start + _CHUNK]
                async with asking(self._breaker):
                    values = cast("list[bytes | None]", await self._client.mget([_key(digest) for digest in chunk]))
                opened, refused = await asyncio.to_thread(self._opened, chunk, values)
                found |= opened
                self._observer.cache_read(_CACHE, "hit", len(opened))
                self._observer.cache_read(_CACHE, "refused", refused)
                self._observer.cache_read(_CACHE, "miss", len(chunk) - len(opened) - refused)
                self._is_up = True
        except UnavailableError as error:
            self._failed("load_plans", error)
            self._observer.cache_read(_CACHE, "away", len(digests) - start)
        return found

    async def store(self, plans: Mapping[bytes, StoredPlan]) -> None:
        entries = list(plans.items())
        try:
            for start in range(0, len(entries), _CHUNK):
                async with asking(self._breaker), self._client.pipeline(transaction=False) as pipeline:
                    for digest, plan in entries[start : start + _CHUNK]:
                        pipeline.set(_key(digest), self._seal(digest, plan) + plan, ex=EXPIRY_S)
                    await pipeline.execute()
                self._is_up = True
        except UnavailableError as error:
            self._failed("store_plans", error)

    def _failed(self, call: str, error: UnavailableError) -> None:
        if self._is_up:  # once, and not for every part of a large ruleset
            _log.warning("cache_away", call=call, reason=error.message)
        self._is_up = False

    def _opened(self, digests: Sequence[bytes], values: Sequence[bytes | None]) -> tuple[dict[bytes, StoredPlan], int]:
        """Return the plans of entries whose seals are ours, and how many others there are."""
        found: dict[bytes, StoredPlan] = {}
        refused = 0
        for digest, data in zip(digests, values, strict=True):
            if data is None:
                continue
            seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
            if hmac.compare_digest(seal, self._seal(digest, body)):
                found[digest] = body
            else:
                refused += 1
        if refused and not self._is_refusing:  # once: after a release all of them are another's
            _log.info("cache_entry_refused", entry="plan", count=refused)
        self._is_refusing = refused > 0
        return found, refused

    def _seal(self, digest: bytes, body: bytes) -> bytes:
        seal = hashlib.blake2b(key=self._secret, digest_size=SEAL_BYTES, person=b"rulestream.plan")
        for part in (self._release, digest, body):
            seal.update(len(part).to_bytes(8, "big") + part)
        return seal.digest()


def _key(digest: bytes) -> str:
    return f"{KEY_PREFIX}{digest.hex()}"
