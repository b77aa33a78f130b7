"""The health listener: three paths, and nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from worker.probes import REQUEST_BYTES_MAX, Probes, Readiness


class Health:
    """What the probes are told."""

    def __init__(self) -> None:
        self.is_ready = True
        self.is_alive = True

    async def readiness(self) -> Readiness:
        return Readiness(self.is_ready, {"nats": "up", "postgres": "up", "redis": "degraded"}, {"version": "1"})


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def probes(health: Health) -> AsyncIterator[Probes]:
    found = Probes(health.readiness, lambda: health.is_alive, lambda: b"a_metric 1\n")
    await found.start("127.0.0.1", 0)
    yield found
    await found.stop()


async def ask(probes: Probes, request: bytes) -> tuple[str, str]:
    """Send bytes and give the status line and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", probes.port)
    try:
        writer.write(request)
        writer.write_eof()
        head, _, body = (await asyncio.wait_for(reader.read(), 60)).decode().partition("\r\n\r\n")
        return head.split("\r\n")[0], body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_livez_says_ok_while_the_worker_lives(probes: Probes, health: Health) -> None:
    assert await ask(probes, b"GET /livez HTTP/1.1\r\n\r\n") == ("HTTP/1.1 200 OK", "ok\n")
    health.is_alive = False
    assert await ask(probes, b"GET /livez HTTP/1.1\r\n\r\n") == ("HTTP/1.1 503 Service Unavailable", "")


async def test_readyz_names_each_dependencys_state(probes: Probes, health: Health) -> None:
    status, body = await ask(probes, b"GET /readyz?verbose HTTP/1.1\r\n\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body) == {
        "status": "ready",
        "dependencies": {"nats": "up", "postgres": "up", "redis": "degraded"},
        "version": "1",
    }
    health.is_ready = False
    status, body = await ask(probes, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert json.loads(body)["status"] == "not ready"


async def test_metrics_are_served(probes: Probes) -> None:
    assert await ask(probes, b"GET /metrics HTTP/1.1\r\n\r\n") == ("HTTP/1.1 200 OK", "a_metric 1\n")


@pytest.mark.parametrize("path", [b"/", b"/livez/", b"/rules", b"/../metrics"])
async def test_nothing_else_is_served(probes: Probes, path: bytes) -> None:
    assert await ask(probes, b"GET %b HTTP/1.1\r\n\r\n" % path) == ("HTTP/1.1 404 Not Found", "")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"get"])
async def test_other_methods_are_refused(probes: Probes, method: bytes) -> None:
    assert await ask(probes, b"%b /livez HTTP/1.1\r\n\r\n" % method) == ("HTTP/1.1 405 Method Not Allowed", "")


async def test_head_has_no_body(probes: Probes) -> None:
    assert await ask(probes, b"HEAD /metrics HTTP/1.1\r\n\r\n") == ("HTTP/1.1 200 OK", "")


@pytest.mark.parametrize("nonsense", [b"", b"GET /livez", b"\x00" * 100, b"GET /" + b"a" * 2 * REQUEST_BYTES_MAX])
async def test_a_client_that_talks_nonsense_disturbs_nobody(probes: Probes, nonsense: bytes) -> None:
    with suppress(ConnectionError):  # it is hung up on
        await ask(probes, nonsense)
    assert await ask(probes, b"GET /livez HTTP/1.1\r\n\r\n") == ("HTTP/1.1 200 OK", "ok\n")


async def test_a_busy_port_is_left_for_another_one(health: Health) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        probes = Probes(health.readiness, lambda: True, lambda: b"")
        assert await probes.start("127.0.0.1", wanted) not in {0, wanted}
        try:
            assert (await ask(probes, b"GET /livez HTTP/1.1\r\n\r\n"))[1] == "ok\n"
        finally:
            await probes.stop()
