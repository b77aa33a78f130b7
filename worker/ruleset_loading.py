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
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from functools import partial
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
_COMPILED_CHUNK: Final = 50  # rules that one of two compilers takes at a time
_ALONE_MAX: Final = 200  # rules at the start that are compiled sooner than another process is there
_log = structlog.get_logger(__name__)

Member = tuple[RuleId, int, bytes]
Reading = Callable[[], AbstractAsyncContextManager[ActiveRules]]  # sees what was committed
_Item = TypeVar("_Item")
_Found = tuple[
    Mapping[bytes, ActiveRule], Mapping[bytes, StoredPlan]
]  # rules by digest, and what plans of them there are


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
        self._unkept_rules: list[ActiveRule] = []
        self._unkept_plans: dict[bytes, CompiledRule] = {}

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
        """Put into the cache what was read and made and is not there yet."""
        while self._unkept_rules or self._unkept_plans:
            rules, self._unkept_rules = self._unkept_rules, []
            made, self._unkept_plans = self._unkept_plans, {}
            await self._cache.store_rules(rules)
            await self._plans.store({digest: one.stored for digest, one in made.items() if one.stored is not None})

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
            bound = await self._bound(rules, await self._plans.load(list(rules)), is_deciding=True)
        else:
            self._unkept_plans.update(zip(rules, found, strict=True))
            bound = _bound(rules, dict(zip(rules, found, strict=True)))
        self._unkept_rules += rules.values()
        return Loaded(earlier.ruleset.changed(state.revision, changes.ended, bound.values(), state.digest), digests)

    # Everything

    async def _whole(self, state: RulesetState, reading: Reading, earlier: Ruleset | None) -> Loaded:
        bound = {} if earlier is None else earlier.by_digest()
        is_deciding = earlier is not None
        cached = await self._cache.members(state.digest)
        members = await _members(state, reading) if cached is None else cached
        wanted = [digest for _, _, digest in members if digest not in bound]
        await self._make(_chunks(wanted), self._cached, bound, is_deciding=is_deciding)
        absent = _absent(members, bound)
        if absent and cached is not None:  # the digest vouches for contents, not for ids
            members = await _members(state, reading)
            absent = _absent(members, bound)
        await self._make(_chunks(absent), partial(self._read, reading), bound, is_deciding=is_deciding)
        if absent or cached is None:
            await self._cache.store_members(state.digest, members)
        digests = sorted(digest for _, _, digest in members)
        members_bound = [bound[digest] for digest in digests]
        ruleset = await asyncio.to_thread(_arranged, state, members_bound, is_prepared=is_deciding)
        return Loaded(ruleset, b"".join(digests))

    async def _make(
        self,
        chunks: Iterable[Sequence[_Item]],
        find: Callable[[Sequence[_Item]], Awaitable[_Found]],
        bound: dict[bytes, BoundRule],
        *,
        is_deciding: bool,
    ) -> None:
        """Make rules, some at a time: meanwhile the next are being found, and the cache gets those before."""
        keeping: asyncio.Task[None] | None = None
        try:
            async with aclosing(_one_ahead(chunks, find)) as each:
                async for rules, plans in each:
                    bound |= await self._bound(rules, plans, is_deciding=is_deciding)
                    if keeping is not None:
                        await keeping
                    keeping = asyncio.create_task(self.keep())
        finally:
            if keeping is not None:
                await keeping

    async def _cached(self, digests: Sequence[bytes]) -> _Found:
        """Find rules and their plans in the cache."""
        return await asyncio.gather(self._cache.load(digests), self._plans.load(digests))

    async def _read(self, reading: Reading, members: Sequence[Member]) -> _Found:
        """Read rules from Postgres, and find their plans in the cache."""
        async with reading() as active_rules:
            found = await active_rules.load([(rule_id, version) for rule_id, version, _ in members])
        rules = {rule.digest: rule for rule in found}
        if rules.keys() != {digest for _, _, digest in members}:
            raise RulesetBrokenError("the active rules in Postgres do not have their digests")
        self._unkept_rules += found
        return rules, await self._plans.load(list(rules))

    async def _bound(
        self, rules: Mapping[bytes, ActiveRule], plans: Mapping[bytes, StoredPlan], *, is_deciding: bool
    ) -> dict[bytes, BoundRule]:
        """Make rules, of their plans where these are at hand; those of the others are to be kept."""
        compiled = await asyncio.to_thread(_restored, rules, plans) if plans else {}
        others = {digest: rule for digest, rule in rules.items() if digest not in compiled}
        if others:
            sources = [rule.content.dsl_content for rule in others.values()]
            found = await (self._compiled(sources) if is_deciding else self._compiled_by_two(sources))
            made = dict(zip(others, found, strict=True))
            compiled.update(made)
            self._unkept_plans.update(made)
        return _bound(rules, compiled)

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


async def _one_ahead(
    chunks: Iterable[Sequence[_Item]], find: Callable[[Sequence[_Item]], Awaitable[_Found]]
) -> AsyncGenerator[_Found, None]:
    """Give what is found of each chunk in turn, while the one after it is being looked for."""
    ahead: asyncio.Future[_Found] | None = None
    try:
        for chunk in chunks:
            before, ahead = ahead, asyncio.ensure_future(find(chunk))
            if before is not None:
                yield await before
        if ahead is not None:
            yield await ahead
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


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


def _bound(rules: Mapping[bytes, ActiveRule], compiled: Mapping[bytes, CompiledRule]) -> dict[bytes, BoundRule]:
    return {digest: bind(rule, digest, compiled[digest]) for digest, rule in rules.items()}


def _compile_all(sources: Sequence[str]) -> list[CompiledRule]:
    return [compile_rule(source) for source in sources]


def _restored(rules: Mapping[bytes, ActiveRule], plans: Mapping[bytes, StoredPlan]) -> dict[bytes, CompiledRule]:
    restored: dict[bytes, CompiledRule] = {}
    for digest, rule in rules.items():
        plan = plans.get(digest)
        if plan is None:
            continue
        try:
            restored[digest] = restore_rule(rule.content.dsl_content, plan)
        except StoredPlanError:
            _log.warning("cache_entry_refused", entry="plan", reason="not a plan of this release")
    return restored
