"""What every test has: real servers where it asks for them, and a template database at the newest migration."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from worker.migrations.runner import upgrade

pytest_plugins = ["tests.servers.fixtures"]

# A loaded machine is no defect: neither an example nor the making of examples has to be fast.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run random examples untraced: coverage makes them four times as slow, and must not depend on chance."""
    if not is_hypothesis_test(getattr(item, "obj", None)):
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


@pytest.fixture(scope="session")
def prepare_template() -> Callable[[str], Awaitable[None]]:
    """Give what fills the database that each test's own is copied from."""

    async def prepare(dsn: str) -> None:
        await upgrade(dsn)

    return prepare
