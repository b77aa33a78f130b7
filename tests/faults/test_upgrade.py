"""Rolling upgrades in their short form: this code beside itself, written for a schema before and after a change.

The long form, with an earlier release's own code, is ``make upgrade FROM=<git ref>``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.behaviour.bus import eventually
from tests.faults.evidence import gather
from tests.faults.rolling import EVERY_ROLE, Rolling
from tests.faults.stage import CHANGE_WAIT_S, PROJECT, FaultyWorker, Release, Site, Stage
from tests.servers.operations import execute, run_apart
from worker.embedded import EmbeddedStack
from worker.migrations import runner
from worker.migrations.newest import REQUIRED_VERSION, SCHEMA_VERSION
from worker.migrations.phases import Phase
from worker.migrations.runner import MigrationError, downgrade, status, upgrade

SEED = 1
PRE, POST = f"{int(SCHEMA_VERSION) + 1:04d}", f"{int(SCHEMA_VERSION) + 2:04d}"
MIGRATION = '''"""A further migration, {phase}."""
from worker.migrations.script import run_script
revision = "{version}"
down_revision = "{before}"
phase = "{phase}"
def upgrade():
    run_script(__file__, "{version}.up.sql")
def downgrade():
    run_script(__file__, "{version}.down.sql")
'''
# What the next release might bring: a column and a table beside what is there; then it is rid of an index.
SCRIPTS = {
    f"{PRE}.up.sql": "ALTER TABLE fact_trial ADD COLUMN reason text; CREATE TABLE suspect (key bytea PRIMARY KEY);",
    f"{PRE}.down.sql": "ALTER TABLE fact_trial DROP COLUMN reason; DROP TABLE suspect;",
    f"{POST}.up.sql": "DROP INDEX rule_by_tag;",
    f"{POST}.down.sql": "CREATE INDEX rule_by_tag ON rule USING gin (tags);",
}


def written_for(name: str, schema: str, required: str) -> Release:
    """Give this code as a release that is written for a schema, and needs one at least."""
    environment = {"RULESTREAM_TEST_SCHEMA": schema, "RULESTREAM_TEST_REQUIRED": required}
    return Release(name, PROJECT, (str(PROJECT / "tests" / "faults" / "written_for.py"),), environment)


OLD = written_for("old", SCHEMA_VERSION, REQUIRED_VERSION)
NEW = written_for("new", POST, PRE)


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the runner know two further migrations, an addition and a removal."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(runner.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    versions = folder / "versions"
    for version, before, phase in ((PRE, SCHEMA_VERSION, "pre"), (POST, PRE, "post")):
        (versions / f"m{version}_further.py").write_text(
            MIGRATION.format(version=version, before=before, phase=phase), encoding="utf-8"
        )
    for name, script in SCRIPTS.items():
        (versions / name).write_text(script, encoding="utf-8")
    monkeypatch.setattr(runner, "__file__", str(folder / "runner.py"))
    return versions


@pytest.fixture(scope="module")
def servers_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give servers of this module's own, whose databases are of the old release."""
    stack = EmbeddedStack()
    run_apart(stack.start())
    try:
        found = Site(stack, tmp_path_factory.mktemp("upgrade"))
        run_apart(found.open())
        yield found
    finally:
        run_apart(end(stack))


async def end(stack: EmbeddedStack) -> None:
    """Stop the servers, whose data nobody wants."""
    await stack.postgres.kill()
    await stack.stop()


async def stage_of(servers: Site, name: str) -> Stage:
    """Give a clean stage whose workers are of the old release."""
    folder = servers.folder / name
    folder.mkdir()
    return Stage(await servers.clean(name), folder, SEED, stack=servers.stack, release=OLD)


@pytest.mark.timeout(600)
async def test_a_rolling_upgrade_loses_nothing_and_decides_nothing_twice(
    servers_apart: Site, request: pytest.FixtureRequest
) -> None:
    """Both releases decide facts and answer commands side by side; every fact is decided exactly once."""
    stage = await stage_of(servers_apart, "upgrade_rolling")
    request.getfixturevalue("further")
    dsn = stage.addresses.postgres

    async def additions() -> None:
        found = await upgrade(dsn, phase=Phase.PRE)
        assert (found.current, found.lowest) == (PRE, SCHEMA_VERSION)
        with pytest.raises(MigrationError, match=f"workers are connected.*rulestream/{SCHEMA_VERSION}"):
            await upgrade(dsn, phase=Phase.POST)

    async def removals() -> None:
        found = await eventually(lambda: upgrade(dsn, phase=Phase.POST), lambda done: done.is_current)
        assert (found.current, found.lowest) == (POST, POST)

    async with stage:
        found = await Rolling(stage, OLD, NEW, facts=20).play(additions, removals, and_back=False)
    assert found.is_clean, str(found)
    assert found.decided > 0


