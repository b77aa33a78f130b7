"""What compiling rules costs in time and memory. Each part is measured by itself in a new process."""

from __future__ import annotations

import gc
import re
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.language import CompiledRule, compile_rule
from domain.language.planning import plan_rule
from domain.language.syntax import parse_rule
from domain.language.tokens import Positions
from worker.bench.rules import LARGE, small_rules

RULES: Final = 1_000
PARTS: Final = 3 + len(LARGE)
TRIES: Final = 3
SMALL_MS_MAX: Final = 1.2
RULES_MB_MAX: Final = 8.0
LARGE_SECONDS_MAX: Final = 1.0
LARGE_MB_MAX: Final = 200.0

_WARM_UP: Final = 24
_CHILD_TIMEOUT_S: Final = 300
_STATUS: Final = Path("/proc/self/status")


class Phases(msgspec.Struct, rename="camel", frozen=True):
    """Median milliseconds of a small rule's way: text to tree, tree to plan, plan to functions."""

    parse_ms: float
    check_ms: float
    write_ms: float


class Floor(msgspec.Struct, rename="camel", frozen=True):
    """A figure and what it may be at most."""

    name: str
    value: float
    most: float
    holds: bool


class Times(msgspec.Struct, rename="camel", frozen=True):
    """Milliseconds of ``compile_rule`` for one small rule, and its phases."""

    median_ms: float
    phases: Phases


class LargeRule(msgspec.Struct, rename="camel", frozen=True):
    """The seconds that a large rule takes to compile, and by how many megabytes the process grew at most."""

    name: str
    code_points: int
    seconds: float
    peak_mb: float


class CompilationReport(msgspec.Struct, rename="camel", frozen=True):
    """All of it. ``rss_mb`` and ``traced_mb`` are what ``rules`` compiled small rules hold; a megabyte is 10⁶ bytes."""

    rules: int
    median_ms: float
    phases: Phases
    rss_mb: float
    traced_mb: float
    large: list[LargeRule]
    floors: list[Floor]
    floors_hold: bool


def measure(rules: int = RULES, update: Callable[[int], None] = lambda _done: None) -> CompilationReport:
    """Measure every part in processes of its own; ``update`` is told how many parts are done, of ``PARTS``.

    Times are those of the quickest of several processes, as what else the machine does only adds to them.
    """
    times = min((_in_child("times", str(rules), Times) for _ in range(TRIES)), key=lambda found: found.median_ms)
    update(1)
    rss_mb = _in_child("rss", str(rules), float)
    update(2)
    traced_mb = _in_child("traced", str(rules), float)
    update(3)
    large: list[LargeRule] = []
    for name in LARGE:
        tries: list[LargeRule] = [_in_child("large", name, LargeRule) for _ in range(TRIES)]
        seconds, peak_mb = min(one.seconds for one in tries), max(one.peak_mb for one in tries)
        large.append(msgspec.structs.replace(tries[0], seconds=seconds, peak_mb=peak_mb))
        update(3 + len(large))
    return report_of(rules, times, rss_mb, traced_mb, large)


def report_of(rules: int, times: Times, rss_mb: float, traced_mb: float, large: list[LargeRule]) -> CompilationReport:
    """Set the figures against their floors; that of memory is for a thousand rules and goes by their number."""
    floors = [
        _floor("small rule, median ms", times.median_ms, SMALL_MS_MAX),
        _floor("small rules, resident MB", rss_mb, RULES_MB_MAX * rules / RULES),
    ]
    for rule in large:
        floors += [
            _floor(f"{rule.name}, seconds", rule.seconds, LARGE_SECONDS_MAX),
            _floor(f"{rule.name}, peak MB", rule.peak_mb, LARGE_MB_MAX),
        ]
    hold = all(floor.holds for floor in floors)
    return CompilationReport(rules, times.median_ms, times.phases, rss_mb, traced_mb, large, floors, hold)


def _floor(name: str, value: float, most: float) -> Floor:
    return Floor(name, value, most, value <= most)


def _in_child(part: str, argument: str, kind: type[Any]) -> Any:
    command = [sys.executable, "-P", "-m", "worker.bench.compilation", part, argument]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=_CHILD_TIMEOUT_S)  # noqa: S603 - our own
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=kind)


# What the child process does.


def times_of(rules: int) -> Times:
    """Return what compiling each of so many small rules takes, and what its parts take when done again."""
    _compile_others()
    whole: list[float] = []
    phases: list[tuple[float, float, float]] = []
    for source in small_rules(rules):
        compiling = _milliseconds(lambda text=source: compile_rule(text))  # type: ignore[misc]  # a default binds it now
        planning = _milliseconds(lambda text=source: plan_rule(text))  # type: ignore[misc]  # as above
        parsing = _milliseconds(lambda text=source: parse_rule(text, Positions(text), []))  # type: ignore[misc]  # as above
        whole.append(compiling)
        phases.append((parsing, planning - parsing, compiling - planning))
    parts = (round(statistics.median(phase), 4) for phase in zip(*phases, strict=True))
    return Times(round(statistics.median(whole), 4), Phases(*parts))


def held_rss_mb(rules: int) -> float:
    """Return by how much the process's resident memory grows with compiled small rules.

    As many others are held already: they fill what the start left free, which would else be counted as nothing.
    """
    held = _compiled(rules, rules)
    before = memory_mb("VmRSS")
    held += _compiled(0, rules)
    return round(memory_mb("VmRSS") - before, 3) if held else 0.0


def held_traced_mb(rules: int) -> float:
    """Return what compiled small rules hold by Python's own account."""
    _compile_others()
    gc.collect()
    tracemalloc.start()
    try:
        held = _compiled(0, rules)
        return round(tracemalloc.get_traced_memory()[0] / 1e6, 3) if held else 0.0
    finally:
        tracemalloc.stop()


def large_rule(name: str) -> LargeRule:
    """Compile one of the large rules; the process's peak so far counts against it."""
    _compile_others()
    source = LARGE[name]()
    gc.collect()
    before = memory_mb("VmRSS")
    spent = _milliseconds(lambda: compile_rule(source))
    return LargeRule(name, len(source), round(spent / 1e3, 4), round(memory_mb("VmHWM") - before, 3))


def memory_mb(entry: str) -> float:
    """Return an entry of this process's status, in megabytes; VmRSS is what is resident, VmHWM the most that was."""
    found = re.search(rf"^{entry}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1_024 / 1e6


def _compiled(first: int, rules: int) -> list[CompiledRule]:
    made = [compile_rule(source) for source in small_rules(rules, first)]
    gc.collect()
    return made


def _compile_others() -> None:
    """Load what every rule needs, the grammar above all, by rules that are not measured."""
    _compiled(10 * RULES, _WARM_UP)


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


_PARTS: Final[dict[str, Callable[[str], Any]]] = {
    "times": lambda rules: times_of(int(rules)),
    "rss": lambda rules: held_rss_mb(int(rules)),
    "traced": lambda rules: held_traced_mb(int(rules)),
    "large": large_rule,
}

if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_PARTS[sys.argv[1]](sys.argv[2])) + b"\n")
