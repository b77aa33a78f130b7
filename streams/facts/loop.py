"""The fact loop: pull, decide, store, publish, acknowledge. ``streams.facts.batch`` pictures a fact's way.

The stages of several batches overlap: while one is stored and published the next are pulled and decided. A batch is as
large as what waits, within its bounds: small when facts are few, which is soon done, full when they are many, which is
cheap. Nothing is acknowledged before it is durable.

A failure to store or to publish is no fault of the facts: their batch is tried again until the service answers, no new
facts are asked for meanwhile, and the server is told that those in hand are in progress. After ``HELD_MAX_S`` it is no
longer told, so that other workers get them: it may be this worker alone that is cut off. Should it come back all the
same, the decision that was stored first stands.

A fact that kills its worker is found out: from its third delivery on it is decided alone, each such trial is written
down before and crossed out after, and one whose trials all ended in death becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from domain.decisions.ruleset import Ruleset
from domain.errors import ErrorCode, UnavailableError
from domain.ports import Clock, DecisionsRefusedError, DecisionStore, FactPlace, FactTrials, StoreResult
from domain.rules.content import format_moment
from streams.connection import LAST_WORDS_S, LenientClient, ping
from streams.facts.batch import DEFECT_RETRY_S, Batch
from streams.facts.deciding import Deciding
from streams.facts.insisting import Insistence
from streams.facts.intake import FACT_BYTES_MAX, Delivery
from streams.facts.observing import BatchReport, FactObserver, StageTimes
from streams.facts.puller import Puller
from streams.settling import IN_PROGRESS, Retry, Settlement, settlement_frame
from streams.wire import BatchPublisher, send_settlements

# From this delivery on, a fact is decided alone, and so often before it becomes a dead letter.
ALONE_FROM_DELIVERY: Final = 3
TRIALS_MAX: Final = 2
# How long the server is told that a batch is in progress, and how often within AckWait.
HELD_MAX_S: Final = 60.0
_PROGRESS_IN_ACK_WAIT: Final = 3
_YIELD_EVERY: Final = 100
_SECOND_NS: Final = 1_000_000_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Bounds of the loop: facts and bytes a batch, batches in flight, bytes a fact, seconds to stop in.

    ``ack_wait_s`` is the consumer's; ``store_facts`` keeps each fact beside its decision.
    """

    batch_facts: int = 500
    batch_bytes: int = 8 * 1024 * 1024
    batches_in_flight: int = 4
    fact_bytes_max: int = FACT_BYTES_MAX
    stop_timeout_s: float = 25.0
    ack_wait_s: float = 60.0
    store_facts: bool = False


