"""Everything at once: workers are killed at all points while services, rules and messages have their faults.

The kills go on in lanes of their own; one other fault at a time comes over all of them, in an order that is drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults import kills, messages, services
from tests.faults.points import Point
from tests.faults.processes import FREEZING
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage, WorkerEndedError

FROZEN_SHARE = 0.15  # of the workers that could be killed at their point
# What may come over the workers, each a fault of its own table row.
WEATHER: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    services.kill_postgres,
    services.restart_postgres,
    services.freeze_postgres,
    services.cut_postgres_connections,
    services.terminate_nats,
    services.kill_nats,
    services.flush_valkey,
    services.make_valkey_stale,
    messages.publish_copies,
    messages.change_rules,
)


async def play(stage: Stage, times: int) -> None:
    """Kill so many workers, at points that are drawn, and meanwhile let the other faults come."""
    await stage.start_worker()
    chance = stage.chance
    deaths = [kills.draw(chance, chance.choice(list(Point))) for _ in range(times)]
    left = [(death, death.point in FREEZING and chance.random() < FROZEN_SHARE) for death in deaths]
    are_over = asyncio.Event()

    async def lane() -> None:
        while left:
            await _ended(stage, *left.pop())

    async def weather() -> None:
        while not are_over.is_set():
            for once in chance.sample(WEATHER, len(WEATHER)):
                if are_over.is_set():
                    return
                await stage.progress(chance.randrange(10, 100))
                await once(stage)
                stage.injected += 1
                stage.note(once.__name__)

    async with asyncio.TaskGroup() as group:
        around = group.create_task(weather())
        await asyncio.gather(*(group.create_task(lane()) for _ in range(kills.LANES)))
        are_over.set()
        await around
    await stage.progress(100)


async def _ended(stage: Stage, death: kills.Death, is_frozen: bool) -> None:  # a pair's second
    """End one worker; it is started again where a service that is away keeps it from starting."""
    while True:
        try:
            if is_frozen:
                await _frozen(stage, death)
            else:
                await kills.kill(stage, death)
        except WorkerEndedError:
            stage.note("could not start")
            continue
        return


async def _frozen(stage: Stage, death: kills.Death) -> None:
    """Freeze a worker until others have done what it holds, and thaw it."""
    worker = await stage.start_faulty(death.point, at_pass=death.at_pass, how="STOP")
    await worker.at_point()
    await stage.caught_up()
    await worker.process.thaw()
    stage.injected += 1
    stage.note("frozen and thawed")
    await stage.progress(100)
    await worker.kill()


SCENARIOS = (Scenario("everything", "everything at once", 40, play),)
