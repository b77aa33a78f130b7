"""Publishing facts from files, in batches, each acknowledged by JetStream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from streams import headers, subjects
from streams.endpoint import Endpoint
from streams.messages.decisions import time_text
from streams.wire import BatchPublisher, Publication, header_block
from worker.cli.output import progress
from worker.connecting import connection
from worker.files.facts import CE_SOURCE, FactProblem, FileFact, count_lines, read_fact_batches

BATCH: Final = 500
BATCHES_IN_FLIGHT: Final = 3
PROBLEMS_KEPT: Final = 100
TURNS_A_SECOND: Final = 10


@dataclass(slots=True)
class SendReport:
    """How many facts were stored, how many lines were no facts, and the first of those."""

    sent: int = 0
    refused: int = 0
    problems: list[FactProblem] = field(default_factory=list)


@dataclass(slots=True)
class Pace:
    """Lets at most so many facts a second go, in small batches; facts that were late are not caught up with."""

    per_second: int
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _next: float = 0.0

    @property
    def batch(self) -> int:
        """How many facts go at once."""
        return min(BATCH, max(1, self.per_second // TURNS_A_SECOND))

    async def turn(self, count: int) -> None:
        """Wait until the next ``count`` facts may go."""
        now = self.clock()
        if self._next > now:
            await self.sleep(self._next - now)
        self._next = max(self._next, now) + count / self.per_second


def publication(fact: FileFact) -> Publication:
    """Return a fact's message: its data, and its id and time as a CloudEvent's where it has them.

    The id is the message id too, so that the stream drops a file that is sent twice within its duplicate window. An
    id that begins or ends with a space would be trimmed in a header, so such a fact goes as a structured CloudEvent.
    """
    if fact.id is not None and fact.id != fact.id.strip():
        return _structured(fact)
    found: dict[str, str] = {}
    if fact.id is not None:
        found = {
            headers.MESSAGE_ID: fact.id,
            "ce-specversion": "1.0",
            headers.CE_ID: fact.id,
            headers.CE_SOURCE: CE_SOURCE,
            "ce-type": fact.type,
        }
    if fact.time_ns is not None:
        found[headers.CE_TIME] = time_text(fact.time_ns)
    return Publication(subjects.fact(fact.type), header_block(found), fact.data)


def _structured(fact: FileFact) -> Publication:
    event = {
        "specversion": "1.0",
        "id": fact.id,
        "source": CE_SOURCE,
        "type": fact.type,
        "data": msgspec.Raw(fact.data),
    }
    if fact.time_ns is not None:
        event["time"] = time_text(fact.time_ns)
    head = header_block({headers.CONTENT_TYPE: headers.STRUCTURED_CLOUD_EVENT})
    return Publication(subjects.fact(fact.type), head, msgspec.json.encode(event))


async def send_facts(where: Endpoint | str, path: Path, fact_type: str | None, pace: Pace | None = None) -> SendReport:
    """Publish every fact of a file; raises UnavailableError when the stream does not take them."""
    async with connection(where, "rulestream-sender") as client:
        publisher = BatchPublisher(client)
        await publisher.start()
        lines = None if str(path) == "-" else lambda: count_lines(path)
        with progress("facts", lines) as update:
            return await publish_file(publisher, path, fact_type, update, pace)


async def publish_file(
    publisher: BatchPublisher,
    path: Path,
    fact_type: str | None,
    update: Callable[[int], None],
    pace: Pace | None = None,
) -> SendReport:
    """Publish a file's facts with a few batches in flight, telling ``update`` how many are stored.

    They go as fast as they are stored, or at a pace.
    """
    report = SendReport()
    size = pace.batch if pace else BATCH
    in_flight: set[asyncio.Task[int]] = set()
    waiting: list[Publication] = []

    async def settle(keep: int) -> None:
        nonlocal in_flight
        while len(in_flight) > keep:
            done, in_flight = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
            report.sent += sum(task.result() for task in done)
            update(report.sent)

    async def go(facts: Sequence[Publication]) -> None:
        await settle(BATCHES_IN_FLIGHT - 1)
        if pace:
            await pace.turn(len(facts))
        in_flight.add(asyncio.create_task(_publish(publisher, facts)))

    for batch in read_fact_batches(path, fact_type):
        for fact in batch:
            if isinstance(fact, FactProblem):
                report.refused += 1
                report.problems.extend([fact] if len(report.problems) < PROBLEMS_KEPT else [])
                continue
            waiting.append(publication(fact))
            if len(waiting) >= size:
                await go(waiting)
                waiting = []
    if waiting:
        await go(waiting)
    await settle(0)
    return report


async def _publish(publisher: BatchPublisher, publications: Sequence[Publication]) -> int:
    await publisher.publish(publications)
    return len(publications)
