"""How many commands one worker decides, and how soon: published to their stream, each answered to its actor.

Each command is a ``create``, with all that belongs to it: the stream, the check of its text, one transaction with rule,
version, name, history, outbox and command log, the answer, and the event's relay beside it.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from streams import headers, subjects
from worker.bench.stack import BenchError, worker_on_a_stack

COMMANDS: Final = 3_000
ACTORS: Final = 50
IN_FLIGHT: Final = 200
RATE: Final = 50
RATE_SECONDS: Final = 10.0
COMMANDS_PER_SECOND_MIN: Final = 300.0
P99_MS_MAX: Final = 50.0

WARM_UP: Final = 100
_ANSWER_TIMEOUT_S: Final = 30.0
_DSL: Final = 'on order.placed\nwhen customer.tier == "VIP" && order.total >= {}.0\nthen set rule{}.discount = 15'


class CommandsReport(msgspec.Struct, rename="camel", frozen=True):
    """Commands a second while ``in_flight`` are on their way, and milliseconds to the answer at ``rate`` a second."""

    commands: int
    actors: int
    in_flight: int
    commands_per_second: float
    commands_per_second_min: float
    rate: int
    rate_seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    p99_ms_max: float
    floors_hold: bool


async def measure(commands: int, rate_seconds: float, update: Callable[[int], None]) -> CommandsReport:
    """Measure a worker on servers of its own; ``update`` is told how many commands were answered."""
    async with worker_on_a_stack() as at:
        return await send(at.connection, commands, rate_seconds, update)


async def send(
    connection: Client, commands: int, rate_seconds: float, update: Callable[[int], None] = lambda _: None
) -> CommandsReport:
    """Send commands to a worker, as many as it takes and then at a rate; raises BenchError for one that fails."""
    sender = _Sender(connection, update)
    subscription = await connection.subscribe("rules.reply.>", cb=sender.answered)
    await connection.flush()
    try:
        await sender.in_bulk(WARM_UP)
        started = time.perf_counter()
        await sender.in_bulk(commands)
        seconds = time.perf_counter() - started
        spent_ms = await sender.at_a_rate(max(1, round(RATE * rate_seconds)))
    finally:
        await subscription.unsubscribe()
    return report_of(commands, seconds, spent_ms, rate_seconds)


def report_of(commands: int, seconds: float, spent_ms: Sequence[float], rate_seconds: float) -> CommandsReport:
    """Set the figures against their floors."""
    per_second = round(commands / seconds, 1)
    ordered = sorted(spent_ms)
    p99 = round(ordered[math.ceil(0.99 * len(ordered)) - 1], 2)
    return CommandsReport(
        commands=commands,
        actors=ACTORS,
        in_flight=IN_FLIGHT,
        commands_per_second=per_second,
        commands_per_second_min=COMMANDS_PER_SECOND_MIN,
        rate=RATE,
        rate_seconds=rate_seconds,
        p50_ms=round(statistics.median(ordered), 2),
        p99_ms=p99,
        max_ms=round(ordered[-1], 2),
        p99_ms_max=P99_MS_MAX,
        floors_hold=per_second >= COMMANDS_PER_SECOND_MIN and p99 < P99_MS_MAX,
    )


@dataclass(slots=True)
class _Sender:
    """Commands on their way, by their ids."""

    connection: Client
    update: Callable[[int], None]
    sent: int = 0
    done: int = 0
    waiting: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    async def answered(self, message: Msg) -> None:
        """Hear an answer."""
        future = self.waiting.pop(message.subject.rpartition(".")[2], None)
        if future is not None and not future.done():
            future.set_result(msgspec.json.decode(message.data))

    async def command(self) -> float:
        """Send one command and return the milliseconds until its answer came."""
        number = self.sent
        self.sent += 1
        command_id = str(uuid.uuid4())
        future = self.waiting[command_id] = asyncio.get_running_loop().create_future()
        payload = {"name": f"rule {number}", "dslContent": _DSL.format(number, number), "priority": "MEDIUM"}
        started = time.perf_counter()
        await self.connection.jetstream().publish(
            subjects.command(f"actor-{number % ACTORS}", "create"),
            msgspec.json.encode(payload),
            headers={headers.MESSAGE_ID: command_id},
        )
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            answer = await future
        spent = (time.perf_counter() - started) * 1e3
        if answer["status"] != "ok":
            raise BenchError(f"a command failed: {answer['error']}")
        self.done += 1
        self.update(self.done)
        return spent

    async def in_bulk(self, count: int) -> None:
        """Send so many commands, a bounded number of them at once."""
        left = iter(range(count))

        async def lane() -> None:
            for _ in left:
                await self.command()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, count)):
                group.create_task(lane())

    async def at_a_rate(self, count: int) -> list[float]:
        """Send so many commands evenly, whether the ones before were answered or not."""
        tasks: list[asyncio.Task[float]] = []
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await asyncio.sleep(max(0.0, started + number / RATE - time.perf_counter()))
                tasks.append(group.create_task(self.command()))
        return [task.result() for task in tasks]
