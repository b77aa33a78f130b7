"""A worker that dies, as by a power cut, or freezes at a point of a fact's way that the environment names; a script.

It is the product's worker with a few of its calls wrapped before anything uses them. The same script loses
acknowledgements, and shifts the worker's clock (``points`` names the variables).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.decisions import engine
from streams import wire
from streams.settling import ACK
from tests.faults import points
from tests.faults.points import Point
from worker import clock
from worker.adapters.postgres.decisions import PostgresDecisions

POINT = os.environ.get(points.POINT)
PASS = int(os.environ.get(points.PASS, "1"))
HOW = signal.Signals[f"SIG{os.environ.get(points.HOW, 'KILL')}"]
DELAY_S = int(os.environ.get(points.DELAY_US, "0")) / 1_000_000
LOSE_ACKS = int(os.environ.get(points.LOSE_ACKS, "0"))
SPARED = frozenset(json.loads(os.environ.get(points.SPARED, "[]")))
CLOCK_SHIFT_S = float(os.environ.get(points.CLOCK_SHIFT_S, "0"))

_passes = itertools.count(1)
_acks = itertools.count(1)


def end(**said: Any) -> None:
    """Say where, and die; a worker that freezes goes on from here when it is thawed."""
    os.write(2, json.dumps({"event": points.MARK, "point": POINT, **said}).encode() + b"\n")
    os.kill(os.getpid(), HOW)


def reached(point: Point) -> bool:
    """Say whether this pass through a point is the one."""
    return point == POINT and next(_passes) == PASS


def die_deciding() -> None:
    decide = engine.decide

    def dying(ruleset: Any, fact: Any) -> Any:
        if points.DEADLY_FIELD in fact.payload:
            end(deadly=fact.id)
        if fact.id not in SPARED and reached(Point.DECIDE):
            end(fact=fact.id)
        return decide(ruleset, fact)

    engine.decide = dying


def die_storing() -> None:
    store = PostgresDecisions.store

    async def dying(self: PostgresDecisions, decisions: Sequence[Any]) -> Any:
        keys = [one.key.hex() for one in decisions]
        if reached(Point.STORE_BEFORE):
            end(keys=keys)
        if reached(Point.STORE_MIDDLE):
            storing = asyncio.ensure_future(store(self, decisions))
            await asyncio.wait([storing], timeout=DELAY_S)
            end(keys=keys)
            return await storing
        stored = await store(self, decisions)
        if reached(Point.STORE_AFTER):
            end(keys=keys)
        return stored

    PostgresDecisions.store = dying  # type: ignore[method-assign]


def die_publishing() -> None:
    publish = wire.BatchPublisher.publish

    async def dying(self: wire.BatchPublisher, publications: Sequence[wire.Publication], **how: Any) -> None:
        if not publications:
            return
        if reached(Point.PUBLISH_BEFORE):
            end()
        if len(publications) > 1 and reached(Point.PUBLISH_MIDDLE):
            with contextlib.suppress(Exception):  # where the server is away it dies all the same
                await publish(self, publications[: len(publications) // 2], **how)
            end()
        if reached(Point.PUBLISH_SENT):
            publishing = asyncio.ensure_future(publish(self, publications, **how))
            await asyncio.wait([publishing], timeout=DELAY_S)
            end()
            await publishing
            return
        await publish(self, publications, **how)
        if reached(Point.PUBLISH_AFTER):
            end()

    wire.BatchPublisher.publish = dying  # type: ignore[method-assign]


def die_acknowledging() -> None:
    send_settlements = wire.send_settlements

    async def dying(client: Any, settlements: Sequence[tuple[str, bytes]]) -> None:
        acks = [one for one in settlements if one[1] == ACK]
        if acks and reached(Point.ACK_BEFORE):
            end()
        if len(acks) > 1 and reached(Point.ACK_MIDDLE):
            with contextlib.suppress(Exception):
                await send_settlements(client, acks[: len(acks) // 2])
                await client.flush()
            end()
        if LOSE_ACKS:
            settlements = [one for one in settlements if one[1] != ACK or next(_acks) % LOSE_ACKS]
        await send_settlements(client, settlements)
        if acks and reached(Point.ACK_AFTER):
            with contextlib.suppress(Exception):
                await client.flush()
            end()

    wire.send_settlements = dying


def shift_clock() -> None:
    shift = timedelta(seconds=CLOCK_SHIFT_S)
    wall, wall_ns = time.time, time.time_ns
    clock.SystemClock.now = lambda _: datetime.now(UTC) + shift  # type: ignore[method-assign]
    time.time = lambda: wall() + CLOCK_SHIFT_S
    time.time_ns = lambda: wall_ns() + round(CLOCK_SHIFT_S * 1e9)


die_deciding()
die_storing()
die_publishing()
die_acknowledging()
if CLOCK_SHIFT_S:
    shift_clock()
assert "streams.facts.loop" not in sys.modules, "what it uses had to be wrapped before"

from worker.cli.app import app  # noqa: E402  # only now

app(["worker"])
