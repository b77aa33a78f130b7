"""Housekeeping of the decisions' storage: partitions are there before they are needed and gone when their time is over.

Every worker that decides facts does it, now and then; each step is for one of them at a time, and what one leaves half
done another goes on with. Nothing here is needed for a fact to be decided: what has no partition goes to the default
one, from which it is moved when its own is made.

Decisions are dropped by the partition, and only when all of a partition is older than the retention by the worker's
clock and by Postgres's, so that one clock that is ahead loses nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from domain.decisions.retention import Span, missing_spans
from domain.errors import UnavailableError
from domain.ports import FactTrials
from worker.adapters.postgres.partitions import STRAYS_AT_ONCE, ExpiredPartition, Partition
from worker.breakers import BusyError

PERIOD_S: Final = 300.0
JITTER: Final = 0.2  # of the period, either way: workers that started together do not come together
# How far partitions are made ahead at least: more than two clocks differ by that anybody still looks at.
AHEAD_S: Final = 2 * 3600
# Each try may have those who store wait for a moment: few are made where nothing is urgent, as beside a long backup.
TRIES_MAX: Final = 3
START_TRIES_MAX: Final = 10
TRY_AGAIN_S: Final = 0.3
ALL_TIME: Final = Span(-(2**63), 2**63 - 1)
_SECOND_NS: Final = 1_000_000_000

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long decisions are kept, in partitions of what length, and how old a fact may be that is still decided."""

    retention_s: int
    partition_s: int
    facts_max_age_s: float

    def due_before_ns(self, now_ns: int) -> int:
        """Return the stored time before which decisions are over at a moment."""
        return now_ns - self.retention_s * _SECOND_NS

    def needed(self, earliest_ns: int, latest_ns: int) -> Span:
        """Return the stored times that decisions may have now or soon, by clocks that differ between two moments."""
        back_s, ahead_s = self.facts_max_age_s + AHEAD_S, max(2 * self.partition_s, AHEAD_S)
        since_ns = max(earliest_ns - round(back_s * _SECOND_NS), self.due_before_ns(earliest_ns))
        return Span(since_ns, latest_ns + ahead_s * _SECOND_NS)


@dataclass(slots=True)
class Kept:
    """What housekeeping did: the partitions it made and dropped, the decisions moved into one, the keys taken away."""

    made: int = 0
    moved: int = 0
    dropped: int = 0
    keys: int = 0


class StorageObserver(Protocol):
    """Who counts what was done."""

    def storage_kept(self, *, made: int, moved: int, dropped: int, keys: int, failed: bool) -> None: ...


class DecisionStorage(Protocol):
    """The partitions, as ``PostgresPartitions`` has them."""

    async def now_ns(self) -> int: ...

    async def partitions(self) -> Sequence[Partition]: ...

    async def expired(self) -> Sequence[ExpiredPartition]: ...

    async def first_stray_ns(self, span: Span) -> int | None: ...

    async def strays(self, span: Span) -> int: ...

    async def attach(self, span: Span) -> str: ...

    async def detach(self, name: str) -> None: ...

    async def expire_keys(self, expired: ExpiredPartition, block: int) -> tuple[int, int | None]: ...

    async def drop(self, expired: ExpiredPartition) -> bool: ...

    async def expire_strays(self, before_ns: int) -> int: ...


