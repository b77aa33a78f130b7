"""The whole worker against the loop that only copies messages: the same facts, the same servers, in turn.

Facts are published while both consumers are paused, so that publishing is in neither's time. Then one is resumed until
each fact is acknowledged (by the worker: decided, stored in Postgres and published before that), then the other.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from nats.aio.client import Client

from streams.wire import BatchPublisher
from worker.bench import jetstream, workload
from worker.bench.activation import activate
from worker.bench.jetstream import Consumer
from worker.bench.processes import cpu_seconds
from worker.bench.profiling import find_profiler, profiled
from worker.bench.stack import At, BenchError, worker_on_a_stack
from worker.embedded import EmbeddedStack
from worker.embedded.process import Command, ServerProcess, StopSteps

FACTS: Final = 40_000
PAIRS: Final = 7
RATIO_MIN: Final = 1.0
CPU_SHARE_MAX: Final = 0.8

_COPY: Final = "COPY"
_COPY_PREFIX: Final = "copy."
_COPY_CONSUMER: Final = "copy-loop"
_WORKER_CONSUMER: Final = "rulestream-facts"
_STOP_S: Final = 5.0


class Round(msgspec.Struct, rename="camel", frozen=True):
    """One side of a pair: facts a second, and microseconds of processor time for a fact, the servers' beside it."""

    facts_per_second: float
    cpu_us_per_fact: float
    nats_cpu_us: float
    postgres_cpu_us: float


class Pair(msgspec.Struct, rename="camel", frozen=True):
    """Both sides on the same facts; ``ratio`` is of facts a second."""

    effects: bool
    worker_first: bool
    ratio: float
    worker: Round
    copy_loop: Round


class PipelineReport(msgspec.Struct, rename="camel", frozen=True):
    """Medians over the pairs, and each pair. What is not said to be with effects is without."""

    ratio: float
    ratio_with_effects: float
    facts_per_second: float
    copy_loop_per_second: float
    cpu_us_per_fact: float
    copy_loop_cpu_us: float
    ratio_min: float
    cpu_share_max: float
    facts_per_second_with_effects: float
    cpu_us_per_fact_with_effects: float
    facts: int
    rules: int
    floors_hold: bool
    pairs: list[Pair]


def rounds_count(pairs: int) -> int:
    """Return how many pairs are run, those of the warm-up among them."""
    return 2 * (1 + pairs)


async def measure(
    facts: int, pairs: int, rules: int, profile: Path | None, update: Callable[[int], None]
) -> PipelineReport:
    """Measure a worker on servers of its own; raises RulestreamError. ``profile`` is written in one more round."""
    if profile is not None:
        find_profiler()  # rather now than after minutes
    async with worker_on_a_stack() as at:
        await activate(at, workload.rules(rules))
        return await race(at, facts, pairs, rules, profile, update)


async def race(
    at: At,
    facts: int,
    pairs: int,
    rules: int,
    profile: Path | None = None,
    update: Callable[[int], None] = lambda _: None,
) -> PipelineReport:
    """Run the pairs with a worker that decides by so many rules; raises BenchError for facts that were not decided."""
    async with _copying(at) as copier, _opened(at, copier) as course:
        found = await course.run(facts, pairs, update)
        if profile is not None:
            await course.profile(facts, profile)
        await course.worker.resume()
    return report_of(facts, rules, found)


def report_of(facts: int, rules: int, pairs: Sequence[Pair]) -> PipelineReport:
    """Take the medians and set them against the floors."""
    plain = [pair for pair in pairs if not pair.effects]
    with_effects = [pair for pair in pairs if pair.effects]
    ratio = round(statistics.median(pair.ratio for pair in plain), 3)
    ratio_with_effects = round(statistics.median(pair.ratio for pair in with_effects), 3)
    cpu = round(statistics.median(pair.worker.cpu_us_per_fact for pair in plain), 1)
    copy_cpu = round(statistics.median(pair.copy_loop.cpu_us_per_fact for pair in plain), 1)
    return PipelineReport(
        ratio=ratio,
        ratio_with_effects=ratio_with_effects,
        facts_per_second=round(statistics.median(pair.worker.facts_per_second for pair in plain), 1),
        copy_loop_per_second=round(statistics.median(pair.copy_loop.facts_per_second for pair in plain), 1),
        cpu_us_per_fact=cpu,
        copy_loop_cpu_us=copy_cpu,
        ratio_min=RATIO_MIN,
        cpu_share_max=CPU_SHARE_MAX,
        facts_per_second_with_effects=round(statistics.median(p.worker.facts_per_second for p in with_effects), 1),
        cpu_us_per_fact_with_effects=round(statistics.median(p.worker.cpu_us_per_fact for p in with_effects), 1),
        facts=facts,
        rules=rules,
        floors_hold=ratio >= RATIO_MIN and ratio_with_effects >= RATIO_MIN and cpu <= CPU_SHARE_MAX * copy_cpu,
        pairs=list(pairs),
    )


