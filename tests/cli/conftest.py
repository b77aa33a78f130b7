"""The command line against real servers, with a worker in a thread of its own where a test wants one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from click.testing import Result
from structlog.testing import capture_logs
from typer.testing import CliRunner

from worker.cli.app import app
from worker.service import running_worker
from worker.settings import load_settings

START_WAIT_S = 60.0


class Line:
    """The command line, run in this process."""

    def __init__(self) -> None:
        self._runner = CliRunner()

    def run(self, *words: str, code: int = 0, given: str | bytes | None = None) -> Result:
        """Run a command and check its exit code."""
        result = self._runner.invoke(app, words, input=given)
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *words: str, code: int = 0, given: str | bytes | None = None) -> Any:
        """Run a command with --json and give its one line."""
        result = self.run(*words, "--json", code=code, given=given)
        assert result.stdout.count("\n") == 1, result.stdout
        return msgspec.json.decode(result.stdout)

    def json_lines(self, words: Sequence[str]) -> list[Any]:
        """Run a command that prints a line of JSON each, and give them."""
        return [msgspec.json.decode(line) for line in self.run(*words, "--json").stdout.splitlines()]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """Give the command line with no settings but the test's."""
    for name in list(os.environ):
        if name.startswith("RULESTREAM_"):
            monkeypatch.delenv(name)
    return Line()


@pytest.fixture
def at_servers(
    line: Line, monkeypatch: pytest.MonkeyPatch, nats_url: str, database: str, redis_url: str
) -> dict[str, str]:
    """Point the command line at the session's servers."""
    addresses = {"NATS_URL": nats_url, "POSTGRES_DSN": database, "REDIS_URL": redis_url, "HTTP_PORT": "0"}
    for name, value in addresses.items():
        monkeypatch.setenv(f"RULESTREAM_{name}", value)
    return addresses


@pytest.fixture
def a_worker(at_servers: dict[str, str]) -> Iterator[None]:
    """Run a worker for the length of a test."""
    loop = asyncio.new_event_loop()
    ready, stopping = threading.Event(), asyncio.Event()
    failures: list[BaseException] = []

    async def work() -> None:
        async with running_worker(load_settings(ruleset_poll_s=0.05)):
            ready.set()
            await stopping.wait()

    def run() -> None:
        try:
            loop.run_until_complete(work())
        except BaseException as error:  # noqa: BLE001  # told to the test
            failures.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run)
    with capture_logs():  # they are not the command's output
        thread.start()
        assert ready.wait(START_WAIT_S)
        assert not failures
        yield
        loop.call_soon_threadsafe(stopping.set)
        thread.join(START_WAIT_S)
        assert not thread.is_alive()
    assert not failures
