"""A server process under guard: started, watched, stopped, and for fault tests killed and frozen.

Nothing here belongs to an event loop: a process may be started in one loop and stopped in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from worker.embedded import guard
from worker.embedded.accounts import Account

POLL_S = 0.005
LAUNCH_WAIT_S = 10.0
LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 16 * 1024
_FREEZE_WAIT_S = 2.0
# What the Go runtime reads, and what a C library needs; the worker's own environment may hold secrets.
_ENVIRONMENT_KEPT = ("PATH", "TMPDIR", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class StopSteps:
    """How a server is stopped: signals with the seconds to wait after each; SIGKILL follows the last."""

    orderly: tuple[tuple[signal.Signals, float], ...]
    orphaned: tuple[tuple[signal.Signals, float], ...]

    @property
    def bound_s(self) -> float:
        """The longest that an orderly stop takes, with the kill at its end."""
        return sum(wait_s for _, wait_s in self.orderly) + 4 * guard.LEFTOVER_WAIT_S


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, as whom, and where its words go."""

    argv: tuple[str, ...]
    log: Path
    stop: StopSteps
    cwd: Path | None = None
    account: Account | None = None
    kept_fds: tuple[int, ...] = ()  # inherited by the server: a lock is free only when all of it is gone
    temporary: tuple[Path, Path] | None = None  # (own part, whole folder), removed if the worker dies
    env: dict[str, str] = field(default_factory=dict)


def server_environment() -> dict[str, str]:
    """Give the few variables that a server gets: nothing of the worker's own settings."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


class ServerProcess:
    """A running server and its guard."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path, log_offset: int, stop: StopSteps) -> None:
        self._popen = popen
        self._log = log
        self._log_offset = log_offset
        self._stop = stop
        self.pid = 0

    @classmethod
    async def launch(cls, command: Command) -> ServerProcess:
        """Start a server under a new guard and learn its pid; the server may still fail right after.

        Raises TimeoutError where the guard does not answer within 10 s.
        """
        popen, log_offset = _spawn(command)
        process = cls(popen, command.log, log_offset, command.stop)
        try:
            process.pid = await process._learn_pid()
        except BaseException:
            process._abandon()
            raise
        return process

    async def _learn_pid(self) -> int:
        stdout = self._popen.stdout
        assert stdout is not None
        os.set_blocking(stdout.fileno(), False)
        answer = bytearray()

        def answered() -> bool:
            ended = self._popen.poll() is not None
            answer.extend(stdout.read() or b"")
            return ended or answer.endswith(b"\n")

        if not await until(answered, LAUNCH_WAIT_S):
            raise TimeoutError(f"no answer within {LAUNCH_WAIT_S:.0f} s")
        return int(answer or b"0")

    @property
    def running(self) -> bool:
        """Whether anything of the server may still run."""
        return self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """The server's exit status (128 and the number for a signal), None while it runs."""
        return self._popen.poll()

    def log_since_start(self) -> str:
        """Give what this server wrote since its start, its last 16 KiB at most."""
        try:
            with self._log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_offset, end - LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def log_tail(self) -> str:
        """Give the last lines that this server wrote since its start."""
        return "\n".join(self.log_since_start().splitlines()[-LOG_TAIL_LINES:])

    async def stop(self) -> None:
        """Stop in an orderly way, by force at the end of the bound; a frozen server is thawed. Idempotent."""
        stdin = self._popen.stdin
        assert stdin is not None
        if self.running and not stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                os.write(stdin.fileno(), b"stop\n")
        await self._ended(self._stop.bound_s)

    async def kill(self) -> None:
        """Kill the server as a fault would (SIGKILL), and wait until all its processes are gone. Idempotent."""
        if self.running and self.pid:
            guard.send(self.pid, signal.SIGKILL)
        await self._ended(3 * guard.LEFTOVER_WAIT_S)

    async def freeze(self) -> None:
        """Stop the server and its children from running (SIGSTOP), and wait until they do."""
        guard.send_to_tree(self.pid, signal.SIGSTOP)
        await until(lambda: all(map(_frozen, [self.pid, *guard.children_of(self.pid)])), _FREEZE_WAIT_S)

    async def thaw(self) -> None:
        """Let a frozen server and its children run again (SIGCONT)."""
        guard.send_to_tree(self.pid, signal.SIGCONT)

    async def _ended(self, bound_s: float) -> None:
        try:
            await until(lambda: self._popen.poll() is not None, bound_s)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Leave nothing: the guard ends the server when its pipe closes, and is killed where it does not answer."""
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()
        if self._popen.poll() is None:
            try:
                self._popen.wait(3 * guard.LEFTOVER_WAIT_S)
            except subprocess.TimeoutExpired:
                if self.pid:
                    guard.send_to_tree(self.pid, signal.SIGKILL)
                self._popen.kill()
                self._popen.wait()


def _spawn(command: Command) -> tuple[subprocess.Popen[bytes], int]:
    """Start the guard; give it and the length of the log before it."""
    log_fd, log_offset = _open_log(command.log)
    spec: guard.Spec = {
        "argv": list(command.argv),
        "cwd": str(command.cwd) if command.cwd else None,
        "env": server_environment() | command.env,
        "uid": command.account.uid if command.account else None,
        "gid": command.account.gid if command.account else None,
        "parent_pid": os.getpid(),
        "stop_steps": [(int(signum), wait_s) for signum, wait_s in command.stop.orderly],
        "orphan_steps": [(int(signum), wait_s) for signum, wait_s in command.stop.orphaned],
        "remove_own": str(command.temporary[0]) if command.temporary else None,
        "remove_root": str(command.temporary[1]) if command.temporary else None,
    }
    try:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_fd,
            cwd="/",
            pass_fds=command.kept_fds,
            start_new_session=True,
        )
    finally:
        os.close(log_fd)
    return popen, log_offset


async def until(condition: Callable[[], bool], bound_s: float) -> bool:
    """Wait for a condition of the outside world, which nothing announces; False where the bound ends first."""
    deadline = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def _frozen(pid: int) -> bool:
    fields = guard.stat_fields(pid)
    return fields is None or fields[0] in "TtZX"


def _open_log(path: Path) -> tuple[int, int]:
    """Open a log for appending, renamed to ``.1`` first where it has grown past 10 MiB; give its length too."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return fd, os.fstat(fd).st_size
