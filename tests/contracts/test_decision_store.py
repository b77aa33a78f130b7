"""DecisionStore: the first decision of a fact stands, byte for byte, whoever comes later and however."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from domain.errors import UnavailableError
from domain.ports import DecisionCriteria, DecisionsRefusedError, DecisionStore, StoredDecision
from streams.messages.decisions import time_text
from tests.contracts.proxy import proxied
from tests.fakes.decisions import FakeDecisions
from worker.adapters.postgres.decisions import PostgresDecisions, UnreadableDecisionError
from worker.adapters.postgres.pool import open_pool

SECOND_NS = 1_000_000_000
STORED_AT_NS = 1_769_860_800 * SECOND_NS


@pytest.fixture
async def fake_store() -> DecisionStore:
    return FakeDecisions()


@pytest.fixture
async def postgres_store(pool: asyncpg.Pool) -> DecisionStore:
    return PostgresDecisions(pool)


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> DecisionStore:
    """Give the fake, then the real thing."""
    found: DecisionStore = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
async def fake_glancing_store() -> DecisionStore:
    store = FakeDecisions()
    store.looked_at_max = 4
    return store


@pytest.fixture
async def postgres_glancing_store(pool: asyncpg.Pool) -> DecisionStore:
    return PostgresDecisions(pool, looked_at_max=4)


@pytest.fixture(params=["fake", "postgres"])
def glancing_store(request: pytest.FixtureRequest) -> DecisionStore:
    """Give a store that looks at four decisions for a page."""
    found: DecisionStore = request.getfixturevalue(f"{request.param}_glancing_store")
    return found


def decision(number: int, says: object = None, **changes: object) -> StoredDecision:
    """Make a decision; its body holds what ``says`` is, and what the fields say, as a worker writes it."""
    made = StoredDecision(
        key=hashlib.sha256(b"%d" % number).digest()[:16],
        stored_at_ns=STORED_AT_NS + number,
        fact_id=f"fact-{number}",
        fact_type="order.placed",
        sequence=number,
        time_ns=STORED_AT_NS - SECOND_NS,
        matched=number % 2 == 0,
        revision=7,
        body=b"",
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    body = {
        "factSeq": made.sequence,
        "factTime": time_text(made.time_ns),
        "ruleset": {"revision": made.revision, "digest": "00"},
        "output": says,
    }
    return replace(made, body=msgspec.json.encode(body))


# Decisions with everything that bytes and text can hold.
WHOLE = [
    decision(1),
    decision(2, {"a": "\0\\ud800 \u2028 é"}),
    decision(3, effects=(("loyalty.points", "id-1", b"\x00\xff{}"), ("b", "id-2", b"")), traceparent="00-aa-bb-01"),
    decision(4, fact_id="é" * 128, fact_type="x" * 256, sequence=2**63 - 1, revision=2**63 - 1),
    decision(5, time_ns=-62_135_596_800 * SECOND_NS),  # the first moment of year 1
    decision(6, time_ns=253_402_300_800 * SECOND_NS - 1),  # the last of year 9999
    decision(7, "x" * 1_000_000),
    decision(8, time_ns=1),
    decision(9, time_ns=-1),
    decision(10, sequence=2**64 - 1),  # as far as JetStream counts
]


@pytest.mark.parametrize("matched", [[True] * 3, [False] * 3, [True, False, False]])
@pytest.mark.parametrize("fact_types", [["order.placed"] * 3, ["a", "b", "a"]])
async def test_each_decision_keeps_what_it_may_share_with_its_whole_batch(
    store: DecisionStore, matched: list[bool], fact_types: list[str]
) -> None:
    batch = [decision(n, matched=matched[n], fact_type=fact_types[n]) for n in range(3)]
    assert not (await store.store(batch)).first
    assert [await store.find(one.key) for one in batch] == batch


async def test_a_new_decision_is_stored_whole(store: DecisionStore) -> None:
    await store.store(WHOLE)
    for one in WHOLE:
        assert await store.find(one.key) == one
        assert list(await store.find_by_fact_id(one.fact_id)) == [one]


@pytest.mark.parametrize("decisions", [[], WHOLE], ids=["none", "some"])
async def test_a_store_of_new_decisions_finds_nothing(store: DecisionStore, decisions: list[StoredDecision]) -> None:
    found = await store.store(decisions)
    assert (found.first, found.unsettled) == ({}, frozenset())


async def test_a_decision_that_is_there_stands_byte_for_byte_and_is_given_back(store: DecisionStore) -> None:
    await store.store(WHOLE)
    later = [
        replace(one, body=b"other", effects=(("c", "id-9", b"other"),), matched=not one.matched, fact=b"other")
        for one in WHOLE
    ]
    found = await store.store(later)
    assert (found.first, found.unsettled) == ({one.key: one for one in WHOLE}, frozenset())
    for one in WHOLE:
        assert await store.find(one.key) == one


async def test_a_fact_that_the_stream_stored_again_at_another_time_has_the_first_decision(
    store: DecisionStore,
) -> None:
    first = decision(1, "first")
    await store.store([first])
    again = replace(first, stored_at_ns=first.stored_at_ns + 10**15, sequence=99, body=b"again")
    assert (await store.store([again])).first == {first.key: first}
    assert list(await store.find_by_fact_id(first.fact_id)) == [first]


async def test_of_a_batch_the_new_are_stored_and_the_known_given_back(store: DecisionStore) -> None:
    await store.store([decision(number, "first") for number in range(0, 20, 2)])
    found = await store.store([decision(number, "second") for number in range(20)])
    assert found.first == {decision(number).key: decision(number, "first") for number in range(0, 20, 2)}
    for number in range(20):
        assert await store.find(decision(number).key) == decision(number, "second" if number % 2 else "first")


async def test_a_fact_that_is_kept_comes_back_with_its_own_decision_and_not_in_what_names_many(
    store: DecisionStore,
) -> None:
    """A listing or a batch that was decided before must not drag along every fact's bytes."""
    kept = [decision(1, fact=b"\x00\xff{"), decision(2, fact=b""), decision(3)]
    await store.store(kept)
    assert [await store.find(one.key) for one in kept] == kept
    bare = [replace(one, fact=None) for one in kept]
    assert (await store.store(kept)).first == {one.key: one for one in bare}
    assert [one.decision for one in (await store.list_by_criteria(DecisionCriteria())).items] == bare[::-1]
    assert list(await store.find_by_fact_id("fact-1")) == bare[:1]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"factSeq":1,"factTime":"x","ruleset":{"revision":7}}', b"\xff"])
async def test_a_decision_whose_bytes_were_changed_is_refused_by_its_id(
    postgres_store: DecisionStore, pool: asyncpg.Pool, body: bytes
) -> None:
    await postgres_store.store([decision(1)])
    await pool.execute("UPDATE decision SET body = $1", body)
    with pytest.raises(UnreadableDecisionError) as refused:
        await postgres_store.find(decision(1).key)
    assert refused.value.details == {"decisionId": decision(1).key.hex()}


async def test_what_is_not_there_is_not_found(store: DecisionStore) -> None:
    await store.store([decision(1)])
    assert await store.find(decision(2).key) is None
    assert await store.find(b"") is None
    for fact_id in ("fact-2", "fact", "", "fact-1\x00", "x" * 300):
        assert list(await store.find_by_fact_id(fact_id)) == []


async def test_decisions_of_facts_that_share_an_id_are_found_newest_first(store: DecisionStore) -> None:
    same = [decision(number, fact_id="shared") for number in (3, 1, 2)]
    await store.store(same)
    assert [one.sequence for one in await store.find_by_fact_id("shared")] == [3, 2, 1]


async def test_of_many_that_store_the_same_facts_at_once_each_facts_first_is_given_to_all(store: DecisionStore) -> None:
    async def store_mine(worker: int) -> list[bytes]:
        mine = [decision(number, f"by {worker}") for number in range(200)]
        random.Random(worker).shuffle(mine)  # the order of arrival differs, and nobody waits for the other in a circle
        found = await store.store(mine)
        assert found.unsettled == frozenset()
        standing = [found.first.get(one.key, one) for one in mine]
        return [one.body for one in sorted(standing, key=lambda one: one.sequence)]

    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(store_mine(worker) for worker in range(6)))
    assert all(answer == answers[0] for answer in answers)
    stored = [await store.find(decision(number).key) for number in range(200)]
    assert [one.body for one in stored if one] == answers[0]


