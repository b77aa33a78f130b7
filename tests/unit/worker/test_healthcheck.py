"""What a container engine asks a worker by: right answers, wrong ones, and none."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker import healthcheck
from worker.probes import Probes, Readiness


async def _asked(monkeypatch: pytest.MonkeyPatch, *arguments: str, is_alive: bool = True, is_ready: bool = True) -> int:
    """Run the health check beside a worker's listener and return its exit code."""

    async def readiness() -> Readiness:
        return Readiness(is_ready, {"nats": "up" if is_ready else "down"}, {})

    probes = Probes(readiness, lambda: is_alive, lambda: b"")
    port = await probes.start("127.0.0.1", 0)
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", str(port))
    monkeypatch.setenv("RULESTREAM_HTTP_HOST", "0.0.0.0")
    try:
        return await asyncio.to_thread(healthcheck.main, list(arguments))
    finally:
        await probes.stop()


async def test_a_worker_that_lives_is_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await _asked(monkeypatch, is_ready=False) == 0
    assert capsys.readouterr().out == "HTTP/1.1 200 OK\n"


async def test_a_worker_that_hangs_is_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert await _asked(monkeypatch, is_alive=False) == 1
    assert capsys.readouterr().out.startswith("HTTP/1.1 503 ")


async def test_readiness_can_be_asked_for_in_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is away is told, so that an inspection of the container shows it."""
    assert await _asked(monkeypatch, "readyz") == 0
    assert await _asked(monkeypatch, "readyz", is_ready=False) == 1
    assert '"nats":"down"' in capsys.readouterr().out


def test_nobody_listening_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", str(port))

    assert healthcheck.main([]) == 1
    assert capsys.readouterr().out.startswith(f"no answer from 127.0.0.1:{port}: ")


@pytest.fixture
def silent() -> Iterator[int]:
    """Listen, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_worker_that_takes_the_question_and_says_nothing_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], silent: int
) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT_S", 0.05)
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", str(silent))

    assert healthcheck.main([]) == 1
    assert "timed out" in capsys.readouterr().out


def test_the_settings_file_is_read_as_the_worker_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment goes before it."""
    (tmp_path / "settings.toml").write_text('http_host = "127.0.0.9"\nhttp_port = 8099\n')
    monkeypatch.setenv("RULESTREAM_CONFIG", str(tmp_path / "settings.toml"))
    monkeypatch.delenv("RULESTREAM_HTTP_PORT", raising=False)

    assert healthcheck.listener() == ("127.0.0.9", 8099)
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", "8100")
    assert healthcheck.listener() == ("127.0.0.9", 8100)


@pytest.mark.parametrize("port", ["0", "http", "70000", ""])
def test_a_port_that_nobody_can_know_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", port)

    assert healthcheck.main([]) == 1
    assert f"RULESTREAM_HTTP_PORT={port} " in capsys.readouterr().out


def test_a_settings_file_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RULESTREAM_CONFIG", str(tmp_path / "none.toml"))

    assert healthcheck.main([]) == 1
    assert "none.toml" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["metrics"], ["livez", "readyz"]])
def test_what_is_no_probe_is_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert healthcheck.main(arguments) == 2
    assert capsys.readouterr().out == "usage: python -m worker.healthcheck [livez|readyz]\n"


async def test_it_imports_no_library_that_a_worker_runs_on() -> None:
    """It runs every ten seconds in each container: what it loads is what it costs."""
    loaded = "import sys, worker.healthcheck; print(sorted({n.split('.')[0] for n in sys.modules}))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", loaded, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert not {"asyncio", "http", "nats", "pydantic", "structlog", "urllib"} & set(eval(output))
