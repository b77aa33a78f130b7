"""Profiles by py-spy: what it is told, and what is said when it does not work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from worker.bench import profiling
from worker.bench.profiling import FORMATS, find_profiler, profiled
from worker.bench.stack import BenchError
from worker.cli.bench import PROFILE_FORMATS
from worker.embedded.process import until

WAIT_S = 60.0
# In Python, for a shell does not trap an interrupt that was ignored when it started, as in the background of make.
RECORDING = f"""#!{sys.executable}
import pathlib, signal, sys

def end(*_):
    pathlib.Path(sys.argv[5]).write_text(" ".join(sys.argv[1:]))
    sys.exit()

signal.signal(signal.SIGINT, end)
pathlib.Path(sys.argv[5] + ".begun").touch()
while True:
    signal.pause()
"""
REFUSED = "#!/bin/sh\necho 'Permission Denied: try again as root' >&2\nexit 1\n"


@pytest.fixture
def as_profiler(monkeypatch, tmp_path: Path):
    def use(script: str, start_s: float = 0.2) -> None:
        path = tmp_path / "py-spy"
        path.write_text(script)
        path.chmod(0o700)
        monkeypatch.setattr(profiling, "find_profiler", lambda: str(path))
        monkeypatch.setattr(profiling, "START_S", start_s)

    return use


@pytest.mark.parametrize(("suffix", "form"), FORMATS.items())
async def test_the_files_ending_says_the_form(as_profiler, tmp_path: Path, suffix: str, form: str) -> None:
    as_profiler(RECORDING)
    file = tmp_path / f"worker{suffix}"
    async with profiled(4711, file):
        assert await until(file.with_suffix(f"{suffix}.begun").exists, WAIT_S)
        assert not file.exists()
    assert file.read_text().split()[:7] == ["record", "--pid", "4711", "--output", str(file), "--format", form]


async def test_what_the_profiler_says_is_told_when_it_fails(as_profiler, tmp_path: Path) -> None:
    as_profiler(REFUSED, start_s=WAIT_S)
    with pytest.raises(BenchError, match="no profile: Permission Denied: try again as root"):
        async with profiled(4711, tmp_path / "worker.svg"):
            pass


def test_without_py_spy_it_says_which_extra_has_it(monkeypatch) -> None:
    monkeypatch.setattr("worker.bench.profiling.shutil.which", lambda *_, **__: None)
    with pytest.raises(BenchError, match=r"rulestream\[bench\]"):
        find_profiler()


def test_the_command_line_knows_the_same_endings() -> None:
    assert tuple(FORMATS) == PROFILE_FORMATS
