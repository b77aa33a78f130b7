"""How soon a worker is ready: from the start of its process until ``/readyz`` says so, with and without a cache."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from worker.bench.activation import activate
from worker.bench.rules import small_rules
from worker.bench.stack import At, BenchError, worker_on_a_stack
from worker.demo.run import launch_worker
from worker.embedded.ports import HOST, free_port

RULES: Final = 1_000
ROUNDS: Final = 5
SECONDS_MAX: Final = 3.0

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.005


class StartReport(msgspec.Struct, rename="camel", frozen=True):
    """Seconds to ready, medians and each: ``warm`` with the rules compiled in the cache, ``cold`` with it emptied."""

    rules: int
    warm_seconds: float
    cold_seconds: float
    seconds_max: float
    floors_hold: bool
    warm: list[float]
    cold: list[float]


def starts_count(rounds: int) -> int:
    """Return how often a worker is started, the first time, which does not count, included."""
    return 1 + 2 * rounds


async def measure(rules: int, rounds: int, update: Callable[[int], None]) -> StartReport:
    """Measure workers on servers of their own; ``update`` is told how many were started. Raises RulestreamError."""
    async with worker_on_a_stack() as at:
        await activate(at, small_rules(rules))
        await at.worker.stop()
        return await start(at, rules, rounds, update)


async def start(at: At, rules: int, rounds: int, update: Callable[[int], None] = lambda _: None) -> StartReport:
    """Start workers one after the other, the cache emptied before each of the second half; raises BenchError."""
    warm: list[float] = []
    cold: list[float] = []
    async with Redis.from_url(at.stack.addresses.redis) as redis:
        for number in range(starts_count(rounds)):
            is_cold = number > rounds
            if is_cold:
                await redis.flushall()
            spent = await _start_one(at, rules)
            if number > 0:
                (cold if is_cold else warm).append(spent)
            update(number + 1)
    return report_of(rules, warm, cold)


def report_of(rules: int, warm: Sequence[float], cold: Sequence[float]) -> StartReport:
    """Set both medians against the floor."""
    medians = round(statistics.median(warm), 3), round(statistics.median(cold), 3)
    return StartReport(
        rules=rules,
        warm_seconds=medians[0],
        cold_seconds=medians[1],
        seconds_max=SECONDS_MAX,
        floors_hold=max(medians) < SECONDS_MAX,
        warm=list(warm),
        cold=list(cold),
    )


async def _start_one(at: At, rules: int) -> float:
    """Start a worker, return the seconds until it was ready with all rules, and stop it."""
    port = free_port()
    started = time.perf_counter()
    worker = await launch_worker(at.stack.addresses, at.stack.data_dir, RULESTREAM_HTTP_PORT=str(port))
    try:
        while (ready := await readyz(port)) is None:
            if not worker.running or time.perf_counter() - started > _TIMEOUT_S:
                raise BenchError(f"the worker did not become ready:\n{worker.log_tail()}")
            await asyncio.sleep(_POLL_S)
        spent = time.perf_counter() - started
    finally:
        await worker.stop()
    if ready["ruleset"]["rules"] != rules:
        raise BenchError(f"the worker was ready with {ready['ruleset']['rules']} of {rules} rules")
    return round(spent, 3)


async def readyz(port: int) -> dict[str, Any] | None:
    """Ask ``/readyz``; None unless the answer is 200."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return None
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await writer.drain()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return msgspec.json.decode(body, type=dict[str, Any]) if head.split()[1:2] == [b"200"] else None
