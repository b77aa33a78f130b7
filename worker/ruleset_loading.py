"""Making the ruleset of a state: its rules found, verified and compiled.

The rules come from the cache, or from Postgres where the cache is away, behind, or fails the digest. What was made of a
rule's text is in the cache too, so that a restart does not parse it again. Rules are read and made some at a time: what
was read of them goes as soon as they are made, and facts are decided in between.

After a change only what changed is read, from Postgres by one statement, and verified by the digest of the whole, of
which the rest is at hand. Whenever that does not give the digest, everything is looked at. The cache is not asked for a
few short rules, which are compiled sooner, and gets them when the ruleset decides already (``keep``).
"""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, RulesetState, bind, ruleset_digest
from domain.errors import RulestreamError, UnavailableError
from domain.identifiers import RuleId
from domain.language import CompiledRule, InvalidRuleError, StoredPlan, StoredPlanError, compile_rule, restore_rule
from domain.ports import ActiveRules, ActiveRulesCache, DslCompiler, PlanCache, RulesetChanges

CHANGES_MAX: Final = 500  # rules that came or went, above which everything is looked at
QUICK_CODE_POINTS: Final = 2_000  # of all texts to compile, up to which starting another process takes longer
_DIGEST_BYTES: Final = 32
_CHUNK: Final = 500  # rules that are read and made at once
_COMPILED_CHUNK: Final = 100  # rules that one of two compilers takes at a time
_ALONE_MAX: Final = 200  # rules at the start that are compiled sooner than another process is there
_log = structlog.get_logger(__name__)

Member = tuple[RuleId, int, bytes]
Reading = Callable[[], AbstractAsyncContextManager[ActiveRules]]  # sees what was committed
_Item = TypeVar("_Item")


class RulesetBrokenError(RulestreamError):
    """The rules in the store do not have the digest that the store says: the database was tampered with."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A ruleset, and its rules' content digests, sorted and joined: what its digest is the SHA-256 of."""

    ruleset: Ruleset
    digests: bytes


