"""The fact loop: pull, decide, store, publish, acknowledge.

Stages overlap; nothing is acknowledged before it is durable.

A fact's way, in this order: decoded; decided under the one ruleset snapshot of its batch; stored, where the decision
that was stored first for its key stands; published with its effects, from the stored bytes, until JetStream has
acknowledged each; acknowledged. A failure to store or to publish is no fault of the fact: its batch waits, in progress,
and tries again. Delivery again, at any point, ends in the same stored decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog
from nats.aio.client import Client
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from tenacity.stop import stop_base

from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from domain.errors import UnavailableError
from domain.ports import Clock, DecisionsRefusedError, DecisionStore, StoredDecision, StoreResult
from domain.rules.content import format_moment
from streams.facts.intake import FACT_BYTES_MAX, Accepted, DeadReason, Delivery, Refused, read_fact
from streams.facts.outgoing import dead_fact_publication, decision_publications, fits
from streams.facts.puller import Puller
from streams.messages.decisions import stored_decision
from streams.settling import HANDLED, IN_PROGRESS, Poison, Retry, Settlement, settlement_frame
from streams.wire import BatchPublisher, send_settlements

# From this delivery on, a fact is decided in a batch of its own.
ALONE_FROM_DELIVERY: Final = 3
_YIELD_EVERY: Final = 100
_DEFECT_RETRY_S: Final = 30.0
_UNSETTLED_RETRY_S: Final = 1.0
_BACKOFF_MAX_S: Final = 5.0

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Bounds of the loop: facts and bytes a batch, batches in flight, bytes a fact, seconds to stop in."""

    batch_facts: int = 500
    batch_bytes: int = 8 * 1024 * 1024
    batches_in_flight: int = 3
    fact_bytes_max: int = FACT_BYTES_MAX
    stop_timeout_s: float = 25.0


class FactObserver(Protocol):
    """Hears what the loop does; implemented by telemetry."""

    def batch_settled(
        self, *, facts: int, matched: int, dead: int, repeated: int, redelivered: int, seconds: float
    ) -> None: ...

    def dependency(self, service: str, *, is_up: bool) -> None: ...


@dataclass(slots=True)
class _Batch:
    """What was decided together. ``deliveries`` may hold several of one key; the first of them decided it.

    ``undecided`` are facts that came to no decision now, with the reason to bury them (None: a defect of ours). They
    may have been decided before, under another ruleset; then that decision stands.
    """

    decisions: dict[bytes, StoredDecision] = field(default_factory=dict)
    deliveries: list[tuple[Delivery, bytes]] = field(default_factory=list)
    dead: list[tuple[Delivery, Refused]] = field(default_factory=list)
    later: list[tuple[Delivery, float]] = field(default_factory=list)
    undecided: list[tuple[Delivery, bytes, Refused | None]] = field(default_factory=list)
    started: float = 0.0

    def all_deliveries(self) -> list[Delivery]:
        return [
            *[one for one, _ in self.deliveries],
            *[one for one, _ in self.dead],
            *[one for one, _ in self.later],
            *[one for one, _, _ in self.undecided],
        ]

    def bury(self, key: bytes, refused: Refused) -> None:
        """Turn the deliveries of a key into dead letters: its decision can never be stored or published."""
        del self.decisions[key]
        self.dead.extend((delivery, refused) for delivery, of in self.deliveries if of == key)
        self.deliveries = [(delivery, of) for delivery, of in self.deliveries if of != key]


class _StopWhenAsked(stop_base):
    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002  # tenacity's signature
        return self._stopping.is_set()


