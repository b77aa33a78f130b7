"""Bounded, overlapping pulls from a durable consumer over one inbox subscription.

Pull requests (``$JS.API.CONSUMER.MSG.NEXT``) are kept outstanding so that the next messages are on their way while the
last are being decided. What is requested and what waits here never exceed ``window`` messages together, each request is
bounded in bytes, and nothing is requested while enough waits: memory is bounded whatever the backlog.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from streams.facts.intake import Delivery

_SECOND_NS: Final = 1_000_000_000
_RETRY_S: Final = 1.0
# Statuses that end a pull request; each says how many messages of the request will not come.
_REQUEST_OVER: Final = frozenset({"404", "408", "409"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PullSettings:
    """Bounds of pulling: messages, bytes and seconds."""

    window: int = 2_000
    request_messages: int = 500
    request_bytes: int = 8 * 1024 * 1024
    request_expires_s: float = 5.0


class Puller:
    """Keeps a bounded buffer of deliveries filled from one durable consumer."""

    def __init__(self, client: Client, stream: str, consumer: str, settings: PullSettings) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._settings = settings
        self._request = msgspec.json.encode(
            {
                "batch": settings.request_messages,
                "max_bytes": settings.request_bytes,
                "expires": round(settings.request_expires_s * _SECOND_NS),
            }
        )
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._buffer: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._outstanding = 0
        self._requests = 0
        self._reconnects = 0
        self._last_heard = 0.0
        self._is_refused = False
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Subscribe and begin to request."""
        self._subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._received, pending_msgs_limit=0, pending_bytes_limit=0
        )
        self._last_heard = self._now()
        self._reconnects = self._client.stats["reconnects"]
        self._wanted.set()
        self._tasks = [asyncio.create_task(self._keep_requesting()), asyncio.create_task(self._watch())]

    async def take(self, most: int, bytes_most: int) -> list[Delivery]:
        """Wait for deliveries and return what waits, oldest first, at least one and within the bounds."""
        while not self._buffer:
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[Delivery] = []
        size = 0
        while self._buffer and len(taken) < most:
            size += len(self._buffer[0].data)
            if taken and size > bytes_most:
                break
            taken.append(self._buffer.popleft())
        self._wanted.set()
        return taken

    async def stop(self) -> list[Delivery]:
        """Stop requesting, wait for what the server has sent already, and return what nobody took."""
        self._stopping.set()  # a cancellation alone may be lost in nats-py, which swallows one in places
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._client.is_connected:
            await subscription.drain()  # type: ignore[no-untyped-call]
        left = list(self._buffer)
        self._buffer.clear()
        return left

    async def _received(self, message: Msg) -> None:
        self._last_heard = self._now()
        if message.subject.startswith(self._inbox):
            self._on_status(message.headers or {})
            return
        self._outstanding -= 1
        self._buffer.append(Delivery.of(message))
        self._arrived.set()
        if self._room() >= self._settings.request_messages:
            self._wanted.set()

    def _on_status(self, headers: dict[str, str]) -> None:
        status = headers.get("Status", "")
        was_refused = self._is_refused
        if status in _REQUEST_OVER:
            lost = headers.get("Nats-Pending-Messages")
            self._outstanding -= int(lost) if lost else self._settings.request_messages
            self._outstanding = max(self._outstanding, 0)
            self._is_refused = status != "408" and lost is None
        elif status == "503":
            self._outstanding = 0
            self._is_refused = True
        if self._is_refused and not was_refused:
            _log.warning(
                "pull_refused", status=status, description=headers.get("Description", "").strip().split("\n")[0]
            )
        self._wanted.set()

    def _room(self) -> int:
        return self._settings.window - len(self._buffer) - self._outstanding

    async def _keep_requesting(self) -> None:
        while not self._stopping.is_set():
            await self._wanted.wait()
            self._wanted.clear()
            if self._is_refused:
                await asyncio.sleep(_RETRY_S)
                self._is_refused = False
            while (
                not self._stopping.is_set()
                and self._client.is_connected
                and self._room() >= self._settings.request_messages
            ):
                self._requests += 1
                self._outstanding += self._settings.request_messages
                await self._client.publish(self._next, self._request, reply=f"{self._inbox}.{self._requests}")

    async def _watch(self) -> None:
        """Forget requests that a lost connection took with it, and ask again."""
        silence_max_s = self._settings.request_expires_s + 2 * _RETRY_S
        while True:
            await asyncio.sleep(_RETRY_S)
            reconnects = self._client.stats["reconnects"]
            silent = self._outstanding > 0 and self._now() - self._last_heard > silence_max_s
            if reconnects != self._reconnects or (silent and self._client.is_connected):
                self._reconnects = reconnects
                self._outstanding = 0
                self._last_heard = self._now()
            self._wanted.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
