"""Which releases have decided facts: recorded when a worker that decides starts, one row a release."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.releases import record_start, started_releases
from worker.release import Release, this_release
from worker.service import running_worker
from worker.settings import Role, load_settings

OLD = Release("0.0.9", "abc", "Python 3.11.0")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    made = await open_pool(database, size_max=2, timeout_s=60)
    yield made
    await made.close()


async def test_releases_are_told_in_the_order_in_which_they_came_each_once(pool: asyncpg.Pool) -> None:
    assert await started_releases(pool) == []
    for release in (OLD, this_release(), OLD):
        await record_start(pool, release)
    old, this = await started_releases(pool)
    assert (old.release, this.release) == (OLD, this_release())
    assert old.first_started_at < this.first_started_at == this.last_started_at < old.last_started_at


@pytest.mark.parametrize("field", ["version", "code", "libraries"])
async def test_whatever_is_other_makes_another_release(pool: asyncpg.Pool, field: str) -> None:
    values = {"version": OLD.version, "code": OLD.code, "libraries": OLD.libraries}
    other = Release(**(values | {field: "other"}))
    await record_start(pool, OLD)
    await record_start(pool, other)
    assert [one.release for one in await started_releases(pool)] == [OLD, other]


@pytest.mark.parametrize("roles", [frozenset(Role), frozenset({Role.FACTS}), frozenset(Role) - {Role.FACTS}])
async def test_a_worker_that_decides_facts_is_recorded(
    pool: asyncpg.Pool, nats_url: str, database: str, redis_url: str, roles: frozenset[Role]
) -> None:
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0, roles=roles)
    async with running_worker(settings):
        found = [one.release for one in await started_releases(pool)]
    assert found == ([this_release()] if Role.FACTS in roles else [])


def test_a_release_says_what_decides() -> None:
    release = this_release()
    assert len(release.code) == 64
    assert str(release).startswith(f"rulestream {release.version} (code {release.code[:16]}, Python 3.")
    for library in ("google-re2", "msgspec", "tzdata"):
        assert library in release.libraries