class FactLoop:
    """Decides the facts of one durable consumer; run any number of them, in any number of workers."""

    def __init__(
        self,
        client: Client,
        puller: Puller,
        publisher: BatchPublisher,
        store: DecisionStore,
        ruleset: Callable[[], Ruleset],
        clock: Clock,
        observer: FactObserver,
        settings: LoopSettings,
    ) -> None:
        self._client = client
        self._puller = puller
        self._publisher = publisher
        self._store = store
        self._ruleset = ruleset
        self._clock = clock
        self._observer = observer
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.batches_in_flight)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._giving_up = asyncio.Event()
        self._intake: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take facts."""
        await self._publisher.start()
        await self._puller.start()
        self._intake = asyncio.create_task(self._take_facts(), name="fact-intake")

    async def stop(self) -> None:
        """Take no more facts, finish those taken, and hand back at once what was not begun."""
        if self._intake is None:
            return
        self._intake.cancel()
        await asyncio.gather(self._intake, return_exceptions=True)
        left = await self._puller.stop()
        if self._in_flight:
            _, unfinished = await asyncio.wait(self._in_flight, timeout=self._settings.stop_timeout_s)
            if unfinished:
                self._giving_up.set()
                _, unfinished = await asyncio.wait(unfinished, timeout=self._settings.stop_timeout_s / 5)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._hand_back(left)
        if self._client.is_connected:
            await self._client.flush()

    async def ended(self) -> None:
        """Wait until the intake ends, by a stop or by itself."""
        if self._intake is not None:
            await asyncio.wait([self._intake])

    @property
    def failure(self) -> BaseException | None:
        """Return what ended the intake, should it ever end by itself: a defect of ours."""
        task = self._intake
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    async def _take_facts(self) -> None:
        while True:
            await self._slots.acquire()
            try:
                deliveries = await self._puller.take(self._settings.batch_facts, self._settings.batch_bytes)
            except asyncio.CancelledError:
                self._slots.release()
                raise
            together = [one for one in deliveries if one.deliveries < ALONE_FROM_DELIVERY]
            groups = [[one] for one in deliveries if one.deliveries >= ALONE_FROM_DELIVERY]
            if together:
                groups.insert(0, together)
            task = asyncio.create_task(self._process(groups))
            self._in_flight.add(task)
            task.add_done_callback(self._done)
            if len(deliveries) >= _YIELD_EVERY:
                await asyncio.sleep(0)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("batch_lost", exc_info=error)

    async def _process(self, groups: Sequence[Sequence[Delivery]]) -> None:
        for number, group in enumerate(groups):
            try:
                await self._finish(await self._decide(group))
            except asyncio.CancelledError:  # the stop's time is over: hand back what was begun
                await self._hand_back([delivery for rest in groups[number:] for delivery in rest])
                raise
            except Exception:  # noqa: BLE001  # a defect of ours: nothing is acknowledged, everything comes again
                _log.exception("batch_failed", facts=len(group))
                await self._settle([(delivery, Retry(_DEFECT_RETRY_S)) for delivery in group])

    async def _decide(self, deliveries: Sequence[Delivery]) -> _Batch:
        batch = _Batch(started=asyncio.get_running_loop().time())
        ruleset = self._ruleset()
        decided_at = format_moment(self._clock.now())
        payload_bytes_max = self._client.max_payload
        for number, delivery in enumerate(deliveries, start=1):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            found = read_fact(delivery, self._settings.fact_bytes_max)
            if isinstance(found, Refused):
                batch.dead.append((delivery, found))
                continue
            fact = found.fact
            if fact.key not in batch.decisions:
                try:
                    decision = self._decided(ruleset, found, delivery, decided_at)
                except Exception:  # noqa: BLE001  # a defect of ours must not cost this fact, nor its neighbours
                    _log.exception("decide_failed", fact_type=fact.type, sequence=fact.sequence)
                    batch.undecided.append((delivery, fact.key, None))
                    continue
                if not fits(decision, payload_bytes_max):
                    message = f"the decision and its effects must each fit {payload_bytes_max} bytes"
                    batch.undecided.append((delivery, fact.key, Refused(DeadReason.DECISION_TOO_LARGE, message)))
                    continue
                batch.decisions[fact.key] = decision
            batch.deliveries.append((delivery, fact.key))
        return batch

    def _decided(self, ruleset: Ruleset, found: Accepted, delivery: Delivery, decided_at: str) -> StoredDecision:
        decision = decide(ruleset, found.fact)
        return stored_decision(decision, decided_at, delivery.stored_at_ns, found.traceparent)

    async def _finish(self, batch: _Batch) -> None:
        """Store, publish, acknowledge. Leaves the batch unacknowledged when asked to give up."""
        try:
            await self._look_up_undecided(batch)
            result = await self._stored(batch)
            standing = {key: result.first.get(key, own) for key, own in batch.decisions.items()}
            publications = [
                publication
                for key, decision in standing.items()
                if key not in result.unsettled
                for publication in decision_publications(decision)
            ]
            payload_bytes_max = self._client.max_payload
            publications.extend(
                dead_fact_publication(delivery, refused, payload_bytes_max) for delivery, refused in batch.dead
            )
            await self._insist("nats", batch, lambda: self._publisher.publish(publications))
        except UnavailableError as error:
            _log.warning("batch_given_up", service=error.service, facts=len(batch.deliveries))
            await self._hand_back(batch.all_deliveries())
            return
        settlements: list[tuple[Delivery, Settlement]] = [
            (delivery, Retry(_UNSETTLED_RETRY_S) if key in result.unsettled else HANDLED)
            for delivery, key in batch.deliveries
        ]
        settlements.extend((delivery, Poison(refused.reason)) for delivery, refused in batch.dead)
        settlements.extend((delivery, Retry(delay_s)) for delivery, delay_s in batch.later)
        await self._settle(settlements)
        self._observer.batch_settled(
            facts=len(standing) - len(result.unsettled),
            matched=sum(one.matched for key, one in standing.items() if key not in result.unsettled),
            dead=len(batch.dead),
            repeated=len(result.first),
            redelivered=sum(delivery.deliveries > 1 for delivery, _ in settlements),
            seconds=asyncio.get_running_loop().time() - batch.started,
        )

    async def _look_up_undecided(self, batch: _Batch) -> None:
        """Take the decision that was stored before for a fact that came to none now; else bury it, or try it later."""
        while batch.undecided:
            delivery, key, refused = batch.undecided[-1]
            first = batch.decisions.get(key) or await self._insist("postgres", batch, partial(self._store.find, key))
            batch.undecided.pop()
            if first is not None:
                batch.decisions[key] = first
                batch.deliveries.append((delivery, key))
            elif refused is not None:
                batch.dead.append((delivery, refused))
            else:
                batch.later.append((delivery, _DEFECT_RETRY_S))

    async def _stored(self, batch: _Batch) -> StoreResult:
        if not batch.decisions:
            return StoreResult({})
        try:
            return await self._insist("postgres", batch, lambda: self._store.store(list(batch.decisions.values())))
        except DecisionsRefusedError:
            return await self._stored_apart(batch, list(batch.decisions))

    async def _stored_apart(self, batch: _Batch, keys: Sequence[bytes]) -> StoreResult:
        """Bisect a batch that the store refuses for its data, until what it refuses stands alone and is buried."""
        chosen = [batch.decisions[key] for key in keys]
        try:
            return await self._insist("postgres", batch, lambda: self._store.store(chosen))
        except DecisionsRefusedError as error:
            if len(keys) == 1:
                batch.bury(keys[0], Refused(DeadReason.STORE_REFUSED, error.message))
                return StoreResult({})
        middle = len(keys) // 2
        left = await self._stored_apart(batch, keys[:middle])
        right = await self._stored_apart(batch, keys[middle:])
        return StoreResult({**left.first, **right.first}, left.unsettled | right.unsettled)

    async def _insist(self, service: str, batch: _Batch, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Call until the service answers, with growing pauses; meanwhile the facts stay ours, in progress.

        Raises UnavailableError only when the loop is to give up.
        """
        try:
            result = await call()
        except UnavailableError as error:
            await self._hold(service, batch, 1, error)
            result = await self._retried(service, batch, call)
        self._observer.dependency(service, is_up=True)
        return result

    async def _retried(self, service: str, batch: _Batch, call: Callable[[], Awaitable[_Result]]) -> _Result:
        # Apart from the first call, because tenacity leaves reference cycles that would keep every batch for a while.
        async def hold(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            await self._hold(service, batch, state.attempt_number + 1, error)

        async def attempt() -> _Result:
            return await call()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_random_exponential(multiplier=0.1, max=_BACKOFF_MAX_S),
            stop=_StopWhenAsked(self._giving_up),
            before_sleep=hold,
            reraise=True,
        )
        result: _Result = await retrying(attempt)
        return result

    async def _hold(self, service: str, batch: _Batch, attempt: int, error: BaseException | None) -> None:
        """Say that a service is away, and to the server that the batch's facts are still being worked on."""
        self._observer.dependency(service, is_up=False)
        _log.warning("service_away", service=service, attempt=attempt, reason=str(error))
        if self._client.is_connected:
            frames = [(delivery.reply, IN_PROGRESS) for delivery in batch.all_deliveries()]
            await send_settlements(self._client, frames)

    async def _hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Have deliveries come again at once, to whoever asks."""
        if deliveries and self._client.is_connected:
            await self._settle([(delivery, Retry(0.0)) for delivery in deliveries])

    async def _settle(self, settlements: Sequence[tuple[Delivery, Settlement]]) -> None:
        await send_settlements(
            self._client, [(delivery.reply, settlement_frame(outcome)) for delivery, outcome in settlements]
        )
