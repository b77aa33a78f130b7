"""The active rules in Redis or Valkey.

Everything is addressed by the digest of what it holds: a membership list under its ruleset's digest, a rule under its
content's digest. Bytes that fail their digest are as good as absent, so a cache that was flushed, is stale or was
tampered with costs a read from Postgres and changes no decision. Values are msgpack data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec
import structlog
from redis.asyncio import Redis

from domain.decisions.ruleset import ActiveRule, ruleset_digest
from domain.errors import UnavailableError
from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent, format_moment, parse_moment
from worker.adapters.redis.client import CacheObserver, Unobserved, asking
from worker.breakers import Breaker

KEY_PREFIX: Final = "rulestream:"
EXPIRY_S: Final = 7 * 24 * 3600
_CHUNK: Final = 500
_CACHE: Final = "rules"

_log = structlog.get_logger(__name__)


class _CachedRule(msgspec.Struct, array_like=True, frozen=True):
    rule_id: str
    version: int
    name: str
    dsl_content: str
    priority: str
    description: str
    tags: tuple[str, ...]
    effective_from: str | None
    effective_until: str | None


_MEMBERS: Final = msgspec.msgpack.Decoder(list[tuple[str, int, bytes]])
_RULE: Final = msgspec.msgpack.Decoder(_CachedRule)
_ENCODER: Final = msgspec.msgpack.Encoder()


class RedisActiveRules:
    """ActiveRulesCache on a Redis client. Failures are logged and count as nothing found; ``is_up`` tells of them."""

    def __init__(self, client: Redis, breaker: Breaker | None = None, observer: CacheObserver | None = None) -> None:
        self._client = client
        self._breaker = breaker
        self._observer = observer or Unobserved()
        self.is_up = True

    async def members(self, digest: bytes) -> Sequence[tuple[RuleId, int, bytes]] | None:
        try:
            async with asking(self._breaker):
                data = cast("bytes | None", await self._client.get(_members_key(digest)))
        except UnavailableError as error:
            self._failed("members", error)
            self._observer.cache_read(_CACHE, "away")
            return None
        self.is_up = True
        if data is None:
            self._observer.cache_read(_CACHE, "miss")
            return None
        members = await asyncio.to_thread(_members, data, digest)
        self._observer.cache_read(_CACHE, "refused" if members is None else "hit")
        if members is None:
            _log.warning("cache_entry_refused", entry="members")
        return members

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, ActiveRule]:
        found: dict[bytes, ActiveRule] = {}
        start = 0
        try:
            for start in range(0, len(digests), _CHUNK):
                chunk = digests[start : start + _CHUNK]
                async with asking(self._breaker):
                    values = cast(
                        "list[bytes | None]", await self._client.mget([_rule_key(digest) for digest in chunk])
                    )
                rules, refused = await asyncio.to_thread(_rules, chunk, values)
                found |= rules
                self._observer.cache_read(_CACHE, "hit", len(rules))
                self._observer.cache_read(_CACHE, "refused", refused)
                self._observer.cache_read(_CACHE, "miss", len(chunk) - len(rules) - refused)
                for _ in range(refused):
                    _log.warning("cache_entry_refused", entry="rule")
                self.is_up = True
        except UnavailableError as error:
            self._failed("load", error)
            self._observer.cache_read(_CACHE, "away", len(digests) - start)
        return found

    async def store_members(self, digest: bytes, members: Sequence[tuple[RuleId, int, bytes]]) -> None:
        data = await asyncio.to_thread(_encoded_members, members)
        try:
            async with asking(self._breaker):
                await self._client.set(_members_key(digest), data, ex=EXPIRY_S)
            self.is_up = True
        except UnavailableError as error:
            self._failed("store_members", error)

    async def store_rules(self, rules: Sequence[ActiveRule]) -> None:
        try:
            for start in range(0, len(rules), _CHUNK):
                async with asking(self._breaker), self._client.pipeline(transaction=False) as pipeline:
                    for rule in rules[start : start + _CHUNK]:
                        pipeline.set(_rule_key(rule.digest), _encoded(rule), ex=EXPIRY_S)
                    await pipeline.execute()
                self.is_up = True
        except UnavailableError as error:
            self._failed("store_rules", error)

    async def ping(self, timeout_s: float) -> None:
        """Ask the cache for an answer within ``timeout_s``; raises UnavailableError when none comes."""
        try:
            async with asking(self._breaker, timeout_s):
                await self._client.ping()
        except UnavailableError:
            self.is_up = False
            raise
        self.is_up = True

    def _failed(self, call: str, error: UnavailableError) -> None:
        if self.is_up:  # once, and not for every part of a large ruleset
            _log.warning("cache_away", call=call, reason=error.message)
        self.is_up = False


def _members(data: bytes, digest: bytes) -> list[tuple[RuleId, int, bytes]] | None:
    try:
        found = _MEMBERS.decode(data)
    except msgspec.MsgspecError:
        return None
    if ruleset_digest(content for _, _, content in found) != digest:
        return None
    return [(RuleId(rule_id), version, content) for rule_id, version, content in found]


def _encoded_members(members: Sequence[tuple[RuleId, int, bytes]]) -> bytes:
    return _ENCODER.encode([(rule_id.value, version, content) for rule_id, version, content in members])


def _members_key(digest: bytes) -> str:
    return f"{KEY_PREFIX}members:{digest.hex()}"


def _rule_key(digest: bytes) -> str:
    return f"{KEY_PREFIX}rule:{digest.hex()}"


def _encoded(rule: ActiveRule) -> bytes:
    content = rule.content
    return _ENCODER.encode(
        _CachedRule(
            rule.rule_id.value,
            rule.version,
            content.name,
            content.dsl_content,
            content.priority.value,
            content.description,
            content.tags,
            None if content.effective_from is None else format_moment(content.effective_from),
            None if content.effective_until is None else format_moment(content.effective_until),
        )
    )


def _rules(digests: Sequence[bytes], values: Sequence[bytes | None]) -> tuple[dict[bytes, ActiveRule], int]:
    """Return the rules of entries that pass their digests, and how many do not."""
    found: dict[bytes, ActiveRule] = {}
    refused = 0
    for digest, data in zip(digests, values, strict=True):
        if data is not None:
            rule = _rule(data)
            if rule is not None and rule.digest == digest:
                found[digest] = rule
            else:
                refused += 1
    return found, refused


def _rule(data: bytes) -> ActiveRule | None:
    try:
        cached = _RULE.decode(data)
        content = RuleContent(
            name=cached.name,
            dsl_content=cached.dsl_content,
            priority=Priority(cached.priority),
            description=cached.description,
            tags=cached.tags,
            effective_from=None if cached.effective_from is None else parse_moment(cached.effective_from),
            effective_until=None if cached.effective_until is None else parse_moment(cached.effective_until),
        )
        return ActiveRule(RuleId(cached.rule_id), cached.version, content)
    except ValueError:  # msgspec's errors are ValueErrors too
        return None