class RulesetLoader:
    """Makes rulesets. With an earlier one it is taken that facts are decided meanwhile."""

    def __init__(self, cache: ActiveRulesCache, plans: PlanCache, compiler: DslCompiler) -> None:
        self._cache = cache
        self._plans = plans
        self._compiler = compiler
        self._unkept: dict[bytes, tuple[ActiveRule, CompiledRule]] = {}

    async def load(
        self, state: RulesetState, reading: Reading, earlier: Loaded | None, changes: RulesetChanges | None = None
    ) -> Loaded:
        """Return the ruleset of a state; ``changes`` are those since the earlier one, where they are at hand.

        What ``reading`` gives is let go before anything is compiled: that can take long. Raises UnavailableError,
        RulesetBrokenError.
        """
        if earlier is not None and earlier.ruleset.revision < state.revision:
            if changes is None:
                changes = await changes_since(earlier, reading)
            changed = await self._changed(state, earlier, changes)
            if changed is not None:
                return changed
        return await self._whole(state, reading, None if earlier is None else earlier.ruleset)

    async def keep(self) -> None:
        """Put into the cache what was made of changes and is not there yet."""
        while self._unkept:
            unkept, self._unkept = self._unkept, {}
            await self._cache.store_rules([rule for rule, _ in unkept.values()])
            plans = {digest: compiled.stored for digest, (_, compiled) in unkept.items()}
            await self._plans.store({digest: stored for digest, stored in plans.items() if stored is not None})

    # What changed

    async def _changed(self, state: RulesetState, earlier: Loaded, changes: RulesetChanges) -> Loaded | None:
        """Return the earlier ruleset with what changed since; None where that does not have the state's digest."""
        if changes.state != state or changes.is_partial:
            return None
        rules = {rule.digest: rule for rule in changes.begun}
        sources = [rule.content.dsl_content for rule in rules.values()]
        is_quick = sum(map(len, sources)) <= QUICK_CODE_POINTS
        digests, found = await asyncio.to_thread(
            _verified, earlier.digests, changes.ended, rules, state.digest, sources if is_quick else None
        )
        if digests is None:
            return None
        if found is None:
            compiled = await self._made(rules, is_deciding=True)
        else:
            compiled = dict(zip(rules, found, strict=True))
        self._unkept.update((digest, (rule, compiled[digest])) for digest, rule in rules.items())
        bound = [bind(rule, digest, compiled[digest]) for digest, rule in rules.items()]
        return Loaded(earlier.ruleset.changed(state.revision, changes.ended, bound, state.digest), digests)

    # Everything

    async def _whole(self, state: RulesetState, reading: Reading, earlier: Ruleset | None) -> Loaded:
        bound = {} if earlier is None else earlier.by_digest()
        is_deciding = earlier is not None
        cached = await self._cache.members(state.digest)
        members = await _members(state, reading) if cached is None else cached
        for chunk in _chunks([digest for _, _, digest in members if digest not in bound]):
            bound |= await self._bound(await self._cache.load(chunk), is_deciding=is_deciding)
        absent = _absent(members, bound)
        if absent and cached is not None:  # the digest vouches for contents, not for ids
            members = await _members(state, reading)
            absent = _absent(members, bound)
        for missing in _chunks(absent):
            bound |= await self._read(missing, reading, is_deciding=is_deciding)
        if absent or cached is None:
            await self._cache.store_members(state.digest, members)
        digests = sorted(digest for _, _, digest in members)
        rules = [bound[digest] for digest in digests]
        ruleset = await asyncio.to_thread(_arranged, state, rules, is_prepared=is_deciding)
        return Loaded(ruleset, b"".join(digests))

    async def _read(self, members: Sequence[Member], reading: Reading, *, is_deciding: bool) -> dict[bytes, BoundRule]:
        """Read rules from Postgres, make them, and put them into the cache."""
        async with reading() as active_rules:
            found = await active_rules.load([(rule_id, version) for rule_id, version, _ in members])
        rules = {rule.digest: rule for rule in found}
        if rules.keys() != {digest for _, _, digest in members}:
            raise RulesetBrokenError("the active rules in Postgres do not have their digests")
        bound = await self._bound(rules, is_deciding=is_deciding)
        await self._cache.store_rules(found)
        return bound

    async def _bound(self, rules: Mapping[bytes, ActiveRule], *, is_deciding: bool) -> dict[bytes, BoundRule]:
        compiled = await self._made(rules, is_deciding=is_deciding)
        return {digest: bind(rule, digest, compiled[digest]) for digest, rule in rules.items()}

    async def _made(self, rules: Mapping[bytes, ActiveRule], *, is_deciding: bool) -> dict[bytes, CompiledRule]:
        """Make rules, of their plans where these are at hand, and keep the plans of the others."""
        if not rules:
            return {}
        plans = await self._plans.load(list(rules))
        compiled = await asyncio.to_thread(_restored, rules, plans) if plans else {}
        others = {digest: rule for digest, rule in rules.items() if digest not in compiled}
        if others:
            sources = [rule.content.dsl_content for rule in others.values()]
            found = await (self._compiled(sources) if is_deciding else self._compiled_by_two(sources))
            made = dict(zip(others, found, strict=True))
            compiled.update(made)
            await self._plans.store({digest: one.stored for digest, one in made.items() if one.stored is not None})
        return compiled

    # Compiling

    async def _compiled(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        """Compile rules while facts are decided: more than a little is another process's."""
        if sum(map(len, sources)) <= QUICK_CODE_POINTS:
            return await asyncio.to_thread(_compile_all, sources)
        try:
            return await self._compiler.compile(sources)
        except (InvalidRuleError, UnavailableError) as error:
            # These rules were checked and approved: that the compiler fails on them must not keep them from deciding.
            _log.warning("compiler_failed", reason=error.message, rules=len(sources))
            return await asyncio.to_thread(_compile_all, sources)

    async def _compiled_by_two(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        """Compile rules before there are facts to decide: here, and in the compiler's process at the same time."""
        if len(sources) <= _ALONE_MAX:
            return await asyncio.to_thread(_compile_all, sources)
        made: dict[int, Sequence[CompiledRule]] = {}
        waiting = deque(range(0, len(sources), _COMPILED_CHUNK))

        async def here() -> None:
            while waiting:
                start = waiting.popleft()
                made[start] = await asyncio.to_thread(_compile_all, sources[start : start + _COMPILED_CHUNK])

        async def there() -> None:
            while waiting:
                start = waiting.popleft()
                made[start] = await self._compiled(sources[start : start + _COMPILED_CHUNK])

        async with asyncio.TaskGroup() as group:
            group.create_task(there())
            group.create_task(here())
        return [rule for start in sorted(made) for rule in made[start]]


async def changes_since(earlier: Loaded, reading: Reading) -> RulesetChanges:
    """Read which ruleset is the current one, and what is different from an earlier one; raises UnavailableError."""
    async with reading() as active_rules:
        return await active_rules.changes(earlier.ruleset.revision, CHANGES_MAX)


def _verified(
    digests: bytes, gone: Iterable[bytes], new: Iterable[bytes], whole: bytes, sources: Sequence[str] | None
) -> tuple[bytes | None, list[CompiledRule] | None]:
    """Return joined digests after a change, None where they are not the whole's; and compiled sources, where given."""
    after = _digests_after(digests, gone, new, whole)
    return after, None if after is None or sources is None else _compile_all(sources)


def _digests_after(digests: bytes, gone: Iterable[bytes], new: Iterable[bytes], whole: bytes) -> bytes | None:
    """Return joined digests without some and with others; None where their SHA-256 is not that of the whole."""
    changed = bytearray(digests)
    for digest in gone:
        at = _place(changed, digest)
        if changed[at : at + _DIGEST_BYTES] != digest:
            return None
        del changed[at : at + _DIGEST_BYTES]
    for digest in new:
        at = _place(changed, digest)
        changed[at:at] = digest
    return bytes(changed) if hashlib.sha256(changed).digest() == whole else None


def _place(digests: bytearray, digest: bytes) -> int:
    """Return the byte at which a digest is among sorted ones, or would be."""
    numbers = range(len(digests) // _DIGEST_BYTES)
    return _DIGEST_BYTES * bisect_left(
        numbers, digest, key=lambda n: bytes(digests[n * _DIGEST_BYTES : (n + 1) * _DIGEST_BYTES])
    )


def _arranged(state: RulesetState, rules: Sequence[BoundRule], *, is_prepared: bool) -> Ruleset:
    ruleset = Ruleset(state.revision, rules, state.digest)
    if is_prepared:
        ruleset.prepare()
    return ruleset


async def _members(state: RulesetState, reading: Reading) -> Sequence[Member]:
    """Return the members of a state as Postgres has them."""
    async with reading() as active_rules:
        members = await active_rules.members(state.revision)
    if await asyncio.to_thread(ruleset_digest, [digest for _, _, digest in members]) != state.digest:
        raise RulesetBrokenError("the active rules in Postgres do not have the ruleset's digest")
    return members


def _absent(members: Sequence[Member], bound: Mapping[bytes, BoundRule]) -> list[Member]:
    return [member for member in members if member[2] not in bound]


def _chunks(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _compile_all(sources: Sequence[str]) -> list[CompiledRule]:
    return [compile_rule(source) for source in sources]


def _restored(rules: Mapping[bytes, ActiveRule], plans: Mapping[bytes, StoredPlan]) -> dict[bytes, CompiledRule]:
    restored: dict[bytes, CompiledRule] = {}
    for digest, plan in plans.items():
        try:
            restored[digest] = restore_rule(rules[digest].content.dsl_content, plan)
        except StoredPlanError:
            _log.warning("cache_entry_refused", entry="plan", reason="not a plan of this release")
    return restored
