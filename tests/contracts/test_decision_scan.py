"""DecisionScan: every decision of a range once, oldest first, in bounded pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
import pytest

from domain.errors import UnavailableError
from domain.language import timestamp_from_ns, timestamp_to_text
from domain.ports import BrokenRecord, DecisionRange, DecisionScan, DecisionStore, StoredDecision
from tests.contracts.proxy import proxied
from tests.fakes.decision_scan import FakeDecisionScan
from tests.fakes.decisions import FakeDecisions
from worker.adapters.postgres.decision_scan import PostgresDecisionScan
from worker.adapters.postgres.decisions import PostgresDecisions
from worker.adapters.postgres.pool import open_pool

DAY_NS = 86_400 * 1_000_000_000
STORED_AT_NS = 1_769_860_800 * 1_000_000_000
PAGE = 4


class Decisions(Protocol):
    """A store and a scan of it whose pages hold four decisions."""

    store: DecisionStore
    scan: DecisionScan


class FakeStores:
    def __init__(self) -> None:
        self.store = decisions = FakeDecisions()
        self.scan = FakeDecisionScan(decisions, PAGE)


class PostgresStores:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.store = PostgresDecisions(pool)
        self.scan = PostgresDecisionScan(pool, page_decisions=PAGE, looked_at_max=6)


@pytest.fixture
async def fake_decisions() -> Decisions:
    return FakeStores()


@pytest.fixture
async def postgres_decisions(pool: asyncpg.Pool) -> Decisions:
    return PostgresStores(pool)


@pytest.fixture(params=["fake", "postgres"])
def decisions(request: pytest.FixtureRequest) -> Decisions:
    """Give the fake, then the real thing."""
    found: Decisions = request.getfixturevalue(f"{request.param}_decisions")
    return found


def decision(number: int, stored_at_ns: int | None = None, **changes: object) -> StoredDecision:
    stored_at_ns = STORED_AT_NS + number if stored_at_ns is None else stored_at_ns
    time = timestamp_to_text(timestamp_from_ns(stored_at_ns))
    made: dict[str, Any] = {
        "key": hashlib.sha256(b"%d" % number).digest()[:16],
        "stored_at_ns": stored_at_ns,
        "fact_id": f"fact-{number}",
        "fact_type": "order.placed",
        "sequence": number,
        "time_ns": stored_at_ns,
        "matched": number % 2 == 0,
        "revision": 7,
        "body": json.dumps({"factSeq": number, "factTime": time, "ruleset": {"revision": 7}}).encode(),
    }
    return StoredDecision(**(made | changes))


async def scanned(scan: DecisionScan, wanted: DecisionRange) -> list[Sequence[StoredDecision | BrokenRecord]]:
    return [page async for page in scan.pages(wanted)]


async def read(scan: DecisionScan, wanted: DecisionRange) -> list[StoredDecision]:
    found = [one for page in await scanned(scan, wanted) for one in page]
    assert all(isinstance(one, StoredDecision) for one in found)
    return found  # type: ignore[return-value]


EVERYTHING = DecisionRange(0)


async def test_every_decision_is_given_once_oldest_first(decisions: Decisions) -> None:
    made = [decision(number) for number in range(11)]
    await decisions.store.store(made[::-1])
    pages = await scanned(decisions.scan, EVERYTHING)
    assert [one for page in pages for one in page] == made
    assert [len(page) for page in pages] == [4, 4, 3]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8])
async def test_pages_end_where_the_decisions_do(decisions: Decisions, count: int) -> None:
    made = [decision(number) for number in range(count)]
    await decisions.store.store(made)
    assert await read(decisions.scan, EVERYTHING) == made


async def test_decisions_of_facts_stored_in_the_same_nanosecond_come_in_the_order_of_their_keys(
    decisions: Decisions,
) -> None:
    made = [decision(number, STORED_AT_NS) for number in range(11)]
    await decisions.store.store(made)
    assert await read(decisions.scan, EVERYTHING) == sorted(made, key=lambda one: one.key)


async def test_decisions_of_many_days_come_in_order(decisions: Decisions) -> None:
    made = [decision(number, STORED_AT_NS + number * DAY_NS) for number in range(-3, 10)]
    await decisions.store.store(made[::-1])
    assert await read(decisions.scan, EVERYTHING) == made


async def test_they_are_given_whole_with_their_effects_and_facts(decisions: Decisions) -> None:
    whole = decision(1, effects=(("loyalty.points", "id-1", b"\x00\xff{}"),), traceparent="00-aa", fact=b"\x00fact")
    await decisions.store.store([whole])
    assert await read(decisions.scan, EVERYTHING) == [whole]


async def test_times_bound_a_range_the_later_one_exclusively(decisions: Decisions) -> None:
    made = [decision(number) for number in range(9)]
    await decisions.store.store(made)
    assert await read(decisions.scan, DecisionRange(STORED_AT_NS + 2, STORED_AT_NS + 7)) == made[2:7]
    assert await read(decisions.scan, DecisionRange(STORED_AT_NS + 9)) == []
    assert await read(decisions.scan, DecisionRange(STORED_AT_NS + 3, STORED_AT_NS + 3)) == []
    assert await read(decisions.scan, DecisionRange(-(10**30), 10**30)) == made


@pytest.mark.parametrize("pattern", ["order.paid", "order.*", "*.paid", ">", "other.>", "never"])
async def test_types_are_matched_as_subjects_are(decisions: Decisions, pattern: str) -> None:
    """Wanted ones may lie behind more others than a page looks at."""
    types = ["order.paid", *["other.a.b"] * 13, "order.placed", "order.paid", *["other.c"] * 7]
    made = [decision(number, fact_type=fact_type) for number, fact_type in enumerate(types)]
    await decisions.store.store(made)
    takes = {
        "order.paid": {"order.paid"},
        "order.*": {"order.paid", "order.placed"},
        "*.paid": {"order.paid"},
        ">": set(types),
        "other.>": {"other.a.b", "other.c"},
        "never": set(),
    }[pattern]
    found = await read(decisions.scan, DecisionRange(0, fact_type=pattern))
    assert found == [one for one in made if one.fact_type in takes]


async def test_a_decision_made_meanwhile_does_not_prolong_a_range_without_an_end(decisions: Decisions) -> None:
    await decisions.store.store([decision(number) for number in range(6)])
    seen: list[StoredDecision | BrokenRecord] = []
    async for page in decisions.scan.pages(EVERYTHING):
        seen += page
        await decisions.store.store([decision(100 + len(seen) + number) for number in range(5)])
    assert seen == [decision(number) for number in range(6)]


async def test_a_decision_stored_meanwhile_behind_the_page_is_seen(decisions: Decisions) -> None:
    made = [decision(number) for number in range(6)]
    await decisions.store.store(made[:-1])
    pages = decisions.scan.pages(DecisionRange(0, STORED_AT_NS + 100))
    seen = list(await anext(pages))
    await decisions.store.store(made[-1:])
    seen += [one async for page in pages for one in page]
    assert seen == made


async def test_decisions_are_counted_up_to_a_number(decisions: Decisions) -> None:
    await decisions.store.store([decision(number) for number in range(9)])
    assert await decisions.scan.count(EVERYTHING, 100) == 9
    assert await decisions.scan.count(EVERYTHING, 5) == 5
    assert await decisions.scan.count(DecisionRange(STORED_AT_NS + 2, STORED_AT_NS + 7), 100) == 5
    assert await decisions.scan.count(DecisionRange(0, 5), 100) == 0


async def test_without_decisions_there_is_nothing(decisions: Decisions) -> None:
    assert await scanned(decisions.scan, EVERYTHING) == []
    assert await decisions.scan.count(EVERYTHING, 5) == 0


async def test_a_page_ends_at_its_bytes_with_one_decision_at_least(pool: asyncpg.Pool) -> None:
    made = [decision(number, fact=b"x" * 1000) for number in range(5)]
    made[3] = decision(3, effects=(("a", "b", b"y" * 3000),))
    await PostgresDecisions(pool).store(made)
    pages = await scanned(PostgresDecisionScan(pool, page_bytes_max=2000), EVERYTHING)
    assert [one for page in pages for one in page] == made
    assert [len(page) for page in pages] == [2, 2, 1]
    pages = await scanned(PostgresDecisionScan(pool, page_bytes_max=1), EVERYTHING)
    assert [len(page) for page in pages] == [1] * 5


@pytest.mark.parametrize(
    ("column", "value"), [("body", b"not json"), ("body", b'{"factSeq":1}'), ("effects", b"\xc1"), ("effects", b"\x01")]
)
async def test_a_record_that_cannot_be_read_does_not_hide_the_others(
    pool: asyncpg.Pool, column: str, value: bytes
) -> None:
    made = [decision(number) for number in range(3)]
    await PostgresDecisions(pool).store(made)
    await pool.execute(f"UPDATE decision SET {column} = $1 WHERE key = $2", value, made[1].key)
    (page,) = await scanned(PostgresDecisionScan(pool), EVERYTHING)
    first, broken, last = page
    assert (first, last) == (made[0], made[2])
    assert isinstance(broken, BrokenRecord)
    assert broken.key == made[1].key


async def test_while_postgres_is_away_that_is_said(database: str) -> None:
    async with proxied(database) as proxy:
        pool = await open_pool(proxy.url, size_max=4, timeout_s=60)
        await PostgresDecisions(pool).store([decision(number) for number in range(9)])
        pages = PostgresDecisionScan(pool, page_decisions=4).pages(EVERYTHING)
        assert len(await anext(pages)) == 4
        await proxy.cut()
        with pytest.raises(UnavailableError) as away:
            await anext(pages)
        assert away.value.service == "postgres"
        pool.terminate()
