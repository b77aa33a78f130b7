"""FactTrials: trials that began and never ended are counted, whoever began them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest

from domain.errors import UnavailableError
from domain.ports import FactPlace, FactTrials
from tests.contracts.proxy import proxied
from tests.fakes.trials import FakeTrials
from worker.adapters.postgres import trials as adapter
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.statements import statements
from worker.adapters.postgres.trials import PostgresTrials

STORED_AT_NS = 1_769_860_800_000_000_000
FACT = FactPlace("FACTS", 7, STORED_AT_NS)
OTHERS = [replace(FACT, sequence=number) for number in range(100, 103)]


@pytest.fixture
async def fake_workers() -> tuple[FactTrials, FactTrials]:
    first = FakeTrials()
    return first, FakeTrials(first.begun)


@pytest.fixture
async def postgres_workers(pool: asyncpg.Pool, database: str) -> AsyncIterator[tuple[FactTrials, FactTrials]]:
    second = await open_pool(database, size_max=2, timeout_s=60)
    yield PostgresTrials(pool), PostgresTrials(second)
    await second.close()


@pytest.fixture(params=["fake", "postgres"])
def workers(request: pytest.FixtureRequest) -> tuple[FactTrials, FactTrials]:
    """Give two workers' views of the same trials: the fake's, then the real thing's."""
    found: tuple[FactTrials, FactTrials] = request.getfixturevalue(f"{request.param}_workers")
    return found


@pytest.fixture
def trials(workers: tuple[FactTrials, FactTrials]) -> FactTrials:
    return workers[0]


async def test_trials_that_never_ended_are_counted(trials: FactTrials) -> None:
    assert [await trials.begin(FACT) for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_another_worker_goes_on_counting(workers: tuple[FactTrials, FactTrials]) -> None:
    """The first died in its trial: what it recorded is there for the next at once."""
    first, second = workers
    assert await first.begin(FACT) == 1
    assert await second.begin(FACT) == 2
    await first.end([FACT])
    assert await second.begin(FACT) == 1


async def test_an_ended_trial_is_forgotten_with_those_before_it(trials: FactTrials) -> None:
    await trials.begin(FACT)
    await trials.begin(FACT)
    await trials.end([FACT])
    assert await trials.begin(FACT) == 1


async def test_a_beginning_takes_back_the_trials_that_ended(trials: FactTrials) -> None:
    for place in OTHERS:
        await trials.begin(place)
    assert await trials.begin(FACT, ended=OTHERS[:2]) == 1
    assert [await trials.begin(place) for place in OTHERS] == [1, 1, 2]


async def test_a_fact_whose_own_trial_ended_begins_anew(trials: FactTrials) -> None:
    await trials.begin(FACT)
    await trials.begin(FACT)
    await trials.begin(OTHERS[0])
    assert await trials.begin(FACT, ended=[OTHERS[0], FACT]) == 1
    assert await trials.begin(OTHERS[0]) == 1
    assert await trials.begin(FACT) == 2


async def test_of_what_never_began_nothing_is_taken_back(trials: FactTrials) -> None:
    await trials.begin(FACT)
    await trials.end(OTHERS)
    await trials.end([])
    assert await trials.begin(FACT, ended=OTHERS) == 2


async def test_a_place_named_twice_is_taken_back_once(trials: FactTrials) -> None:
    await trials.begin(OTHERS[0])
    await trials.end([OTHERS[0], OTHERS[0]])
    assert await trials.begin(FACT, ended=[OTHERS[0], OTHERS[0]]) == 1
    assert await trials.begin(OTHERS[0]) == 1


@pytest.mark.parametrize("change", [{"stream": "ORDERS"}, {"sequence": 8}, {"stored_at_ns": STORED_AT_NS + 1}])
async def test_messages_that_differ_in_any_part_of_their_place_are_told_apart(
    trials: FactTrials, change: dict[str, object]
) -> None:
    other = replace(FACT, **change)  # type: ignore[arg-type]
    await trials.begin(FACT)
    assert await trials.begin(other) == 1
    await trials.end([other])
    assert await trials.begin(FACT) == 2


async def test_of_trials_that_begin_at_once_each_is_counted(workers: tuple[FactTrials, FactTrials]) -> None:
    async with asyncio.timeout(60):
        counts = await asyncio.gather(*(workers[number % 2].begin(FACT) for number in range(20)))
    assert sorted(counts) == list(range(1, 21))


class Forgetful:
    """A pool whose statements are done while their answers are lost."""

    def __init__(self, pool: asyncpg.Pool, answers_lost: int) -> None:
        self._pool = pool
        self._answers_lost = answers_lost

    async def fetchval(self, statement: str, *arguments: object) -> object:
        answer = await self._pool.fetchval(statement, *arguments)
        if self._answers_lost > 0:
            self._answers_lost -= 1
            raise ConnectionResetError("the answer is lost")
        return answer


@pytest.fixture
async def fake_losing() -> FactTrials:
    trials = FakeTrials()
    trials.answers_lost = 5
    return trials


@pytest.fixture
async def postgres_losing(pool: asyncpg.Pool) -> FactTrials:
    return PostgresTrials(Forgetful(pool, 5))  # type: ignore[arg-type]  # what it uses of one


@pytest.fixture(params=["fake", "postgres"])
def losing(request: pytest.FixtureRequest) -> FactTrials:
    """Give trials whose first five beginnings are counted and not answered."""
    found: FactTrials = request.getfixturevalue(f"{request.param}_losing")
    return found


async def test_a_beginning_that_is_repeated_for_want_of_an_answer_counts_once(losing: FactTrials) -> None:
    """A slow store is no death: however often its answer is lost, the fact had one trial."""
    trials = losing
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await trials.begin(FACT)
    assert await trials.begin(FACT) == 1
    assert await trials.begin(FACT) == 2


async def test_trials_of_facts_stored_before_a_time_expire(trials: FactTrials) -> None:
    for place in OTHERS:
        await trials.begin(replace(place, stored_at_ns=STORED_AT_NS - 1))
    await trials.begin(FACT)
    assert await trials.expire(STORED_AT_NS) == 3
    assert await trials.expire(STORED_AT_NS) == 0
    assert await trials.begin(replace(OTHERS[0], stored_at_ns=STORED_AT_NS - 1)) == 1
    assert await trials.begin(FACT) == 2


async def test_more_trials_than_one_statement_removes_expire_too(
    postgres_workers: tuple[FactTrials, FactTrials], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "EXPIRED_AT_ONCE", 2)
    trials, _ = postgres_workers
    for place in OTHERS:
        await trials.begin(place)
    assert await trials.expire(STORED_AT_NS + 1) == 3


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("begin_trial", ("FACTS", 7, 1, [], [], [], 9, False)), ("end_trials", (["FACTS"], [7], [1]))],
)
async def test_a_commit_does_not_wait_for_the_disk_and_others_still_do(
    pool: asyncpg.Pool, name: str, arguments: tuple[object, ...]
) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.fetch(statements("trials")[name], *arguments)
            assert await connection.fetchval("SHOW synchronous_commit") == "off"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"


class Away:
    """A store of trials that can be away for a while."""

    def __init__(self, trials: FactTrials, leave: Callable[[], Awaitable[None]], come_back: Callable[[], None]) -> None:
        self.trials = trials
        self.leave = leave
        self.come_back = come_back


@pytest.fixture
async def fake_away() -> Away:
    trials = FakeTrials()

    async def leave() -> None:
        trials.is_away = True

    def come_back() -> None:
        trials.is_away = False

    return Away(trials, leave, come_back)


@pytest.fixture
async def postgres_away(database: str) -> AsyncIterator[Away]:
    async with proxied(database) as proxy:
        pool = await open_pool(proxy.url, size_max=2, timeout_s=60)
        yield Away(PostgresTrials(pool), proxy.cut, proxy.mend)
        await pool.close()


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> Away:
    """Give the fake, then the real thing."""
    found: Away = request.getfixturevalue(f"{request.param}_away")
    return found


class TestAway:
    """While the store is away that is said, whatever is asked of it, and no fact pays for it."""

    async def test_that_is_said_and_trials_from_before_are_still_there_after(self, store: Away) -> None:
        trials = store.trials
        assert await trials.begin(FACT) == 1
        await store.leave()
        for call in (lambda: trials.begin(OTHERS[0]), lambda: trials.expire(1)):
            with pytest.raises(UnavailableError):
                await call()
        store.come_back()
        assert await trials.begin(FACT) == 2

    async def test_an_end_that_could_not_be_said_is_said_by_the_next_beginning(self, store: Away) -> None:
        """A fact that was decided each time must not become a dead letter for the store's outages."""
        trials = store.trials
        for _ in range(3):
            assert await trials.begin(FACT) == 1
            await store.leave()
            with pytest.raises(UnavailableError):
                await trials.end([FACT])
            store.come_back()

    async def test_or_by_the_next_end(self, store: Away) -> None:
        trials = store.trials
        await trials.begin(FACT)
        await store.leave()
        with pytest.raises(UnavailableError):
            await trials.end([FACT])
        store.come_back()
        await trials.end([])
        assert await trials.begin(FACT) == 1
        assert await trials.begin(FACT) == 2

    async def test_what_ended_before_a_beginning_that_failed_is_said_by_the_next(self, store: Away) -> None:
        trials = store.trials
        await trials.begin(OTHERS[0])
        await store.leave()
        with pytest.raises(UnavailableError):
            await trials.begin(FACT, ended=[OTHERS[0]])
        store.come_back()
        assert await trials.begin(FACT) == 1
        assert await trials.begin(OTHERS[0]) == 1
