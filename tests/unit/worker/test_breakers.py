"""A breaker opens for a service that is away, tries it by one call, and closes at an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import circuitbreaker
import pytest
from structlog.testing import capture_logs

from domain.errors import BusinessError, UnavailableError
from domain.ports import DecisionsRefusedError
from worker.breakers import Breaker, BusyError

FAILURES = 3
PAUSE_S = 10.0
PAUSE_AT_MOST_S = PAUSE_S * 1.25


class Elapsed:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    found = Elapsed()
    monkeypatch.setattr(circuitbreaker, "monotonic", found)
    return found


@pytest.fixture
def breaker(elapsed: Elapsed) -> Breaker:
    return Breaker("postgres", failures=FAILURES, pause_s=PAUSE_S)


def fail(breaker: Breaker, error: Exception | None = None) -> None:
    """Make a call that fails."""
    wanted = error or UnavailableError("postgres", "gone")
    with pytest.raises(type(wanted)) as caught, breaker.call():
        raise wanted
    assert caught.value is wanted, "the call was made"


def answer(breaker: Breaker) -> None:
    """Make a call that is answered."""
    with breaker.call():
        pass


def refused(breaker: Breaker) -> UnavailableError:
    """Make a call that does not get through."""
    was_made = False
    with pytest.raises(UnavailableError) as caught, breaker.call():
        was_made = True
    assert not was_made
    return caught.value


def opened(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        fail(breaker)
    assert breaker.state == "open"


def test_it_opens_after_failures_in_a_row_and_calls_then_fail_at_once(breaker: Breaker) -> None:
    for _ in range(FAILURES - 1):
        fail(breaker)
        assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"
    error = refused(breaker)
    assert error.service == "postgres"
    assert 1 <= error.details["retryAfterS"] <= PAUSE_AT_MOST_S + 1


def test_an_answer_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        fail(breaker)
        answer(breaker)
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    "error",
    [
        DecisionsRefusedError("the data"),
        BusinessError("rule name already exists"),
        UnavailableError("nats", "another service"),
        BusyError("postgres", "a deadlock"),
        ZeroDivisionError("a defect of ours"),
    ],
)
def test_what_is_no_absence_of_the_service_never_opens_it(breaker: Breaker, error: Exception) -> None:
    for _ in range(FAILURES * 2):
        fail(breaker, error)
    assert breaker.state == "closed"


def test_a_refusal_is_an_answer(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        fail(breaker)
        fail(breaker, DecisionsRefusedError("the data"))
    assert breaker.state == "closed"


def test_a_busy_service_has_not_answered(breaker: Breaker) -> None:
    """Or a service that hangs would never be left alone, while calls time out in the queue before it."""
    for _ in range(FAILURES - 1):
        fail(breaker)
        fail(breaker, BusyError("postgres", "no connection is free"))
    fail(breaker)
    assert breaker.state == "open"


def test_after_the_pause_one_call_tries_and_its_answer_closes_it(breaker: Breaker, elapsed: Elapsed) -> None:
    opened(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    assert breaker.state == "half_open"
    with breaker.call():
        refused(breaker)
    assert breaker.state == "closed"
    answer(breaker)


def test_a_trial_that_fails_begins_the_pause_anew(breaker: Breaker, elapsed: Elapsed) -> None:
    opened(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    fail(breaker)
    assert breaker.state == "open"
    refused(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    answer(breaker)
    assert breaker.state == "closed"


async def test_a_trial_that_is_cancelled_leaves_it_to_the_next_call(breaker: Breaker, elapsed: Elapsed) -> None:
    opened(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    has_begun = asyncio.Event()

    async def hang() -> None:
        with breaker.call():
            has_begun.set()
            await asyncio.Event().wait()

    trial = asyncio.create_task(hang())
    await has_begun.wait()
    refused(breaker)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert breaker.state == "half_open", "nothing was learnt"
    answer(breaker)
    assert breaker.state == "closed"


def test_a_call_that_was_under_way_when_it_opened_closes_it_by_its_answer(breaker: Breaker) -> None:
    with breaker.call():
        opened(breaker)
    assert breaker.state == "closed"


def test_its_pauses_differ_between_workers() -> None:
    """So that they do not all try in one moment."""
    pauses = {Breaker("postgres", failures=1, pause_s=PAUSE_S)._circuit._recovery_timeout for _ in range(8)}
    assert len(pauses) > 1
    assert all(PAUSE_S * 0.75 <= pause <= PAUSE_AT_MOST_S for pause in pauses)


@pytest.fixture
def logs() -> Iterator[list]:
    with capture_logs() as found:
        yield found


def test_opening_and_closing_are_logged_once_each(breaker: Breaker, elapsed: Elapsed, logs: list) -> None:
    opened(breaker)
    refused(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    fail(breaker)
    elapsed.now += PAUSE_AT_MOST_S
    answer(breaker)
    answer(breaker)
    told = [(line["event"], line["service"]) for line in logs]
    assert told == [("breaker_opened", "postgres"), ("breaker_closed", "postgres")]
    assert logs[0]["reason"] == "gone"
