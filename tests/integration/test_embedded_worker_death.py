"""The servers end with the worker, however it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.servers.probing import (
    SERVERS,
    WAIT_S,
    connected,
    keep_something,
    ordinary_user,
    runs,
    start_worker,
    told,
    until,
    what_is_kept,
)
from worker.embedded import Addresses, EmbeddedStack, guard


@pytest.mark.parametrize("user", ["ours", "ordinary"])
@pytest.mark.parametrize("kept", [True, False])
async def test_the_servers_end_with_a_killed_worker_and_nothing_committed_is_lost(
    free_folder: Path, kept: bool, user: str
) -> None:
    words = ordinary_user() if user == "ordinary" else []
    data = str(free_folder / "data") if kept else ""
    worker = start_worker(data, words)
    try:
        answer = told(worker)
        pids = answer["pids"]
        assert isinstance(pids, list)
        postmaster = pids[1]
        everything = [*pids, *guard.children_of(postmaster)]
        assert all(map(runs, pids))
        addresses = Addresses(str(answer["nats"]), str(answer["postgres"]), str(answer["redis"]))
        await keep_something(addresses)
        async with connected(addresses.postgres) as connection:  # at work while the worker dies
            await connection.execute("BEGIN; INSERT INTO kept VALUES (43)")
            worker.kill()
            await until(lambda: not any(map(runs, everything)))
        if not kept:
            await until(lambda: not Path(str(answer["data"])).exists())
            return
        next_worker = start_worker(data, words)
        try:
            answer = told(next_worker)
            addresses = Addresses(str(answer["nats"]), str(answer["postgres"]), str(answer["redis"]))
            assert await what_is_kept(addresses) == (42, 1, 0)
        finally:
            next_worker.kill()
            next_worker.communicate()
            pids = answer["pids"]
            assert isinstance(pids, list)
            await until(lambda: not any(map(runs, pids)))
    finally:
        worker.kill()
        worker.communicate()


async def test_frozen_servers_end_with_a_killed_worker_too(free_folder: Path) -> None:
    worker = start_worker(str(free_folder / "data"), [])
    try:
        pids = told(worker)["pids"]
        assert isinstance(pids, list)
        for pid in pids:
            guard.send_to_tree(pid, signal.SIGSTOP)
        worker.kill()
        await until(lambda: not any(map(runs, pids)))
    finally:
        worker.kill()
        worker.communicate()


async def test_a_worker_that_is_started_again_at_once_waits_for_the_servers_of_the_killed_one(
    free_folder: Path,
) -> None:
    data = str(free_folder / "data")
    worker = start_worker(data, [])
    told(worker)
    worker.kill()
    next_worker = start_worker(data, [], then="end")
    try:
        assert told(next_worker)["data"] == data
        next_worker.communicate(timeout=WAIT_S)
        assert next_worker.returncode == 0
    finally:
        next_worker.kill()
        next_worker.communicate()
        worker.communicate()


async def test_a_server_ends_with_its_guard(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        for name in SERVERS:
            pid = getattr(stack, name).pid
            fields = guard.stat_fields(pid)
            assert fields is not None
            os.kill(int(fields[1]), signal.SIGKILL)
            await until(lambda pid=pid: not runs(pid))


async def test_ctrl_c_in_the_workers_terminal_does_not_reach_the_servers(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        for name in SERVERS:
            pid = getattr(stack, name).pid
            assert os.getsid(pid) != os.getsid(0)
            assert os.getpgid(pid) != os.getpgid(0)
