"""The query decisions on fakes: its page, its bounds, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from domain.errors import UnavailableError, ValidationError
from domain.ports import StoredDecision
from streams.messages.bounds import DECISIONS_OFFSET_MAX, PAGE_BYTES_MAX
from streams.messages.queries import PAYLOADS
from tests.fakes.decisions import FakeDecisions
from worker.usecases.list_decisions import list_decisions

START_NS = 1_769_860_800_000_000_000  # 2026-01-31T12:00:00Z


@pytest.fixture
def store() -> FakeDecisions:
    return FakeDecisions()


async def put(store: FakeDecisions, count: int, size: int = 2) -> None:
    """Store decisions a second apart, every other matched."""
    await store.store(
        [
            StoredDecision(
                key=hashlib.sha256(b"%d" % n).digest()[:16],
                stored_at_ns=START_NS + n * 1_000_000_000,
                fact_id=f"fact-{n}",
                fact_type="order.placed",
                sequence=n,
                time_ns=0,
                matched=n % 2 == 0,
                revision=1,
                body=b'"' + b"%d" % n * (size - 2) + b'"' if size > 2 else b"%d" % n,
            )
            for n in range(count)
        ]
    )


async def ask(store: FakeDecisions, **payload: Any) -> dict[str, Any]:
    query = msgspec.convert(payload, PAYLOADS["decisions"])
    found = await list_decisions(store, query)  # type: ignore[arg-type]
    answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return answer


async def test_decisions_are_given_as_they_were_published_newest_first(store: FakeDecisions) -> None:
    await put(store, 3)
    assert await ask(store) == {"items": [2, 1, 0], "until": "2026-01-31T12:00:02.000000001Z"}
    assert (await ask(store, outcome="matched"))["items"] == [2, 0]
    assert (await ask(store, outcome="unmatched", factId="fact-1", factType="order.>"))["items"] == [1]


async def test_times_bound_the_listing_in_any_offset(store: FakeDecisions) -> None:
    await put(store, 4)
    page = await ask(store, since="2026-01-31T13:00:01+01:00", until="2026-01-31T12:00:03Z")
    assert page == {"items": [2, 1], "until": "2026-01-31T12:00:03Z"}


async def test_pages_go_through_all_whatever_is_decided_meanwhile(store: FakeDecisions) -> None:
    await put(store, 5)
    page = await ask(store, pageSize=2)
    seen = page["items"]
    await put(store, 9)
    while "nextOffset" in page:
        page = await ask(store, pageSize=2, pageOffset=page["nextOffset"], until=page["until"])
        seen += page["items"]
    assert seen == [4, 3, 2, 1, 0]


async def test_a_page_ends_at_its_bytes_and_goes_on_from_there(store: FakeDecisions) -> None:
    await put(store, 5, size=PAGE_BYTES_MAX // 3 - 1)
    page = await ask(store)
    assert (len(page["items"]), page["nextOffset"]) == (3, 3)
    assert len(msgspec.json.encode(page["items"])) <= PAGE_BYTES_MAX + 10


async def test_one_decision_larger_than_a_page_is_still_given(store: FakeDecisions) -> None:
    await put(store, 2, size=PAGE_BYTES_MAX + 1)
    page = await ask(store)
    assert (len(page["items"]), page["nextOffset"]) == (1, 1)


async def test_of_no_decisions_there_is_an_empty_page(store: FakeDecisions) -> None:
    assert await ask(store) == {"items": [], "until": None}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 501}, "pageSize"),
        ({"pageOffset": -1}, "pageOffset"),
        ({"pageOffset": DECISIONS_OFFSET_MAX + 1}, "pageOffset"),
        ({"factType": ""}, "factType"),
        ({"factType": ">.a"}, "factType"),
        ({"factType": "a*"}, "factType"),
        ({"factType": "a b"}, "factType"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-31T12:00:00"}, "until"),
    ],
)
async def test_what_cannot_be_listed_is_refused(store: FakeDecisions, payload: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        await ask(store, **payload)
    assert refused.value.details["field"] == field


async def test_while_the_store_is_away_that_is_said(store: FakeDecisions) -> None:
    store.is_away = True
    with pytest.raises(UnavailableError):
        await ask(store)
