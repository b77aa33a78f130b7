"""How soon a worker stops under full load, and what is delivered again because it did.

Facts wait in the stream, the worker is at them, and is told to stop when it has a third of them behind it. What the
consumer has delivered by then, less what was acknowledged, is what another worker gets a second time.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from streams.wire import BatchPublisher
from worker.bench import jetstream, workload
from worker.bench.activation import activate
from worker.bench.jetstream import Consumer
from worker.bench.stack import At, BenchError, worker_on_a_stack
from worker.demo.run import health_port, launch_worker
from worker.embedded.process import ServerProcess, until

FACTS: Final = 30_000
ROUNDS: Final = 7
SECONDS_MAX: Final = 10.0

_CONSUMER: Final = "rulestream-facts"
_POLL_S: Final = 0.005
_TIMEOUT_S: Final = 60.0


class Stop(msgspec.Struct, rename="camel", frozen=True):
    """One stop: the seconds from SIGTERM to the end of the process, and facts.

    ``pending`` waited in the stream at the end; ``again`` were delivered and not acknowledged, and so come again.
    """

    seconds: float
    pending: int
    again: int


class StopReport(msgspec.Struct, rename="camel", frozen=True):
    """The median and the slowest stop, and how many facts all of them together had delivered again."""

    facts: int
    rules: int
    median_seconds: float
    slowest_seconds: float
    again: int
    seconds_max: float
    floors_hold: bool
    stops: list[Stop]


async def measure(facts: int, rounds: int, rules: int, update: Callable[[int], None]) -> StopReport:
    """Stop workers on servers of their own; ``update`` is told how many were. Raises RulestreamError."""
    async with worker_on_a_stack() as at:
        await activate(at, workload.rules(rules))
        await at.worker.stop()
        return report_of(facts, rules, await stop(at, facts, rounds, update))


async def stop(at: At, facts: int, rounds: int, update: Callable[[int], None] = lambda _: None) -> list[Stop]:
    """Stop one worker after the other at its work.

    Raises BenchError for one that does not end in order, or that had nothing left to do when it was told to.
    """
    supply = workload.Facts(f"order-{secrets.token_hex(8)}")
    publisher = BatchPublisher(at.connection)
    await publisher.start()
    found: list[Stop] = []
    for number in range(rounds):
        worker = await launch_worker(at.stack.addresses, at.stack.data_dir)
        try:
            await health_port(worker)
            found.append(await _stop_one(Consumer(at.connection, "FACTS", _CONSUMER, worker), publisher, supply, facts))
        finally:
            await worker.stop()
        update(number + 1)
    return found


def report_of(facts: int, rules: int, stops: Sequence[Stop]) -> StopReport:
    """Set the slowest stop against the floor, and what came again against none."""
    slowest, again = max(one.seconds for one in stops), sum(one.again for one in stops)
    return StopReport(
        facts=facts,
        rules=rules,
        median_seconds=round(statistics.median(one.seconds for one in stops), 3),
        slowest_seconds=slowest,
        again=again,
        seconds_max=SECONDS_MAX,
        floors_hold=slowest < SECONDS_MAX and again == 0,
        stops=list(stops),
    )


async def _stop_one(consumer: Consumer, publisher: BatchPublisher, supply: workload.Facts, facts: int) -> Stop:
    await consumer.pause()
    await jetstream.publish(publisher, supply.take(facts, effects=True))
    await consumer.until_asked()
    before = await consumer.info()
    await consumer.resume()
    await _until_behind(consumer, before["num_pending"] - facts // 3)
    started = time.perf_counter()
    os.kill(consumer.taker.pid, signal.SIGTERM)
    await _until_ended(consumer.taker)
    seconds = time.perf_counter() - started
    info = await consumer.info()
    delivered = info["delivered"]["consumer_seq"] - before["delivered"]["consumer_seq"]
    acknowledged = before["num_pending"] - info["num_pending"] - info["num_ack_pending"]
    if not info["num_pending"]:
        raise BenchError(f"all of {facts} facts were decided before the worker stopped: more of them are needed")
    return Stop(round(seconds, 3), info["num_pending"], delivered - acknowledged)


async def _until_behind(consumer: Consumer, pending: int) -> None:
    """Wait until no more facts than so many wait in the stream."""
    while True:
        if (await consumer.info())["num_pending"] <= pending:
            return
        await asyncio.sleep(_POLL_S)


async def _until_ended(worker: ServerProcess) -> None:
    """Wait for the end of a process; raises BenchError for one that goes on, or that does not end in order."""
    if not await until(lambda: not worker.running, _TIMEOUT_S):
        raise BenchError(f"a worker did not stop in {_TIMEOUT_S:g} s:\n{worker.log_tail()}")
    if worker.exit_status != 0:
        raise BenchError(f"a worker ended with {worker.exit_status}:\n{worker.log_tail()}")
