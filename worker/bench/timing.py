"""Timing of functions against one another: in turn, without the garbage collector, the best of several rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Final, TypeVar

from worker.bench.peers import Fact, Sweep

ROUNDS: Final = 7

_Key = TypeVar("_Key")


def best_us(sweeps: Mapping[_Key, Sweep], facts: Sequence[Fact], seconds: float) -> dict[_Key, float]:
    """Return the microseconds that each sweep takes for one fact: the least of several rounds, taken in turn.

    ``seconds`` is what each sweep's rounds take together; a sweep that is slower runs once a round.
    """
    budget_ns = seconds * 1e9 / ROUNDS
    best_ns = dict.fromkeys(sweeps, float("inf"))
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        loops = {key: max(1, round(budget_ns / max(1, _time_ns(sweep, facts, 1)))) for key, sweep in sweeps.items()}
        for _ in range(ROUNDS):
            for key, sweep in sweeps.items():
                best_ns[key] = min(best_ns[key], _time_ns(sweep, facts, loops[key]) / loops[key])
                gc.collect(0)  # what an engine left behind is not the next one's cost
    finally:
        if was_enabled:
            gc.enable()
    return {key: spent / len(facts) / 1_000 for key, spent in best_ns.items()}


def _time_ns(sweep: Sweep, facts: Sequence[Fact], loops: int) -> int:
    started = time.perf_counter_ns()
    for _ in repeat(None, loops):
        sweep(facts)
    return time.perf_counter_ns() - started