@asynccontextmanager
async def _copying(at: At) -> AsyncIterator[ServerProcess]:
    """Run the copy loop as a process of its own, with a stream and a consumer like the worker's."""
    client = at.connection
    decisions = (await jetstream.call(client, "STREAM.INFO.DECISIONS"))["config"]
    config = {**decisions, "name": _COPY, "subjects": [f"{_COPY_PREFIX}>"]}
    await jetstream.call(client, f"STREAM.CREATE.{_COPY}", config)
    worker = await jetstream.call(client, f"CONSUMER.INFO.FACTS.{_WORKER_CONSUMER}")
    config = {**worker["config"], "durable_name": _COPY_CONSUMER, "name": _COPY_CONSUMER}
    body = {"stream_name": "FACTS", "config": config}
    await jetstream.call(client, f"CONSUMER.DURABLE.CREATE.FACTS.{_COPY_CONSUMER}", body)
    words = (at.stack.addresses.nats, "FACTS", _COPY_CONSUMER, _COPY_PREFIX)
    process = await ServerProcess.launch(
        Command(
            argv=(sys.executable, "-m", "worker.bench.copy_loop", *words),
            log=at.stack.data_dir / "copy-loop.log",
            stop=StopSteps(orderly=((signal.SIGTERM, _STOP_S),), orphaned=((signal.SIGTERM, _STOP_S),)),
        )
    )
    try:
        yield process
    finally:
        await process.stop()


@asynccontextmanager
async def _opened(at: At, copier: ServerProcess) -> AsyncIterator[_Course]:
    publisher = BatchPublisher(at.connection)
    await publisher.start()
    database = await asyncpg.connect(at.stack.addresses.postgres)
    try:
        yield _Course(
            at.stack,
            at.connection,
            Consumer(at.connection, "FACTS", _WORKER_CONSUMER, at.worker),
            Consumer(at.connection, "FACTS", _COPY_CONSUMER, copier),
            publisher,
            database,
            workload.Facts(f"order-{secrets.token_hex(8)}"),
        )
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class _Course:
    """A worker and a copy loop that take turns."""

    stack: EmbeddedStack
    client: Client
    worker: Consumer
    copier: Consumer
    publisher: BatchPublisher
    database: asyncpg.Connection[asyncpg.Record]
    supply: workload.Facts

    async def run(self, facts: int, pairs: int, update: Callable[[int], None]) -> list[Pair]:
        """Run the pairs without effects, then those with, each after a pair that does not count."""
        found: list[Pair] = []
        done = 0
        for effects in (False, True):
            for number in range(pairs + 1):
                pair = await self._pair(facts, effects=effects, worker_first=number % 2 == 0)
                if number > 0:
                    found.append(pair)
                done += 1
                update(done)
        return found

    async def profile(self, facts: int, file: Path) -> None:
        """Have the worker decide facts while it is profiled."""
        await self._prepare(facts, effects=True)
        async with profiled(self.worker.taker.pid, file):
            await self.worker.resume()
            await self.worker.until_done()

    async def _pair(self, facts: int, *, effects: bool, worker_first: bool) -> Pair:
        await self._prepare(facts, effects=effects)
        before = await self._stored()
        sides = (self.worker, self.copier)
        rounds = {one.name: await self._round(one, facts) for one in (sides if worker_first else reversed(sides))}
        await self._check(facts, workload.effects_of(facts) if effects else 0, before)
        worker, copy_loop = rounds[self.worker.name], rounds[self.copier.name]
        ratio = round(worker.facts_per_second / copy_loop.facts_per_second, 4)
        return Pair(effects, worker_first, ratio, worker, copy_loop)

    async def _prepare(self, facts: int, *, effects: bool) -> None:
        """Empty the streams and publish new facts, with both consumers paused."""
        for consumer in (self.worker, self.copier):
            await consumer.pause()
        await jetstream.purge(self.client, "FACTS", "DECISIONS", "EFFECTS", _COPY)
        await jetstream.publish(self.publisher, self.supply.take(facts, effects=effects))

    async def _round(self, consumer: Consumer, facts: int) -> Round:
        await consumer.until_asked()
        pids = (consumer.taker.pid, self.stack.nats.pid, self.stack.postgres.pid)
        before = [cpu_seconds(one) for one in pids]
        started = time.perf_counter()
        await consumer.resume()
        await consumer.until_done()
        seconds = time.perf_counter() - started
        used = [(cpu_seconds(one) - was) / facts * 1e6 for one, was in zip(pids, before, strict=True)]
        await consumer.pause()
        return Round(round(facts / seconds, 1), *(round(each, 1) for each in used))

    async def _stored(self) -> tuple[int, int]:
        """Return how many decisions Postgres holds, and how many of them have effects."""
        row = await self.database.fetchrow("SELECT count(*), count(effects) FROM decision")
        assert row is not None
        return row[0], row[1]

    async def _check(self, facts: int, effects: int, before: tuple[int, int]) -> None:
        """Raise BenchError unless each fact was decided, stored, published and copied, with the effects that it has."""
        decisions, with_effects = await self._stored()
        streams = await asyncio.gather(
            *(jetstream.count(self.client, stream) for stream in ("DECISIONS", "EFFECTS", _COPY, "DEAD_LETTERS"))
        )
        found = (decisions - before[0], with_effects - before[1], *streams)
        wanted = (facts, effects, facts, effects, facts, 0)
        if found != wanted:
            names = ("rows", "rows with effects", "decisions", "effects", "copies", "dead letters")
            told = ", ".join(f"{name} {had}" for name, had in zip(names, found, strict=True))
            raise BenchError(f"of {facts} facts with {effects} effects there are: {told}")
