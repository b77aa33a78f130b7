"""The one folder that an embedded stack lives in, and the lock that keeps a second stack out of it.

::

    DIR/stack.lock          who uses it; the servers hold the lock too, so it is free only when all of them are gone
    DIR/logs/               one log a server
    DIR/nats/               nats.conf and the JetStream store
    DIR/postgres/           Postgres's data, owned by the user that Postgres runs as
    DIR/postgres.password   the password of the role, for its owner's eyes only
    DIR/valkey/             empty: the cache is not kept
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from worker.embedded import guard
from worker.embedded.errors import EmbeddedServerError

# Servers of a stack whose worker was killed are gone before this.
LOCK_WAIT_S = 6.0
_POLL_S = 0.02
# The flag of a process that ends, of Linux's include/linux/sched.h.
_PF_EXITING = 0x4


class DataFolder:
    """A given folder, kept, or a temporary one, removed when it is closed."""

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._path: Path | None = None
        self._lock_fd = -1

    @property
    def path(self) -> Path:
        """The folder, once it is open."""
        if self._path is None:
            raise EmbeddedServerError("data folder", "the stack is not started")
        return self._path

    @property
    def temporary(self) -> bool:
        """Whether the folder goes away with the stack."""
        return self._given is None

    @property
    def lock_fd(self) -> int:
        """The lock's file, for the servers to hold too."""
        return self._lock_fd

    async def open(self) -> None:
        """Create the folder where it is missing (its permissions are never changed) and lock it.

        Raises EmbeddedServerError where another stack uses it, at once where that one's worker lives, after 6 s where
        only its servers are left, or where the folder cannot be used.
        """
        try:
            if self._given is None:
                path = Path(tempfile.mkdtemp(prefix="rulestream-"))
            else:
                path = self._given.absolute()
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = path / "stack.lock"
            self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedServerError("data folder", f"cannot use {self._given}: {error.strerror}") from error
        try:
            await self._lock(path)
        except BaseException:
            self._unlock()
            raise
        self._path = path

    def part(self, name: str) -> Path:
        """Give a server's own folder, made where it is missing."""
        part = self.path / name
        part.mkdir(mode=0o700, exist_ok=True)
        return part

    def log(self, server: str) -> Path:
        """Give the path of a server's log."""
        return self.path / "logs" / f"{server}.log"

    def close(self) -> None:
        """Unlock the folder; a temporary one is removed. Idempotent."""
        path, self._path = self._path, None
        if path is not None:
            # A program that was killed may hold the lock a moment longer: without an owner, the next stack waits.
            os.ftruncate(self._lock_fd, 0)
            if self.temporary:
                shutil.rmtree(path, ignore_errors=True)
        self._unlock()

    async def _lock(self, path: Path) -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = self._owner()
            if owner is not None:
                raise EmbeddedServerError("data folder", f"{path} is in use by another stack, of process {owner}")
            if time.monotonic() > deadline:
                raise EmbeddedServerError("data folder", f"servers of an earlier stack still run in {path}")
            await asyncio.sleep(_POLL_S)
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()} {_started(os.getpid())}\n".encode(), 0)

    def _owner(self) -> int | None:
        """Give the pid of the process that took the lock, if it still is that process."""
        pid, _, started = os.pread(self._lock_fd, 64, 0).decode(errors="replace").strip().partition(" ")
        return int(pid) if pid.isdigit() and started and _started(int(pid)) == started else None

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _started(pid: int) -> str:
    """Give a process's start time in clock ticks since boot: with the pid, it tells a process from its successor.

    Empty for a process that is gone, that ends just now, or that ended and whose parent has not asked for its exit
    status yet: such a one uses nothing any more, for all that it is still listed.
    """
    fields = guard.stat_fields(pid)
    if not fields or fields[0] in "ZX" or int(fields[6]) & _PF_EXITING:
        return ""
    return fields[19]