class Housekeeper:
    """Keeps the partitions under a policy: at the start those that are needed, then all of it each ``period_s``."""

    def __init__(
        self,
        storage: DecisionStorage,
        policy: RetentionPolicy,
        observer: StorageObserver,
        trials: FactTrials,
        *,
        period_s: float = PERIOD_S,
        now_ns: Callable[[], int] = time.time_ns,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._storage = storage
        self._policy = policy
        self._observer = observer
        self._trials = trials
        self._period_s = period_s
        self._now_ns = now_ns
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Make the partitions that are needed now; where that fails, it is logged and left to the housekeeping."""
        await self._round(lambda done: self._insist(lambda: self._make_needed(done), START_TRIES_MAX))

    def start(self) -> None:
        """Begin to keep house."""
        self._task = asyncio.create_task(self._run(), name="housekeeper")

    async def stop(self) -> None:
        """Stop, between two steps or in one, which is then undone; whoever comes next goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def keep_once(self) -> Kept:
        """Do everything that is due. Raises BusyError where others are in the way, and UnavailableError."""
        done = Kept()
        await self._keep(done)
        return done

    async def _run(self) -> None:
        while True:
            await self._round(self._keep)
            await self._pause(self._period_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  # keeps no secret

    async def _round(self, work: Callable[[Kept], Awaitable[None]]) -> None:
        """Do some work, log and count what was done, that it failed as well; never raises."""
        done = Kept()
        failed = True
        try:
            await work(done)
            failed = False
        except BusyError as error:
            failed = False  # another worker does it, or the next round will
            _log.info("storage_busy", reason=error.message)
        except UnavailableError as error:
            _log.warning("storage_waits", service=error.service, reason=error.message)
        except Exception:  # noqa: BLE001  # decisions are stored without us
            _log.exception("storage_failed")
        finally:
            self._observer.storage_kept(
                made=done.made, moved=done.moved, dropped=done.dropped, keys=done.keys, failed=failed
            )

    async def _keep(self, done: Kept) -> None:
        await self._insist(lambda: self._make_needed(done))
        await self._expire(done)
        if strays := await self._storage.strays(ALL_TIME):
            _log.warning("decisions_outside_partitions", count=strays)
        if gone := await self._trials.expire(self._policy.due_before_ns(self._now_ns())):
            _log.info("trials_expired", count=gone)

    async def _make_needed(self, done: Kept) -> None:
        names: list[str] = []
        moved = done.moved
        try:
            await self._attach_needed(done, names)
        finally:
            done.made += len(names)
            if names:
                _log.info("partitions_made", names=sorted(names), moved=done.moved - moved)

    async def _attach_needed(self, done: Kept, names: list[str]) -> None:
        async def attach(span: Span) -> None:
            strays = await self._storage.strays(span)
            names.append(await self._storage.attach(span))
            done.moved += strays

        earliest_ns, latest_ns = await self._clocks()
        needed = self._policy.needed(earliest_ns, latest_ns)
        length_ns = self._policy.partition_s * _SECOND_NS
        missing = missing_spans([one.span for one in await self._storage.partitions()], needed, length_ns)
        for span in sorted(missing, key=lambda span: abs(span.since_ns - latest_ns)):  # today's first
            await attach(span)
        # Decisions of other times that were stored without a partition, as far as they are to be kept and not ahead.
        others = Span(self._policy.due_before_ns(earliest_ns), needed.until_ns)
        while (stray_ns := await self._storage.first_stray_ns(others)) is not None:
            taken = [one.span for one in await self._storage.partitions()]
            for span in missing_spans(taken, Span(stray_ns, stray_ns + 1), length_ns):
                await attach(span)
            others = Span(stray_ns + 1, others.until_ns)

    async def _expire(self, done: Kept) -> None:
        earliest_ns, _ = await self._clocks()
        due_ns = self._policy.due_before_ns(earliest_ns)
        await self._drop_expired(done)  # first what was left half done
        for one in await self._storage.partitions():
            if one.span.until_ns <= due_ns:
                await self._insist(partial(self._storage.detach, one.name))
                await self._drop_expired(done)
        gone = strays = await self._storage.expire_strays(due_ns)
        while gone == STRAYS_AT_ONCE:
            gone = await self._storage.expire_strays(due_ns)
            strays += gone
        if strays:
            done.keys += strays
            _log.info("strays_dropped", count=strays)

    async def _drop_expired(self, done: Kept) -> None:
        for expired in await self._storage.expired():
            keys = await self._expire_keys(expired, done)
            if await self._insist(partial(self._storage.drop, expired)):
                done.dropped += 1
                _log.info("partition_dropped", name=expired.name, keys=keys)

    async def _expire_keys(self, expired: ExpiredPartition, done: Kept) -> int:
        """Take an expired partition's keys away, for half of the time at most: facts are stored meanwhile.

        Whoever meets another worker at the beginning leaves the partition to it.
        """
        total, block = await self._storage.expire_keys(expired, 0)
        done.keys += total
        while block is not None:
            began = time.monotonic()
            count, block = await self._insist(partial(self._storage.expire_keys, expired, block))
            total += count
            done.keys += count
            await self._pause(time.monotonic() - began)
        return total

    async def _insist(self, step: Callable[[], Awaitable[T]], tries_max: int = TRIES_MAX) -> T:
        """Do what waits but shortly for others; so many tries, then it is left to the next round."""
        for _ in range(tries_max - 1):
            try:
                return await step()
            except BusyError:
                await self._pause(random.uniform(0, 2 * TRY_AGAIN_S))  # noqa: S311  # keeps no secret
        return await step()

    async def _clocks(self) -> tuple[int, int]:
        """Return the moment by the clock that is behind and by the one that is ahead: the worker's and Postgres's."""
        times = self._now_ns(), await self._storage.now_ns()
        return min(times), max(times)
