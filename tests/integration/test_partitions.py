"""The decisions' partitions on a real Postgres: made before they are needed, dropped with their keys, nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import msgspec
import pytest

from domain.decisions.retention import Span
from domain.ports import StoredDecision
from streams.messages.decisions import time_text
from tests.fakes.trials import FakeTrials
from worker.adapters.postgres import partitions
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.partitions import PostgresPartitions
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.statements import statements
from worker.breakers import BusyError
from worker.retention import Housekeeper, Kept, RetentionPolicy

SECOND_NS = 1_000_000_000
DAY_S = 86_400
DAY_NS = DAY_S * SECOND_NS
TODAY_NS = 20_000 * DAY_NS  # 2024-10-04
NOON_NS = TODAY_NS + DAY_NS // 2
POLICY = RetentionPolicy(retention_s=10 * DAY_S, partition_s=DAY_S, facts_max_age_s=3 * DAY_S)


class Clock:
    """The worker's and Postgres's clock, which a test sets."""

    def __init__(self) -> None:
        self.worker_ns = self.postgres_ns = NOON_NS

    def set(self, now_ns: int) -> None:
        self.worker_ns = self.postgres_ns = now_ns


class ClockedPartitions(PostgresPartitions):
    """The real partitions, with a server whose clock a test sets."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, blocks_at_once: int = 1) -> None:
        super().__init__(pool, blocks_at_once)
        self._clock = clock

    async def now_ns(self) -> int:
        assert await super().now_ns() > TODAY_NS
        return self._clock.postgres_ns


