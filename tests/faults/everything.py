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

LANES = 2
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
    left = list(range(times))
    points = [stage.chance.choice(list(Point)) for _ in left]
    are_over = asyncio.Event()

    async def lane() -> None:
        while left:
            await _killed(stage, points[left.pop()])

    async def weather() -> None:
        while not are_over.is_set():
            for once in stage.chance.sample(WEATHER, len(WEATHER)):
                if are_over.is_set():
                    return
                await stage.progress(stage.chance.randrange(10, 100))
                await once(stage)
                stage.injected += 1
                stage.note(once.__name__)

    async with asyncio.TaskGroup() as group:
        around = group.create_task(weather())
        await asyncio.gather(*(group.create_task(lane()) for _ in range(LANES)))
        are_over.set()
        await around
    await stage.progress(100)


async def _killed(stage: Stage, point: Point) -> None:
    """Kill, or freeze and thaw, one worker; it is started again where a service that is away keeps it from starting."""
    while True:
        try:
            if point in FREEZING and stage.chance.random() < 0.2:
                await _frozen(stage, point)
            else:
                await kills.kill_once(stage, point)
        except WorkerEndedError:
            stage.note("could not start")
            continue
        return


async def _frozen(stage: Stage, point: Point) -> None:
    worker = await stage.start_faulty(point, at_pass=stage.chance.randint(1, 5), how="STOP")
    await worker.at_point()
    await stage.progress(stage.chance.randrange(300, 900))  # some seconds, beyond AckWait more often than not
    await worker.process.thaw()
    stage.injected += 1
    stage.note("frozen and thawed")
    await worker.process.kill()


SCENARIOS = (Scenario("everything", "everything at once", 40, play),)
