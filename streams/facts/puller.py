"""Bounded, overlapping pulls from a durable consumer over one inbox subscription.

Pull requests (``$JS.API.CONSUMER.MSG.NEXT``) are kept outstanding so that the next messages are on their way while the
last are being decided. What is requested and what waits here never exceed ``window`` messages together, each request is
bounded in bytes, and nothing is requested while enough waits: memory is bounded whatever the backlog.

The server sends a heartbeat while a request waits; where it stays away, the consumer's leader is gone and took the
requests with it, and they are made again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from streams.connection import LenientClient, Listening
from streams.facts.intake import Delivery
from streams.hearing import read_headers

_SECOND_NS: Final = 1_000_000_000
_RETRY_S: Final = 1.0
# Statuses that end a pull request; each says how many messages of the request will not come.
_REQUEST_OVER: Final = frozenset({"404", "408", "409"})
_HEARTBEAT: Final = "100"
_LONG_SILENCE_HEARTBEATS: Final = 2.5
# What was requested comes at once where there is anything: after so long without a message no more is waited for.
_LAST_MESSAGES_S: Final = 0.1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PullSettings:
    """Bounds of pulling: messages, bytes and seconds."""

    window: int = 2_000
    request_messages: int = 500
    request_bytes: int = 8 * 1024 * 1024
    request_expires_s: float = 5.0
    heartbeat_s: float = 1.0  # at most half of request_expires_s


class Puller:
    """Keeps a bounded buffer of deliveries filled from one durable consumer."""

    def __init__(self, client: LenientClient, stream: str, consumer: str, settings: PullSettings) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._settings = settings
        self._request = msgspec.json.encode(
            {
                "batch": settings.request_messages,
                "max_bytes": settings.request_bytes,
                "expires": round(settings.request_expires_s * _SECOND_NS),
                "idle_heartbeat": round(settings.heartbeat_s * _SECOND_NS),
            }
        )
        self._inbox = client.new_inbox()
        self._inbox_bytes = self._inbox.encode()
        self._listening: Listening | None = None
        self._buffer: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._outstanding = 0
        self._received = 0
        self._requests = 0
        self._reconnects = 0
        self._has_heard = False
        self._last_heard = 0.0
        self._is_refused = False  # wait before asking again
        self._was_refused = False  # for the log: said once, until a request is served
        self._is_paused = False
        self._is_finished = False
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Subscribe and begin to request."""
        self._listening = await self._client.listen(f"{self._inbox}.*", self._heard)
        self._last_heard = self._now()
        self._reconnects = self._client.stats["reconnects"]
        self._wanted.set()
        self._tasks = [asyncio.create_task(self._keep_requesting()), asyncio.create_task(self._watch())]

    async def take(self, most: int, bytes_most: int) -> list[Delivery]:
        """Wait for deliveries and return what waits, oldest first, at least one and within the bounds.

        Once finished, return nothing when nothing is left.
        """
        while not self._buffer and not self._is_finished:
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

    def pause(self) -> None:
        """Request no more; what was requested still comes, and what waits can be taken."""
        self._is_paused = True

    def resume(self) -> None:
        """Request again."""
        self._is_paused = False
        self._wanted.set()

    @property
    def waiting(self) -> list[Delivery]:
        """What came and was not taken yet."""
        return list(self._buffer)

    @property
    def waiting_count(self) -> int:
        """How many these are."""
        return len(self._buffer)

    async def finish(self) -> None:
        """Request no more, and wait for what was requested as long as it comes; then what is left can be taken."""
        self._stopping.set()  # a cancellation alone may be lost in nats-py, which swallows one in places
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        received = -1
        while self._outstanding > 0 and received != self._received and self._client.is_connected:
            received = self._received
            await asyncio.sleep(_LAST_MESSAGES_S)
        listening, self._listening = self._listening, None
        if listening is not None and self._client.is_connected:
            await listening.drain()
        self._is_finished = True
        self._arrived.set()

    def leave(self) -> list[Delivery]:
        """Return what nobody took."""
        left = list(self._buffer)
        self._buffer.clear()
        return left

    def _heard(self, subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
        self._has_heard = True
        if subject.startswith(self._inbox_bytes):
            self._on_status(read_headers(head) if head else {})
            return
        self._outstanding -= 1
        self._received += 1
        self._buffer.append(Delivery.heard(subject, reply, data, read_headers(head) if head else None))
        if not self._arrived.is_set():
            self._arrived.set()

    def _on_status(self, headers: dict[str, str]) -> None:
        status = headers.get("Status", "")
        if status == _HEARTBEAT:
            return
        was_refused = self._was_refused
        if status in _REQUEST_OVER:
            lost = headers.get("Nats-Pending-Messages")
            self._outstanding -= int(lost) if lost else self._settings.request_messages
            self._outstanding = max(self._outstanding, 0)
            self._is_refused = status != "408" and lost is None
        elif status == "503":
            self._outstanding = 0
            self._is_refused = True
        self._was_refused = self._is_refused
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
                and not self._is_paused
                and self._client.is_connected
                and self._room() >= self._settings.request_messages
            ):
                self._requests += 1
                self._outstanding += self._settings.request_messages
                await self._client.publish(self._next, self._request, reply=f"{self._inbox}.{self._requests}")

    async def _watch(self) -> None:
        """Forget requests that a lost connection, or a lost leader of the consumer, took with it, and ask again."""
        silence_max_s = self._settings.heartbeat_s * _LONG_SILENCE_HEARTBEATS
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            now = self._now()
            reconnects = self._client.stats["reconnects"]
            if self._has_heard or self._outstanding == 0:
                self._has_heard = False
                self._last_heard = now
            is_silent = now - self._last_heard > silence_max_s
            if reconnects != self._reconnects or (is_silent and self._client.is_connected):
                self._reconnects = reconnects
                self._outstanding = 0
                self._last_heard = now
            self._wanted.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
