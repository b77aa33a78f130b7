"""What memory a worker holds while it works off a long backlog, and how fast it does."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from streams.wire import BatchPublisher
from worker.bench import jetstream, workload
from worker.bench.activation import activate
from worker.bench.jetstream import Consumer
from worker.bench.processes import children_peak_mb, resident_mb
from worker.bench.stack import At, BenchError, worker_on_a_stack

FACTS: Final = 1_000_000
MB_MAX: Final = 200.0
DISK_BYTES_A_FACT: Final = 6_000  # facts, decisions and rows, with some room

_DISK_BYTES_MIN: Final = 2_000_000_000  # Postgres's log among it
_CHUNK: Final = 10_000
_POLL_S: Final = 0.2


class BacklogReport(msgspec.Struct, rename="camel", frozen=True):
    """Megabytes are millions of bytes.

    ``peak_mb`` is the most that the worker's process held since its start, with its compiler's process; ``before_mb``
    and ``median_mb`` are of the worker's alone, before the backlog and while it is worked off. ``disk_mb`` is what the
    servers' files hold at the end.
    """

    facts: int
    rules: int
    seconds: float
    facts_per_second: float
    before_mb: float
    median_mb: float
    worker_peak_mb: float
    compiler_peak_mb: float
    peak_mb: float
    mb_max: float
    disk_mb: float
    floors_hold: bool


async def measure(facts: int, rules: int, update: Callable[[int], None]) -> BacklogReport:
    """Measure a worker on servers of its own; ``update`` is told of facts published and of facts decided.

    Raises BenchError when the disk has too little room, RulestreamError when a part fails.
    """
    async with worker_on_a_stack() as at:
        _require_room(at.stack.data_dir, facts)
        await activate(at, workload.rules(rules))
        return await work_off(at, facts, rules, update)


async def work_off(at: At, facts: int, rules: int, update: Callable[[int], None] = lambda _: None) -> BacklogReport:
    """Publish a backlog while the worker is paused, then have it decide all of it; raises BenchError if it does not."""
    consumer = Consumer(at.connection, "FACTS", "rulestream-facts", at.worker)
    await consumer.pause()
    supply = workload.Facts(f"order-{secrets.token_hex(8)}")
    publisher = BatchPublisher(at.connection)
    await publisher.start()
    for start in range(0, facts, _CHUNK):
        count = min(_CHUNK, facts - start)
        await jetstream.publish(publisher, supply.take(count, effects=False))
        update(start + count)
    before_mb = resident_mb(at.worker.pid)
    samples: list[float] = []

    def watch(info: dict[str, Any]) -> None:
        samples.append(resident_mb(at.worker.pid))
        update(2 * facts - info["num_pending"] - info["num_ack_pending"])

    await consumer.until_asked()
    started = time.perf_counter()
    await consumer.resume()
    await consumer.until_done(_POLL_S, watch)
    seconds = time.perf_counter() - started
    await _require_decisions(at, facts)
    peaks = resident_mb(at.worker.pid, peak=True), children_peak_mb(at.worker.pid)
    return report_of(facts, rules, seconds, before_mb, samples, peaks, await asyncio.to_thread(_size_mb, at))


def report_of(
    facts: int,
    rules: int,
    seconds: float,
    before_mb: float,
    samples_mb: Sequence[float],
    peaks_mb: tuple[float, float],
    disk_mb: float,
) -> BacklogReport:
    """Set the peaks, the worker's and its compiler's, against the floor."""
    peak = round(sum(peaks_mb), 1)
    return BacklogReport(
        facts=facts,
        rules=rules,
        seconds=round(seconds, 2),
        facts_per_second=round(facts / seconds, 1),
        before_mb=round(before_mb, 1),
        median_mb=round(statistics.median(samples_mb), 1),
        worker_peak_mb=round(peaks_mb[0], 1),
        compiler_peak_mb=round(peaks_mb[1], 1),
        peak_mb=peak,
        mb_max=MB_MAX,
        disk_mb=round(disk_mb, 1),
        floors_hold=peak < MB_MAX,
    )


def _require_room(folder: Path, facts: int) -> None:
    needed, free = facts * DISK_BYTES_A_FACT + _DISK_BYTES_MIN, shutil.disk_usage(folder).free
    if free < needed:
        told = f"{needed / 1e9:.1f} GB for {facts:,} facts, there are {free / 1e9:.1f} GB"
        raise BenchError(f"too little room at {folder}: needed are {told}; TMPDIR chooses another place")


def _size_mb(at: At) -> float:
    """Add up what the servers' files hold; what vanishes meanwhile counts nothing."""
    size = 0
    for path in at.stack.data_dir.rglob("*"):
        with suppress(OSError):
            size += path.stat().st_size
    return size / 1e6


async def _require_decisions(at: At, facts: int) -> None:
    connection = await asyncpg.connect(at.stack.addresses.postgres)
    try:
        stored = await connection.fetchval("SELECT count(*) FROM decision")
    finally:
        await connection.close()
    published = await jetstream.count(at.connection, "DECISIONS")
    if (stored, published) != (facts, facts):
        raise BenchError(f"of {facts} facts there are {stored} rows and {published} decisions")
