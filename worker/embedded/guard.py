"""A small parent process for one server, so that the server never outlives the worker.

It is run as a file of its own (``python -I -S guard.py SPEC``), imports nothing of this project, and starts in about
30 ms. It leads a session of its own, so that Ctrl-C in a terminal, sent to the whole foreground group, reaches neither
it nor the server: the worker drains first and decides the order.

Its standard input is a pipe from the worker. The line ``stop`` asks for an orderly stop. The pipe's end without that
line, or a new parent, means that the worker died, however it did: then the server is stopped by the shorter steps.
If the guard itself is killed, the kernel tells the server (``PR_SET_PDEATHSIG``). A guard adopts what its server
leaves behind (``PR_SET_CHILD_SUBREAPER``; Postgres's backends outlive a killed postmaster by a moment) and exits only
when nothing of it runs any more, with the server's exit status, or 128 and the signal's number.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn, TypedDict

PARENT_CHECK_S = 0.5
LEFTOVER_WAIT_S = 1.0
EXIT_NOT_STARTED = 127

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Spec(TypedDict):
    """What a guard is told: the server's command, and how to stop it."""

    argv: list[str]
    cwd: str | None
    env: dict[str, str]
    uid: int | None
    gid: int | None
    parent_pid: int
    stop_steps: list[tuple[int, float]]  # (signal, seconds to wait after it); SIGKILL follows the last
    orphan_steps: list[tuple[int, float]]
    remove_own: str | None  # removed when the worker died without a stop: a temporary folder's part
    remove_root: str | None  # removed with the last part


def children_of(pid: int) -> list[int]:
    """Give the pids of a process's direct children."""
    children = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs more here and gives nothing
        if not entry.isdigit():
            continue
        fields = stat_fields(int(entry))
        if fields is not None and int(fields[1]) == pid:
            children.append(int(entry))
    return children


def stat_fields(pid: int) -> list[str] | None:
    """Give the fields of ``/proc/PID/stat`` from the state on (the name before may hold anything), if it exists."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def send(pid: int, signum: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def send_to_tree(pid: int, signum: int) -> None:
    """Send a signal to a process, then to its children, which cannot multiply once it has stopped."""
    send(pid, signum)
    for child in children_of(pid):
        send(child, signum)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _exec(spec: Spec, guard_pid: int) -> NoReturn:
    """Become the server: folder, user, signals, then the binary. Never returns."""
    try:
        if spec["cwd"] is not None:
            os.chdir(spec["cwd"])  # before the change of user, who need not be able to walk there
        if spec["uid"] is not None and spec["gid"] is not None:
            os.setgroups([])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        _prctl(_PR_SET_PDEATHSIG, spec["orphan_steps"][0][0])  # after setuid, which clears it
        if os.getppid() != guard_pid:
            os._exit(EXIT_NOT_STARTED)
        os.umask(0o077)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(signum, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        os.close(null)
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell is wanted
    except BaseException as error:  # noqa: BLE001 - the child of a fork must not run the parent's code
        os.write(2, f"cannot run {spec['argv'][0]}: {error}\n".encode())
    os._exit(EXIT_NOT_STARTED)


class Guard:
    """One server as its guard sees it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.server = 0
        self.status: int | None = None  # the server's exit status, once it has ended
        self.leftovers = True  # whether any child may still run
        self.orphaned = False
        self._wakeup_read, wakeup_write = os.pipe()
        os.set_blocking(self._wakeup_read, False)
        os.set_blocking(wakeup_write, False)
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)

    def run(self) -> int:
        """Start the server, keep watch, stop it when asked or orphaned, and give its exit status."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        guard_pid = os.getpid()
        self.server = os.fork()
        if self.server == 0:
            _exec(self.spec, guard_pid)
        os.write(1, f"{self.server}\n".encode())
        if self._watch():
            self._stop(self.spec["orphan_steps"] if self.orphaned else self.spec["stop_steps"])
        self._clear()
        if self.orphaned:
            self._remove_temporary()
        return self.status if self.status is not None else 128 + signal.SIGKILL

    def _watch(self) -> bool:
        """Wait until the server ends (False) or has to be stopped (True)."""
        while self.status is None:
            readable, _, _ = select.select([0, self._wakeup_read], [], [], PARENT_CHECK_S)
            if 0 in readable:
                self.orphaned = not os.read(0, 64).startswith(b"stop")
                return True
            if os.getppid() != self.spec["parent_pid"]:
                self.orphaned = True
                return True
            self._reap()
        return False

    def _stop(self, steps: list[tuple[int, float]]) -> None:
        send_to_tree(self.server, signal.SIGCONT)  # a frozen server hears nothing but this
        for signum, wait_s in steps:
            self._reap()
            if self.status is not None:
                return
            send(self.server, signum)
            if self._wait(wait_s, server_only=True):
                return
        send_to_tree(self.server, signal.SIGKILL)
        self._wait(LEFTOVER_WAIT_S, server_only=True)

    def _clear(self) -> None:
        """Wait for what the server left behind, and end it where it does not end by itself."""
        if not self._wait(LEFTOVER_WAIT_S, server_only=False):
            for child in children_of(os.getpid()):
                send(child, signal.SIGKILL)
            self._wait(LEFTOVER_WAIT_S, server_only=False)

    def _wait(self, seconds: float, *, server_only: bool) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            self._reap()
            if not self.leftovers or (server_only and self.status is not None):
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select([self._wakeup_read], [], [], left)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup_read, 512)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.leftovers = False
                return
            if pid == 0:
                return
            if pid == self.server:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code

    def _remove_temporary(self) -> None:
        own, root = self.spec["remove_own"], self.spec["remove_root"]
        if own is None or root is None:
            return
        shutil.rmtree(own, ignore_errors=True)
        parts = [entry for entry in Path(root).iterdir() if entry.is_dir() and entry.name != "logs"]
        if not parts:
            shutil.rmtree(root, ignore_errors=True)


def main(argv: list[str]) -> int:
    """Run a guard for the server that ``argv[1]``, a JSON object, describes."""
    spec: Any = json.loads(argv[1])
    return Guard(spec).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
