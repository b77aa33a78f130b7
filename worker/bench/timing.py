"""Timing of functions against one another: in turn, without the garbage collector, the best of several rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Final, TypeVar

from worker.bench.peers import Fact, Sweep

ROUNDS: Final = 21  # many short ones, so that every engine meets the machine at its quickest

_Key = TypeVar("_Key")


def best_us(sweeps: Mapping[_Key, Sweep], facts: Sequence[Fact], seconds: float) -> dict[_Key, float]:
    """Return the microseconds that each sweep takes for one fact: the least of several rounds, taken in turn.

    ``seconds`` is what each sweep's rounds take together; a sweep that is slower runs once a round.
    """
    budget_ns = seconds * 1e9 / ROUNDS
    best = dict.fromkeys(sweeps, float("inf"))
    with _collector_off():
        loops = {key: max(1, round(budget_ns / max(1, _time_ns(sweep, facts, 1)))) for key, sweep in sweeps.items()}
        for _ in range(ROUNDS):
            for key, sweep in sweeps.items():
                spent_ns = _time_ns(sweep, facts, loops[key]) / loops[key]
                best[key] = min(best[key], spent_ns / len(facts) / 1_000)
                gc.collect(0)  # what an engine left behind is not the next one's cost
    return best


def best_of_new_us(sweeps: Mapping[_Key, Sweep], supply: Callable[[], Sequence[Fact]]) -> dict[_Key, float]:
    """Return the same of facts that are decided once: every sweep of every round has new ones from ``supply``."""
    best = dict.fromkeys(sweeps, float("inf"))
    with _collector_off():
        for _ in range(ROUNDS):
            for key, sweep in sweeps.items():
                facts = supply()
                best[key] = min(best[key], _time_ns(sweep, facts, 1) / len(facts) / 1_000)
                gc.collect(0)
    return best


@contextmanager
def _collector_off() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _time_ns(sweep: Sweep, facts: Sequence[Fact], loops: int) -> int:
    started = time.perf_counter_ns()
    for _ in repeat(None, loops):
        sweep(facts)
    return time.perf_counter_ns() - started
