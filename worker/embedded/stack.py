"""The embedded stack: the three real servers that the worker needs, from their wheels, for one process.

For development, demonstrations and tests. The servers are children of this process (each under a small guard, see
``worker.embedded.guard``) and end with it, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.embedded.folder import DataFolder
from worker.embedded.nats import NatsServer
from worker.embedded.postgres import PostgresServer
from worker.embedded.server import EmbeddedServer
from worker.embedded.valkey import ValkeyServer


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the three servers are; ``postgres`` holds a password."""

    nats: str
    postgres: str
    redis: str


class EmbeddedStack:
    """NATS with JetStream, Postgres and Valkey on free ports of 127.0.0.1.

    Without ``data_dir`` the data lies in a temporary folder, which is removed at the end. A given folder is created
    where it is missing, keeps the data for the next start, and is used by one stack at a time.

    An object may be started and stopped again and again, also from different event loops.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self._folder = DataFolder(data_dir)
        self.nats = NatsServer(self._folder)
        self.postgres = PostgresServer(self._folder)
        self.valkey = ValkeyServer(self._folder)
        self._open = False

    @property
    def data_dir(self) -> Path:
        """The folder of the data; raises EmbeddedServerError while the stack is not started."""
        return self._folder.path

    @property
    def addresses(self) -> Addresses:
        """Where the servers are; raises EmbeddedServerError before the start."""
        return Addresses(self.nats.url, self.postgres.url, self.valkey.url)

    async def start(self) -> Addresses:
        """Start the three servers at the same time and wait until each answers; about a second with an empty folder.

        Raises EmbeddedServerError with the server's name, the reason and the last lines of its log; then nothing of
        the stack is left running.
        """
        if not self._open:
            await self._folder.open()
            self._open = True
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers():
                    group.create_task(server.start())
        except BaseExceptionGroup as failures:
            await self.stop()
            raise failures.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise
        return self.addresses

    async def stop(self) -> None:
        """Stop the bus, the database and the cache, in this order, each within its own bound. Idempotent.

        A cancellation is put off until all is stopped, half a minute at most where servers hang: a stack that is half
        stopped would be of no use to anybody.
        """
        stopping = asyncio.ensure_future(self._stop())
        cancelled: asyncio.CancelledError | None = None
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        stopping.result()

    async def _stop(self) -> None:
        async with contextlib.AsyncExitStack() as rest:  # runs them all, in reverse, whatever one of them raises
            if self._open:
                self._open = False
                rest.push_async_callback(asyncio.to_thread, self._folder.close)
            for server in reversed(self._servers()):
                rest.push_async_callback(server.stop)

    def _servers(self) -> tuple[EmbeddedServer, ...]:
        return (self.nats, self.postgres, self.valkey)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
