"""What tests of the embedded stack look at: processes, ports, permissions, what the servers hold."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import nats
import pytest
import redis.asyncio

from worker.embedded import Addresses, EmbeddedStack, binaries, guard
from worker.embedded.accounts import Account
from worker.embedded.server import EmbeddedServer

WAIT_S = 60.0  # who hangs is found out, and nobody's speed is judged
ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
PROJECT = Path(__file__).parents[2]
SERVERS = ("nats", "postgres", "valkey")

# A worker in outline: starts a stack, tells where it is, and waits to be killed.
WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from worker.embedded import EmbeddedStack

async def main():
    stack = EmbeddedStack(Path(sys.argv[1]) if sys.argv[1] else None)
    addresses = await stack.start()
    pids = [stack.nats.pid, stack.postgres.pid, stack.valkey.pid]
    print(json.dumps({"pids": pids, "data": str(stack.data_dir), "postgres": addresses.postgres,
                      "nats": addresses.nats, "redis": addresses.redis}), flush=True)
    if sys.argv[2] == "wait":
        await asyncio.sleep(600)
    await stack.stop()

asyncio.run(main())
"""


async def until(condition: Callable[[], bool], within_s: float = WAIT_S) -> float:
    """Poll a condition of the outside world; give the seconds it took, fail when it takes too long."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "the condition did not come true in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def runs(pid: int) -> bool:
    fields = guard.stat_fields(pid)
    return fields is not None and fields[0] not in "ZX"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def listening_at(ports: set[int]) -> set[str]:
    """Give the addresses, in the kernel's hexadecimal, that these ports are listened to on."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == "0A" and int(port, 16) in ports:
                found.add(address)
    return found


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, timeout=WAIT_S)
    try:
        yield connection
    finally:
        with suppress(TimeoutError):
            await connection.close(timeout=1)


async def keep_something(addresses: Addresses) -> None:
    """Store a value in each of the three."""
    async with connected(addresses.postgres) as connection:
        await connection.execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (42)")
    client = await nats.connect(addresses.nats)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    await client.jetstream().publish("kept.a", b"x" * 1_500_000)
    await client.close()
    async with redis.asyncio.from_url(addresses.redis) as cache:
        await cache.set("kept", "no")


async def what_is_kept(addresses: Addresses) -> tuple[int, int, int]:
    """Give the value in Postgres, the messages in JetStream, the keys in the cache."""
    async with connected(addresses.postgres) as connection:
        value = await connection.fetchval("SELECT a FROM kept")
    client = await nats.connect(addresses.nats)
    messages = (await client.jetstream().stream_info("KEPT")).state.messages
    await client.close()
    async with redis.asyncio.from_url(addresses.redis) as cache:
        return value, messages, await cache.dbsize()


def ordinary_user() -> list[str]:
    """Give the words before a command that run it as an ordinary user: none where that is what we are."""
    if not ROOT:
        return []
    nobody = pwd.getpwnam("nobody")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    words = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    trial = "import os, sys; sys.exit(not os.access(sys.executable, os.X_OK))"
    if not binaries._may_run(binaries.postgres_home(None) / "bin" / "postgres", Account(nobody.pw_uid, nobody.pw_gid)):
        pytest.skip("an ordinary user cannot reach this virtual environment")
    if subprocess.run([*words, sys.executable, "-c", trial], capture_output=True, check=False).returncode != 0:
        # This interpreter lies below a closed folder: let the user read everything, and write what is its own.
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        if subprocess.run([*words, sys.executable, "--version"], capture_output=True, check=False).returncode != 0:
            pytest.skip("an ordinary user cannot run this interpreter")
    return words


def sleeper(uid: int, gid: int) -> subprocess.Popen[bytes]:
    """Start a process of another user (where we may) that does nothing."""
    return subprocess.Popen(["sleep", "60"], user=uid if ROOT else None, group=gid if ROOT else None, cwd="/")


def start_worker(data: str, words: list[str], then: str = "wait") -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    environment |= {"PYTHONPATH": path, "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*words, sys.executable, "-c", WORKER, data, then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/", env=environment)


def told(worker: subprocess.Popen[bytes]) -> dict[str, object]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    assert line, "the worker said nothing"
    answer: dict[str, object] = json.loads(line)
    return answer


@asynccontextmanager
async def one_server(stack: EmbeddedStack, name: str) -> AsyncIterator[EmbeddedServer]:
    """Give one server of a stack, in the stack's folder but not started, and stop it at the end."""
    await stack._folder.open()
    server: EmbeddedServer = getattr(stack, name)
    try:
        yield server
    finally:
        await server.stop()
        stack._folder.close()
