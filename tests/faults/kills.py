"""Kill -9 of workers, at every point of a fact's way and at any moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.behaviour.bus import eventually
from tests.faults.points import Point
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage

# How long a store or a publish may have been on its way when its worker dies, in microseconds.
MIDDLE_US_MAX = 4_000
PASSES_MAX = 6
DECIDED_MAX = 60
LANES = 2  # workers that are on their way to their deaths at the same time

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


@dataclass(frozen=True, slots=True)
class Death:
    """Where a worker dies: the point, the pass through it, and how long the middle of a call lasts."""

    point: Point
    at_pass: int
    delay_us: int


def draw(chance: random.Random, point: Point) -> Death:
    """Draw a death at a point."""
    at_pass = chance.randint(1, DECIDED_MAX if point is Point.DECIDE else PASSES_MAX)
    return Death(point, at_pass, chance.randrange(MIDDLE_US_MAX))


async def kill(stage: Stage, death: Death) -> None:
    """Let one worker die so."""
    said = await stage.kill_at(death.point, death.at_pass, delay_us=death.delay_us)
    if death.point is Point.STORE_MIDDLE:
        stage.note("committed unheard" if await stage.rows_of(said["keys"]) else "not committed")


async def kill_each(stage: Stage, deaths: Sequence[Death]) -> None:
    """Let workers die, some at a time, while a steady one works beside them."""
    await stage.start_worker()
    left = list(reversed(deaths))

    async def lane() -> None:
        while left:
            await kill(stage, left.pop())

    await asyncio.gather(*(lane() for _ in range(LANES)))


async def kill_at(point: Point, stage: Stage, times: int) -> None:
    """Kill workers at a point."""
    await kill_each(stage, [draw(stage.chance, point) for _ in range(times)])


async def kill_at_every_point(stage: Stage, times: int) -> None:
    """Kill a worker at each point, in an order that is drawn, so many times over."""
    points = [point for _ in range(times) for point in stage.chance.sample(list(Point), len(Point))]
    await kill_each(stage, [draw(stage.chance, point) for point in points])


async def kill_anywhere(stage: Stage, times: int) -> None:
    """Kill workers at any moment, from outside; there is none that lives on."""
    for _ in range(times):
        worker = await stage.start_worker()
        wanted = await stage.decisions() + stage.chance.randrange(200)
        await eventually(stage.decisions, lambda seen, wanted=wanted: seen >= wanted, 60.0)
        await worker.kill()
        stage.injected += 1
        stage.kills += 1


SCENARIOS = (
    *(Scenario(f"kill-{point.value}", title, 16, partial(kill_at, point)) for point, title in TITLES.items()),
    Scenario("kill-anywhere", "killed at any moment", 15, kill_anywhere),
)
