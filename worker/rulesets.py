"""The ruleset that this worker decides by: loaded, verified, compiled and swapped while facts are being decided.

Which ruleset is current comes from Postgres alone (revision and digest); ``worker.ruleset_loading`` makes it. The
snapshot is replaced by one assignment, so a batch sees one ruleset whole.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Protocol

import structlog

from domain.decisions.ruleset import Ruleset, RulesetState
from domain.errors import UnavailableError
from domain.language import compile_rule
from domain.ports import ActiveRules, ActiveRulesCache, DslCompiler, PlanCache, RulesetChanges, Transactions
from worker.ruleset_loading import Loaded, RulesetBrokenError, RulesetLoader, changes_since

_log = structlog.get_logger(__name__)


class RulesetObserver(Protocol):
    """Hears of rulesets that were loaded, in how many seconds, and of those that could not be."""

    def ruleset_loaded(self, seconds: float) -> None: ...

    def ruleset_failed(self) -> None: ...


class Rulesets:
    """RulesetSource, and the holder of the current snapshot."""

    def __init__(
        self,
        transactions: Transactions,
        cache: ActiveRulesCache,
        plans: PlanCache,
        compiler: DslCompiler,
        poll_s: float,
        observer: RulesetObserver | None = None,
    ) -> None:
        self._transactions = transactions
        self._loader = RulesetLoader(cache, plans, compiler)
        self._poll_s = poll_s
        self._observer = observer
        self._loaded: Loaded | None = None
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._arranging: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._loading = asyncio.Lock()

    @property
    def current(self) -> Ruleset:
        """The snapshot to decide by; one must have been loaded."""
        assert self._loaded is not None, "facts are taken only after a ruleset was loaded"
        return self._loaded.ruleset

    @property
    def is_loaded(self) -> bool:
        """Whether there is a snapshot."""
        return self._loaded is not None

    def hint(self) -> None:
        """Say that the ruleset may have changed: it is looked at now rather than at the next poll."""
        self._hint.set()

    async def start(self) -> None:
        """Load the current ruleset, prepare it for facts, and begin to follow it.

        Raises UnavailableError, RulesetBrokenError.
        """
        await asyncio.to_thread((await self.refresh()).prepare)  # so that no fact waits for it
        self._task = asyncio.create_task(self._follow(), name="ruleset-follower")

    async def stop(self) -> None:
        """Stop following."""
        self._stopping.set()  # a cancellation alone may be lost: before Python 3.12 wait_for can swallow one
        tasks = [task for task in (self._task, self._arranging, self._keeping) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self) -> Ruleset:
        """Make the snapshot current, if it is not."""
        async with self._loading:
            previous = self._loaded
            if previous is None:
                self._loaded = await self._load(await self._state(), None)
            else:
                changes = await changes_since(previous, self._reading)
                if changes.state == previous.ruleset.state:
                    return previous.ruleset
                self._loaded = await self._load(changes.state, previous, changes)
            ruleset = self._loaded.ruleset
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._loader.keep(), name="ruleset-keeping")
        if ruleset.is_due and (self._arranging is None or self._arranging.done()):
            self._arranging = asyncio.create_task(self._arrange(self._loaded), name="ruleset-arranging")
        _log.info(
            "ruleset_loaded",
            revision=ruleset.revision,
            rules=len(ruleset),
            digest=ruleset.digest.hex()[:16],
            previous=None if previous is None else previous.ruleset.revision,
        )
        return ruleset

    async def snapshot(self, state: RulesetState, active_rules: ActiveRules) -> Ruleset:
        """Return the compiled ruleset of a state that a transaction holds."""
        loaded = self._loaded
        if loaded is None or loaded.ruleset.state != state:
            loaded = await self._loader.load(state, lambda: nullcontext(active_rules), loaded)
        return loaded.ruleset

    async def _load(
        self, state: RulesetState, previous: Loaded | None, changes: RulesetChanges | None = None
    ) -> Loaded:
        started = time.perf_counter()
        try:
            loaded = await self._load_current(state, previous, changes)
        except Exception:
            if self._observer is not None:
                self._observer.ruleset_failed()
            raise
        if self._observer is not None:
            self._observer.ruleset_loaded(time.perf_counter() - started)
        return loaded

    async def _load_current(
        self, state: RulesetState, previous: Loaded | None, changes: RulesetChanges | None
    ) -> Loaded:
        while True:
            try:
                return await self._loader.load(state, self._reading, previous, changes)
            except RulesetBrokenError:
                now = await self._state()
                if now == state:
                    raise
                # A rule that was deactivated and deleted meanwhile is no longer there to be read.
                state, changes = now, None

    async def _state(self) -> RulesetState:
        async with self._reading() as active_rules:
            return await active_rules.state()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[ActiveRules]:
        async with self._transactions.reading() as tx:
            yield tx.active_rules

    async def _arrange(self, loaded: Loaded) -> None:
        """Arrange the rules anew after many changes, and decide by that unless there was another change meanwhile."""
        rebuilt = await asyncio.to_thread(loaded.ruleset.rebuilt)
        if self._loaded is loaded:
            self._loaded = replace(loaded, ruleset=rebuilt)

    async def _follow(self) -> None:
        is_checked = True
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._poll_s * random.uniform(0.75, 1.25)):  # noqa: S311  # spreads load
                    await self._hint.wait()
            except TimeoutError:
                # Neither the start, with the first facts after it, nor the first change is to wait for the grammar.
                if self._arranging is None:
                    self._arranging = asyncio.create_task(asyncio.to_thread(_warm_up), name="compiler-warming-up")
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


def _warm_up() -> None:
    compile_rule("true")
