"""TLS in front of servers whose wheels come without it: real handshakes and certificates, then their own bytes."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trustme

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # what a Postgres client asks with before it speaks TLS
HOST: Final = "127.0.0.1"


class Certificates:
    """An authority, and a server's certificate of it for this machine."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST).configure_cert(self.context)


@asynccontextmanager
async def behind_tls(url: str, certificates: Certificates, *, is_postgres: bool = False) -> AsyncIterator[str]:
    """Give host and port of a listener that speaks TLS and passes on to the server of a URL."""
    target = urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            if is_postgres:
                assert await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(certificates.context)
            far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, far_writer))
                    group.create_task(_copy(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError, AssertionError):
            pass  # it has ended: a client that did not trust us, or a test that is over
        except BaseExceptionGroup:
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    context = None if is_postgres else certificates.context
    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError
