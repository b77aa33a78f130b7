"""What telemetry costs a worker: the processor time of a fact with it, beside that without it, in pairs.

Every pair has two new workers on the same servers, so that no process's luck is taken for a cost. Each has a consumer
of its own, and decides new facts of the same kind while the other's consumer is paused. Both are warmed up first, and
then take many short turns, so that what else the machine does meets both alike.

Publishers trace: every fact has a ``traceparent``, and one in a hundred says that its publisher records it. With
telemetry a worker counts and times, sends spans and metrics to a collector, follows as many facts as it does by
default, and its metrics are read once in a round.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
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
from worker.demo.run import health_port, launch_worker
from worker.embedded.ports import free_port
from worker.embedded.process import Command, ServerProcess, StopSteps, until

FACTS: Final = 40_000
PAIRS: Final = 7
COST_MAX: Final = 0.03
SAMPLED_EVERY: Final = 100
TURNS: Final = 8  # of each side in a pair: a round's facts are parted among them

_STOP_S: Final = 5.0
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
    """One of a pair: a worker, its consumer, and where its metrics are."""

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
        async with _sink(at) as endpoint:
            course = await _Course.opened(at, endpoint, facts)
            found: list[Pair] = []
            for number in range(pairs):
                found.append(await course.pair(on_first=number % 2 == 0))
                update(number + 1)
            if profile is not None:
                await course.profile(profile)
            return report_of(facts, rules, found, await _counts(endpoint))


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
class _Turn:
    """Facts that a worker decided, and the seconds and processor time that it took."""

    facts: int
    seconds: float
    cpu_s: float


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
        """Start two workers, warm them up, and measure one after the other."""
        async with AsyncExitStack() as stack:
            sides = {is_on: await stack.enter_async_context(self._side(is_on=is_on)) for is_on in (True, False)}
            order = (True, False) if on_first else (False, True)
            for is_on in (*order, *order):
                await self._turn(sides, is_on=is_on)
            found: dict[bool, list[_Turn]] = {True: [], False: []}
            for number in range(TURNS):
                for is_on in order if number % 2 == 0 else reversed(order):
                    found[is_on].append(await self._turn(sides, is_on=is_on))
            for is_on, side in sides.items():
                found[is_on].append(await _reading(side))
        (on_us, on_rate), (off_us, off_rate) = (_sum(found[is_on]) for is_on in (True, False))
        return Pair(on_first, on_us, off_us, round(on_us / off_us - 1, 4), on_rate, off_rate)

    async def profile(self, file: Path) -> None:
        """Profile a worker with telemetry."""
        async with self._side(is_on=True) as side:
            await self._turn({True: side}, is_on=True)
            async with profiled(side.consumer.taker.pid, file):
                for _ in range(TURNS):
                    await self._turn({True: side}, is_on=True)

    @asynccontextmanager
    async def _side(self, *, is_on: bool) -> AsyncIterator[_Side]:
        name = "telemetry-on" if is_on else "telemetry-off"
        folder = self.at.stack.data_dir / name
        settings = {"RULESTREAM_FACTS_CONSUMER": name, "RULESTREAM_TELEMETRY": "on" if is_on else "off"}
        if is_on:
            settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.endpoint
        worker = await launch_worker(self.at.stack.addresses, folder, **settings)
        try:
            port = await health_port(worker)
            consumer = Consumer(self.at.connection, "FACTS", name, worker)
            await consumer.pause()
            yield _Side(consumer, f"http://127.0.0.1:{port}/metrics")
        finally:
            await worker.stop()

    async def _turn(self, sides: dict[bool, _Side], *, is_on: bool) -> _Turn:
        """Have one side decide new facts."""
        facts = max(self.facts // TURNS, 1)
        for one in sides.values():
            await one.consumer.pause()
        await jetstream.purge(self.at.connection, "FACTS", "DECISIONS", "EFFECTS")
        messages = self.supply.take(facts, effects=True)
        await jetstream.publish(self.publisher, traced(messages, [secrets.token_hex(16) for _ in messages]))
        side = sides[is_on]
        await side.consumer.until_asked()
        pid = side.consumer.taker.pid
        before, started = _cpu_s(pid), time.perf_counter()
        await side.consumer.resume()
        await side.consumer.until_done()
        turn = _Turn(facts, time.perf_counter() - started, _cpu_s(pid) - before)
        await side.consumer.pause()
        decided = await jetstream.count(self.at.connection, "DECISIONS")
        if decided != facts:
            raise BenchError(f"of {facts} facts {decided} were decided:\n{side.consumer.taker.log_tail()}")
        return turn


async def _reading(side: _Side) -> _Turn:
    """Have a side tell its metrics: what Prometheus does each quarter of a minute."""
    before = _cpu_s(side.consumer.taker.pid)
    await asyncio.to_thread(_get, side.metrics)
    return _Turn(0, 0.0, _cpu_s(side.consumer.taker.pid) - before)


def _sum(turns: Sequence[_Turn]) -> tuple[float, float]:
    """Return microseconds of processor time for a fact, and facts a second."""
    facts = sum(one.facts for one in turns)
    cpu_s, seconds = sum(one.cpu_s for one in turns), sum(one.seconds for one in turns)
    return round(cpu_s / facts * 1e6, 3), round(facts / seconds, 1)


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
    with urllib.request.urlopen(url, timeout=_STOP_S) as answer:  # noqa: S310  # an address on this machine
        found: bytes = answer.read()
        return found


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process in seconds, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
