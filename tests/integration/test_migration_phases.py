"""Phases on a real server: their order, who is in the way, what waits for locks, and a runner that dies."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.behaviour.bus import eventually
from tests.servers.fixtures import Servers
from tests.servers.operations import execute, with_database
from worker.adapters.postgres.pool import SchemaState, open_pool
from worker.migrations import runner
from worker.migrations.newest import SCHEMA_VERSION
from worker.migrations.phases import BASELINE, Phase
from worker.migrations.runner import MigrationError, downgrade, status, upgrade
from worker.schema import OURS, SchemaError, SchemaRange, SchemaWatch, require_schema

FIRST, SECOND, THIRD = (f"{int(SCHEMA_VERSION) + number:04d}" for number in (1, 2, 3))
MODULE = '''"""Further, {phase}."""
from worker.migrations.script import run_script
revision = "{version}"
down_revision = "{before}"
phase = "{phase}"
{more}
def upgrade():
    run_script(__file__, "{version}.up.sql")
def downgrade():
    run_script(__file__, "{version}.down.sql")
'''


@pytest.fixture
async def dsn(servers: Servers) -> AsyncIterator[str]:
    """Give an empty database."""
    name = f"phases_{secrets.token_hex(6)}"
    await execute(servers.postgres_dsn, f"CREATE DATABASE {name}")
    yield with_database(servers.postgres_dsn, name)
    await execute(servers.postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


class Folder:
    """A folder of migrations to which a test adds further ones."""

    def __init__(self, path: Path) -> None:
        self._versions = path / "versions"
        self._before = SCHEMA_VERSION

    def add(self, phase: str, up: str, down: str = "SELECT 1", more: str = "") -> str:
        """Add a migration and give its version."""
        version = f"{int(self._before) + 1:04d}"
        module = MODULE.format(version=version, before=self._before, phase=phase, more=more)
        (self._versions / f"m{version}_further.py").write_text(module, encoding="utf-8")
        (self._versions / f"{version}.up.sql").write_text(up, encoding="utf-8")
        (self._versions / f"{version}.down.sql").write_text(down, encoding="utf-8")
        self._before = version
        return version

    def rewrite(self, version: str, up: str) -> None:
        """Give a migration another script."""
        (self._versions / f"{version}.up.sql").write_text(up, encoding="utf-8")


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Give a copy of the migrations that the runner uses, and to which more may be added."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(runner.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runner, "__file__", str(folder / "runner.py"))
    return Folder(folder)


async def where(dsn: str) -> tuple[str | None, str | None]:
    found = await status(dsn)
    return found.current, found.lowest


async def test_each_phase_leads_to_its_own_end(dsn: str, further: Folder) -> None:
    """Additions stop before the first removal; removals are the rest, and raise the lowest version of workers."""
    further.add("pre", "CREATE TABLE a (x int)", "DROP TABLE a")
    further.add("pre", "CREATE TABLE b (x int)", "DROP TABLE b")
    further.add("post", "DROP TABLE a", "CREATE TABLE a (x int)")
    await upgrade(dsn, SCHEMA_VERSION)
    assert await where(dsn) == (SCHEMA_VERSION, BASELINE)
    await upgrade(dsn, phase=Phase.PRE)
    assert await where(dsn) == (SECOND, BASELINE)
    await upgrade(dsn, phase=Phase.PRE)
    assert await where(dsn) == (SECOND, BASELINE), "again changes nothing"
    await upgrade(dsn, phase=Phase.POST)
    assert await where(dsn) == (THIRD, THIRD)
    await upgrade(dsn, phase=Phase.POST)
    assert await where(dsn) == (THIRD, THIRD), "again changes nothing"
    await downgrade(dsn, "-1")
    assert await where(dsn) == (SECOND, BASELINE)
    await upgrade(dsn)
    assert await where(dsn) == (THIRD, THIRD)


async def test_a_removal_may_say_that_workers_of_an_earlier_version_run_on_it(dsn: str, further: Folder) -> None:
    further.add("pre", "CREATE TABLE a (x int)")
    further.add("post", "DROP TABLE a", more=f'lowest = "{FIRST}"')
    await upgrade(dsn)
    assert await where(dsn) == (SECOND, FIRST)


async def test_removals_wait_for_the_additions_before_them(dsn: str, further: Folder) -> None:
    further.add("pre", "CREATE TABLE a (x int)")
    further.add("post", "DROP TABLE a")
    await upgrade(dsn, SCHEMA_VERSION)
    with pytest.raises(MigrationError, match=f"migration {FIRST} .* is of phase pre and not applied"):
        await upgrade(dsn, phase=Phase.POST)
    assert await where(dsn) == (SCHEMA_VERSION, BASELINE)


async def test_additions_behind_a_removal_are_refused_while_something_may_run(dsn: str, further: Folder) -> None:
    """Two releases at once: what the first one removes is used by the workers that run."""
    further.add("post", "SELECT 1")
    further.add("pre", "CREATE TABLE a (x int)")
    await upgrade(dsn, SCHEMA_VERSION)
    with pytest.raises(MigrationError, match=f"migration {FIRST} .* comes before {SECOND} .*by way of the release"):
        await upgrade(dsn, phase=Phase.PRE)
    assert await where(dsn) == (SCHEMA_VERSION, BASELINE)
    await upgrade(dsn)
    assert await where(dsn) == (SECOND, FIRST)


async def test_on_an_empty_database_the_first_phase_goes_through_everything_but_the_last_removals(
    dsn: str, further: Folder
) -> None:
    """Nothing runs there that a removal could break."""
    further.add("post", "SELECT 1")
    further.add("pre", "SELECT 1")
    further.add("post", "SELECT 1")
    await upgrade(dsn, phase=Phase.PRE)
    assert (await where(dsn))[0] == SECOND
    await upgrade(dsn, phase=Phase.POST)
    assert (await where(dsn))[0] == THIRD


async def test_what_would_break_workers_that_are_connected_is_refused_with_their_number(
    dsn: str, further: Folder
) -> None:
    further.add("pre", "SELECT 1")
    further.add("post", "SELECT 1")
    await upgrade(dsn, FIRST)
    for name in ("rulestream", f"rulestream/{SCHEMA_VERSION}"):  # a release before phases, and ours
        worker = await asyncpg.connect(dsn, server_settings={"application_name": name})
        try:
            with pytest.raises(MigrationError, match=f"1 of '{name}'; stop them first"):
                await upgrade(dsn, phase=Phase.POST)
            with pytest.raises(MigrationError, match=f"1 of '{name}'"):
                await upgrade(dsn)
            assert await where(dsn) == (FIRST, BASELINE)
        finally:
            await worker.close()
    newer = await asyncpg.connect(dsn, server_settings={"application_name": f"rulestream/{SECOND}"})
    try:
        await eventually(lambda: upgrade(dsn, phase=Phase.POST), lambda done: done.is_current)
        with pytest.raises(MigrationError, match=f"1 of 'rulestream/{SECOND}'"):
            await downgrade(dsn, "-1")
        assert (await downgrade(dsn, "-1", is_forced=True)).current == FIRST
    finally:
        await newer.close()


async def test_additions_are_applied_beside_workers_that_are_connected(dsn: str, further: Folder) -> None:
    further.add("pre", "CREATE TABLE a (x int)")
    await upgrade(dsn, SCHEMA_VERSION)
    worker = await asyncpg.connect(dsn, server_settings={"application_name": "rulestream"})
    try:
        assert (await upgrade(dsn, phase=Phase.PRE)).is_current
    finally:
        await worker.close()


async def test_a_database_that_a_newer_release_has_migrated_is_left_alone_where_we_run_on_it(
    dsn: str, further: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the job of a deployment does that is rolled back."""
    further.add("pre", "CREATE TABLE a (x int)")
    further.add("post", "SELECT 1")
    newer = runner.__file__
    await upgrade(dsn, FIRST)
    monkeypatch.undo()
    for phase in (None, *Phase):
        found = await upgrade(dsn, phase=phase)
        assert (found.current, found.is_ahead, found.pending) == (FIRST, True, ())
    monkeypatch.setattr(runner, "__file__", newer)
    await upgrade(dsn, SECOND)
    monkeypatch.undo()
    with pytest.raises(MigrationError, match=f"at version {SECOND}, on which only workers.* {SECOND} or newer"):
        await upgrade(dsn)
    assert await where(dsn) == (SECOND, SECOND)


