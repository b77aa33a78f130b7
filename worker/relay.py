"""The outbox relay: publishes lifecycle events in the order of their rule, at least once, by any number of workers.

A relay claims rules by locking their oldest event in a transaction, and each publish expects the rule's last event in
the stream to be the one before. A relay that was frozen and wakes up late is refused by the stream, reads what the last
event is, and goes on from there. An event that cannot be published holds up its own rule only, which is
tried again after a while.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from domain.errors import UnavailableError
from domain.identifiers import RuleId
from domain.ports import OutboxMessage
from streams.control import EventRefusedError, OutOfOrderError
from worker.adapters.postgres.transactions import PostgresTransaction, PostgresTransactions

RULES_AT_ONCE: Final = 50
EVENTS_AT_ONCE: Final = 100
REFUSED_AGAIN_S: Final = 30.0
_POLL_S: Final = 1.0
_AWAY_POLL_MAX_S: Final = 5.0

_log = structlog.get_logger(__name__)


class EventPublisher(Protocol):
    """The events' stream, as the relay needs it."""

    async def publish_event(
        self, rule_id: RuleId, subject: str, payload: bytes, found: dict[str, str], last_sequence: int
    ) -> int: ...

    async def last_event(self, rule_id: RuleId) -> tuple[int, str | None]: ...


class RelayObserver(Protocol):
    """Hears how many events were published, and when the relay begins to wait for a service."""

    def events_relayed(self, count: int) -> None: ...

    def dependency_waited(self, service: str) -> None: ...


class OutboxRelay:
    """Empties the outbox into the events' stream, at a hint and at least once a second."""

    def __init__(
        self,
        transactions: PostgresTransactions,
        publisher: EventPublisher,
        elapsed_s: Callable[[], float] = time.monotonic,
        observer: RelayObserver | None = None,
    ) -> None:
        self._transactions = transactions
        self._elapsed_s = elapsed_s
        self._observer = observer
        self._held: dict[RuleId, float] = {}  # rules with an event that was refused, until when
        self._publisher = publisher
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def hint(self) -> None:
        """Say that there may be events to publish."""
        self._hint.set()

    def start(self) -> None:
        """Begin to relay."""
        self._task = asyncio.create_task(self._run(), name="outbox-relay")

    async def stop(self) -> None:
        """Stop; an event that was published and not yet removed is published again, and dropped by its id."""
        self._stopping.set()  # a cancellation alone may be lost: before Python 3.12 wait_for can swallow one
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0  # in a row: the pauses grow with them
        while not self._stopping.is_set():
            try:
                while await self.relay_once() and not self._stopping.is_set():
                    pass
                failures = 0
            except UnavailableError as error:
                failures += 1
                if failures == 1 and self._observer is not None:
                    self._observer.dependency_waited(error.service)
                _log.warning("relay_waits", service=error.service, reason=error.message)
            except Exception:  # noqa: BLE001  # the outbox keeps what was not published; the next round tries again
                _log.exception("relay_failed")
            if self._stopping.is_set():
                break
            try:
                pause_s = min(_POLL_S * 2 ** min(failures, 8), _AWAY_POLL_MAX_S)
                async with asyncio.timeout(pause_s * random.uniform(0.5, 1)):  # noqa: S311  # spreads load
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()

    async def relay_once(self) -> int:
        """Publish what can be claimed and return how many events left the outbox."""
        count = 0
        now = self._elapsed_s()
        self._held = {rule_id: until for rule_id, until in self._held.items() if until > now}
        away: UnavailableError | None = None
        async with self._transactions.begin() as tx:
            for rule_id in await tx.outbox.claim(RULES_AT_ONCE, self._held):
                try:
                    count += await self._relay_rule(tx, rule_id)
                except OutOfOrderError as error:
                    _log.warning("event_out_of_order", rule_id=rule_id.value, reason=str(error))
                except EventRefusedError as error:
                    self._held[rule_id] = now + REFUSED_AGAIN_S
                    _log.error("event_refused", rule_id=rule_id.value, reason=str(error), again_s=REFUSED_AGAIN_S)
                except UnavailableError as error:
                    away = error
                    break
        if self._observer is not None:
            self._observer.events_relayed(count)
        if away is not None:  # only now, so that what was published is remembered as such
            raise away
        return count

    async def _relay_rule(self, tx: PostgresTransaction, rule_id: RuleId) -> int:
        """Publish a rule's pending events; what the stream has already is not published again."""
        pending = await tx.outbox.pending(rule_id, EVENTS_AT_ONCE)
        ids = [message.event_id for message in pending.messages]
        last, known = pending.sequence, 0
        count = 0
        for number, message in enumerate(pending.messages, start=1):
            if number > known:
                try:
                    last = await self._publish(message, last)
                except OutOfOrderError:
                    last, event_id = await self._publisher.last_event(rule_id)
                    known = ids.index(event_id) + 1 if event_id in ids else 0
                    if number > known:
                        # Behind what another relay published, while the claim is still ours: a relay that lost its
                        # connection meanwhile (and with it the lock) fails here.
                        await tx.outbox.pending(rule_id, 1)
                        last = await self._publish(message, last)
            await tx.outbox.published(message, last)
            count += 1
        return count

    async def _publish(self, message: OutboxMessage, last: int) -> int:
        return await self._publisher.publish_event(
            message.rule_id, message.subject, message.payload, dict(message.headers), last
        )
