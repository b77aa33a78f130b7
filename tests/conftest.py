"""What every test has: real servers where it asks for them, and a template database at the newest migration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from worker.migrations.runner import upgrade

pytest_plugins = ["tests.servers.fixtures"]


@pytest.fixture(scope="session")
def prepare_template() -> Callable[[str], Awaitable[None]]:
    """Give what fills the database that each test's own is copied from."""

    async def prepare(dsn: str) -> None:
        await upgrade(dsn)

    return prepare
