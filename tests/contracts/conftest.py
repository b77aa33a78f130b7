"""Each port's fake and its real adapter, side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain.ports import Transactions
from tests.fakes.transactions import FakeTransactions
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool on a fresh database."""
    made = await open_pool(database, size_max=12, timeout_s=60)
    yield made
    await made.close()


@pytest.fixture
async def postgres_transactions(pool: asyncpg.Pool) -> Transactions:
    return PostgresTransactions(pool)


@pytest.fixture
async def fake_transactions() -> Transactions:
    return FakeTransactions()


@pytest.fixture(params=["fake", "postgres"])
def transactions(request: pytest.FixtureRequest) -> Transactions:
    """Give the fake, then the real thing."""
    found: Transactions = request.getfixturevalue(f"{request.param}_transactions")
    return found
