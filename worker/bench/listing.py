"""What listing rules takes over a full database: every filter, sort and page, asked of a worker as anyone asks."""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec
from nats.aio.client import Client

from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent
from domain.rules.status import RuleStatus
from streams import subjects
from worker.bench.stack import BenchError, worker_on_a_stack

RULES: Final = 100_000
MS_MAX: Final = 50.0
ROUNDS: Final = 3
PAGE_SIZE: Final = 50
OFFSETS: Final = (0, 5_000, 9_950)
SORTS: Final = ("name", "createdAt", "updatedAt", "priority", "status")
ORDERS: Final = ("asc", "desc")

_SEED: Final = 4
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS: Final = ("Discount", "Fraud", "Größe", "loyalty", "REFUND", "shipping", "Tax", "limit", "promo", "Überweisung")
_STATUSES: Final = {
    RuleStatus.DRAFT: 30,
    RuleStatus.UNDER_REVIEW: 5,
    RuleStatus.APPROVED: 5,
    RuleStatus.ACTIVE: 40,
    RuleStatus.INACTIVE: 10,
    RuleStatus.DEPRECATED: 10,
}
_DSL: Final = 'on order.placed\nwhen customer.tier == "VIP" && order.total >= {}.0\nthen set rule{}.discount = 15'
_AUTHORS: Final = 40
_TAGS: Final = 200

FILTERS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "status, 40 %": {"status": "ACTIVE"},
    "status, 5 %": {"status": "UNDER_REVIEW"},
    "priority": {"priority": "HIGH"},
    "createdBy": {"createdBy": "author-07"},
    "nameContains, all": {"nameContains": "RULE"},
    "nameContains, 10 %": {"nameContains": "überweisung"},
    "nameContains, some": {"nameContains": "e 4711"},
    "nameContains, one sign": {"nameContains": "9"},
    "nameContains, none": {"nameContains": "no such name"},
    "tag": {"tag": "tag-011"},
    "tag, 50 %": {"tag": "shared"},
    "status and priority": {"status": "ACTIVE", "priority": "HIGH"},
    "all": {
        "status": "ACTIVE",
        "priority": "HIGH",
        "createdBy": "author-07",
        "nameContains": "rule",
        "tag": "shared",
    },
}


class ListingCase(msgspec.Struct, rename="camel", frozen=True):
    """Milliseconds from asking to the answer, for one filter, sort and page."""

    filter: str
    sort: str
    offset: int
    total: int
    min_ms: float
    median_ms: float
    max_ms: float


class ListingReport(msgspec.Struct, rename="camel", frozen=True):
    """All of it; the floor is for the slowest case's median."""

    rules: int
    page_size: int
    rounds: int
    min_ms: float
    median_ms: float
    max_ms: float
    worst_median_ms: float
    worst: str
    ms_max: float
    floors_hold: bool
    cases: list[ListingCase]


def cases_count() -> int:
    """Return how many cases there are."""
    return len(FILTERS) * len(SORTS) * len(ORDERS) * len(OFFSETS)


async def measure(rules: int, rounds: int, update: Callable[[int], None]) -> ListingReport:
    """Fill a database of its own with rules and list them; raises RulestreamError."""
    async with worker_on_a_stack(before=lambda dsn: fill(dsn, rules)) as at:
        return await ask(at.connection, rules, rounds, update)


async def ask(connection: Client, rules: int, rounds: int, update: Callable[[int], None]) -> ListingReport:
    """List a worker's rules by every filter, sort and page; the first answers, which prepare statements, do not count.

    Raises BenchError for an answer that is none.
    """
    questions = [
        (name, f"{sort} {order}", offset, {**criteria, "sortBy": sort, "sortOrder": order, "pageOffset": offset})
        for name, criteria in FILTERS.items()
        for sort in SORTS
        for order in ORDERS
        for offset in OFFSETS
    ]
    cases: list[ListingCase] = []
    for name, sort, offset, criteria in questions:
        total, _ = await _ask(connection, criteria)
        spent = [(await _ask(connection, criteria))[1] for _ in range(rounds)]
        cases.append(ListingCase(name, sort, offset, total, min(spent), round(statistics.median(spent), 2), max(spent)))
        update(len(cases))
    return report_of(rules, rounds, cases)


