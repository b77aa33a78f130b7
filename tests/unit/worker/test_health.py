"""The services as a worker sees them: whoever asks has an answer, also while a service hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.errors import UnavailableError
from tests.fakes.clock import FakeClock
from worker.breakers import BusyError
from worker.health import Health

BOUND_S = 20.0


class Service:
    """A service whose pings the test answers."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0
        self.asked_again = asyncio.Condition()

    async def ping(self) -> None:
        self.asked += 1
        async with self.asked_again:
            self.asked_again.notify_all()
        await self.answers.wait()
        if self.error is not None:
            raise self.error

    async def was_asked(self, times: int) -> None:
        async with asyncio.timeout(BOUND_S), self.asked_again:
            await self.asked_again.wait_for(lambda: self.asked >= times)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def told() -> list[tuple[str, bool]]:
    return []


@pytest.fixture
async def health(service: Service, clock: FakeClock, told: list[tuple[str, bool]]) -> AsyncIterator[Health]:
    found = Health({"postgres": service.ping}, clock, lambda name, is_up: told.append((name, is_up)))
    yield found
    await found.stop()


async def test_before_anybody_asked_a_service_counts_as_away(health: Health) -> None:
    assert not health.seen["postgres"].is_up
    assert health.seen["postgres"].reason == "not asked yet"


async def test_a_look_asks_and_tells(health: Health, told: list[tuple[str, bool]]) -> None:
    seen = (await health.look())["postgres"]
    assert (seen.is_up, seen.reason) == (True, None)
    assert told == [("postgres", True)]


async def test_since_when_and_why_at_first_is_kept_until_the_state_changes(
    health: Health, service: Service, clock: FakeClock
) -> None:
    service.error = UnavailableError("postgres", "it was stopped")
    await health.look()
    away = clock.moment
    clock.advance(5)
    service.error = UnavailableError("postgres", "left alone for a moment")
    seen = (await health.look())["postgres"]
    assert (seen.is_up, seen.since, seen.reason) == (False, away, "it was stopped")
    clock.advance(5)
    service.error = None
    seen = (await health.look())["postgres"]
    assert (seen.is_up, seen.since, seen.reason) == (True, clock.moment, None)


async def test_while_a_service_hangs_it_is_told_of_as_it_was_last_seen(health: Health, service: Service) -> None:
    await health.look()
    service.answers.clear()
    async with asyncio.timeout(BOUND_S):
        assert (await health.look(0.01))["postgres"].is_up


async def test_a_service_that_hangs_has_one_ping_at_a_time(health: Health, service: Service) -> None:
    service.answers.clear()
    for _ in range(5):
        await health.look(0.01)
    assert service.asked == 1
    service.answers.set()
    await health.look()
    await health.look()
    assert service.asked == 2


async def test_a_busy_service_is_told_of_as_before(health: Health, service: Service) -> None:
    """That all of our own connections are in use says nothing of the server."""
    await health.look()
    service.error = BusyError("postgres", "all connections are in use")
    assert (await health.look())["postgres"].is_up


async def test_a_ping_with_a_defect_is_an_absence_with_a_reason(health: Health, service: Service) -> None:
    service.error = ZeroDivisionError()
    seen = (await health.look())["postgres"]
    assert (seen.is_up, seen.reason) == (False, "ZeroDivisionError")


async def test_it_asks_by_itself_while_nobody_looks(health: Health, service: Service) -> None:
    await health.start()
    await service.was_asked(3)
    assert health.seen["postgres"].is_up


async def test_a_start_does_not_wait_for_ever_for_a_service_that_hangs(
    health: Health, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.health._GUARD_S", 0.05)
    service.answers.clear()
    async with asyncio.timeout(BOUND_S):
        await health.start()
        assert not health.seen["postgres"].is_up
