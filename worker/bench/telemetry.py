"""What telemetry costs a worker: the processor time of a fact with it, beside that without it, in pairs.

Where its memory happens to lie makes a process some per cent faster or slower than the next one. So the two sides of a
pair are one worker, whose telemetry is switched on and off for turns that alternate, and each pair has a new one.
What telemetry does counts as its cost, sending its spans included; that its libraries are loaded is on both sides. A
pair's cost is that of each side's best turn, since other processes only ever add to what a turn takes.

Publishers trace: every fact has a ``traceparent``, and one in a hundred says that its publisher records it. With
telemetry the worker counts and times, follows as many facts as it does by default, and sends spans and metrics to a
collector; its metrics are read once in a pair.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from streams import headers
from streams.wire import BatchPublisher, Publication
from worker.bench import jetstream, workload
from worker.bench.activation import activate
from worker.bench.jetstream import Consumer
from worker.bench.otlp_sink import Counts
from worker.bench.profiling import find_profiler, profiled
from worker.bench.stack import At, BenchError, worker_on_a_stack
from worker.demo.run import health_port
from worker.embedded.ports import free_port
from worker.embedded.process import Command, ServerProcess, StopSteps, until

FACTS: Final = 80_000
PAIRS: Final = 7
COST_MAX: Final = 0.03
SAMPLED_EVERY: Final = 100
TURNS: Final = 8  # of each side in a pair: a round's facts are parted among them

_CONSUMER: Final = "rulestream-facts"
_SEND_S: Final = 0.5
_NEVER_MS: Final = "3600000"
_STOP_S: Final = 5.0
_WORKER_STOP_S: Final = 40.0
_CPU_CLOCK: Final = 2  # of a process, all its threads together, as Linux numbers its clocks
_SAMPLED, _UNSAMPLED = "01", "00"


class Pair(msgspec.Struct, rename="camel", frozen=True):
    """Microseconds of the worker's processor time for a fact, with telemetry and without; ``cost`` is the surplus."""

    on_first: bool
    on_us: float
    off_us: float
    cost: float
    on_per_second: float
    off_per_second: float


class TelemetryReport(msgspec.Struct, rename="camel", frozen=True):
    """The median cost over the pairs, as a share of the processor time without telemetry; and what was sent away."""

    cost: float
    cost_max: float
    on_us: float
    off_us: float
    facts: int
    rules: int
    sampled_every: int
    spans: int
    metrics: int
    floors_hold: bool
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class _Side:
    """A worker, by its consumer, and where its metrics are."""

    consumer: Consumer
    metrics: str


async def measure(
    facts: int, pairs: int, rules: int, profile: Path | None, update: Callable[[int], None]
) -> TelemetryReport:
    """Measure workers on servers of their own; raises RulestreamError. ``profile`` is written of one more round."""
    if profile is not None:
        find_profiler()  # rather now than after minutes
    async with worker_on_a_stack() as at:
        await activate(at, workload.rules(rules))
        await at.worker.stop()
        return await compare(at, facts, pairs, rules, profile, update)


async def compare(
    at: At,
    facts: int,
    pairs: int,
    rules: int,
    profile: Path | None = None,
    update: Callable[[int], None] = lambda _: None,
) -> TelemetryReport:
    """Run the pairs on servers whose worker was stopped and whose ruleset has so many rules.

    Raises BenchError for facts that were not decided, or not counted.
    """
    await jetstream.purge(at.connection, "FACTS")  # or the first worker would begin with what is left there
    async with _sink(at) as endpoint:
        course = await _Course.opened(at, endpoint, facts)
        found: list[Pair] = []
        for number in range(pairs):
            found.append(await course.pair(on_first=number % 2 == 0))
            update(number + 1)
        if profile is not None:
            await course.profile(profile)
        return report_of(facts, rules, found, await _counts(endpoint))


@dataclass(frozen=True, slots=True)
class Turn:
    """Facts that a worker decided, and the seconds and processor time that it took."""

    facts: int
    seconds: float
    cpu_s: float

    @property
    def us(self) -> float:
        """Microseconds of processor time for a fact."""
        return self.cpu_s / self.facts * 1e6