@pytest.mark.timeout(300)
async def test_workers_start_where_they_may_and_end_where_they_may_no_longer(
    servers_apart: Site, request: pytest.FixtureRequest
) -> None:
    """The new release waits for the additions; the old one ends when removals are forced under it, and loses nothing.

    The first removal, which is undone again, is of what decides which facts are new; with the second one the new
    release goes on.
    """
    stage = await stage_of(servers_apart, "upgrade_refused")
    versions: Path = request.getfixturevalue("further")
    dsn = stage.addresses.postgres
    async with stage:
        early = await stage.launch(NEW)
        assert await ended(early) == 1
        assert f"this worker needs version {PRE}: run 'rulestream migrate up --phase pre'" in early.process.log_tail()
        await upgrade(dsn, phase=Phase.PRE)

        stage.load.start()
        old = await stage.start_worker(stop_timeout_s=1)  # an old one that is started anew, too
        await stage.progress(50)
        (versions / f"{POST}.up.sql").write_text("ALTER TABLE fact_key RENAME TO claimed", encoding="utf-8")
        (versions / f"{POST}.down.sql").write_text("ALTER TABLE claimed RENAME TO fact_key", encoding="utf-8")
        await upgrade(dsn, phase=Phase.POST, is_forced=True)
        await ended_for(old, POST)
        await ended_for(stage.steward, POST)
        await downgrade(dsn, PRE, is_forced=True)

        old = await stage.start_worker(roles=EVERY_ROLE)
        new = await stage.start_worker(release=NEW, roles=EVERY_ROLE)
        await stage.progress(50)
        for name, script in SCRIPTS.items():
            (versions / name).write_text(script, encoding="utf-8")
        await upgrade(dsn, phase=Phase.POST, is_forced=True)
        await ended_for(old, POST)
        late = await stage.launch(OLD)
        assert await ended(late) == 1
        assert "start a newer release" in late.process.log_tail()

        await stage.progress(50)
        assert await new.is_ready()
        found, _ = await stage.finish(with_worker=False)
    assert found.is_clean, str(found)
    assert found.decided > 0


async def ended_for(worker: FaultyWorker, version: str) -> None:
    """Wait until a worker has ended, with an error that says which workers the database is for."""
    assert await ended(worker) == 1
    said = worker.said("schema_unusable")
    assert said is not None
    assert f"only releases written for version {version} or newer run on it" in said["reason"]


async def ended(worker: FaultyWorker) -> int | None:
    """Wait until a worker has ended by itself, and give its exit code."""

    async def code() -> int | None:
        return worker.process.exit_status

    return await eventually(code, lambda found: found is not None, CHANGE_WAIT_S)


@pytest.mark.timeout(300)
async def test_data_of_the_schema_before_is_served_after_the_additions(servers_apart: Site) -> None:
    """A database as the version before the newest left it, with rules and decisions, goes on under this release."""
    stage = await stage_of(servers_apart, "upgrade_before")
    dsn = stage.addresses.postgres
    async with stage:
        stage.load.start()
        worker = await stage.start_worker()
        await stage.progress(50)
        await stage.load.end()
        await stage.settled()
        await worker.ends()
        await stage.steward.ends()
        decided = len((await gather(stage.bus.jetstream, dsn)).rows)

        await downgrade(dsn, "-1")
        before = (await status(dsn)).current
        await only_what_a_release_before_phases_knows(dsn)
        refused = await stage.launch(OLD)
        assert await ended(refused) == 1
        assert f"is at version {before}, this worker needs version {REQUIRED_VERSION}" in refused.process.log_tail()

        assert (await upgrade(dsn, phase=Phase.PRE)).current == REQUIRED_VERSION
        stage.load.start()
        await stage.start_worker(release=OLD, roles=EVERY_ROLE)
        await stage.progress(50)
        found, _ = await stage.finish(with_worker=False)
    assert found.is_clean, str(found)
    assert found.decided > decided > 0


async def only_what_a_release_before_phases_knows(dsn: str) -> None:
    """Leave the database as the tool of such a release does: with one table of versions."""
    await execute(dsn, "DROP TABLE schema_migration")
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM schema_version") == 1
    finally:
        await connection.close()