class Tally:
    """A StorageObserver that remembers."""

    def __init__(self) -> None:
        self.rounds: list[tuple[Kept, bool]] = []

    def storage_kept(self, *, made: int, moved: int, dropped: int, keys: int, failed: bool) -> None:
        self.rounds.append((Kept(made, moved, dropped, keys), failed))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool on a fresh database."""
    made = await open_pool(database, size_max=12, timeout_s=60)
    yield made
    await made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(pool: asyncpg.Pool, clock: Clock) -> PostgresPartitions:
    """Give the partitions, with keys that are taken away a block at a time."""
    return ClockedPartitions(pool, clock)


@pytest.fixture
def store(pool: asyncpg.Pool) -> PostgresDecisions:
    return PostgresDecisions(pool)


def housekeeper(storage: PostgresPartitions, clock: Clock, policy: RetentionPolicy = POLICY) -> Housekeeper:
    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    return Housekeeper(storage, policy, Tally(), FakeTrials(), now_ns=lambda: clock.worker_ns, pause=no_pause)


def decision(number: int, stored_at_ns: int, size: int = 10) -> StoredDecision:
    body = {
        "factSeq": number,
        "factTime": time_text(stored_at_ns),
        "ruleset": {"revision": 1, "digest": "00"},
        "output": "x" * size,
    }
    return StoredDecision(
        key=hashlib.sha256(b"%d" % number).digest()[:16],
        stored_at_ns=stored_at_ns,
        fact_id=f"fact-{number}",
        fact_type="order.placed",
        sequence=number,
        time_ns=stored_at_ns,
        matched=True,
        revision=1,
        body=msgspec.json.encode(body),
    )


async def tables(pool: asyncpg.Pool) -> dict[str, list[int]]:
    """Return which decisions each table has, by their numbers; tables without any are left out."""
    rows = await pool.fetch("SELECT tableoid::regclass::text AS name, fact_id FROM decision")
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append(int(row["fact_id"].removeprefix("fact-")))
    return {name: sorted(numbers) for name, numbers in sorted(found.items())}


async def names(pool: asyncpg.Pool) -> list[str]:
    """Return the days of the partitions that there are, and what is left of former ones."""
    rows = await pool.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'decision\\_%' ORDER BY relname"
    )
    return [row["relname"].removeprefix("decision_").removesuffix("t000000") for row in rows]


async def keys(pool: asyncpg.Pool) -> set[bytes]:
    return {row["key"] for row in await pool.fetch("SELECT key FROM fact_key")}


class TestMaking:
    """Partitions are there for every time that a fact may have been stored at, now and soon."""

    async def test_they_are_made_from_the_oldest_fact_that_may_come_to_the_day_after_tomorrow(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool
    ) -> None:
        """Three days of facts and two hours for clocks back, two partitions ahead."""
        done = await housekeeper(storage, clock).keep_once()
        assert await names(pool) == [*(f"202410{day:02}" for day in range(1, 7)), "default"]
        assert done == Kept(made=6)

    async def test_what_is_there_already_is_not_made_again(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool
    ) -> None:
        keeper = housekeeper(storage, clock)
        await keeper.keep_once()
        assert await keeper.keep_once() == Kept()
        clock.set(NOON_NS + DAY_NS)
        assert await keeper.keep_once() == Kept(made=1)
        assert "20241007" in await names(pool)

    async def test_each_decision_goes_to_the_partition_of_its_time(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        await housekeeper(storage, clock).keep_once()
        edges = [TODAY_NS - 1, TODAY_NS, TODAY_NS + DAY_NS - 1, TODAY_NS + DAY_NS, TODAY_NS + 3 * DAY_NS]
        await store.store([decision(number, at) for number, at in enumerate(edges)])
        assert await tables(pool) == {
            "decision_20241003t000000": [0],
            "decision_20241004t000000": [1, 2],
            "decision_20241005t000000": [3],
            "decision_default": [4],
        }

    async def test_another_length_fills_the_gaps_between_those_that_are_there(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        await housekeeper(storage, clock).keep_once()
        hours = replace(POLICY, partition_s=7 * 3600)
        clock.set(NOON_NS + 5 * DAY_NS // 2)
        done = await housekeeper(storage, clock, hours).keep_once()
        assert done.made == 3
        found = [one.span for one in await storage.partitions()]
        assert all(one.until_ns == next_.since_ns for one, next_ in itertools.pairwise(found))
        await store.store([decision(1, found[-1].until_ns - 1), decision(2, found[-2].since_ns)])
        assert sum(len(numbers) for numbers in (await tables(pool)).values()) == 2
        assert "decision_default" not in await tables(pool)

    async def test_an_operators_own_partition_is_left_as_it_is(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool
    ) -> None:
        await pool.execute(
            f"CREATE TABLE decision_future PARTITION OF decision FOR VALUES FROM ({TODAY_NS}) TO (MAXVALUE)"
        )
        await housekeeper(storage, clock).keep_once()
        assert await names(pool) == ["20241001", "20241002", "20241003", "default", "future"]

    async def test_a_table_of_that_name_that_is_no_partition_fails_and_stops_nobody(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool
    ) -> None:
        await pool.execute("CREATE TABLE decision_20241004t000000 ()")
        observer = Tally()
        await Housekeeper(storage, POLICY, observer, FakeTrials(), now_ns=lambda: clock.worker_ns).prepare()
        assert [failed for _, failed in observer.rounds] == [True]


class TestStrays:
    """Decisions without a partition of their time: they are moved into it when it is made, and lost in no moment."""

    async def test_they_are_moved_into_the_partitions_that_are_made(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        """The backlog of before the first partition, and what is older than facts may be."""
        strays = [decision(day, NOON_NS - day * DAY_NS) for day in range(9)]
        await store.store(strays)
        done = await housekeeper(storage, clock).keep_once()
        assert done == Kept(made=11, moved=9)
        assert await pool.fetchval("SELECT count(*) FROM decision_default") == 0
        assert [await store.find(one.key) for one in strays] == strays
        assert (await store.store(strays)).first == {one.key: one for one in strays}

    async def test_those_of_a_clock_far_ahead_wait_for_their_time(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        ahead = decision(1, NOON_NS + 9 * DAY_NS)
        await store.store([ahead])
        assert (await housekeeper(storage, clock).keep_once()).moved == 0
        assert await tables(pool) == {"decision_default": [1]}
        clock.set(NOON_NS + 7 * DAY_NS)
        assert (await housekeeper(storage, clock).keep_once()).moved == 1
        assert await tables(pool) == {"decision_20241013t000000": [1]}
        assert await store.find(ahead.key) == ahead

    async def test_those_whose_time_is_over_go_with_their_keys(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        due_ns = POLICY.due_before_ns(NOON_NS)
        over = [decision(number, due_ns - DAY_NS - number) for number in range(1, 2_500)]
        kept = [decision(0, due_ns), decision(9_999, due_ns + 1)]
        await store.store([*over, *kept])
        assert (await housekeeper(storage, clock).keep_once()).keys == len(over)
        assert await keys(pool) == {one.key for one in kept}
        assert [await store.find(one.key) for one in kept] == kept

    async def test_a_batch_on_its_way_to_the_default_partition_is_stored_in_the_one_that_is_made_meanwhile(
        self, store: PostgresDecisions, pool: asyncpg.Pool
    ) -> None:
        """Postgres refuses a row that it has routed to the default partition before the new one was there."""
        one = decision(1, NOON_NS)
        async with pool.acquire() as connection:
            other = connection.transaction()
            await other.start()
            await connection.execute("CREATE TABLE decision_20241004t000000 (LIKE decision INCLUDING ALL)")
            await connection.execute("LOCK TABLE decision_default IN ACCESS EXCLUSIVE MODE")
            storing = asyncio.create_task(store.store([one]))
            await somebody_waits(pool)
            await connection.execute(
                "ALTER TABLE decision ATTACH PARTITION decision_20241004t000000"
                f" FOR VALUES FROM ({TODAY_NS}) TO ({TODAY_NS + DAY_NS})"
            )
            await other.commit()
            async with asyncio.timeout(60):
                assert (await storing).first == {}
        assert await tables(pool) == {"decision_20241004t000000": [1]}
        assert await store.find(one.key) == one


class TestDropping:
    """What is older than the retention goes with its keys, by the partition; nothing goes before."""

    @pytest.fixture
    async def month(
        self, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions
    ) -> dict[int, list[StoredDecision]]:
        """Give decisions of twenty days, by their day, so large that each partition has several blocks."""
        made = {}
        for day in range(20):
            clock.set(NOON_NS + day * DAY_NS)
            await housekeeper(storage, clock, replace(POLICY, retention_s=30 * DAY_S)).keep_once()
            made[day] = [decision(day * 100 + n, TODAY_NS + day * DAY_NS + n, 1_000) for n in range(20)]
            await store.store(made[day])
        return made

    async def test_partitions_that_are_due_go_with_their_keys_and_no_others(
        self,
        storage: PostgresPartitions,
        clock: Clock,
        store: PostgresDecisions,
        pool: asyncpg.Pool,
        month: dict[int, list[StoredDecision]],
    ) -> None:
        """At noon of day 19 the tenth day before has begun: days up to 8 are over as a whole."""
        done = await housekeeper(storage, clock).keep_once()
        kept = [one for day in range(9, 20) for one in month[day]]
        assert (done.dropped, done.keys) == (12, 9 * 20)  # three without decisions are from before the first day
        assert [await store.find(one.key) for one in kept] == kept
        assert await keys(pool) == {one.key for one in kept}
        assert await names(pool) == [*(f"202410{day:02}" for day in range(13, 26)), "default"]
        assert await housekeeper(storage, clock).keep_once() == Kept()

    async def test_a_partition_stays_until_its_last_moment_is_over(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool, month: dict[int, list[StoredDecision]]
    ) -> None:
        ends_ns = TODAY_NS + DAY_NS + POLICY.retention_s * SECOND_NS  # of the first day
        clock.set(ends_ns - 1)
        await housekeeper(storage, clock).keep_once()
        assert "20241004" in await names(pool)
        clock.set(ends_ns)
        await housekeeper(storage, clock).keep_once()
        assert "20241004" not in await names(pool)
        assert await keys(pool) == {one.key for day in range(1, 20) for one in month[day]}

    @pytest.mark.parametrize("ahead", ["worker_ns", "postgres_ns"])
    async def test_one_clock_that_is_ahead_drops_nothing(
        self,
        storage: PostgresPartitions,
        clock: Clock,
        pool: asyncpg.Pool,
        month: dict[int, list[StoredDecision]],
        ahead: str,
    ) -> None:
        clock.set(NOON_NS + 5 * DAY_NS)
        setattr(clock, ahead, NOON_NS + 25 * DAY_NS)
        before = await keys(pool)
        assert (await housekeeper(storage, clock, replace(POLICY, partition_s=30 * DAY_S)).keep_once()).keys == 0
        assert await keys(pool) == before
        assert len(before) == sum(map(len, month.values()))

    async def test_a_fact_whose_decision_has_gone_may_be_decided_again(
        self,
        storage: PostgresPartitions,
        clock: Clock,
        store: PostgresDecisions,
        month: dict[int, list[StoredDecision]],
    ) -> None:
        first = month[0][0]
        await storage.detach("decision_20241004t000000")
        again = msgspec.structs.replace(first, stored_at_ns=NOON_NS + 19 * DAY_NS, body=decision(77, NOON_NS).body)
        # Between the two steps the key is there and its decision is not: the fact has to come again.
        assert (await store.store([again])).unsettled == {first.key}
        await housekeeper(storage, clock).keep_once()
        assert await store.find(first.key) is None
        assert (await store.store([again])).first == {}
        assert await housekeeper(storage, clock).keep_once() == Kept()
        found = await store.find(first.key)
        assert found is not None
        assert found.body == again.body

    @pytest.mark.parametrize("steps", [1, 2, 3, 4])
    async def test_what_a_crash_leaves_half_done_is_gone_on_with(
        self,
        storage: PostgresPartitions,
        clock: Clock,
        pool: asyncpg.Pool,
        month: dict[int, list[StoredDecision]],
        steps: int,
    ) -> None:
        """After the detaching, after some of the keys, after all of them, and after the drop."""
        await storage.detach("decision_20241004t000000")
        if steps > 1:
            (expired,) = await storage.expired()
            count, block = await storage.expire_keys(expired, 0)
            assert 0 < count < 20
            while block is not None and steps > 2:
                _, block = await storage.expire_keys(expired, block)
            if steps > 3:
                assert await storage.drop(expired)
                assert not await storage.drop(expired)
                assert await storage.expire_keys(expired, 0) == (0, None)
        await housekeeper(storage, clock).keep_once()
        assert await keys(pool) == {one.key for day in range(9, 20) for one in month[day]}
        assert await storage.expired() == []

    async def test_what_is_gone_on_with_leaves_alone_a_key_that_was_claimed_again(
        self,
        storage: PostgresPartitions,
        clock: Clock,
        store: PostgresDecisions,
        month: dict[int, list[StoredDecision]],
    ) -> None:
        """A crash before the drop, and the fact comes again: its new decision must not lose its key to the old one."""
        await storage.detach("decision_20241004t000000")
        (expired,) = await storage.expired()
        block: int | None = 0
        while block is not None:
            _, block = await storage.expire_keys(expired, block)
        again = msgspec.structs.replace(month[0][0], stored_at_ns=NOON_NS + 19 * DAY_NS)
        assert (await store.store([again])).first == {}
        await housekeeper(storage, clock).keep_once()
        assert await store.find(again.key) == again

    async def test_a_partition_made_and_over_once_more_waits_for_its_former_namesake(
        self, storage: PostgresPartitions, clock: Clock, pool: asyncpg.Pool, month: dict[int, list[StoredDecision]]
    ) -> None:
        """The retention was raised, and lowered again, before a crash was gone on with."""
        await storage.detach("decision_20241004t000000")
        await storage.attach(Span(TODAY_NS, TODAY_NS + DAY_NS))
        await housekeeper(storage, clock).keep_once()
        assert await names(pool) == [*(f"202410{day:02}" for day in range(13, 26)), "default"]
        assert await keys(pool) == {one.key for day in range(9, 20) for one in month[day]}

    async def test_several_at_once_do_what_one_would(
        self, pool: asyncpg.Pool, clock: Clock, month: dict[int, list[StoredDecision]]
    ) -> None:
        async def keep(_: int) -> Kept:
            done = Kept()
            while True:
                try:
                    one = await housekeeper(ClockedPartitions(pool, clock), clock).keep_once()
                except BusyError:
                    await asyncio.sleep(0)
                else:
                    return replace(done, dropped=one.dropped, keys=one.keys)

        async with asyncio.timeout(60):
            await asyncio.gather(*(keep(number) for number in range(4)))
        assert await names(pool) == [*(f"202410{day:02}" for day in range(13, 26)), "default"]
        assert await keys(pool) == {one.key for day in range(9, 20) for one in month[day]}


class TestOthersAtWork:
    """Housekeeping while facts are stored and decisions read."""

    async def test_nothing_is_lost_or_refused_while_partitions_come_and_go_under_those_who_store(
        self, pool: asyncpg.Pool, clock: Clock, store: PostgresDecisions
    ) -> None:
        """Three store what was stored in the last nine days or will be, while a fourth keeps house and time goes on."""
        stored: list[StoredDecision] = []
        numbers = itertools.count()
        is_over = asyncio.Event()

        async def keep_storing() -> None:
            while not is_over.is_set():
                oldest_ns = clock.worker_ns - 9 * DAY_NS
                batch = [decision(n, oldest_ns + n % 14 * DAY_NS + n) for n in itertools.islice(numbers, 20)]
                found = await store.store(batch)
                assert found.first == {}
                assert found.unsettled == frozenset()
                stored.extend(batch)

        async def keep_house() -> None:
            storage = ClockedPartitions(pool, clock, 64)
            for half_day in range(40):
                clock.set(NOON_NS + half_day * DAY_NS // 2)
                for _ in range(50):
                    try:
                        await housekeeper(storage, clock).keep_once()
                    except BusyError:
                        continue
                    break
                else:
                    pytest.fail("the housekeeper never got through")
            is_over.set()

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(keep_storing())
            group.create_task(keep_house())
        due_ns = POLICY.due_before_ns(clock.worker_ns)
        rows = await pool.fetch("SELECT key, stored_at_ns FROM decision")
        found = {row["key"] for row in rows}
        assert len(rows) == len(found)
        assert await keys(pool) == found
        assert {one.key for one in stored if one.stored_at_ns >= due_ns} <= found
        assert len(stored) > len(found) > 0

    async def test_a_reader_that_stays_makes_the_detaching_give_up_and_nobody_waits_behind_it(
        self, pool: asyncpg.Pool, storage: PostgresPartitions, clock: Clock, store: PostgresDecisions
    ) -> None:
        await housekeeper(storage, clock).keep_once()
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetch("SELECT FROM decision LIMIT 1")
            with pytest.raises(BusyError):
                await storage.detach("decision_20241004t000000")
            assert (await store.store([decision(1, NOON_NS)])).first == {}
        assert await tables(pool) == {"decision_20241004t000000": [1]}
        await storage.detach("decision_20241004t000000")
        assert await tables(pool) == {}

    async def test_only_one_at_a_time_has_its_turn(self, pool: asyncpg.Pool, storage: PostgresPartitions) -> None:
        span = Span(TODAY_NS, TODAY_NS + DAY_NS)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", partitions._ADVISORY_LOCK)
            for attempt in (storage.attach(span), storage.detach("decision_x"), storage.expire_strays(0)):
                with pytest.raises(BusyError):
                    await attempt
        assert await storage.attach(span) == "decision_20241004t000000"


class TestLookingUp:
    """What is sought by its key is sought in one partition."""

    @pytest.mark.parametrize(
        ("statement", "parameter"), [("first_decisions", "ARRAY[$${}$$]::bytea[]"), ("find_decision", "$${}$$::bytea")]
    )
    @pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
    async def test_only_the_partition_of_the_keys_time_is_read(
        self,
        pool: asyncpg.Pool,
        storage: PostgresPartitions,
        clock: Clock,
        store: PostgresDecisions,
        statement: str,
        parameter: str,
        plan: str,
    ) -> None:
        await housekeeper(storage, clock).keep_once()
        made = [decision(n, NOON_NS - n % 3 * DAY_NS + n) for n in range(300)]
        await store.store(made)
        wanted = parameter.format("\\x" + made[1].key.hex())
        kind = "bytea[]" if statement == "first_decisions" else "bytea"
        async with pool.acquire() as connection:
            await connection.execute("ANALYZE decision, fact_key")
            await connection.execute(f"SET plan_cache_mode = {plan}")
            await connection.execute(f"PREPARE sought ({kind}) AS {statements('decisions')[statement]}")
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS off, TIMING off) EXECUTE sought ({wanted})")
            await connection.execute("DEALLOCATE sought; RESET plan_cache_mode")
        scans = [row[0] for row in rows if " on decision_" in row[0] and "Bitmap Index" not in row[0]]
        read = [scan for scan in scans if "never executed" not in scan]
        assert len(scans) > 5
        assert [scan.split(" on ")[1].split()[0] for scan in read] == ["decision_20241003t000000"]
        assert not any("Seq Scan" in scan for scan in read)


async def somebody_waits(pool: asyncpg.Pool) -> None:
    """Wait until some session waits for another's lock."""
    async with asyncio.timeout(60):
        while not await pool.fetchval(  # noqa: ASYNC110  # Postgres has no signal for this
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