class FactLoop:
    """Decides the facts of one durable consumer; run any number of them, in any number of workers."""

    def __init__(
        self,
        client: LenientClient,
        puller: Puller,
        publisher: BatchPublisher,
        store: DecisionStore,
        trials: FactTrials,
        ruleset: Callable[[], Ruleset],
        clock: Clock,
        observer: FactObserver,
        settings: LoopSettings,
    ) -> None:
        self._client = client
        self._puller = puller
        self._publisher = publisher
        self._store = store
        self._trials = trials
        self._ruleset = ruleset
        self._clock = clock
        self._observer = observer
        self._settings = settings
        self._insistence = Insistence(observer, self._on_wait)
        self._slots = asyncio.Semaphore(settings.batches_in_flight)
        self._deciding = asyncio.Lock()  # one batch is decided at a time: while a fact is tried, nothing else can kill
        self._waiting_since = math.inf  # for a service
        self._is_held = asyncio.Event()  # set meanwhile
        self._in_flight: dict[asyncio.Task[None], Batch] = {}
        self._intake: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take facts."""
        await self._publisher.start()
        await self._puller.start()
        self._intake = asyncio.create_task(self._take_facts(), name="fact-intake")
        self._heartbeat = asyncio.create_task(self._keep_in_progress(), name="fact-heartbeat")

    async def stop(self) -> None:
        """Ask for no more facts and finish those that came, so that none is delivered twice.

        Those that came are handed back at once, but for what was begun, while a service is away.
        """
        if self._intake is None:
            return
        await self._puller.finish()
        await self._finish_intake(self._intake)
        left = self._puller.leave()
        if self._in_flight:
            _, unfinished = await asyncio.wait(self._in_flight, timeout=self._settings.stop_timeout_s)
            if unfinished:
                self._insistence.give_up()
                _, unfinished = await asyncio.wait(unfinished, timeout=self._settings.stop_timeout_s / 5)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        await self._hand_back(left)
        try:
            await ping(self._client, LAST_WORDS_S)  # so that the server has what was settled last
        except UnavailableError as error:
            _log.warning("last_settlements_unsure", reason=error.message)

    async def _finish_intake(self, intake: asyncio.Task[None]) -> None:
        """Have all that came begun, unless a service is away or half of the stop's time is over."""
        held = asyncio.create_task(self._is_held.wait())
        wait_s = self._settings.stop_timeout_s / 2
        await asyncio.wait([intake, held], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (intake, held):
            task.cancel()
        await asyncio.gather(intake, held, return_exceptions=True)

    async def ended(self) -> None:
        """Wait until the intake ends, by a stop or by itself."""
        if self._intake is not None:
            await asyncio.wait([self._intake])

    @property
    def failure(self) -> BaseException | None:
        """Return what ended the intake, should it ever end by itself: a defect of ours."""
        task = self._intake
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    @property
    def batches_in_flight(self) -> int:
        """How many batches are being worked on."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """How many facts came and were not begun."""
        return self._puller.waiting_count

    async def _take_facts(self) -> None:
        settings = self._settings
        while True:
            await self._slots.acquire()
            try:
                deliveries = await self._puller.take(settings.batch_facts, settings.batch_bytes)
            except asyncio.CancelledError:
                self._slots.release()
                raise
            if not deliveries:
                self._slots.release()
                return
            batch = Batch(deliveries, asyncio.get_running_loop().time())
            task = asyncio.create_task(self._process(batch))
            self._in_flight[task] = batch
            task.add_done_callback(self._done)
            if len(deliveries) >= _YIELD_EVERY:
                await asyncio.sleep(0)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("batch_lost", exc_info=error)

    async def _process(self, batch: Batch) -> None:
        """Take a batch all its way. Leaves it unacknowledged when told to give up, or for a defect of ours."""
        clock = asyncio.get_running_loop().time
        try:
            async with self._deciding:
                begun = clock()
                buried = await self._decide(batch)
            decided = clock()
            await self._look_up_undecided(batch)
            await self._store_decided(batch)
            stored = clock()
            await self._publish(batch)
            times = StageTimes(batch.started, begun, decided, stored, published=clock())
            published_at = self._clock.now()
            settlements = batch.settlements()
            await self._settle(settlements)
            if buried:
                await self._insistence.call("postgres", partial(self._trials.end, buried))
        except asyncio.CancelledError:  # the stop's time is over
            self._observer.batch_failed(batch.spans, "CANCELLED")
            await self._hand_back(batch.deliveries)
            raise
        except UnavailableError as error:
            _log.warning("batch_given_up", service=error.service, facts=len(batch.deliveries))
            self._observer.batch_failed(batch.spans, error.code)
            await self._hand_back(batch.deliveries)
        except Exception:  # noqa: BLE001  # a defect of ours: nothing is acknowledged, everything comes again
            _log.exception("batch_failed", facts=len(batch.deliveries))
            self._observer.batch_failed(batch.spans, ErrorCode.INTERNAL_ERROR)
            await self._settle([(delivery, Retry(DEFECT_RETRY_S)) for delivery in batch.deliveries])
        else:
            self._tell(batch, times, published_at)

    async def _decide(self, batch: Batch) -> list[FactPlace]:
        """Decide every delivery of a batch under one ruleset; gives the places of those that kill their workers."""
        deciding = Deciding(
            ruleset=self._ruleset(),
            decided_at=format_moment(self._clock.now()),
            fact_bytes_max=self._settings.fact_bytes_max,
            payload_bytes_max=self._client.max_payload,
            store_facts=self._settings.store_facts,
            tracer=self._observer.tracer,
        )
        deliveries = batch.deliveries
        suspects: list[Delivery] = []
        for start in range(0, len(deliveries), _YIELD_EVERY):
            if start:
                await asyncio.sleep(0)
            for delivery in deliveries[start : start + _YIELD_EVERY]:
                if delivery.deliveries < ALONE_FROM_DELIVERY:
                    deciding.decide(batch, delivery)
                else:
                    suspects.append(delivery)
        return await self._try_alone(deciding, batch, suspects) if suspects else []

    async def _try_alone(self, deciding: Deciding, batch: Batch, suspects: Sequence[Delivery]) -> list[FactPlace]:
        """Decide suspects one by one, each on record as long as it may kill; those that go on killing are refused."""
        ended: list[FactPlace] = []
        killers: list[FactPlace] = []
        for delivery in suspects:
            place = delivery.place
            trials = await self._insistence.call("postgres", partial(self._trials.begin, place, tuple(ended)))
            if trials > TRIALS_MAX:
                _log.error("fact_kills_workers", stream=place.stream, sequence=place.sequence, trials=trials - 1)
                deciding.give_up(batch, delivery, trials, TRIALS_MAX)
                killers.append(place)
                ended = []
            else:
                deciding.decide(batch, delivery)
                ended = [place]
        if ended:
            await self._insistence.call("postgres", partial(self._trials.end, ended))
        return killers

    async def _look_up_undecided(self, batch: Batch) -> None:
        """Find the decision that was stored before for a fact that came to none now."""
        while batch.undecided:
            _, key, _ = batch.undecided[-1]
            first = batch.decisions.get(key)
            if first is None:
                first = await self._insistence.call("postgres", partial(self._store.find, key))
            batch.look_up(first)

    async def _store_decided(self, batch: Batch) -> None:
        if batch.decisions:
            await self._store_keys(batch, list(batch.decisions))

    async def _store_keys(self, batch: Batch, keys: Sequence[bytes]) -> None:
        """Store decisions; those of which the store refuses the data are parted until what it refuses stands alone."""
        chosen = [batch.decisions[key] for key in keys]
        try:
            result: StoreResult = await self._insistence.call("postgres", lambda: self._store.store(chosen))
        except DecisionsRefusedError as error:
            if len(keys) == 1:
                batch.refuse_stored(keys[0], error.message)
                return
            middle = len(keys) // 2
            await self._store_keys(batch, keys[:middle])
            await self._store_keys(batch, keys[middle:])
        else:
            batch.stand(result)

    async def _publish(self, batch: Batch) -> None:
        first, again = batch.publications(self._client.max_payload)
        if asyncio.get_running_loop().time() - batch.started > self._settings.ack_wait_s / _PROGRESS_IN_ACK_WAIT:
            first, again = [], first + again  # by now another worker may have had these facts, and sent them
        if first:
            try:
                await self._publisher.publish(first, is_first=True)
            except UnavailableError:
                again += first
            else:
                self._observer.dependency("nats", is_up=True)
        if again:
            await self._insistence.call("nats", lambda: self._publisher.publish(again))

    def _tell(self, batch: Batch, times: StageTimes, published_at: datetime) -> None:
        published_ns = round(published_at.timestamp() * _SECOND_NS)
        self._observer.batch_settled(
            BatchReport(
                facts=len(batch.decisions),
                matched=batch.matched,
                effects=batch.effects,
                repeated=batch.repeated,
                redelivered=sum([delivery.deliveries > 1 for delivery in batch.deliveries]),
                dead=batch.dead,
                faults=batch.faults,
                times=times,
                settled=asyncio.get_running_loop().time(),
                published_ns=published_ns,
                deliveries=len(batch.deliveries),
                traced=batch.traced,
                # The stream's clock may be ahead of ours.
                latencies_s=[max(published_ns - at, 0) / _SECOND_NS for at in batch.sampled_stored_at_ns()],
            )
        )

    def _on_wait(self, is_waiting: bool) -> None:  # noqa: FBT001  # a callback of one argument
        if is_waiting:
            self._waiting_since = min(self._waiting_since, asyncio.get_running_loop().time())
            self._is_held.set()
            self._puller.pause()
        else:
            self._waiting_since = math.inf
            self._is_held.clear()
            self._puller.resume()

    async def _keep_in_progress(self) -> None:
        """Tell the server, well within AckWait, that what is in hand is being worked on."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.ack_wait_s / _PROGRESS_IN_ACK_WAIT)
            if not self._client.is_connected:
                continue
            since = clock() - HELD_MAX_S
            held = [one for batch in self._in_flight.values() if batch.started > since for one in batch.deliveries]
            if self._waiting_since > since:
                held.extend(self._puller.waiting)
            if held:
                await send_settlements(self._client, [(delivery.reply, IN_PROGRESS) for delivery in held])

    async def _hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Have deliveries come again at once, to whoever asks."""
        if deliveries and self._client.is_connected:
            await self._settle([(delivery, Retry(0.0)) for delivery in deliveries])

    async def _settle(self, settlements: Sequence[tuple[Delivery, Settlement]]) -> None:
        written: list[tuple[str, bytes]] = []
        last: Settlement | None = None
        frame = b""
        for delivery, outcome in settlements:
            if outcome is not last:
                last, frame = outcome, settlement_frame(outcome)
            written.append((delivery.reply, frame))
        await send_settlements(self._client, written)
