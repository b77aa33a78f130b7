"""The guard, run as it is in earnest, as a process of its own, over shells that behave as servers might."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.embedded import guard

WITHIN_S = 60.0  # who hangs is found out, and nobody's speed is judged


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def runs(pid: int) -> bool:
    fields = guard.stat_fields(pid)
    return fields is not None and fields[0] not in "ZX"


@pytest.fixture(autouse=True)
def hears_hangups() -> Iterator[None]:
    """Let servers trap a hangup: a shell does not where it was ignored before, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def guarded(script: str, **changes: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a shell script under guard; give the guard and the script's pid."""
    spec: dict[str, object] = {
        "argv": ["/bin/sh", "-c", script],
        "cwd": None,
        "env": {"PATH": os.environ["PATH"]},
        "uid": None,
        "gid": None,
        "parent_pid": os.getpid(),
        "stop_steps": [(signal.SIGTERM, WITHIN_S)],
        "orphan_steps": [(signal.SIGHUP, WITHIN_S)],
        "remove_own": None,
        "remove_root": None,
    }
    process = subprocess.Popen(
        [sys.executable, guard.__file__, json.dumps(spec | changes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            if not process.stdin.closed:
                process.stdin.close()
            process.wait(WITHIN_S)


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"stop\n")
    process.stdin.flush()


def test_the_guard_ends_with_its_server_and_its_exit_status() -> None:
    with guarded("exit 7") as (process, _):
        assert process.wait(WITHIN_S) == 7


def test_a_server_that_is_killed_is_reported_with_its_signal() -> None:
    with guarded("kill -9 $$") as (process, _):
        assert process.wait(WITHIN_S) == 128 + signal.SIGKILL


def test_a_server_that_cannot_be_run_says_why() -> None:
    with guarded("", argv=["/no/such/server"]) as (process, _):
        assert process.wait(WITHIN_S) == guard.EXIT_NOT_STARTED
        assert process.stderr is not None
        assert b"cannot run /no/such/server: " in process.stderr.read()


DEAF = "trap '' TERM HUP"
DEAF_BOUND_S = 0.2
READY = "echo $$ > ready; while :; do sleep 0.01; done"


@pytest.mark.parametrize(
    ("trap", "orderly", "status"),
    [
        ("trap 'exit 3' TERM; trap 'exit 4' HUP", True, 3),
        ("trap 'exit 3' TERM; trap 'exit 4' HUP", False, 4),
        (DEAF, True, 128 + signal.SIGKILL),  # the kill at the end of the bound
        (DEAF, False, 128 + signal.SIGKILL),
    ],
)
def test_a_stop_and_a_dead_worker_each_have_their_steps(tmp_path: Path, trap: str, orderly: bool, status: int) -> None:
    bound_s = DEAF_BOUND_S if trap == DEAF else WITHIN_S
    steps = {"stop_steps": [(signal.SIGTERM, bound_s)], "orphan_steps": [(signal.SIGHUP, bound_s)]}
    with guarded(f"{trap}; {READY}", cwd=str(tmp_path), **steps) as (process, pid):
        until((tmp_path / "ready").exists)
        if orderly:
            ask_to_stop(process)
        else:
            assert process.stdin is not None
            process.stdin.close()
        assert process.wait(WITHIN_S) == status
        assert not runs(pid)


def test_a_guard_with_another_parent_stops_its_server(tmp_path: Path) -> None:
    """So a pipe that another process has inherited does not keep the servers of a dead worker."""
    with guarded(f"trap 'exit 4' HUP; {READY}", cwd=str(tmp_path), parent_pid=1) as (process, _):
        assert process.wait(WITHIN_S) in {4, 128 + signal.SIGHUP}  # before or after the trap was set


def test_what_the_server_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    script = "sh -c 'trap \"\" TERM HUP; echo $$ > ready; while :; do sleep 0.01; done' & wait"
    with guarded(script, cwd=str(tmp_path)) as (process, pid):
        until(lambda: (tmp_path / "ready").exists() and (tmp_path / "ready").read_text().endswith("\n"))
        left = int((tmp_path / "ready").read_text())
        os.kill(pid, signal.SIGKILL)
        assert process.wait(WITHIN_S) == 128 + signal.SIGKILL
        assert not runs(left)


def test_a_frozen_server_is_thawed_to_be_stopped(tmp_path: Path) -> None:
    with guarded(f"trap 'exit 3' TERM; {READY}", cwd=str(tmp_path)) as (process, pid):
        until((tmp_path / "ready").exists)
        guard.send_to_tree(pid, signal.SIGSTOP)
        ask_to_stop(process)
        assert process.wait(WITHIN_S) == 3


@pytest.mark.parametrize("orderly", [True, False])
def test_the_parts_of_a_temporary_folder_are_removed_where_nobody_else_is_left_to_do_it(
    tmp_path: Path, orderly: bool
) -> None:
    root = tmp_path / "root"
    for name in ("one", "two", "logs"):
        (root / name).mkdir(parents=True)
    for name, is_last in (("one", False), ("two", True)):
        with guarded("exec sleep 60", remove_own=str(root / name), remove_root=str(root)) as (process, _):
            if orderly:
                ask_to_stop(process)
                process.wait(WITHIN_S)
        assert (root / name).exists() == orderly
        assert root.exists() == (orderly or not is_last)


def test_a_signal_to_a_process_that_is_gone_is_no_error() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    guard.send_to_tree(gone.pid, signal.SIGTERM)
    assert guard.stat_fields(gone.pid) is None
