"""Migrations on a real server: up and down, as a whole or not at all, and by one runner at a time."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from domain.errors import UnavailableError
from tests.contracts.proxy import proxied
from tests.servers.fixtures import Servers
from tests.servers.operations import execute, with_database
from worker.adapters.postgres.pool import SchemaState, open_pool, schema_state
from worker.migrations import runner
from worker.migrations.newest import SCHEMA_VERSION
from worker.migrations.runner import MigrationError, downgrade, status, upgrade

FURTHER = f"{int(SCHEMA_VERSION) + 1:04d}"
FURTHER_MIGRATION = f'''"""A further migration."""
from worker.migrations.script import run_script
revision = "{FURTHER}"
down_revision = "{SCHEMA_VERSION}"
phase = "pre"
def upgrade():
    run_script(__file__, "further.up.sql")
def downgrade():
    run_script(__file__, "further.down.sql")
'''


@pytest.fixture
async def dsn(servers: Servers) -> AsyncIterator[str]:
    """Give an empty database: not a copy of the migrated template."""
    name = f"empty_{secrets.token_hex(6)}"
    await execute(servers.postgres_dsn, f"CREATE DATABASE {name}")
    yield with_database(servers.postgres_dsn, name)
    await execute(servers.postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of migrations with a further one, whose scripts the test writes, and let the runner use it."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(runner.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"m{FURTHER}_further.py").write_text(FURTHER_MIGRATION)
    monkeypatch.setattr(runner, "__file__", str(folder / "runner.py"))
    return folder / "versions"


async def catalogue(dsn: str) -> set[tuple[str, str]]:
    """Return every table, index, function and trigger of ours."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            """
            SELECT relkind::text, relname::text FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'schema_%'
            UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE NOT tgisinternal
            """
        )
    finally:
        await connection.close()
    return {(row[0], row[1]) for row in rows}


async def test_a_database_goes_up_down_and_up_again(dsn: str) -> None:
    done = await upgrade(dsn)
    assert done.is_current
    assert done.pending == ()
    first = await catalogue(dsn)
    assert ("r", "rule") in first
    undone = await downgrade(dsn, "base")
    assert (undone.current, undone.is_current) == (None, False)
    assert await catalogue(dsn) == set()
    assert (await upgrade(dsn)).is_current
    assert await catalogue(dsn) == first


async def test_going_up_where_everything_is_applied_changes_nothing(dsn: str) -> None:
    await upgrade(dsn)
    before = await catalogue(dsn)
    assert (await upgrade(dsn)).is_current
    assert await catalogue(dsn) == before


async def test_the_status_says_what_is_applied_and_what_is_not_and_changes_nothing(dsn: str) -> None:
    empty = await status(dsn)
    assert (empty.current, empty.is_current) == (None, False)
    assert str(empty.pending[0]).startswith("0001 ")
    assert await catalogue(dsn) == set()
    await upgrade(dsn)
    done = await status(dsn)
    assert (done.current, done.newest, done.pending) == (empty.newest, empty.newest, ())


async def look(dsn: str) -> SchemaState:
    """Ask as a worker does."""
    pool = await open_pool(dsn, size_max=1, timeout_s=60)
    try:
        return await schema_state(pool)
    finally:
        await pool.close()


async def test_the_workers_own_look_at_the_version_agrees(dsn: str) -> None:
    assert await look(dsn) == SchemaState(None, None)
    done = await upgrade(dsn)
    assert await look(dsn) == SchemaState(done.current, done.lowest)
    await downgrade(dsn, "base")
    assert await look(dsn) == SchemaState(None, None)


async def test_one_step_down_undoes_the_last_migration_alone(dsn: str, further: Path) -> None:
    (further / "further.up.sql").write_text("CREATE TABLE a (x int); CREATE TABLE b (x int);")
    (further / "further.down.sql").write_text("DROP TABLE a, b;")
    await upgrade(dsn, SCHEMA_VERSION)
    before = await catalogue(dsn)
    behind = await status(dsn)
    assert (behind.current, behind.newest) == (SCHEMA_VERSION, FURTHER)
    assert [str(one) for one in behind.pending] == [f"{FURTHER} A further migration."]
    assert (await upgrade(dsn)).current == FURTHER
    assert {("r", "a"), ("r", "b")} == await catalogue(dsn) - before
    assert (await downgrade(dsn, "-1")).current == SCHEMA_VERSION
    assert await catalogue(dsn) == before


async def test_a_script_that_fails_half_way_leaves_nothing_behind_and_can_be_run_again(dsn: str, further: Path) -> None:
    (further / "further.up.sql").write_text("CREATE TABLE a (x int); INSERT INTO a VALUES (1); SELECT 1 / 0;")
    (further / "further.down.sql").write_text("DROP TABLE a;")
    await upgrade(dsn, SCHEMA_VERSION)
    before = await catalogue(dsn)
    with pytest.raises(MigrationError, match="division by zero"):
        await upgrade(dsn)
    assert await catalogue(dsn) == before
    assert (await status(dsn)).current == SCHEMA_VERSION
    (further / "further.up.sql").write_text("CREATE TABLE a (x int);")
    assert (await upgrade(dsn)).current == FURTHER


async def test_a_failing_script_keeps_the_migrations_before_it(dsn: str, further: Path) -> None:
    (further / "further.up.sql").write_text("SELECT 1 / 0;")
    with pytest.raises(MigrationError):
        await upgrade(dsn)
    assert (await status(dsn)).current == SCHEMA_VERSION


async def test_runners_that_start_at_once_wait_for_each_other(dsn: str) -> None:
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(upgrade(dsn) for _ in range(4)))
    assert all(one.is_current for one in found)
    assert ("r", "rule") in await catalogue(dsn)


async def test_a_database_at_a_version_that_nobody_knows_is_refused(dsn: str) -> None:
    await upgrade(dsn)
    await execute(
        dsn, "UPDATE schema_version SET version_num = '9999'", "UPDATE schema_migration SET version_num = '9999'"
    )
    with pytest.raises(MigrationError, match="9999"):
        await upgrade(dsn)


async def test_a_version_that_does_not_exist_is_refused(dsn: str) -> None:
    with pytest.raises(MigrationError, match="0815"):
        await upgrade(dsn, "0815")


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(UnavailableError) as away:
        await upgrade("postgresql://u:secret@127.0.0.1:1/x")
    assert "127.0.0.1:1" in away.value.message
    assert "secret" not in away.value.message


async def test_a_database_that_is_not_there_is_a_clear_refusal(dsn: str) -> None:
    with pytest.raises((MigrationError, UnavailableError), match="does not exist"):
        await upgrade(with_database(dsn, "not_there"))


async def test_a_server_that_hangs_is_given_up(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CONNECT_TIMEOUT_S", 0.3)
    async with proxied(dsn) as proxy, asyncio.timeout(60):
        proxy.freeze()
        with pytest.raises(UnavailableError, match="does not answer at"):
            await status(proxy.url)
