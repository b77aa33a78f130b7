"""How soon a worker decides by a changed rule among very many, and how long facts wait meanwhile.

Facts come evenly, each decided and published; the first decision that names the new revision tells when the change was
in force. The time begins when the answer to the command that activates the rule has arrived, so it has what a fact
takes through the worker in it.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from streams import headers, subjects
from worker.bench.scale_workloads import FACT_TYPE, assorted_payloads
from worker.bench.stack import At, BenchError
from worker.client import Client
from worker.demo.run import readiness

CHANGES: Final = 5
RATE: Final = 500  # facts a second
SOME: Final = 1_000

_TIMEOUT_S: Final = 120.0
_QUIET_S: Final = 0.5
_POLL_S: Final = 0.002


class ChangeReport(msgspec.Struct, rename="camel", frozen=True):
    """Milliseconds, medians of several changes and the worst.

    ``swap_ms`` is from the answer to the activating command until a decision under the new revision was heard,
    ``command_ms`` from sending that command until its answer, ``wait_ms`` the longest that a fact took meanwhile from
    when it was due until its decision was heard, and ``usual_wait_ms`` the median at other times.
    """

    rules: int
    swap_ms: float
    swap_ms_max: float
    command_ms: float
    wait_ms: float
    wait_ms_max: float
    usual_wait_ms: float
    each: list[float]


class _Ruleset(msgspec.Struct, frozen=True):
    revision: int


class _Decision(msgspec.Struct, rename="camel", frozen=True):
    fact_id: str
    ruleset: _Ruleset


_DECODER: Final = msgspec.json.Decoder(_Decision)


async def decide_some(at: At, rules: int) -> float:
    """Have a worker decide different facts, and return the milliseconds that the first took; raises BenchError."""
    async with _trickle(at, rules) as trickle:
        await trickle.until(lambda: trickle.heard >= SOME, "facts")
        await trickle.stop()
    return round(trickle.waits[0][1], 1)


async def change(at: At, rules: int) -> ChangeReport:
    """Activate rules one after the other while facts are decided; raises RulestreamError."""
    author, approver = (
        Client(at.connection, "bench-author", _TIMEOUT_S),
        Client(at.connection, "bench-approver", _TIMEOUT_S),
    )
    swaps: list[float] = []
    commands: list[float] = []
    waits: list[float] = []
    async with _trickle(at, rules) as trickle:
        await trickle.until(lambda: trickle.heard >= RATE and not trickle.is_late, "facts")
        before = len(trickle.waits)
        await trickle.until(lambda: len(trickle.waits) >= before + RATE, "facts")
        usual = statistics.median(wait for _, wait in trickle.waits[before:])
        for number in range(CHANGES):
            text = f'on {FACT_TYPE}\nwhen customer.id == "c-{number:06}"\nthen append "changed {number}" to reasons\n'
            made = await author.command(
                "create", {"name": f"changed rule {number}", "dslContent": text, "priority": "LOW"}
            )
            named = {"ruleId": made["ruleId"]}
            await author.command("submit", named)
            await approver.command("approve", {**named, "expectedVersion": made["version"]})
            wanted = (await readiness(at.health))["ruleset"]["revision"] + 1
            sent = time.perf_counter()
            await approver.command("activate", named)
            answered = time.perf_counter()
            await trickle.until(lambda wanted=wanted: wanted in trickle.first, f"a decision under revision {wanted}")
            await asyncio.sleep(_QUIET_S)
            await trickle.until(lambda: not trickle.is_late, "facts that waited")
            commands.append((answered - sent) * 1e3)
            swaps.append(max(0.0, (trickle.first[wanted] - answered) * 1e3))
            waits.append(max(wait for heard, wait in trickle.waits if heard >= sent))
        await trickle.stop()
    return ChangeReport(
        rules=rules,
        swap_ms=round(statistics.median(swaps), 1),
        swap_ms_max=round(max(swaps), 1),
        command_ms=round(statistics.median(commands), 1),
        wait_ms=round(statistics.median(waits), 1),
        wait_ms_max=round(max(waits), 1),
        usual_wait_ms=round(usual, 1),
        each=[round(one, 1) for one in swaps],
    )


@dataclass(slots=True)
class _Trickle:
    """Facts that come evenly until told to stop, and their decisions.

    ``waits`` has for each decision when it was heard and the milliseconds since its fact was due; ``first`` when the
    first decision under a revision was heard.
    """

    at: At
    payloads: list[bytes]
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    due: dict[str, float] = field(default_factory=dict)
    waits: list[tuple[float, float]] = field(default_factory=list)
    first: dict[int, float] = field(default_factory=dict)
    heard: int = 0
    is_over: bool = False

    @property
    def is_late(self) -> bool:
        """Whether some fact has waited for a tenth of a second."""
        oldest = next(iter(self.due.values()), math.inf)
        return time.perf_counter() - oldest > 0.1

    async def decided(self, message: Msg) -> None:
        """Hear of a decision; a repeated one counts once."""
        now = time.perf_counter()
        decision = _DECODER.decode(message.data)
        due = self.due.pop(decision.fact_id, None)
        if due is not None:
            self.first.setdefault(decision.ruleset.revision, now)
            self.waits.append((now, (now - due) * 1e3))
            self.heard += 1

    async def flow(self) -> None:
        """Publish facts on a schedule until told to stop."""
        context = self.at.connection.jetstream()
        subject = subjects.fact(FACT_TYPE)
        started, number = time.perf_counter(), 0
        while not self.is_over:
            due = started + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            fact_id = f"{self.run}-{number:08}"
            self.due[fact_id] = due
            payload = self.payloads[number % len(self.payloads)]
            await context.publish_async(subject, payload, headers={headers.MESSAGE_ID: fact_id})
            number += 1

    async def stop(self) -> None:
        """Publish no more, and return when all facts are decided; raises BenchError when they stay undecided."""
        self.is_over = True
        await self.until(lambda: not self.due, "the last facts")

    async def until(self, condition: Any, what: str) -> None:
        """Wait for something; raises BenchError when it does not come."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise BenchError(f"{what} did not come:\n{self.at.worker.log_tail()}")
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def _trickle(at: At, rules: int) -> AsyncIterator[_Trickle]:
    trickle = _Trickle(at, assorted_payloads(rules))
    subscription = await at.connection.jetstream().subscribe(
        subjects.DECISIONS,
        stream="DECISIONS",
        ordered_consumer=True,
        cb=trickle.decided,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW),
        pending_msgs_limit=0,
        pending_bytes_limit=0,
    )
    flowing = asyncio.create_task(trickle.flow())
    try:
        yield trickle
    finally:
        flowing.cancel()
        await asyncio.gather(flowing, return_exceptions=True)
        await subscription.unsubscribe()