def pair_of(on: Sequence[Turn], off: Sequence[Turn], beside_s: float, *, on_first: bool) -> Pair:
    """Take each side's best turn; ``beside_s`` of processor time is telemetry's too, spread over its turns."""
    on_us = min(one.us for one in on) + beside_s / sum(one.facts for one in on) * 1e6
    off_us = min(one.us for one in off)
    return Pair(
        on_first,
        round(on_us, 3),
        round(off_us, 3),
        round(on_us / off_us - 1, 4),
        *(round(sum(one.facts for one in each) / sum(one.seconds for one in each), 1) for each in (on, off)),
    )


def report_of(facts: int, rules: int, pairs: Sequence[Pair], counts: Counts) -> TelemetryReport:
    """Take the median of the pairs' costs; raises BenchError when nothing was followed, or nothing sent."""
    if not counts.spans or not counts.metrics:
        raise BenchError(f"the collector got {counts.spans} spans and {counts.metrics} metrics: telemetry was not on")
    cost = round(statistics.median(pair.cost for pair in pairs), 4)
    return TelemetryReport(
        cost=cost,
        cost_max=COST_MAX,
        on_us=round(statistics.median(pair.on_us for pair in pairs), 2),
        off_us=round(statistics.median(pair.off_us for pair in pairs), 2),
        facts=facts,
        rules=rules,
        sampled_every=SAMPLED_EVERY,
        spans=counts.spans,
        metrics=counts.metrics,
        floors_hold=cost < COST_MAX,
        pairs=list(pairs),
    )


def traced(messages: Sequence[Publication], traces: Sequence[str]) -> list[Publication]:
    """Return facts, each with its trace, as publishers send them that record one in ``SAMPLED_EVERY``."""
    found = []
    for number, (one, trace) in enumerate(zip(messages, traces, strict=True)):
        flags = _UNSAMPLED if number % SAMPLED_EVERY else _SAMPLED
        line = f"{headers.TRACEPARENT}: 00-{trace}-{trace[:16]}-{flags}\r\n\r\n"
        found.append(Publication(one.subject, one.head.removesuffix(b"\r\n") + line.encode(), one.payload))
    return found


