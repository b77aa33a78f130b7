"""Streams and consumers as a benchmark handles them: made, purged, paused, resumed, watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nats.aio.client import Client

from domain.rules.content import format_moment
from streams import jetstream
from streams.wire import BatchPublisher, Publication
from worker.bench.stack import BenchError
from worker.embedded.process import ServerProcess

_PAUSE: Final = timedelta(days=1)
_NOTICE: Final = timedelta(milliseconds=100)
_POLL_S: Final = 0.02
_SILENCE_MAX_S: Final = 60.0
_BATCH: Final = 500
_BATCHES_IN_FLIGHT: Final = 3


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable consumer of a stream, and the process that takes its messages."""

    client: Client
    stream: str
    name: str
    taker: ServerProcess

    async def pause(self) -> None:
        """Have the server deliver nothing more; what it has delivered may still be acknowledged."""
        await self._pause(_PAUSE)

    async def resume(self) -> None:
        """Return when the server begins to deliver again.

        The pause's end is set, rather than the pause taken away: the server then wakes the consumer up at that time;
        taken away, it would wait for another message or pull request.
        """
        started = time.perf_counter()
        await self._pause(_NOTICE)
        await asyncio.sleep(max(0.0, started + _NOTICE.total_seconds() - time.perf_counter()))

    async def _pause(self, length: timedelta) -> None:
        until = format_moment(datetime.now(UTC) + length)
        await call(self.client, f"CONSUMER.PAUSE.{self.stream}.{self.name}", {"pause_until": until})

    async def info(self) -> dict[str, Any]:
        """Ask what the server knows of it."""
        return await call(self.client, f"CONSUMER.INFO.{self.stream}.{self.name}")

    async def until_asked(self) -> None:
        """Wait until its messages are waited for; raises BenchError when that takes more than a minute."""
        deadline = time.monotonic() + _SILENCE_MAX_S
        while not (await self.info())["num_waiting"]:
            self._require_life()
            if time.monotonic() > deadline:
                raise BenchError(f"nobody asks for messages of {self.stream}/{self.name}:\n{self.taker.log_tail()}")
            await asyncio.sleep(_POLL_S)

    async def until_done(
        self, poll_s: float = _POLL_S, watch: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> None:
        """Wait until every message is acknowledged, telling ``watch`` each time what the server knows.

        Raises BenchError when a minute brings nothing nearer to that.
        """
        left, heard = -1, time.monotonic()
        while left:
            await asyncio.sleep(poll_s)
            self._require_life()
            info = await self.info()
            watch(info)
            now_left = info["num_pending"] + info["num_ack_pending"]
            if now_left != left:
                left, heard = now_left, time.monotonic()
            elif time.monotonic() - heard > _SILENCE_MAX_S:
                said = self.taker.log_tail()
                raise BenchError(f"{left} messages of {self.stream}/{self.name} are not acknowledged:\n{said}")

    def _require_life(self) -> None:
        if not self.taker.running:
            said = self.taker.log_tail()
            raise BenchError(f"what takes the messages of {self.stream}/{self.name} has ended:\n{said}")


async def call(client: Client, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call the JetStream API; raises BenchError with its refusal, UnavailableError when it does not answer."""
    try:
        return await jetstream.ask(client, subject, body)
    except jetstream.JetStreamRefusedError as error:
        raise BenchError(error.message) from error


async def purge(client: Client, *streams: str) -> None:
    """Empty streams."""
    for stream in streams:
        await call(client, f"STREAM.PURGE.{stream}")


async def count(client: Client, stream: str) -> int:
    """Return how many messages a stream holds."""
    return int((await call(client, f"STREAM.INFO.{stream}"))["state"]["messages"])


async def publish(publisher: BatchPublisher, messages: list[Publication]) -> None:
    """Publish messages with a few batches in flight, and return when all are stored; raises UnavailableError."""
    batches = iter([messages[start : start + _BATCH] for start in range(0, len(messages), _BATCH)])

    async def lane() -> None:
        for batch in batches:
            await publisher.publish(batch)

    await asyncio.gather(*(lane() for _ in range(_BATCHES_IN_FLIGHT)))
