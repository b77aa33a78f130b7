"""The partitions of the decisions, by the time at which the stream stored their facts, and the keys of those that go.

What is done to the tables that facts are stored in waits for their locks no longer than ``LOCK_WAIT_MS``, since all who
store wait behind it, and is one statement each, so that a worker which freezes holds nothing. What a crash leaves half
done is seen in the tables and taken up by whoever comes next: a partition is detached and renamed in one, then its keys
are taken away in batches, which finds nothing the second time, then it is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from domain.decisions.retention import Span
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements
from worker.breakers import BusyError

LOCK_WAIT_MS: Final = 200
# For one step: what the default partition has may be much, when the bus's clock was off for long.
STEP_TIMEOUT_S: Final = 120.0
BLOCKS_AT_ONCE: Final = 256
STRAYS_AT_ONCE: Final = 2_000
# Held for each step of keeping the partitions. The number is arbitrary and ours.
_ADVISORY_LOCK: Final = 7_248_366_101_447_302
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_SQL: Final = statements("partitions")
_BOUND: Final = r"(?:'(-?\d+)'|MINVALUE|MAXVALUE)"
_BOUNDS: Final = re.compile(rf"FOR VALUES FROM \({_BOUND}\) TO \({_BOUND}\)")
_PREFIX, _EXPIRED = "decision_", "decision_expired_"
_NAME_MAX: Final = 63  # of an identifier in Postgres
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition by its table's name, and the stored times that it is for."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class ExpiredPartition:
    """A former partition that nobody reads any more; its blocks may hold keys to be taken away."""

    name: str
    blocks: int


class PostgresPartitions:
    """The partitions on a pool. Steps raise BusyError where another worker, or whoever stores, is in the way."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], blocks_at_once: int = BLOCKS_AT_ONCE) -> None:
        self._pool = pool
        self._blocks_at_once = blocks_at_once

    async def now_ns(self) -> int:
        """Return the server's time of day, in nanoseconds since 1970."""
        with translated():
            now: int = await self._pool.fetchval(_SQL["server_time"])
        return now

    async def partitions(self) -> Sequence[Partition]:
        """Return every partition but the default one, by time."""
        with translated():
            rows = await self._pool.fetch(_SQL["partitions"])
        found = [_partition(row["name"], row["bounds"]) for row in rows]
        return sorted((one for one in found if one is not None), key=lambda one: one.span.since_ns)

    async def expired(self) -> Sequence[ExpiredPartition]:
        """Return the former partitions that are still to be dropped, the oldest first."""
        with translated():
            rows = await self._pool.fetch(_SQL["expired_partitions"])
        return [ExpiredPartition(row["name"], row["blocks"]) for row in rows]

    async def first_stray_ns(self, span: Span) -> int | None:
        """Return the oldest time in a span of which the default partition has a decision."""
        with translated():
            found: int | None = await self._pool.fetchval(_SQL["first_stray"], span.since_ns, span.until_ns)
        return found

    async def strays(self, span: Span) -> int:
        """Return how many decisions of a span are in the default partition, there being no other for their time."""
        with translated():
            count: int = await self._pool.fetchval(_SQL["strays"], span.since_ns, span.until_ns)
        return count

    async def attach(self, span: Span) -> str:
        """Make the partition of a span, with what the default partition has of it, and return its name."""
        name = _name(span)
        await self._step("attach_partition", name, since=span.since_ns, until=span.until_ns)
        return name

    async def detach(self, name: str) -> None:
        """Take a partition from the decisions: from now on it is an expired one. None who stores can be in it."""
        expired = (_EXPIRED + name.removeprefix(_PREFIX))[:_NAME_MAX]
        await self._step("detach_partition", name, expired=_quoted(expired))

    async def expire_keys(self, expired: ExpiredPartition, block: int) -> tuple[int, int | None]:
        """Take away the keys of some blocks of an expired partition, from ``block`` on.

        Returns how many keys there were, and the block to go on from, None after the last.
        """
        until = block + self._blocks_at_once
        sql = _SQL["expire_keys"].format(name=_quoted(expired.name))
        try:
            status = await self._in_turn(sql, (block, 0), (until, 0))
        except asyncpg.UndefinedTableError:  # another worker was faster
            return 0, None
        return int(status.split()[-1]), until if until < expired.blocks else None

    async def drop(self, expired: ExpiredPartition) -> bool:
        """Drop an expired partition, whose keys must be gone; False where another worker has done so."""
        try:
            await self._in_turn(_SQL["drop_expired"].format(name=_quoted(expired.name)))
        except asyncpg.UndefinedTableError:
            return False
        return True

    async def expire_strays(self, before_ns: int) -> int:
        """Delete some decisions of the default partition, and their keys, whose time is before one; says how many."""
        return int((await self._in_turn(_SQL["expire_strays"], before_ns, STRAYS_AT_ONCE)).split()[-1])

    async def _in_turn(self, sql: str, *parameters: object) -> str:
        """Run a statement while no other worker runs one, and return what Postgres says that it did."""
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(_SQL["take_turn"].format(lock=_ADVISORY_LOCK)):
                    raise BusyError("postgres", "another worker keeps the partitions")
                return await connection.execute(sql, *parameters)

    async def _step(self, statement: str, name: str, **gaps: object) -> None:
        """Run a statement on the tables' own shape, with its time-outs, in one message and so in one transaction."""
        limits = (
            f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}; SET LOCAL statement_timeout = {STEP_TIMEOUT_S * 1000:.0f};\n"
        )
        literal = "'" + name.replace("'", "''") + "'"
        script = limits + _SQL[statement].format(lock=_ADVISORY_LOCK, name=_quoted(name), literal=literal, **gaps)
        with translated():
            async with self._pool.acquire() as connection:
                await connection.execute(script, timeout=STEP_TIMEOUT_S + 1)


def _partition(name: str, bounds: str) -> Partition | None:
    found = _BOUNDS.fullmatch(bounds)
    if found is None:  # the default one
        return None
    since, until = found.groups()
    since_ns = _INT64_MIN if since is None else int(since)
    return Partition(name, Span(since_ns, _INT64_MAX if until is None else int(until)))


def _name(span: Span) -> str:
    """Return the name of a span's partition: its beginning in UTC, to the second, or to the nanosecond if need be."""
    seconds, rest_ns = divmod(span.since_ns, _SECOND_NS)
    fraction = f"n{rest_ns:09d}" if rest_ns else ""
    return f"{_PREFIX}{_EPOCH + timedelta(seconds=seconds):%Y%m%dt%H%M%S}{fraction}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
