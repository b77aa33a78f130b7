"""A scenario: one fault, played so many times under load, and the audit after it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.audit import Audit
from tests.faults.evidence import Evidence
from tests.faults.load import Mix
from tests.faults.remade import remade_differences
from tests.faults.results import Result
from tests.faults.stage import Site, Stage


class FaultFoundError(AssertionError):
    """Something was lost, twice or otherwise than it had to be; the message says with which seed to see it again."""


class NotPlayableError(Exception):
    """This machine does not allow the fault; the message says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault by name; ``play`` brings it about so many times, at moments that ``stage.chance`` draws."""

    name: str
    title: str
    times: int
    play: Callable[[Stage, int], Awaitable[None]]
    mix: Mix = field(default_factory=Mix)
    settings: dict[str, Any] = field(default_factory=dict)
    check: Callable[[Audit, Evidence], Iterable[str]] | None = None  # what else must hold, beside the audit


async def perform(site: Site, scenario: Scenario, seed: int, times: int) -> Result:
    """Play a scenario on clean servers and give its row; raises FaultFoundError with everything that was found."""
    name = f"faults_{scenario.name.replace('-', '_')}_{seed}"
    folder = site.folder / name
    folder.mkdir(parents=True)
    addresses = await site.clean(name)
    stage = Stage(addresses, folder, seed, scenario.mix, stack=site.stack, **scenario.settings)
    return await perform_on(stage, scenario, seed, times, folder)


async def perform_on(stage: Stage, scenario: Scenario, seed: int, times: int, folder: Path) -> Result:
    """Play a scenario on a stage that is not yet entered."""
    began = time.monotonic()
    again = f"seed {seed}; again: make faults ONLY={scenario.name} SEED={seed} TIMES={times}; logs in {folder}"
    try:
        async with stage:
            stage.load.start()
            await scenario.play(stage, times)
            found, evidence = await stage.finish()
            found.differing.extend(await remade_differences(stage.addresses.postgres, evidence))
            if scenario.check is not None:
                found.other.extend(scenario.check(found, evidence))
    except (FaultFoundError, NotPlayableError):
        raise
    except Exception as error:
        raise FaultFoundError(f"{scenario.title}: {error!r}\n{again}") from error
    if not found.is_clean:
        raise FaultFoundError(f"{scenario.title}: {found}\n{again}")
    seconds = time.monotonic() - began
    return Result.of(scenario.title, stage.injected, stage.kills, found, seconds, seed, stage.notes)


def repeatedly(once: Callable[[Stage], Awaitable[None]], workers: int = 2) -> Callable[[Stage, int], Awaitable[None]]:
    """Make a play of a fault: workers decide, and again and again, at a moment that is drawn, the fault comes."""

    async def play(stage: Stage, times: int) -> None:
        for _ in range(workers):
            await stage.start_worker()
        for _ in range(times):
            await stage.progress(stage.chance.randrange(20, 300))
            await once(stage)
            stage.injected += 1
        await stage.progress(100)

    return play
