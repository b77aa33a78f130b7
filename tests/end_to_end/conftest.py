"""Servers for whole workers: the session's, or some of the test's own that may be stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.behaviour.bus import Bus, connected
from worker.embedded import Addresses, EmbeddedStack
from worker.migrations.runner import upgrade


@pytest.fixture
def addresses(nats_url: str, database: str, redis_url: str) -> Addresses:
    """Give clean servers of the session."""
    return Addresses(nats_url, database, redis_url)


@pytest.fixture
async def bus(addresses: Addresses) -> AsyncIterator[Bus]:
    """Give a user of the session's servers."""
    async with connected(addresses.nats) as found:
        yield found


@pytest.fixture
async def own_stack(free_folder: Path) -> AsyncIterator[EmbeddedStack]:
    """Give servers of the test's own, with a migrated database."""
    async with EmbeddedStack(free_folder / "data") as stack:
        await upgrade(stack.addresses.postgres)
        yield stack
