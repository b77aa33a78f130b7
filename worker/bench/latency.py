"""How soon a decision is there: from when its fact was due to be published until a subscriber has it.

Facts are published on a schedule, whether those before were decided or not, and the time counts from the schedule: a
publisher that is held up does not make the figures better. The decisions come from their stream, by a consumer of its
own, so each was decided, stored in Postgres, published and stored by the server. Publisher and subscriber are one
process with one clock, and share the machine with the worker and its servers.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from streams import headers, subjects
from worker.bench import workload
from worker.bench.activation import activate
from worker.bench.stack import At, BenchError, worker_on_a_stack

SECONDS: Final = 30.0
RATE: Final = 1_000
P50_MS_MAX: Final = 10.0
P99_MS_MAX: Final = 50.0
QUIET_RATE: Final = 50
QUIET_SECONDS: Final = 10.0
QUIET_P99_MS_MAX: Final = 20.0

_WARM_UP_S: Final = 2.0
_LATE_S: Final = 0.1  # from the decision to send until the first fact is due
_SILENCE_MAX_S: Final = 30.0


class LatencyAtRate(msgspec.Struct, rename="camel", frozen=True):
    """Milliseconds from a fact's due time to its decision, at a rate of facts a second; ``p50_ms_max`` may be none."""

    rate: int
    seconds: float
    facts: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    p50_ms_max: float | None
    p99_ms_max: float

    @property
    def holds(self) -> bool:
        """Whether both are less than they may be."""
        return self.p99_ms < self.p99_ms_max and (self.p50_ms_max is None or self.p50_ms < self.p50_ms_max)


class LatencyReport(msgspec.Struct, rename="camel", frozen=True):
    """Busy and quiet."""

    busy: LatencyAtRate
    quiet: LatencyAtRate
    rules: int
    floors_hold: bool


def facts_count(seconds: float) -> int:
    """Return how many facts are sent in all."""
    return sum(_count(rate, length) for rate, length in _phases(seconds))


async def measure(seconds: float, rules: int, update: Callable[[int], None]) -> LatencyReport:
    """Measure a worker on servers of its own; ``update`` is told how many decisions came. Raises RulestreamError."""
    async with worker_on_a_stack() as at:
        await activate(at, workload.rules(rules))
        return await send(at, seconds, rules, update)


async def send(at: At, seconds: float, rules: int, update: Callable[[int], None] = lambda _: None) -> LatencyReport:
    """Send facts to a worker: to warm it up, busily, then quietly; raises BenchError for facts that stay undecided."""
    sender = _Sender(at, update)
    subscription = await at.connection.jetstream().subscribe(
        subjects.DECISIONS,
        stream="DECISIONS",
        ordered_consumer=True,
        cb=sender.decided,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW),
        pending_msgs_limit=0,
        pending_bytes_limit=0,
    )
    try:
        _, busy, quiet = [await sender.at_rate(rate, _count(rate, length)) for rate, length in _phases(seconds)]
    finally:
        await subscription.unsubscribe()
    return report_of(seconds, rules, busy, quiet)


def report_of(seconds: float, rules: int, busy_ms: Sequence[float], quiet_ms: Sequence[float]) -> LatencyReport:
    """Set the figures against their floors."""
    busy = _at_rate(RATE, seconds, busy_ms, P50_MS_MAX, P99_MS_MAX)
    quiet = _at_rate(QUIET_RATE, QUIET_SECONDS, quiet_ms, None, QUIET_P99_MS_MAX)
    return LatencyReport(busy, quiet, rules, floors_hold=busy.holds and quiet.holds)


def _phases(seconds: float) -> list[tuple[int, float]]:
    return [(RATE, _WARM_UP_S), (RATE, seconds), (QUIET_RATE, QUIET_SECONDS)]


def _count(rate: int, seconds: float) -> int:
    return max(1, round(rate * seconds))


def _at_rate(
    rate: int, seconds: float, spent_ms: Sequence[float], p50_ms_max: float | None, p99_ms_max: float
) -> LatencyAtRate:
    ordered = sorted(spent_ms)
    return LatencyAtRate(
        rate=rate,
        seconds=seconds,
        facts=len(ordered),
        p50_ms=round(statistics.median(ordered), 2),
        p99_ms=round(ordered[math.ceil(0.99 * len(ordered)) - 1], 2),
        max_ms=round(ordered[-1], 2),
        p50_ms_max=p50_ms_max,
        p99_ms_max=p99_ms_max,
    )


class _Decision(msgspec.Struct, rename="camel", frozen=True):
    fact_id: str


_DECODER: Final = msgspec.json.Decoder(_Decision)


@dataclass(slots=True)
class _Sender:
    """Facts on their way, by their ids, with the times at which they were due."""

    at: At
    update: Callable[[int], None]
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    due: dict[str, float] = field(default_factory=dict)
    spent_ms: list[float] = field(default_factory=list)
    sent: int = 0
    done: int = 0

    async def decided(self, message: Msg) -> None:
        """Hear of a decision; a repeated one counts once."""
        due = self.due.pop(_DECODER.decode(message.data).fact_id, None)
        if due is not None:
            self.spent_ms.append((time.perf_counter() - due) * 1e3)
            self.done += 1

    async def at_rate(self, rate: int, count: int) -> list[float]:
        """Send facts evenly and return the milliseconds that each took, once all are decided."""
        self.spent_ms = []
        context = self.at.connection.jetstream()
        subject = subjects.fact(workload.FACT_TYPE)
        payloads = workload.payloads(review=False)
        stored: list[asyncio.Future[Any]] = []
        started = time.perf_counter() + _LATE_S
        for number in range(count):
            due = started + number / rate
            wait = due - time.perf_counter()
            if wait > 0:
                self.update(self.done)
                await asyncio.sleep(wait)
            fact_id = f"{self.run}-{self.sent:08}"
            self.sent += 1
            self.due[fact_id] = due
            payload = payloads[number % len(payloads)]
            stored.append(await context.publish_async(subject, payload, headers={headers.MESSAGE_ID: fact_id}))
        await asyncio.gather(*stored)
        await self._until_decided()
        return self.spent_ms

    async def _until_decided(self) -> None:
        left, heard = len(self.due), time.monotonic()
        while self.due:
            await asyncio.sleep(0.01)
            if len(self.due) < left:
                left, heard = len(self.due), time.monotonic()
            elif time.monotonic() - heard > _SILENCE_MAX_S:
                raise BenchError(f"{left} facts are not decided:\n{self.at.worker.log_tail()}")
        self.update(self.done)
