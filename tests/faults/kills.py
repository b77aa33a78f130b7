"""Kill -9 of workers, at every point of a fact's way and at any moment."""

from __future__ import annotations

from functools import partial

from tests.behaviour.bus import eventually
from tests.faults.points import Point
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage

# How long a store or a publish may have been on its way when its worker dies, in microseconds.
MIDDLE_US_MAX = 4_000
PASSES_MAX = 6
DECIDED_MAX = 60

TITLES = {
    Point.DECIDE: "killed while a fact is decided",
    Point.STORE_BEFORE: "killed before the store",
    Point.STORE_MIDDLE: "killed in the middle of the store",
    Point.STORE_AFTER: "killed after the commit",
    Point.PUBLISH_BEFORE: "killed before the publishes",
    Point.PUBLISH_MIDDLE: "killed in the middle of the publishes",
    Point.PUBLISH_SENT: "killed with all publishes sent, none heard of",
    Point.PUBLISH_AFTER: "killed after the publishes",
    Point.ACK_BEFORE: "killed before the acknowledgements",
    Point.ACK_MIDDLE: "killed in the middle of the acknowledgements",
    Point.ACK_AFTER: "killed after the acknowledgements",
}


async def kill_at(point: Point, stage: Stage, times: int) -> None:
    """Kill workers at a point, one after the other, while a steady one works beside them."""
    await stage.start_worker()
    for _ in range(times):
        await kill_once(stage, point)


async def kill_at_every_point(stage: Stage, times: int) -> None:
    """Kill a worker at each point, in an order that is drawn, so many times over."""
    await stage.start_worker()
    for _ in range(times):
        for point in stage.chance.sample(list(Point), len(Point)):
            await kill_once(stage, point)


async def kill_once(stage: Stage, point: Point) -> None:
    """Kill one worker at a point, at a pass that is drawn."""
    chance = stage.chance
    at_pass = chance.randint(1, DECIDED_MAX if point is Point.DECIDE else PASSES_MAX)
    said = await stage.kill_at(point, at_pass, delay_us=chance.randrange(MIDDLE_US_MAX))
    if point is Point.STORE_MIDDLE:
        held = await stage.rows_of(said["keys"])
        stage.note("committed unheard" if held else "not committed")


async def kill_anywhere(stage: Stage, times: int) -> None:
    """Kill workers at any moment, from outside; there is none that lives on."""
    for _ in range(times):
        worker = await stage.start_worker()
        decided = await stage.bus.count("DECISIONS")
        more = stage.chance.randrange(200)
        await eventually(lambda: stage.bus.count("DECISIONS"), lambda seen, to=decided + more: seen >= to, 60.0)
        await worker.kill()
        stage.injected += 1
        stage.kills += 1


SCENARIOS = (
    *(Scenario(f"kill-{point.value}", title, 18, partial(kill_at, point)) for point, title in TITLES.items()),
    Scenario("kill-anywhere", "killed at any moment", 15, kill_anywhere),
)
