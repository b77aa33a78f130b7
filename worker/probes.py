"""The health listener: ``/livez``, ``/readyz`` and ``/metrics``, and nothing else."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
import structlog

REQUEST_BYTES_MAX: Final = 8 * 1024
_REQUEST_TIMEOUT_S: Final = 5.0

State = Literal["up", "down", "degraded"]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the worker may be sent work, and each dependency's state."""

    is_ready: bool
    dependencies: dict[str, State]
    details: dict[str, Any]


class Probes:
    """A small HTTP/1.1 listener; each connection serves one request."""

    def __init__(
        self,
        readiness: Callable[[], Awaitable[Readiness]],
        is_alive: Callable[[], bool],
        metrics: Callable[[], bytes],
    ) -> None:
        self._readiness = readiness
        self._is_alive = is_alive
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> int:
        """Listen, on another free port where the wanted one is taken, and return the port."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._server = await asyncio.start_server(self._serve, host, 0, limit=REQUEST_BYTES_MAX)
            _log.warning("health_port_taken", wanted=port, taken=self._server.sockets[0].getsockname()[1])
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Close the listener."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                request = head.split(b"\r\n", 1)[0].split(b" ")
                status, content_type, body = await self._answer(request)
                writer.write(
                    b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                    % (status, status.phrase.encode(), content_type, len(body), b"" if request[0] == b"HEAD" else body)
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that goes away or talks nonsense is its own affair
        finally:
            writer.close()

    async def _answer(self, request: list[bytes]) -> tuple[HTTPStatus, bytes, bytes]:
        if len(request) != 3 or request[0] not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, b"text/plain", b""
        match request[1].split(b"?")[0]:
            case b"/livez":
                alive = self._is_alive()
                return (HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE), b"text/plain", b"ok\n" * alive
            case b"/readyz":
                found = await self._readiness()
                body = msgspec.json.encode(
                    {
                        "status": "ready" if found.is_ready else "not ready",
                        "dependencies": found.dependencies,
                        **found.details,
                    }
                )
                status = HTTPStatus.OK if found.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
                return status, b"application/json", body
            case b"/metrics":
                return HTTPStatus.OK, b"text/plain; version=0.0.4; charset=utf-8", self._metrics()
            case _:
                return HTTPStatus.NOT_FOUND, b"text/plain", b""
