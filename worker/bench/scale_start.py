"""How soon a worker is ready with thousands of rules, what memory they hold, and how soon a change is in force.

The rules are put into Postgres in the state in which activating them one by one leaves them, as that would take an
hour; their digest is made by the statement that activation uses, and the worker verifies it. The first start compiles
them all and fills the cache, as it does after any release; the starts after it find them there.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
from redis.asyncio import Redis

from domain.decisions.ruleset import ActiveRule
from domain.rules.status import RuleStatus
from streams.connection import connect
from worker.adapters.postgres.statements import statements
from worker.bench.processes import children_peak_mb, cpu_seconds, resident_mb
from worker.bench.scale_change import ChangeReport, change, decide_some
from worker.bench.scale_rulesets import active_rules
from worker.bench.scale_workloads import assorted_rules
from worker.bench.stack import At, BenchError
from worker.bench.starting import readyz
from worker.demo.run import launch_worker
from worker.embedded import EmbeddedStack
from worker.embedded.ports import HOST, free_port
from worker.migrations import runner

SMALL: Final = 10_000
LARGE: Final = 100_000
WARM_STARTS: Final = 3
CACHE_MB: Final = 1_024  # what the cache may hold; LRU would drop rules of a smaller one

_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TIMEOUT_S: Final = 900.0
_POLL_S: Final = 0.005


class StartedReport(msgspec.Struct, rename="camel", frozen=True):
    """Seconds from a worker's start until it is ready, with an empty cache and with what that start left in it.

    ``cold_cpu_seconds`` and ``warm_cpu_seconds``, the least, are the processor time of the worker and what it started:
    seconds of time grow with what else the machine does.
    """

    rules: int
    cold_seconds: float
    warm_seconds: float
    warm: list[float]
    cache_mb: float
    cold_cpu_seconds: float
    warm_cpu_seconds: float


class ReadyReport(msgspec.Struct, rename="camel", frozen=True):
    """Starts by the number of rules; memory and changes with the most of them.

    ``kb_per_rule`` is the resident memory of a worker that has decided facts by all rules, less that of one without any
    rules, in thousands of bytes a rule; ``loaded_kb_per_rule`` the same before its first fact. ``compiler_peak_mb`` is
    the most that the process which compiles for it held.
    """

    starts: list[StartedReport]
    kb_per_rule: float
    loaded_kb_per_rule: float
    compiler_peak_mb: float
    first_fact_ms: float
    change: ChangeReport


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Return which numbers of rules, of those that were asked for, workers are started with: those with a floor.

    Where none of them has, it is the greatest.
    """
    return [size for size in sorted(sizes) if size in {SMALL, LARGE}] or [max(sizes)]


def starts_count(sizes: Sequence[int]) -> int:
    """Return how often a worker is started."""
    return 1 + len(sizes) * (1 + WARM_STARTS)


async def measure_ready(
    sizes: Sequence[int] = (SMALL, LARGE), update: Callable[[int], None] = lambda _done: None
) -> ReadyReport:
    """Start workers on servers of their own, with each number of rules in turn, the most last.

    ``update`` is told how many were started. Raises RulestreamError when a part does not start or come to an end.
    """
    starts: list[StartedReport] = []
    done = 0
    for size in sorted(sizes):
        is_last = size == max(sizes)
        async with _servers() as stack, Redis.from_url(stack.addresses.redis) as redis:
            await redis.config_set("maxmemory", f"{CACHE_MB}mb")
            without = 0.0
            if is_last:
                without, _ = await _without_rules(stack)
                update(done := done + 1)
            await fill(stack.addresses.postgres, active_rules("scale", assorted_rules(size)))
            spent: list[tuple[float, float]] = []
            for _ in range(WARM_STARTS):
                async with _worker(stack, size) as (at, seconds):
                    spent.append((seconds, cpu_seconds(at.worker.pid)))
                update(done := done + 1)
            async with _worker(stack, size) as (at, seconds):
                spent.append((seconds, cpu_seconds(at.worker.pid)))
                update(done := done + 1)
                used = (await redis.info("memory"))["used_memory"] / 1e6
                starts.append(_started(size, spent, used))
                if is_last:
                    loaded = resident_mb(at.worker.pid)
                    first_fact_ms = await decide_some(at, size)
                    held = resident_mb(at.worker.pid)
                    changed = await change(at, size)
                    return ReadyReport(
                        starts=starts,
                        kb_per_rule=_kb(held - without, size),
                        loaded_kb_per_rule=_kb(loaded - without, size),
                        compiler_peak_mb=round(children_peak_mb(at.worker.pid), 1),
                        first_fact_ms=first_fact_ms,
                        change=changed,
                    )
    raise BenchError("no number of rules to start with")


