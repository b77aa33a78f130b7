"""The backing services as this worker sees them: asked about once a second, and whenever somebody wants to know.

Whoever asks has an answer soon, for a service that hangs is told of as it was last seen; after its ping has timed out
it is away. Pings go through the services' breakers, so that a hanging service is found out and left alone also while
nobody else calls it, and found again when it is back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from domain.errors import UnavailableError
from domain.ports import Clock
from worker.breakers import BusyError

# How long a service has to answer a ping.
PING_TIMEOUT_S: Final = 1.0
# How long somebody who asks waits for the pings: well under the second that Kubernetes gives a probe by default.
ANSWER_TIMEOUT_S: Final = 0.5
_INTERVAL_S: Final = 1.0
_AWAY_INTERVAL_S: Final = 0.25
_GUARD_S: Final = 5 * PING_TIMEOUT_S
_UNASKED: Final = "not asked yet"

Ping = Callable[[], Awaitable[None]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A service's state: whether it answers, since when that is so, and why it does not."""

    is_up: bool
    since: datetime
    reason: str | None = None


class Health:
    """Watches services by their pings, which raise UnavailableError when the service is away.

    A ping that ends in BusyError says nothing: the service is told of as before. Each service has one ping at a time.
    """

    def __init__(
        self, pings: Mapping[str, Ping], clock: Clock, on_seen: Callable[[str, bool], None] = lambda *_: None
    ) -> None:
        self._pings = pings
        self._clock = clock
        self._on_seen = on_seen
        self._seen = {service: Seen(is_up=False, since=clock.now(), reason=_UNASKED) for service in pings}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def seen(self) -> Mapping[str, Seen]:
        """Each service as it was last seen."""
        return self._seen

    async def look(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Mapping[str, Seen]:
        """Ask every service and return their states, within ``timeout_s``."""
        for service, ping in self._pings.items():
            task = self._asking.get(service)
            if task is None or task.done():
                self._asking[service] = asyncio.create_task(self._ask(service, ping), name=f"ping-{service}")
        await asyncio.wait(self._asking.values(), timeout=timeout_s)
        return self._seen

    async def start(self) -> None:
        """Ask every service once, to the end, and begin to watch."""
        await self.look(_GUARD_S)
        self._watch = asyncio.create_task(self._keep_looking(), name="health-watch")

    async def stop(self) -> None:
        """Stop watching and asking."""
        tasks = [task for task in (self._watch, *self._asking.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while True:
            is_all_up = all(one.is_up for one in self._seen.values())
            pause_s = _INTERVAL_S if is_all_up else _AWAY_INTERVAL_S
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311  # spreads load, keeps no secret
            await self.look()

    async def _ask(self, service: str, ping: Ping) -> None:
        try:
            async with asyncio.timeout(_GUARD_S):
                await ping()
        except BusyError:
            return
        except UnavailableError as error:
            self._now(service, error.message)
        except TimeoutError:
            self._now(service, f"no answer in {_GUARD_S:g} s")
        except Exception as error:  # noqa: BLE001  # a defect of ours must not end the watch
            _log.exception("ping_failed", service=service)
            self._now(service, type(error).__name__)
        else:
            self._now(service, None)

    def _now(self, service: str, reason: str | None) -> None:
        is_up = reason is None
        before = self._seen[service]
        self._on_seen(service, is_up)
        if before.is_up is is_up and before.reason is not _UNASKED:
            return  # since when, and why at first, is what people want to know
        self._seen[service] = Seen(is_up, self._clock.now(), reason)
        if is_up:
            _log.info("service_answers", service=service)
        else:
            _log.warning("service_does_not_answer", service=service, reason=reason)
