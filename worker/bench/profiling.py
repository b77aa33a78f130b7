"""A profile of a running Python process, by py-spy, for the length of a block."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from worker.bench.stack import BenchError

FORMATS: Final = {".svg": "flamegraph", ".json": "speedscope", ".txt": "raw"}
_RATE: Final = "250"  # samples a second
START_S: Final = 1.0
_END_S: Final = 60.0


def find_profiler() -> str:
    """Return where py-spy is; raises BenchError when it is not installed."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise BenchError("py-spy is not installed: pip install 'rulestream[bench]'")
    return found


@asynccontextmanager
async def profiled(pid: int, file: Path) -> AsyncIterator[None]:
    """Write a profile of a process to a file, in the form that its name's ending says (FORMATS).

    Raises BenchError when py-spy is missing, may not look at the process, or writes nothing.
    """
    words = ("record", "--pid", str(pid), "--output", str(file), "--format", FORMATS[file.suffix], "--rate", _RATE)
    spy = await asyncio.create_subprocess_exec(
        find_profiler(),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    saying = asyncio.create_task(spy.communicate())
    try:
        await asyncio.wait([saying], timeout=START_S)  # it says nothing when it has begun
        yield
    finally:
        if spy.returncode is None:
            spy.send_signal(signal.SIGINT)
        await asyncio.wait([saying], timeout=_END_S)
        if spy.returncode is None:
            spy.kill()
        _, said = await saying
    if spy.returncode != 0:
        raise BenchError(f"py-spy wrote no profile: {said.decode(errors='replace').strip()}")
