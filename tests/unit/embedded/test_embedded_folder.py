from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.embedded import EmbeddedServerError, folder, guard
from worker.embedded.folder import DataFolder


async def test_a_folder_is_used_by_one_stack_at_a_time(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    await first.open()
    with pytest.raises(EmbeddedServerError, match=f"in use by another stack, of process {os.getpid()}"):
        await second.open()
    first.close()
    await second.open()
    second.close()


@pytest.mark.parametrize("owner", ["", f"{os.getpid()} 1", "4194304 1", "-1 1", "garbage", "7"])
async def test_a_lock_whose_owner_is_dead_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """A pid alone is no proof of life: another process may have it by now."""
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    await first.open()
    (tmp_path / "stack.lock").write_text(owner)
    with pytest.raises(EmbeddedServerError, match="servers of an earlier stack still run"):
        await second.open()
    first.close()
    await second.open()
    second.close()


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is killed, and is not asked how it ended before the test is over."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


async def test_an_owner_that_ended_unseen_by_its_parent_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: subprocess.Popen[bytes]
) -> None:
    """A killed worker is listed until its parent asks how it ended, which may be never."""
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.05)
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    await first.open()
    fields = guard.stat_fields(worker.pid)
    assert fields is not None
    (tmp_path / "stack.lock").write_text(f"{worker.pid} {fields[19]}\n")
    with pytest.raises(EmbeddedServerError, match=f"in use by another stack, of process {worker.pid}"):
        await second.open()
    _ended(worker)
    with pytest.raises(EmbeddedServerError, match="servers of an earlier stack still run"):
        await second.open()
    first.close()


async def test_a_temporary_folder_is_closed_to_others_and_goes_away() -> None:
    data = DataFolder(None)
    await data.open()
    path = data.path
    assert path.stat().st_mode & 0o777 == 0o700
    data.part("nats").joinpath("x").write_text("")
    data.close()
    assert not path.exists()
    data.close()
    with pytest.raises(EmbeddedServerError, match="not started"):
        _ = data.path


async def test_a_given_folder_keeps_its_permissions(tmp_path: Path) -> None:
    given = tmp_path / "data"
    given.mkdir()
    given.chmod(0o751)
    data = DataFolder(given)
    await data.open()
    data.close()
    assert given.stat().st_mode & 0o777 == 0o751


async def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stack.lock").symlink_to(tmp_path / "target")
    with pytest.raises(EmbeddedServerError, match="cannot use"):
        await DataFolder(tmp_path).open()
    assert not (tmp_path / "target").exists()
