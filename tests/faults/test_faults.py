"""The fault suite in its short form: every kill point, and a fault of each kind, from one seed.

The long form is ``make faults``. A failure prints the seed and the command that plays it again in its long form;
``RULESTREAM_FAULTS_SEED`` chooses another seed here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import disk, everything, kills, messages, processes, scenario
from tests.faults.catalogue import SCENARIOS, Perform
from tests.faults.load import Mix
from tests.faults.scenario import NotPlayableError, Scenario
from tests.faults.stage import Stage, site

SEED = int(os.environ.get("RULESTREAM_FAULTS_SEED", "1"))


async def play_services(stage: Stage, times: int) -> None:
    """Let every service have each of its faults, in an order that is drawn, and rules change meanwhile."""
    await stage.start_worker()
    await stage.start_worker()
    for once in stage.chance.sample(everything.WEATHER, times):
        await stage.progress(stage.chance.randrange(20, 100))
        await once(stage)
        stage.injected += 1


async def play_workers(stage: Stage, times: int) -> None:
    """Freeze a worker and thaw it, lose acknowledgements, and let a clock be wrong."""
    await processes.freeze_and_thaw(stage, times)
    await messages.lose_acknowledgements(stage, 20 * times)
    await processes.shift_clocks(stage, 2 * times)


SHORT: dict[str, tuple[Perform, Scenario]] = {
    "every kill point": (scenario.perform, Scenario("points", "killed at every point", 1, kills.kill_at_every_point)),
    "every service": (
        scenario.perform,
        Scenario("services", "faults of every service", len(everything.WEATHER), play_services, Mix(poison=0.05)),
    ),
    "workers": (
        scenario.perform,
        Scenario("workers", "faults of workers", 1, play_workers, check=processes.decided_by_wrong_clocks),
    ),
    "streams full": (scenario.perform, SCENARIOS["streams-full"][1]),
    "disk full": (disk.perform, disk.SCENARIOS[0]),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("perform", "played"), SHORT.values(), ids=SHORT)
async def test_nothing_is_lost_and_nothing_is_decided_twice(perform: Perform, played: Scenario, tmp_path: Path) -> None:
    """Facts and decisions, effects and dead letters are what the ledger says, whatever breaks meanwhile."""
    times = 1 if played.name in SCENARIOS else played.times
    async with site(tmp_path) as servers:
        try:
            result = await perform(servers, played, SEED, times)
        except NotPlayableError as error:
            pytest.skip(str(error))
    assert result.times > 0, "the fault did come"
    assert result.decided > 0
