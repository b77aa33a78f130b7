"""What the three servers have in common: a port, a start that is known to have worked, a stop that ends."""

from __future__ import annotations

import abc
import asyncio
import time
from pathlib import Path
from typing import ClassVar

from worker.embedded.errors import EmbeddedServerError
from worker.embedded.folder import DataFolder
from worker.embedded.ports import free_port
from worker.embedded.process import Command, ServerProcess, StopSteps

READY_WAIT_S = 30.0
PROBE_WAIT_S = 2.0
PORT_TRIES = 8
PORT_WAIT_S = 10.0
_POLL_S = 0.01
_PORT_TAKEN = "address already in use"


class _PortTakenError(Exception):
    """Another process took the port before the server did."""


class EmbeddedServer(abc.ABC):
    """One server of a stack.

    Its port is chosen at the first start and kept for the life of this object, so that clients find a restarted
    server where it was.
    """

    name: ClassVar[str]
    stop_steps: ClassVar[StopSteps]

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._process: ServerProcess | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; raises EmbeddedServerError before the first start."""
        if not self._port:
            raise EmbeddedServerError(self.name, "not started")
        return self._port

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where clients connect; raises EmbeddedServerError before the first start."""

    @property
    def running(self) -> bool:
        """Whether the server's process runs (a frozen one does)."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The pid of the server's main process; raises EmbeddedServerError while it does not run."""
        return self._running_process().pid

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._folder.log(self.name)

    async def start(self) -> str:
        """Start the server and wait until it answers its own protocol, 30 s at most; gives its URL.

        A second start while it runs does nothing. A busy port: at the first start another one is taken, later the
        same one is tried again for 10 s. Raises EmbeddedServerError with the reason and the log's last lines.
        """
        if self.running:
            return self.url
        await self._prepare()
        deadline = time.monotonic() + PORT_WAIT_S
        tries = 0
        while True:
            tries += 1
            port = self._port or free_port()
            try:
                await self._start_at(port)
            except _PortTakenError as error:
                if tries >= PORT_TRIES if not self._port else time.monotonic() > deadline:
                    raise EmbeddedServerError(self.name, f"port {port} is taken by another process") from error
                await asyncio.sleep(_POLL_S)
                continue
            self._port = port
            return self.url

    async def stop(self) -> None:
        """Stop in an orderly way, by force where that takes too long. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            await process.stop()

    async def kill(self) -> None:
        """Kill it (SIGKILL), as a fault would; ``start`` brings it back on the same port. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    async def restart(self) -> str:
        """Stop and start on the same port."""
        await self.stop()
        return await self.start()

    async def freeze(self) -> None:
        """Let it hang without closing a connection (SIGSTOP to all its processes)."""
        await self._running_process().freeze()

    async def thaw(self) -> None:
        """Let a frozen server run again (SIGCONT)."""
        await self._running_process().thaw()

    async def _prepare(self) -> None:
        """Make what the server needs before its process starts: by default nothing."""
        return

    @abc.abstractmethod
    def _command(self, port: int) -> Command:
        """Say what to run."""

    @abc.abstractmethod
    async def _answers(self, port: int) -> bool:
        """Tell whether our server, and not a stranger on the port, answers; OSError and EOFError count as no."""

    def _running_process(self) -> ServerProcess:
        if self._process is None or not self._process.running:
            raise EmbeddedServerError(self.name, "not running")
        return self._process

    def _temporary(self, own: Path) -> tuple[Path, Path] | None:
        return (own, self._folder.path) if self._folder.temporary else None

    async def _start_at(self, port: int) -> None:
        try:
            process = await ServerProcess.launch(self._command(port))
        except (OSError, TimeoutError) as error:
            raise EmbeddedServerError(self.name, f"its process could not be started: {error}") from error
        self._process = process
        try:
            await self._await_answer(process, port)
        except BaseException:
            await self.stop()
            raise

    async def _await_answer(self, process: ServerProcess, port: int) -> None:
        deadline = time.monotonic() + READY_WAIT_S
        while True:
            try:
                async with asyncio.timeout(PROBE_WAIT_S):
                    answered = await self._answers(port)
            except (OSError, EOFError, TimeoutError):
                answered = False
            if not process.running:
                if _PORT_TAKEN in process.log_since_start().lower():
                    raise _PortTakenError
                reason = f"it ended while starting, with exit status {process.exit_status}"
                raise EmbeddedServerError(self.name, reason, process.log_tail())
            if answered:
                return
            if time.monotonic() > deadline:
                reason = f"it did not answer on 127.0.0.1:{port} within {READY_WAIT_S:.0f} s"
                raise EmbeddedServerError(self.name, reason, process.log_tail())
            await asyncio.sleep(_POLL_S)
