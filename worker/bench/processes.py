"""What a process and its children have used: processor time and memory, as Linux counts them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from worker.embedded.guard import children_of, stat_fields

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_TIMES: Final = slice(11, 15)  # user, system, and the same of children that have ended


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process and its children have used, to a hundredth of a second.

    Children that have ended count too; what is gone counts nothing.
    """
    ticks = 0
    for one in _tree(pid):
        fields = stat_fields(one)
        if fields is not None:
            ticks += sum(map(int, fields[_TIMES]))
    return ticks / _TICKS_A_SECOND


def resident_mb(pid: int, *, peak: bool = False) -> float:
    """Return the memory that one process holds, or the most that it held so far, in millions of bytes; 0 when gone."""
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1_024 / 1e6 for line in lines if line.startswith(name)), 0.0)


def children_peak_mb(pid: int) -> float:
    """Return the most that each process below one held so far, together, in millions of bytes."""
    return sum(resident_mb(one, peak=True) for one in _tree(pid)[1:])


def _tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for one in found:
        found.extend(children_of(one))
    return found