async def test_a_database_of_a_release_before_phases_is_taken_over_as_it_stands(dsn: str) -> None:
    """Such a release keeps one version in one table, and starts where that is exactly its own."""
    await upgrade(dsn, "0009")
    await execute(dsn, "DROP TABLE schema_migration")
    assert await where(dsn) == ("0009", "0009")
    assert (await upgrade(dsn)).current == SCHEMA_VERSION
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT version_num FROM schema_version") == BASELINE
    finally:
        await connection.close()


async def test_what_an_older_releases_tool_did_meanwhile_is_taken_over_or_said(dsn: str, further: Folder) -> None:
    await upgrade(dsn, "0009")
    await execute(dsn, "UPDATE schema_version SET version_num = '0008'", "DROP INDEX ruleset_member_begun")
    await execute(dsn, "DROP INDEX ruleset_member_ended")
    assert (await upgrade(dsn)).current == SCHEMA_VERSION

    further.add("pre", "SELECT 1")
    await upgrade(dsn)
    await execute(dsn, "UPDATE schema_version SET version_num = '0009'")
    with pytest.raises(MigrationError, match="schema_version 0009: the migrations of a release before"):
        await upgrade(dsn)


async def test_a_migration_that_waits_for_a_lock_lets_others_go_first_and_is_tried_again(
    dsn: str, further: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses the table waits behind it, so it waits shortly; what it had done is undone meanwhile."""
    monkeypatch.setattr(runner, "_SESSION", ("SET lock_timeout = '50ms'",))
    monkeypatch.setattr(runner, "LOCK_PAUSE_S", 0.01)
    monkeypatch.setattr(runner, "LOCK_TRIES", 3)
    further.add("pre", "CREATE TABLE a (x int); ALTER TABLE rule ADD COLUMN y int")
    await upgrade(dsn, SCHEMA_VERSION)
    holder = await asyncpg.connect(dsn)
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE rule IN ACCESS SHARE MODE")
        with pytest.raises(MigrationError, match="lock timeout"):
            await upgrade(dsn, phase=Phase.PRE)
        assert await where(dsn) == (SCHEMA_VERSION, BASELINE)

        monkeypatch.setattr(runner, "LOCK_TRIES", 100_000)
        waiting = asyncio.create_task(upgrade(dsn, phase=Phase.PRE))

        async def is_tried() -> bool:
            count = await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(count)

        await eventually(is_tried, bool)
        await transaction.rollback()
        assert (await waiting).is_current
    finally:
        await holder.close()


KILLED_RUNNER = """
import asyncio, sys
from worker.migrations import runner
runner.__file__ = sys.argv[2]
asyncio.run(runner.upgrade(sys.argv[1]))
"""


async def test_a_runner_that_is_killed_leaves_what_it_had_finished_and_the_next_one_goes_on(
    dsn: str, further: Folder
) -> None:
    """The server gives up what the dead one was doing; two more that come at once do the rest one after the other."""
    further.add("pre", "CREATE TABLE a (x int)")
    further.add("pre", "CREATE TABLE b (x int); SELECT pg_sleep(3600)")
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED_RUNNER, dsn, runner.__file__)
    observer = await asyncpg.connect(dsn)
    try:

        async def is_in_the_middle() -> bool:
            return bool(await observer.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

        await eventually(is_in_the_middle, bool, 60)
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        further.rewrite(SECOND, "CREATE TABLE b (x int)")
        async with asyncio.timeout(60):
            both = await asyncio.gather(upgrade(dsn), upgrade(dsn))
        assert [one.current for one in both] == [SECOND, SECOND]
        assert await observer.fetchval("SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b')") == 2
    finally:
        await observer.close()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SchemaState(None, None), "has no tables of ours"),
        (SchemaState("0009", "0009"), "is at version 0009, this worker needs version 0011"),
        (SchemaState("0010", "0010"), "is at version 0010, this worker needs version 0011"),
        (SchemaState("0011", "0010"), None),
        (SchemaState("0012", "0012"), None),
        (SchemaState("0015", "0012"), None),
        (SchemaState("0013", "0013"), "only releases written for version 0013 or newer run on it, this one"),
        (SchemaState("0011", "0009"), "an older release undid migrations"),
    ],
)
def test_a_worker_runs_on_what_has_all_that_it_needs_until_a_removal_that_it_does_not_know(
    state: SchemaState, words: str | None
) -> None:
    problem = SchemaRange(required="0011", written_for="0012").problem(state)
    assert (problem is None) if words is None else (problem is not None and words in problem)


async def test_a_worker_hears_within_a_moment_that_the_database_is_not_for_it_any_more(
    dsn: str, further: Folder
) -> None:
    further.add("post", "SELECT 1")
    await upgrade(dsn, SCHEMA_VERSION)
    pool = await open_pool(dsn, size_max=1, timeout_s=60)
    heard: asyncio.Queue[SchemaError] = asyncio.Queue()
    watch = SchemaWatch(pool, heard.put_nowait, period_s=0.01)
    try:
        await require_schema(pool)
        watch.start()
        await upgrade(dsn, is_forced=True)
        async with asyncio.timeout(30):
            problem = await heard.get()
        assert f"where what this worker uses is gone: only releases written for version {FIRST}" in problem.message
        with pytest.raises(SchemaError, match="start a newer release"):
            await require_schema(pool, range_=OURS)
    finally:
        await watch.stop()
        await pool.close()
