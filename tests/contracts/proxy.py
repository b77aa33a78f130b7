"""A TCP proxy in front of a server, which the test can cut or freeze: the server is then away, or hangs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on between its clients and the server of a URL, until it is cut and after it is mended."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._flows = asyncio.Event()
        self._flows.set()
        self.url = ""

    async def start(self) -> None:
        """Begin to listen; ``url`` then leads through the proxy."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        place = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        self.url = self._target._replace(netloc=place).geturl()

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._is_cut = True
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def freeze(self) -> None:
        """Let no byte through, either way, while connections stand and new ones are accepted."""
        self._flows.clear()

    def thaw(self) -> None:
        """Let bytes through again, those that were held up first."""
        self._flows.set()

    async def stop(self) -> None:
        """Stop listening."""
        await self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if not self._is_cut:
                await self._pass_on(reader, writer)
        except (asyncio.CancelledError, OSError):
            pass  # a connection that was cut has ended, which is all that there is to say
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._target.port is not None
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, far_writer))
                group.create_task(self._copy(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """Give a proxy in front of a server."""
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
