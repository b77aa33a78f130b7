"""A proxy in front of a server that can also be slow: each piece that the server sends comes later."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.contracts.proxy import Proxy


class SlowProxy(Proxy):
    """Passes on with ``delay_s`` seconds before each piece of the server's; 0 at first."""

    delay_s = 0.0

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._target.port is not None
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, far_writer, is_answer=False))
                group.create_task(self._copy(far_reader, writer, is_answer=True))
        except* OSError:
            pass  # one side has ended the connection
        finally:
            far_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while data := await reader.read(65536):
            if is_answer and self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def slow_proxied(url: str) -> AsyncIterator[SlowProxy]:
    """Give a proxy in front of a server."""
    proxy = SlowProxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