async def fill(dsn: str, rules: Sequence[ActiveRule]) -> None:
    """Put active rules into an empty database."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for table, columns in _COLUMNS.items():
                rows = [_row(rule) for rule in rules]
                records = [tuple(row[column] for column in columns) for row in rows]
                await connection.copy_records_to_table(table, records=records, columns=list(columns))
            await connection.execute(statements("ruleset")["advance_ruleset"], 1, _AT)
        await connection.execute("VACUUM (ANALYZE) rule, rule_version, rule_name, ruleset_member")
    finally:
        await connection.close()


_COLUMNS: Final = {
    "rule": (
        *("rule_id", "revision", "status", "version", "active_version", "was_submitted", "was_active", "name"),
        *("priority_rank", "tags", "created_by", "created_at", "updated_by", "updated_at"),
    ),
    "rule_name": ("name", "rule_id"),
    "rule_version": (
        *("rule_id", "version", "name", "description", "dsl_content", "priority", "tags", "author", "created_at"),
        *("approved_by", "approved_at", "content_digest"),
    ),
    "ruleset_member": ("rule_id", "version", "content_digest", "from_revision"),
}


def _row(rule: ActiveRule) -> dict[str, Any]:
    content = rule.content
    return {
        "rule_id": uuid.UUID(rule.rule_id.value),
        "revision": 1,
        "status": RuleStatus.ACTIVE.value,
        "version": rule.version,
        "active_version": rule.version,
        "was_submitted": True,
        "was_active": True,
        "name": content.name,
        "priority_rank": content.priority.rank,
        "priority": content.priority.value,
        "description": content.description,
        "dsl_content": content.dsl_content,
        "tags": list(content.tags),
        "created_by": "bench-author",
        "author": "bench-author",
        "created_at": _AT,
        "updated_by": "bench-approver",
        "updated_at": _AT,
        "approved_by": "bench-approver",
        "approved_at": _AT,
        "content_digest": rule.digest,
        "from_revision": 1,
    }


@asynccontextmanager
async def _servers() -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack() as stack:
        await runner.upgrade(stack.addresses.postgres)
        yield stack


async def _without_rules(stack: EmbeddedStack) -> tuple[float, float]:
    """Return the memory of a worker that decides facts by no rules, and the seconds until it was ready."""
    async with _worker(stack, 0) as (at, seconds):
        await decide_some(at, 0)
        return resident_mb(at.worker.pid), seconds


@asynccontextmanager
async def _worker(stack: EmbeddedStack, rules: int) -> AsyncIterator[tuple[At, float]]:
    """Start a worker; gives it with the seconds until it was ready with all rules. Raises BenchError."""
    port = free_port()
    started = time.perf_counter()
    worker = await launch_worker(stack.addresses, stack.data_dir, RULESTREAM_HTTP_PORT=str(port))
    try:
        while (ready := await readyz(port)) is None:
            if not worker.running or time.perf_counter() - started > _TIMEOUT_S:
                raise BenchError(f"the worker did not become ready:\n{worker.log_tail()}")
            await asyncio.sleep(_POLL_S)
        seconds = round(time.perf_counter() - started, 3)
        if ready["ruleset"]["rules"] != rules:
            raise BenchError(f"the worker was ready with {ready['ruleset']['rules']} of {rules} rules")
        connection = await connect(stack.addresses.nats, "rulestream-bench", is_patient=False)
        try:
            yield At(connection, f"http://{HOST}:{port}", worker, stack), seconds
        finally:
            await connection.close()
    finally:
        await worker.stop()


def _started(rules: int, spent: Sequence[tuple[float, float]], cache_mb: float) -> StartedReport:
    """Return what a cold start took, and those after it, in seconds of time and of processors."""
    (cold, cold_cpu), *others = spent
    warm = [seconds for seconds, _ in others]
    return StartedReport(
        rules=rules,
        cold_seconds=cold,
        warm_seconds=statistics.median(warm),
        warm=warm,
        cache_mb=round(cache_mb, 1),
        cold_cpu_seconds=round(cold_cpu, 2),
        warm_cpu_seconds=round(min(cpu for _, cpu in others), 2),
    )


def _kb(megabytes: float, rules: int) -> float:
    return round(megabytes * 1_000 / rules, 3)