def report_of(rules: int, rounds: int, cases: list[ListingCase]) -> ListingReport:
    """Set the slowest case against the floor."""
    worst = max(cases, key=lambda case: case.median_ms)
    return ListingReport(
        rules=rules,
        page_size=PAGE_SIZE,
        rounds=rounds,
        min_ms=min(case.min_ms for case in cases),
        median_ms=round(statistics.median(case.median_ms for case in cases), 2),
        max_ms=max(case.max_ms for case in cases),
        worst_median_ms=worst.median_ms,
        worst=f"{worst.filter}; {worst.sort}; {worst.offset}",
        ms_max=MS_MAX,
        floors_hold=worst.median_ms < MS_MAX,
        cases=cases,
    )


async def _ask(connection: Client, criteria: dict[str, Any]) -> tuple[int, float]:
    """Return how many rules there are by some criteria, and the milliseconds until a page of them came."""
    payload = msgspec.json.encode({**criteria, "pageSize": PAGE_SIZE})
    started = time.perf_counter()
    message = await connection.request(subjects.query("bench", "list"), payload, timeout=30)
    spent = round((time.perf_counter() - started) * 1e3, 2)
    answer = msgspec.json.decode(message.data)
    if answer["status"] != "ok":
        raise BenchError(f"the query list failed: {answer['error']}")
    return int(answer["result"]["total"]), spent


async def fill(dsn: str, rules: int) -> None:
    """Put so many rules into an empty database, each with a version, in the state in which autovacuum leaves tables."""
    connection = await asyncpg.connect(dsn)
    try:
        made = list(_rules(rules))
        for table, columns in _COLUMNS.items():
            rows = [tuple(row[column] for column in columns) for row in made]
            names = [column.rpartition(".")[2] for column in columns]
            await connection.copy_records_to_table(table, records=rows, columns=names)
        await connection.execute("VACUUM (ANALYZE) rule, rule_version, rule_name")
    finally:
        await connection.close()


_COLUMNS: Final = {
    "rule": (
        *("rule_id", "revision", "status", "version", "active_version", "was_submitted", "was_active", "name"),
        *("priority_rank", "tags", "created_by", "created_at", "updated_by", "updated_at"),
    ),
    "rule_name": ("name", "rule_id"),
    "rule_version": (
        *("rule_id", "version", "name", "description", "dsl_content", "priority", "tags", "author", "created_at"),
        "content_digest",
    ),
}


def _rules(count: int) -> Iterator[dict[str, Any]]:
    """Make rules that differ as a company's do; the same ones each time."""
    chance = random.Random(_SEED)  # noqa: S311  # made-up rules, not secrets
    statuses, weights = list(_STATUSES), list(_STATUSES.values())
    for number in range(count):
        status = chance.choices(statuses, weights)[0]
        priority = chance.choice(list(Priority))
        created = _START + timedelta(seconds=chance.randrange(300 * 86_400), microseconds=number)
        rule_id = uuid.UUID(int=chance.getrandbits(128), version=4)
        content = RuleContent(
            name=f"{chance.choice(_WORDS)} rule {number:06}",
            dsl_content=_DSL.format(number, number),
            priority=priority,
            description=f"What sales and service agreed on in case {number}.",
            tags=tuple({f"tag-{chance.randrange(_TAGS):03}", *(["shared"] if number % 2 else [])}),
        )
        is_active = status is RuleStatus.ACTIVE
        yield {
            "rule_id": rule_id,
            "revision": 1,
            "status": status.value,
            "version": 1,
            "active_version": 1 if is_active else None,
            "was_submitted": status is not RuleStatus.DRAFT,
            "was_active": is_active,
            "name": content.name,
            "priority_rank": priority.rank,
            "priority": priority.value,
            "tags": list(content.tags),
            "created_by": f"author-{chance.randrange(_AUTHORS):02}",
            "author": "author",
            "created_at": created,
            "updated_by": "approver",
            "updated_at": created + timedelta(hours=chance.randrange(2_000)),
            "description": content.description,
            "dsl_content": content.dsl_content,
            "content_digest": content.digest(RuleId(str(rule_id)), 1),
        }
