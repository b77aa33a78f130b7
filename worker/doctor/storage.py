"""What workers keep in Postgres: events on their way, partitions, facts under suspicion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.decisions.retention import Span, missing_spans
from worker.adapters.postgres.partitions import PostgresPartitions
from worker.adapters.postgres.statements import statements
from worker.doctor.findings import Code, Finding, counted
from worker.doctor.reaching import Postgres
from worker.retention import PERIOD_S, RetentionPolicy
from worker.settings import Role, Settings

OUTBOX_WAITS_MAX_S: Final = 60.0
# Partitions are made two lengths ahead and every few minutes: this much must be there at any time.
AHEAD_S: Final = 3600
# What is over goes within a few rounds of housekeeping; a backup may hold one up.
LATE_S: Final = 12 * PERIOD_S
STRAYS_COUNTED_MAX: Final = 10_000
_SECOND_NS: Final = 1_000_000_000
_SQL: Final = statements("doctor")


@dataclass(frozen=True, slots=True)
class StorageSeen:
    """What was seen of the tables at a moment of Postgres's clock."""

    now_ns: int
    spans: tuple[Span, ...]
    expired: tuple[str, ...] = ()
    outbox: int = 0
    outbox_oldest_s: float = 0.0
    strays: int = 0
    first_stray_ns: int | None = None
    suspected: int = 0


async def look(postgres: Postgres) -> StorageSeen:
    """Read what is kept."""
    connection: Any = postgres.connection
    partitions = PostgresPartitions(connection)
    now_ns = await partitions.now_ns()
    found = await connection.fetchrow(_SQL["storage"])
    return StorageSeen(
        now_ns=now_ns,
        spans=tuple(one.span for one in await partitions.partitions()),
        expired=tuple(one.name for one in await partitions.expired()),
        outbox=found["pending"],
        outbox_oldest_s=0.0 if found["oldest"] is None else now_ns / _SECOND_NS - _occurred_s(found["oldest"]),
        strays=found["strays"],
        first_stray_ns=found["first_stray_ns"],
        suspected=found["suspected"],
    )


def _occurred_s(event: bytes) -> float:
    return datetime.fromisoformat(msgspec.json.decode(event)["occurredAt"]).timestamp()


def judge(seen: StorageSeen, settings: Settings, facts_max_age_s: float) -> Iterator[Finding]:
    """Say what waits for too long, and what housekeeping has not done."""
    if seen.outbox_oldest_s > OUTBOX_WAITS_MAX_S:
        yield Finding(
            Code.OUTBOX_WAITING,
            f"{counted(seen.outbox, 'event')} waiting in the outbox, the oldest for {seen.outbox_oldest_s:.0f} s",
            "see that a worker with the role relay runs, and its log: relay_waits, event_refused or relay_failed",
        )
    if Role.FACTS in settings.roles:
        yield from _judge_partitions(seen, settings, facts_max_age_s)
    if seen.suspected:
        yield Finding(
            Code.FACTS_SUSPECTED,
            f"{counted(seen.suspected, 'fact')} begun alone by a worker that ended with it",
            "look for killed workers (exit codes, memory limits) about that time; the workers go on by themselves",
        )


def _judge_partitions(seen: StorageSeen, settings: Settings, facts_max_age_s: float) -> Iterator[Finding]:
    start = "see that a worker with the role facts runs, which looks after them all the time; its log says"
    ahead = Span(seen.now_ns, seen.now_ns + AHEAD_S * _SECOND_NS)
    if missing_spans(seen.spans, ahead, AHEAD_S * _SECOND_NS):
        yield Finding(
            Code.PARTITIONS_MISSING,
            "decisions of now, or of the next hour, have no partition",
            f"{start} partitions_made, storage_busy or storage_failed",
        )
    due_ns = seen.now_ns - settings.decision_retention_s * _SECOND_NS
    late = [span for span in seen.spans if span.until_ns < due_ns - LATE_S * _SECOND_NS]
    if late or len(seen.expired) > 1:  # one may be just on its way
        count = len(late) + len(seen.expired)
        yield Finding(
            Code.HOUSEKEEPING_BEHIND,
            f"{counted(count, 'partition')} still there beyond RULESTREAM_DECISION_RETENTION_S"
            f" ({settings.decision_retention_s} s)",
            f"{start} partition_dropped, storage_busy or storage_failed; a long backup can hold it up",
        )
    needed = RetentionPolicy(settings.decision_retention_s, settings.decision_partition_s, facts_max_age_s).needed(
        seen.now_ns, seen.now_ns
    )
    if seen.strays and seen.first_stray_ns is not None:
        is_more = seen.strays > STRAYS_COUNTED_MAX
        text = f"more than {STRAYS_COUNTED_MAX} decisions" if is_more else counted(seen.strays, "decision")
        is_near = needed.since_ns <= seen.first_stray_ns < needed.until_ns
        yield Finding(
            Code.DECISIONS_OUTSIDE_PARTITIONS,
            f"{text} in the default partition",
            "housekeeping moves them within minutes where a worker with the role facts runs"
            if is_near
            else "look at the clocks of the NATS servers; the decisions go when their time is over",
        )
