"""Threads of a worker that compute, beside its event loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from worker.cli.work import take_turns


@pytest.fixture(autouse=True)
def interval() -> Iterator[float]:
    """Give the interval as Python has it, and leave it so."""
    found = sys.getswitchinterval()
    yield found
    sys.setswitchinterval(found)


def test_a_thread_that_computes_lets_the_event_loop_on_sooner_than_python_does_by_itself(interval: float) -> None:
    """By a tenth of the time that facts would wait else."""
    take_turns()
    assert sys.getswitchinterval() <= interval / 10
