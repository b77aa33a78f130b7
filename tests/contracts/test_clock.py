"""Clock: the time of day in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.ports import Clock
from tests.fakes.clock import FakeClock
from worker.clock import SystemClock


@pytest.mark.parametrize("clock", [FakeClock(), SystemClock()], ids=["fake", "system"])
def test_a_clock_tells_the_time_in_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_the_systems_clock_tells_the_time_of_now() -> None:
    before = datetime.now(UTC)
    assert before <= SystemClock().now() <= datetime.now(UTC)


def test_a_fake_clock_moves_when_it_is_moved() -> None:
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(1.5)
    assert clock.now() - before == timedelta(seconds=1.5)
