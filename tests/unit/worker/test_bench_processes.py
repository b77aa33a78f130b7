"""What processes have used, as the kernel counts it: with their children, and nothing for what is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from worker.bench.processes import children_peak_mb, cpu_seconds, resident_mb

BURN_S = 0.2
HELD_MB = 60
# Says a word once it has burnt its time and held its memory, and again when asked to end.
BURNING = f"""
import time
while time.process_time() < {BURN_S}: pass
held = bytearray({HELD_MB} * 1_000_000)
print("burnt", flush=True)
input()
"""
# Has two children do the same: one that has ended by then, and one that lives.
PARENT = f"""
import subprocess, sys
words = [sys.executable, "-c", {BURNING!r}]
subprocess.run(words, input=b"\\n", stdout=subprocess.DEVNULL, check=True)
child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
input()
child.communicate(b"\\n")
"""


@contextmanager
def running(code: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"burnt\n"
        yield process.pid
        process.communicate(b"\n", timeout=30)


def test_processor_time_and_memory_of_one_process() -> None:
    with running(BURNING) as pid:
        assert cpu_seconds(pid) >= BURN_S - 0.02  # two ticks of the kernel's clock
        assert resident_mb(pid) >= HELD_MB
        assert resident_mb(pid, peak=True) >= resident_mb(pid)
        assert children_peak_mb(pid) == 0


def test_children_count_those_that_have_ended_too() -> None:
    with running(PARENT) as pid:
        assert cpu_seconds(pid) >= 2 * BURN_S - 0.04
        assert children_peak_mb(pid) >= HELD_MB
        assert resident_mb(pid) < HELD_MB


def test_what_is_gone_used_nothing() -> None:
    with running(BURNING) as pid:
        pass
    assert (cpu_seconds(pid), resident_mb(pid), children_peak_mb(pid)) == (0, 0, 0)