@dataclass(frozen=True, slots=True)
class _Course:
    """Where pairs are run, and with what facts."""

    at: At
    endpoint: str
    publisher: BatchPublisher
    supply: workload.Facts
    facts: int

    @classmethod
    async def opened(cls, at: At, endpoint: str, facts: int) -> _Course:
        publisher = BatchPublisher(at.connection)
        await publisher.start()
        return cls(at, endpoint, publisher, workload.Facts(f"order-{secrets.token_hex(8)}"), facts)

    async def pair(self, *, on_first: bool) -> Pair:
        """Start a worker, warm it up, and measure it with telemetry and without."""
        async with self._worker() as side:
            order = (True, False) if on_first else (False, True)
            for is_on in (*order, *order):
                await self._turn(side, is_on=is_on)
            before = await _decided(side)
            found: dict[bool, list[Turn]] = {True: [], False: []}
            for number in range(TURNS):
                for is_on in order if number % 2 == 0 else reversed(order):
                    found[is_on].append(await self._turn(side, is_on=is_on))
            beside_s = await _telling(side)
            counted, wanted = await _decided(side) - before, sum(one.facts for one in found[True])
        if counted != wanted:
            raise BenchError(f"telemetry counted {counted:g} facts of the {wanted} that were decided with it")
        return pair_of(found[True], found[False], beside_s, on_first=on_first)

    async def profile(self, file: Path) -> None:
        """Profile a worker with telemetry."""
        async with self._worker() as side:
            await self._turn(side, is_on=True)
            async with profiled(side.consumer.taker.pid, file):
                for _ in range(TURNS):
                    await self._turn(side, is_on=True)

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[_Side]:
        addresses, folder = self.at.stack.addresses, self.at.stack.data_dir / "telemetry"
        worker = await ServerProcess.launch(
            Command(
                argv=(sys.executable, "-m", "worker.bench.switched_worker"),
                log=folder / "worker.log",
                stop=StopSteps(orderly=((signal.SIGTERM, _WORKER_STOP_S),), orphaned=((signal.SIGTERM, _STOP_S),)),
                env={
                    "RULESTREAM_NATS_URL": addresses.nats,
                    "RULESTREAM_POSTGRES_DSN": addresses.postgres,
                    "RULESTREAM_REDIS_URL": addresses.redis,
                    "RULESTREAM_HTTP_PORT": "0",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
                    "OTEL_BSP_SCHEDULE_DELAY": _NEVER_MS,  # but when it is told to
                },
            )
        )
        try:
            port = await health_port(worker)
            consumer = Consumer(self.at.connection, "FACTS", _CONSUMER, worker)
            yield _Side(consumer, f"http://127.0.0.1:{port}/metrics")
        finally:
            await worker.stop()

    async def _turn(self, side: _Side, *, is_on: bool) -> Turn:
        """Have the worker decide new facts, with telemetry or without."""
        facts = max(self.facts // TURNS, 1)
        await side.consumer.pause()
        pid = side.consumer.taker.pid
        os.kill(pid, signal.SIGUSR1 if is_on else signal.SIGUSR2)
        await jetstream.purge(self.at.connection, "FACTS", "DECISIONS", "EFFECTS")
        messages = self.supply.take(facts, effects=True)
        await jetstream.publish(self.publisher, traced(messages, [secrets.token_hex(16) for _ in messages]))
        await side.consumer.until_asked()
        before, started = _cpu_s(pid), time.perf_counter()
        await side.consumer.resume()
        await side.consumer.until_done()
        seconds = time.perf_counter() - started
        turn = Turn(facts, seconds, _cpu_s(pid) - before)
        decided = await jetstream.count(self.at.connection, "DECISIONS")
        if decided != facts:
            raise BenchError(f"of {facts} facts {decided} were decided:\n{side.consumer.taker.log_tail()}")
        return turn


async def _decided(side: _Side) -> float:
    """Return how many facts a worker's metrics say that it decided."""
    for line in (await asyncio.to_thread(_get, side.metrics)).decode().splitlines():
        if line.startswith("rulestream_facts_decided_total"):
            return float(line.rpartition(" ")[2])
    raise BenchError("the worker does not tell its metrics")


async def _telling(side: _Side) -> float:
    """Have a worker tell its metrics and send its spans; returns the processor time of that in seconds."""
    pid = side.consumer.taker.pid
    before = _cpu_s(pid)
    await asyncio.to_thread(_get, side.metrics)
    os.kill(pid, signal.SIGHUP)
    await asyncio.sleep(_SEND_S)
    return _cpu_s(pid) - before


@asynccontextmanager
async def _sink(at: At) -> AsyncIterator[str]:
    """Run a collector as a process of its own and give its address."""
    port = free_port()
    steps = ((signal.SIGTERM, _STOP_S),)
    process = await ServerProcess.launch(
        Command(
            argv=(sys.executable, "-m", "worker.bench.otlp_sink", str(port)),
            log=at.stack.data_dir / "otlp-sink.log",
            stop=StopSteps(orderly=steps, orphaned=steps),
        )
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        if not await until(lambda: _answers(endpoint), _STOP_S):
            raise BenchError(f"the collector did not start:\n{process.log_tail()}")
        yield endpoint
    finally:
        await process.stop()


def _answers(endpoint: str) -> bool:
    try:
        _get(endpoint)
    except OSError:
        return False
    return True


async def _counts(endpoint: str) -> Counts:
    return msgspec.json.decode(await asyncio.to_thread(_get, endpoint), type=Counts)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_STOP_S) as answer:  # noqa: S310  # nosec B310  # an address on this machine
        found: bytes = answer.read()
        return found


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process in seconds, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