async def listed(store: DecisionStore, **criteria: Any) -> tuple[list[int], int | None]:
    """Give the sequences of a page, and where the listing goes on."""
    page = await store.list_by_criteria(DecisionCriteria(**criteria))
    return [one.decision.sequence for one in page.items], page.next_offset


async def store_twelve(store: DecisionStore) -> None:
    types = ["order.placed", "order.paid", "order.placed.eu", "flight"]
    await store.store([decision(n, fact_type=types[n % 4], fact_id=f"fact-{n % 6}") for n in range(12)])


class TestListing:
    """Decisions by criteria, newest first by the stored time."""

    @pytest.mark.parametrize(
        ("criteria", "sequences"),
        [
            ({}, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
            ({"fact_type": "order.paid"}, [9, 5, 1]),
            ({"fact_type": "order.*"}, [9, 8, 5, 4, 1, 0]),
            ({"fact_type": "order.>"}, [10, 9, 8, 6, 5, 4, 2, 1, 0]),
            ({"fact_type": "*.placed.>"}, [10, 6, 2]),
            ({"fact_type": "*"}, [11, 7, 3]),
            ({"fact_type": "order"}, []),
            ({"matched": True, "fact_type": "order.placed"}, [8, 4, 0]),
            ({"matched": False, "fact_type": "order.placed"}, []),
            ({"fact_id": "fact-1"}, [7, 1]),
            ({"fact_id": "fact-1", "fact_type": "flight"}, [7]),
            ({"fact_id": "fact-1", "until_ns": STORED_AT_NS + 7}, [1]),
            ({"fact_id": "nobody"}, []),
            ({"fact_id": ""}, []),
            ({"fact_id": "fact-1\x00"}, []),
            ({"since_ns": STORED_AT_NS + 9}, [11, 10, 9]),
            ({"until_ns": STORED_AT_NS + 2}, [1, 0]),
            ({"since_ns": STORED_AT_NS + 4, "until_ns": STORED_AT_NS + 6}, [5, 4]),
            ({"since_ns": STORED_AT_NS + 6, "until_ns": STORED_AT_NS + 4}, []),
            ({"since_ns": -(10**20), "until_ns": 10**20, "matched": True}, [10, 8, 6, 4, 2, 0]),
            ({"since_ns": 10**20}, []),
            ({"offset": 10}, [1, 0]),
            ({"offset": 12}, []),
            ({"offset": 1_000_000}, []),
        ],
    )
    async def test_every_criterion_given_must_hold(
        self, store: DecisionStore, criteria: dict[str, Any], sequences: list[int]
    ) -> None:
        await store_twelve(store)
        assert await listed(store, **criteria) == (sequences, None)

    async def test_pages_follow_each_other_without_gap_or_overlap(self, store: DecisionStore) -> None:
        await store_twelve(store)
        assert await listed(store, size=5) == ([11, 10, 9, 8, 7], 5)
        assert await listed(store, size=5, offset=5) == ([6, 5, 4, 3, 2], 10)
        assert await listed(store, size=5, offset=10) == ([1, 0], None)
        assert await listed(store, size=6, offset=6) == ([5, 4, 3, 2, 1, 0], None)

    async def test_an_offset_counts_what_does_not_meet_the_criteria_too(self, store: DecisionStore) -> None:
        await store_twelve(store)
        assert await listed(store, fact_type="flight", size=1) == ([11], 1)
        assert await listed(store, fact_type="flight", size=1, offset=1) == ([7], 5)
        assert await listed(store, fact_type="flight", size=1, offset=5) == ([3], None)

    async def test_with_the_bound_that_a_page_tells_later_decisions_do_not_shift_the_next(
        self, store: DecisionStore
    ) -> None:
        await store_twelve(store)
        page = await store.list_by_criteria(DecisionCriteria(size=5))
        assert page.until_ns == STORED_AT_NS + 12
        await store.store([decision(20)])
        assert await listed(store, size=5, offset=5, until_ns=page.until_ns) == ([6, 5, 4, 3, 2], 10)
        assert (await store.list_by_criteria(DecisionCriteria(until_ns=7))).until_ns == 7

    async def test_decisions_of_one_moment_have_an_order(self, store: DecisionStore) -> None:
        await store_twelve(store)
        await store.store([decision(n, stored_at_ns=STORED_AT_NS + 100) for n in range(20, 26)])
        (whole, _) = await listed(store, size=6)
        seen: list[int] = []
        for offset in range(6):
            seen += (await listed(store, size=1, offset=offset))[0]
        assert seen == whole
        assert sorted(whole) == [20, 21, 22, 23, 24, 25]

    async def test_they_are_listed_whole(self, store: DecisionStore) -> None:
        await store_twelve(store)
        await store.store([decision(30, effects=WHOLE[2].effects, traceparent="00-aa-bb-01")])
        (newest,) = (await store.list_by_criteria(DecisionCriteria(size=1))).items
        assert newest.decision == await store.find(decision(30).key)


async def test_of_no_decisions_there_is_an_empty_page(store: DecisionStore) -> None:
    page = await store.list_by_criteria(DecisionCriteria())
    assert (list(page.items), page.next_offset, page.until_ns) == ([], None, None)


@pytest.mark.parametrize("criteria", [{"fact_type": "rare"}, {"fact_type": "rare", "fact_id": "shared"}])
async def test_a_page_looks_at_so_many_and_says_where_to_go_on(
    glancing_store: DecisionStore, criteria: dict[str, Any]
) -> None:
    store = glancing_store
    await store.store([decision(n, fact_type="rare" if n == 1 else "usual", fact_id="shared") for n in range(10)])
    assert await listed(store, **criteria) == ([], 4)
    assert await listed(store, **criteria, offset=4) == ([], 8)
    assert await listed(store, **criteria, offset=8) == ([1], None)
    assert await listed(store, **criteria, offset=6) == ([1], None)


async def test_a_page_ends_when_its_decisions_are_large(postgres_store: DecisionStore) -> None:
    """Half a mebibyte is begun and not gone on with: 500 of the largest would not fit into memory."""
    await postgres_store.store([decision(n, "x" * 200_000) for n in range(10)])
    assert await listed(postgres_store, size=10) == ([9, 8, 7], 3)
    assert await listed(postgres_store, size=10, offset=8) == ([1, 0], None)
    await postgres_store.store([decision(n, "x" * 1_000_000) for n in range(20, 22)])
    assert await listed(postgres_store, size=10) == ([21], 1)


class TestRefusals:
    """A batch with data that Postgres cannot hold: nothing of it is stored, and it is told from an outage."""

    @pytest.mark.parametrize(
        "bad", [decision(2, fact_id="a\x00b"), decision(2, stored_at_ns=2**63), decision(2, fact_id="\ud800")]
    )
    async def test_in_postgres(self, postgres_store: DecisionStore, bad: StoredDecision) -> None:
        with pytest.raises(DecisionsRefusedError):
            await postgres_store.store([decision(1), bad, decision(3)])
        assert await postgres_store.find(decision(1).key) is None
        assert (await postgres_store.store([decision(1), decision(3)])).first == {}

    async def test_in_the_fake(self) -> None:
        store = FakeDecisions()
        store.refused.add("fact-2")
        with pytest.raises(DecisionsRefusedError):
            await store.store([decision(1), decision(2)])
        assert await store.find(decision(1).key) is None


class TestUnsettled:
    """A key that is taken while its decision cannot be seen: the fact must come again, and the rest is stored."""

    async def test_in_postgres(self, postgres_store: DecisionStore, pool: asyncpg.Pool) -> None:
        await postgres_store.store([decision(1), decision(2)])
        await pool.execute("DELETE FROM decision WHERE key = $1", decision(1).key)
        found = await postgres_store.store([decision(1, "x"), decision(2, "x"), decision(3)])
        assert found.unsettled == {decision(1).key}
        assert found.first == {decision(2).key: decision(2)}
        assert await postgres_store.find(decision(1).key) is None
        assert await postgres_store.find(decision(3).key) == decision(3)

    async def test_in_the_fake(self) -> None:
        store = FakeDecisions()
        store.unsettled.add(decision(1).key)
        found = await store.store([decision(1), decision(3)])
        assert (found.first, found.unsettled) == ({}, {decision(1).key})
        assert await store.find(decision(1).key) is None
        assert await store.find(decision(3).key) == decision(3)


async def test_who_comes_while_another_is_still_storing_waits_and_takes_over_when_that_is_rolled_back(
    postgres_store: DecisionStore, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection:
        other = connection.transaction()
        await other.start()
        await connection.execute("INSERT INTO fact_key VALUES ($1, 1)", decision(1).key)
        storing = asyncio.create_task(postgres_store.store([decision(1), decision(2)]))
        await somebody_waits(pool)
        assert not storing.done()
        await other.rollback()
        async with asyncio.timeout(60):
            found = await storing
    assert (found.first, found.unsettled) == ({}, frozenset())
    assert await postgres_store.find(decision(1).key) == decision(1)


async def test_who_waits_too_long_for_another_stores_nothing_and_may_try_again(
    postgres_store: DecisionStore, pool: asyncpg.Pool, database: str
) -> None:
    impatient = await open_pool(database, size_max=1, timeout_s=0.3, connect_timeout_s=60)
    async with pool.acquire() as connection:
        other = connection.transaction()
        await other.start()
        await connection.execute("INSERT INTO fact_key VALUES ($1, 1)", decision(1).key)
        with pytest.raises(UnavailableError):
            await PostgresDecisions(impatient).store([decision(1), decision(2)])
        await other.rollback()
    await impatient.close()
    assert await postgres_store.find(decision(2).key) is None
    assert (await postgres_store.store([decision(1), decision(2)])).first == {}


async def test_while_postgres_is_away_nothing_is_stored_and_afterwards_it_is(database: str) -> None:
    async with proxied(database) as proxy:
        pool = await open_pool(proxy.url, size_max=2, timeout_s=60)
        store = PostgresDecisions(pool)
        await store.store([decision(1)])
        await proxy.cut()
        for attempt in (
            store.store([decision(2)]),
            store.find(decision(1).key),
            store.find_by_fact_id("fact-1"),
            store.list_by_criteria(DecisionCriteria()),
        ):
            with pytest.raises(UnavailableError) as away:
                await attempt
            assert away.value.service == "postgres"
        proxy.mend()
        assert (await store.store([decision(1), decision(2)])).first == {decision(1).key: decision(1)}
        await pool.close()


async def test_a_fake_that_is_away_says_so() -> None:
    store = FakeDecisions()
    store.is_away = True
    for attempt in (
        store.store([decision(2)]),
        store.find(decision(1).key),
        store.find_by_fact_id("fact-1"),
        store.list_by_criteria(DecisionCriteria()),
    ):
        with pytest.raises(UnavailableError):
            await attempt


async def somebody_waits(pool: asyncpg.Pool) -> None:
    """Wait until some session waits for another's lock."""
    async with asyncio.timeout(60):
        while not await pool.fetchval(  # noqa: ASYNC110  # Postgres has no signal for this
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
