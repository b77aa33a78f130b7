"""A rolling upgrade under load, and back: workers of two releases on one database and one stream.

Every worker does everything, so that facts and commands are taken by whichever release is there. The order is that of
``docs/upgrades.md``: the additions, the new workers one by one in the place of the old ones, and when none of these
runs any more, the removals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.behaviour.bus import eventually
from tests.faults.audit import Audit
from tests.faults.remade import remade_differences
from tests.faults.services import change_some_rule
from tests.faults.stage import CHANGE_WAIT_S, FaultyWorker, Release, Stage

EVERY_ROLE = "facts,commands,queries,relay"
COMMANDS_MAX = 60
COMMANDS = "rulestream_commands_decided_total"
FACTS = "rulestream_facts_decided_total"
Migrate = Callable[[], Awaitable[None]]


class Rolling:
    """The steps of an upgrade on a stage whose first worker, the steward, is of the old release.

    ``said`` hears after each step how many facts and commands each release has decided meanwhile.
    """

    def __init__(
        self, stage: Stage, old: Release, new: Release, facts: int, said: Callable[[str], None] = lambda _: None
    ) -> None:
        self._stage = stage
        self._releases = {"old": old, "new": new}
        self._facts = facts
        self._running: dict[str, list[FaultyWorker]] = {"old": [], "new": []}
        self._said = said

    async def play(self, additions: Migrate, removals: Migrate, *, and_back: bool) -> Audit:
        """Roll forth, or forth, back and forth again, under load, and audit.

        Raises AssertionError for what must not be on the way.
        """
        stage = self._stage
        await self._start("old")
        await self._start("old")
        await stage.steward.ends()  # from now on workers alone answer commands that also decide facts
        stage.load.start()
        await self._settle_in("the old release alone")
        await additions()
        await self._settle_in("the old release on the new schema")
        await self._replace("old", "new")
        if and_back:
            await self._replace("new", "old")
            await self._replace("old", "new")
        await removals()
        await self._settle_in("the new release after the removals")
        found, evidence = await stage.finish(with_worker=False)
        found.differing.extend(await remade_differences(stage.addresses.postgres, evidence))
        for worker in self._running["new"]:
            await worker.ends()
        return found

    async def _replace(self, gone: str, come: str) -> None:
        """Start a worker, let both releases work, end one of the others; and the second one likewise."""
        await self._start(come)
        await self._both_work(gone, come)
        await self._end(gone)
        await self._settle_in(f"one of each, {gone} to {come}")
        await self._start(come)
        await self._end(gone)
        await self._settle_in(f"{gone} replaced by {come}")

    async def _start(self, which: str) -> None:
        worker = await self._stage.start_worker(release=self._releases[which], roles=EVERY_ROLE)
        self._running[which].append(worker)

    async def _end(self, which: str) -> None:
        await self._running[which].pop(0).ends()
        self._stage.injected += 1

    async def _settle_in(self, step: str) -> None:
        """Let facts be decided, a rule be changed by commands, and facts be decided under it."""
        stage = self._stage
        await stage.progress(self._facts)
        before = await self._decided()
        await change_some_rule(stage)
        await stage.progress(self._facts)
        after = await self._decided()
        said = ", ".join(f"{which} {after[which] - before[which]:.0f}" for which in after if self._running[which])
        self._said(f"{step}: a rule changed, facts decided meanwhile: {said}")

    async def _both_work(self, gone: str, come: str) -> None:
        """See that each of two releases decides facts, and answers commands."""
        stage = self._stage
        before = await self._decided()

        async def decided() -> list[bool]:
            now = await self._decided()
            return [now[which] > before[which] for which in (gone, come)]

        await eventually(decided, all, CHANGE_WAIT_S)
        counted = "new"  # the old release may count none
        first = await self._commands(counted)
        for sent in range(1, COMMANDS_MAX + 1):
            answer = await stage.bus.command("ann", "submit", {"ruleId": "no-such-rule"})
            assert answer["status"] == "error", answer
            taken = await self._commands(counted) - first
            if 0 < taken < sent:
                after = await self._decided()
                facts = ", ".join(f"{which} {after[which] - before[which]:.0f}" for which in (gone, come))
                commands = f"new {taken:.0f}, old {sent - taken:.0f}"
                self._said(f"{gone} and {come} beside each other: facts {facts}; commands {commands}")
                return
        raise AssertionError(f"one release answered every one of {COMMANDS_MAX} commands")

    async def _decided(self) -> dict[str, float]:
        return {
            which: sum([await worker.metric(FACTS) for worker in running]) for which, running in self._running.items()
        }

    async def _commands(self, which: str) -> float:
        return sum([await worker.total(COMMANDS) for worker in self._running[which]])
