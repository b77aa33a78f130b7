"""Insisting on a service: until it answers, saying so, and no longer than told to."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import UnavailableError
from streams.facts import insisting as module
from streams.facts.insisting import Insistence


class Heard:
    """What an insistence tells: which services answer, and whether something is being waited for."""

    def __init__(self) -> None:
        self.dependencies: list[tuple[str, bool]] = []
        self.waits: list[bool] = []
        self.waited: list[str] = []

    def dependency(self, service: str, *, is_up: bool) -> None:
        self.dependencies.append((service, is_up))

    def dependency_waited(self, service: str) -> None:
        self.waited.append(service)


class Service:
    """A service that fails so many times and then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or UnavailableError("postgres", "away")
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def insistence(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Insistence:
    monkeypatch.setattr(module, "PAUSE_MAX_S", {"postgres": 0.001})
    return Insistence(heard, heard.waits.append)


async def test_an_answer_at_once_is_given_and_nobody_waits(insistence: Insistence, heard: Heard) -> None:
    assert await insistence.call("postgres", Service(0).ask) == "answer"
    assert (heard.dependencies, heard.waits) == ([("postgres", True)], [])


async def test_a_service_that_is_away_is_asked_until_it_answers(insistence: Insistence, heard: Heard) -> None:
    service = Service(5)
    assert await insistence.call("postgres", service.ask) == "answer"
    assert service.calls == 6
    assert heard.dependencies == [*[("postgres", False)] * 5, ("postgres", True)]
    assert heard.waited == ["postgres"], "it waited once, however often it asked"
    assert heard.waits == [True, False]


async def test_several_calls_wait_as_one(insistence: Insistence, heard: Heard) -> None:
    await asyncio.gather(*(insistence.call("postgres", Service(failures).ask) for failures in (4, 5, 6)))
    assert heard.waits[0] is True
    assert heard.waits[-1] is False
    assert heard.waits.count(False) == 1


async def test_another_error_is_raised_at_once(insistence: Insistence, heard: Heard) -> None:
    service = Service(1, RuntimeError("a defect of ours"))
    with pytest.raises(RuntimeError):
        await insistence.call("postgres", service.ask)
    assert (service.calls, heard.waits) == (1, [])


async def test_another_error_while_insisting_ends_the_wait(insistence: Insistence, heard: Heard) -> None:
    class Turning(Service):
        async def ask(self) -> str:
            if self.calls == 2:
                raise RuntimeError("a defect of ours")
            return await super().ask()

    with pytest.raises(RuntimeError):
        await insistence.call("postgres", Turning(10).ask)
    assert heard.waits == [True, False]


async def test_told_to_give_up_the_next_failure_is_raised(insistence: Insistence, heard: Heard) -> None:
    service = Service(10**9)
    calling = asyncio.create_task(insistence.call("postgres", service.ask))
    async with asyncio.timeout(60):
        while service.calls < 3:  # noqa: ASYNC110  # the fake tells nobody
            await asyncio.sleep(0)
    insistence.give_up()
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(60):
            await calling
    assert heard.waits == [True, False]
