from __future__ import annotations

import signal
import stat
from pathlib import Path

import pytest

from worker.embedded import process
from worker.embedded.process import Command, ServerProcess, StopSteps

WAIT_S = 60.0
STEPS = StopSteps(orderly=((signal.SIGTERM, 0.2),), orphaned=((signal.SIGTERM, 0.2),))


def shell(tmp_path: Path, script: str) -> Command:
    return Command(argv=("/bin/sh", "-c", script), log=tmp_path / "logs" / "x.log", stop=STEPS)


async def ended(server: ServerProcess) -> None:
    assert await process.until(lambda: not server.running, WAIT_S)


async def test_the_log_holds_what_was_said_since_the_start_for_its_owners_eyes(tmp_path: Path) -> None:
    first = await ServerProcess.launch(shell(tmp_path, "echo before"))
    await ended(first)
    await first.stop()
    second = await ServerProcess.launch(shell(tmp_path, "seq 100; echo oops >&2; exit 5"))
    await ended(second)
    assert second.exit_status == 5
    assert "before" not in second.log_since_start()
    assert second.log_tail().splitlines() == [*map(str, range(90, 101)), "oops"]
    assert stat.S_IMODE((tmp_path / "logs" / "x.log").stat().st_mode) == 0o600
    await second.stop()


async def test_a_log_that_has_grown_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES_MAX", 10)
    for _ in range(2):
        server = await ServerProcess.launch(shell(tmp_path, "echo 0123456789"))
        await ended(server)
        await server.stop()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["x.log", "x.log.1"]


async def test_a_server_gets_nothing_of_the_workers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULESTREAM_POSTGRES_DSN", "postgresql://secret")
    server = await ServerProcess.launch(shell(tmp_path, "env"))
    await ended(server)
    said = server.log_since_start()
    assert "secret" not in said
    assert "TZ=UTC" in said
    await server.stop()


async def test_a_process_can_be_killed_frozen_and_stopped_again_and_again(tmp_path: Path) -> None:
    server = await ServerProcess.launch(shell(tmp_path, "exec sleep 60"))
    await server.freeze()
    assert process._frozen(server.pid)
    await server.thaw()
    await server.kill()
    assert server.exit_status == 128 + signal.SIGKILL
    await server.kill()
    await server.stop()


async def test_a_guard_that_does_not_answer_is_an_error_and_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nsys.stdin.read()\n")
    monkeypatch.setattr(process.guard, "__file__", str(silent))
    monkeypatch.setattr(process, "LAUNCH_WAIT_S", 0.3)
    with pytest.raises(TimeoutError, match="no answer"):
        await ServerProcess.launch(shell(tmp_path, "true"))


async def test_a_guard_that_hangs_is_killed_at_the_end_of_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import time\nprint(0, flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr(process.guard, "__file__", str(deaf))
    monkeypatch.setattr(process.guard, "LEFTOVER_WAIT_S", 0.02)
    server = await ServerProcess.launch(shell(tmp_path, "true"))
    await server.stop()
    assert not server.running
