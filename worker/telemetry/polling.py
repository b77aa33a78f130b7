"""What a worker asks about now and then: how far its consumers are behind, and what waits in the outbox.

Every worker asks, and all of them are told the same. What was not learnt lately is not shown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from domain.errors import RulestreamError
from streams.backlog import ConsumerState
from worker.adapters.postgres.outbox import OutboxState
from worker.telemetry import instruments as names
from worker.telemetry.instruments import Instrument
from worker.telemetry.metrics import Metrics, Values

PERIOD_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 5.0

_log = structlog.get_logger(__name__)


class Poller:
    """Asks ``consumers``, by what they are of, and the outbox each ``period_s``, for metrics' gauges.

    Both raise RulestreamError for no answer; that is logged once, until there is one again.
    """

    def __init__(
        self,
        metrics: Metrics,
        consumers: Mapping[str, Callable[[], Awaitable[ConsumerState]]],
        outbox: Callable[[], Awaitable[OutboxState]] | None,
        period_s: float = PERIOD_S,
    ) -> None:
        self._consumers = consumers
        self._outbox = outbox
        self._period_s = period_s
        self._seen: dict[str, dict[tuple[str, ...], float]] = {}
        self._failing: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        if consumers:
            for gauge in (names.CONSUMER_PENDING, names.CONSUMER_ACK_PENDING, names.CONSUMER_REDELIVERED):
                metrics.show(gauge, self._read(gauge))
        if outbox is not None:
            for gauge in (names.OUTBOX_PENDING, names.OUTBOX_OLDEST_AGE):
                metrics.show(gauge, self._read(gauge))

    def start(self) -> None:
        """Begin to ask, at once for the first time."""
        self._task = asyncio.create_task(self._run(), name="telemetry-polling")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def poll(self) -> None:
        """Ask everything once."""
        await asyncio.gather(
            *(self._about(consumer, self._ask_consumer(consumer)) for consumer in self._consumers),
            *([] if self._outbox is None else [self._about("outbox", self._ask_outbox(self._outbox))]),
        )

    async def _run(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(self._period_s * random.uniform(0.75, 1.25))  # noqa: S311  # spreads load

    async def _about(self, what: str, asking: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await asking
        except (RulestreamError, TimeoutError) as error:
            for values in self._seen.values():
                values.pop(() if what == "outbox" else (what,), None)
            if what not in self._failing:
                self._failing.add(what)
                _log.warning("poll_failed", about=what, reason=str(error) or type(error).__name__)
        except Exception:  # noqa: BLE001  # a defect of ours must not end the polling
            _log.exception("poll_failed", about=what)
        else:
            self._failing.discard(what)

    async def _ask_consumer(self, consumer: str) -> None:
        state = await self._consumers[consumer]()
        self._saw(names.CONSUMER_PENDING, state.pending, consumer)
        self._saw(names.CONSUMER_ACK_PENDING, state.ack_pending, consumer)
        self._saw(names.CONSUMER_REDELIVERED, state.redelivered, consumer)

    async def _ask_outbox(self, ask: Callable[[], Awaitable[OutboxState]]) -> None:
        state = await ask()
        self._saw(names.OUTBOX_PENDING, state.pending)
        self._saw(names.OUTBOX_OLDEST_AGE, state.oldest_age_s)

    def _saw(self, gauge: Instrument, value: float, *labels: str) -> None:
        self._seen.setdefault(gauge.name, {})[labels] = value

    def _read(self, gauge: Instrument) -> Callable[[], Values]:
        seen = self._seen.setdefault(gauge.name, {})
        return lambda: dict(seen)
