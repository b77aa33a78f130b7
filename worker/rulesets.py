"""The ruleset that this worker decides by: loaded, verified, compiled and swapped while facts are being decided.

Which ruleset is current comes from Postgres alone (revision and digest); its rules come from the cache, or from
Postgres where the cache is away, behind, or fails the digest. Only what changed is compiled. The snapshot is replaced
by one assignment, so a batch sees one ruleset whole.

What was made of a rule's text is in the cache too, so that a restart does not parse it again. Before the first facts
texts are compiled here; after that in the compiler's process, so that deciding goes on beside it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, RulesetState, bind, ruleset_digest
from domain.errors import RulestreamError, UnavailableError
from domain.identifiers import RuleId
from domain.language import CompiledRule, InvalidRuleError, StoredPlan, StoredPlanError, compile_rule, restore_rule
from domain.ports import ActiveRules, ActiveRulesCache, DslCompiler, PlanCache, Transactions

_CHUNK: Final = 500  # rules whose plans are held at once
_log = structlog.get_logger(__name__)


class RulesetBrokenError(RulestreamError):
    """The rules in the store do not have the digest that the store says: the database was tampered with."""


class Rulesets:
    """RulesetSource, and the holder of the current snapshot."""

    def __init__(
        self,
        transactions: Transactions,
        cache: ActiveRulesCache,
        plans: PlanCache,
        compiler: DslCompiler,
        poll_s: float,
    ) -> None:
        self._transactions = transactions
        self._cache = cache
        self._plans = plans
        self._compiler = compiler
        self._poll_s = poll_s
        self._current: Ruleset | None = None
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._loading = asyncio.Lock()

    @property
    def current(self) -> Ruleset:
        """The snapshot to decide by; one must have been loaded."""
        assert self._current is not None, "facts are taken only after a ruleset was loaded"
        return self._current

    @property
    def is_loaded(self) -> bool:
        """Whether there is a snapshot."""
        return self._current is not None

    def hint(self) -> None:
        """Say that the ruleset may have changed: it is looked at now rather than at the next poll."""
        self._hint.set()

    async def start(self) -> None:
        """Load the current ruleset and begin to follow it. Raises UnavailableError, RulesetBrokenError."""
        await self.refresh()
        self._task = asyncio.create_task(self._follow(), name="ruleset-follower")

    async def stop(self) -> None:
        """Stop following."""
        self._stopping.set()  # a cancellation alone may be lost: before Python 3.12 wait_for can swallow one
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> Ruleset:
        """Make the snapshot current, if it is not."""
        async with self._loading:
            async with self._transactions.begin() as tx:
                state = await tx.active_rules.state()
                if self._current is not None and self._current.state == state:
                    return self._current
                ruleset = await self._load(state, tx.active_rules)
            previous = self._current
            self._current = ruleset
        _log.info(
            "ruleset_loaded",
            revision=ruleset.revision,
            rules=len(ruleset.rules),
            digest=ruleset.digest.hex()[:16],
            previous=None if previous is None else previous.revision,
        )
        return ruleset

    async def snapshot(self, state: RulesetState, active_rules: ActiveRules) -> Ruleset:
        """Return the compiled ruleset of a state that a transaction holds."""
        current = self._current
        if current is not None and current.state == state:
            return current
        return await self._load(state, active_rules)

    async def _follow(self) -> None:
        is_checked = True
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._poll_s * random.uniform(0.75, 1.25)):  # noqa: S311  # spreads load
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            try:
                await self.refresh()
                is_checked = True
            except UnavailableError as error:
                if is_checked:  # once, and not at every poll for as long as a service is away
                    _log.warning("ruleset_not_checked", service=error.service, reason=error.message)
                is_checked = False
            except Exception:  # noqa: BLE001  # the ruleset that was verified goes on deciding; the log says why
                _log.exception("ruleset_not_loaded")

    async def _load(self, state: RulesetState, active_rules: ActiveRules) -> Ruleset:
        known = {} if self._current is None else self._current.by_digest()
        cached = await self._cache.members(state.digest)
        members = cached or await active_rules.members(state.revision)
        wanted = [digest for _, _, digest in members if digest not in known]
        found = dict(await self._cache.load(wanted)) if wanted else {}
        held = known.keys() | found.keys()
        if cached and any(digest not in held for _, _, digest in members):
            members = await active_rules.members(state.revision)  # the digest vouches for contents, not for ids
        missing = [(rule_id, version) for rule_id, version, digest in members if digest not in held]
        if missing:
            found.update({rule.digest: rule for rule in await active_rules.load(missing)})
        digests = [digest for _, _, digest in members if digest in known or digest in found]
        if ruleset_digest(digests) != state.digest:
            members, found = await self._from_store(state, active_rules)
            missing = [(rule_id, version) for rule_id, version, _ in members]
        if missing or cached is None:
            await self._cache.store(state.digest, members, list(found.values()))
        bound = await self._bound({digest: rule for digest, rule in found.items() if digest not in known})
        kept = [known[digest] for _, _, digest in members if digest in known]
        return Ruleset(state.revision, [*kept, *bound], state.digest)

    async def _bound(self, rules: Mapping[bytes, ActiveRule]) -> list[BoundRule]:
        """Compile rules, at the start from their plans where these are at hand, and keep the plans of the others."""
        is_deciding = self._current is not None
        bound: list[BoundRule] = []
        digests = list(rules)
        for start in range(0, len(digests), _CHUNK):
            chunk = {digest: rules[digest] for digest in digests[start : start + _CHUNK]}
            compiled: dict[bytes, CompiledRule] = {}
            if not is_deciding:
                compiled = await asyncio.to_thread(_restore_all, chunk, await self._plans.load(list(chunk)))
            others = {digest: rule for digest, rule in chunk.items() if digest not in compiled}
            if others:
                made = dict(zip(others, await self._compiled(_sources(others.values())), strict=True))
                compiled.update(made)
                await self._plans.store({digest: one.stored for digest, one in made.items() if one.stored is not None})
            bound += [bind(rule, digest, compiled[digest]) for digest, rule in chunk.items()]
        return bound

    async def _compiled(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        if self._current is None:
            return await asyncio.to_thread(_compile_all, sources)
        try:
            return await self._compiler.compile(sources)
        except (InvalidRuleError, UnavailableError) as error:
            # These rules were checked and approved: that the compiler fails on them must not keep them from deciding.
            _log.warning("compiler_failed", reason=error.message, rules=len(sources))
            return await asyncio.to_thread(_compile_all, sources)

    async def _from_store(
        self, state: RulesetState, active_rules: ActiveRules
    ) -> tuple[Sequence[tuple[RuleId, int, bytes]], dict[bytes, ActiveRule]]:
        """Read everything from the truth; the cache led astray (its list names rules that do not fit its digests)."""
        members = await active_rules.members(state.revision)
        rules = await active_rules.load([(rule_id, version) for rule_id, version, _ in members])
        found = {rule.digest: rule for rule in rules}
        if ruleset_digest(found) != state.digest:
            raise RulesetBrokenError("the active rules in Postgres do not have the ruleset's digest")
        return members, found


def _sources(rules: Iterable[ActiveRule]) -> list[str]:
    return [rule.content.dsl_content for rule in rules]


def _compile_all(sources: Sequence[str]) -> list[CompiledRule]:
    return [compile_rule(source) for source in sources]


def _restore_all(rules: Mapping[bytes, ActiveRule], plans: Mapping[bytes, StoredPlan]) -> dict[bytes, CompiledRule]:
    restored: dict[bytes, CompiledRule] = {}
    for digest, plan in plans.items():
        try:
            restored[digest] = restore_rule(rules[digest].content.dsl_content, plan)
        except StoredPlanError:
            _log.warning("cache_entry_refused", entry="plan", reason="not a plan of this release")
    return restored
