"""Migrations say their phase, and those that run beside old workers do nothing that breaks these."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.migrations.additions import problems
from worker.migrations import phases
from worker.migrations.newest import REQUIRED_VERSION, SCHEMA_VERSION
from worker.migrations.phases import BASELINE, Migration, Phase, lowest_worker

VERSIONS = Path(phases.__file__).parent / "versions"
KNOWN = phases.migrations()

# What is let through, by version, with the reason. All of it was released before there were phases, when workers were
# stopped for every migration: nothing new belongs here without a reason why no worker runs into it.
EXCEPTIONS = {
    "0003": "before phases; the trigger refuses what no worker does",
    "0004": "before phases; the constraint holds for rows without a template, the index is of a column that is new",
    "0005": "before phases; the table rule is rewritten and its indexes are made anew, which is quick for its size",
    "0009": "before phases; the table has a row a change of a rule",
    "0010": "before phases; the table has a row a change of a rule",
}


def up_script(version: str) -> str:
    (path,) = VERSIONS.glob(f"{version}_*.up.sql")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("migration", [one for one in KNOWN if one.phase is Phase.PRE], ids=lambda one: one.version)
def test_a_migration_of_phase_pre_breaks_no_worker_that_runs(migration: Migration) -> None:
    """Drops, renames, what must not be null, and long locks belong to phase post; exceptions are named."""
    found = list(problems(up_script(migration.version)))
    assert (migration.version in EXCEPTIONS) == bool(found), found


def test_exceptions_are_of_the_time_before_phases() -> None:
    """A later one needs a note in docs/decisions.md, and a change of this test."""
    assert all(version <= BASELINE and reason for version, reason in EXCEPTIONS.items())


@pytest.mark.parametrize(
    ("script", "meaning"),
    [
        ("DROP TABLE rule;", "drops a table"),
        ("ALTER TABLE rule DROP COLUMN name;", "drops a column"),
        ("DROP INDEX rule_by_name;", "drops an index"),
        ("DROP FUNCTION refuse_change();", "drops what old workers may use"),
        ("ALTER TABLE rule RENAME TO rules;", "renames"),
        ("ALTER TABLE rule RENAME COLUMN name TO title;", "renames"),
        ("TRUNCATE rule;", "removes rows"),
        ("DELETE FROM rule WHERE true;", "removes rows"),
        ("UPDATE rule SET name = 'x';", "changes rows"),
        ("LOCK TABLE rule;", "locks a table"),
        ("ALTER TABLE rule ALTER COLUMN name TYPE bytea;", "alters a column's type"),
        ("ALTER TABLE rule ALTER name SET DATA TYPE bytea;", "alters a column's type"),
        ("ALTER TABLE rule ALTER COLUMN name SET NOT NULL;", "refuses rows"),
        ("ALTER TABLE rule ADD COLUMN x int NOT NULL;", "must not be null"),
        ("ALTER TABLE rule ADD COLUMN w int, ADD COLUMN x numeric(9, 2) NOT NULL;", "must not be null"),
        ("ALTER TABLE rule ADD CONSTRAINT c CHECK (version > 0);", "adds a constraint"),
        ("ALTER TABLE rule ADD COLUMN x int GENERATED ALWAYS AS (version) STORED;", "adds a computed column"),
        ("CREATE TRIGGER t BEFORE INSERT ON rule FOR EACH ROW EXECUTE FUNCTION f();", "adds a trigger"),
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger AS $$ DROP $$ LANGUAGE sql;", "replaces"),
        ("CREATE INDEX i ON decision (key);", "adds an index"),
        ("CREATE UNIQUE INDEX i ON fact_key (key);", "adds an index"),
        ("REVOKE SELECT ON rule FROM someone;", "takes rights away"),
        ("CREATE TABLE x (a int); DROP TABLE rule;", "drops a table"),
    ],
)
def test_what_breaks_old_workers_is_seen(script: str, meaning: str) -> None:
    assert any(meaning in found for found in problems(script)), list(problems(script))


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE rule ADD COLUMN x text;",
        "ALTER TABLE rule ADD COLUMN x int NOT NULL DEFAULT 0, ADD COLUMN y text;",
        "CREATE TABLE x (a int PRIMARY KEY, b text NOT NULL); CREATE INDEX y ON x (a);",
        "-- DROP TABLE rule;\nCREATE TABLE x (a int CHECK (a > 0));",
        "/* RENAME */ CREATE TABLE x (a text DEFAULT 'DROP TABLE; rule');",
        "INSERT INTO x SELECT 1;",
        "CREATE VIEW v AS SELECT name FROM rule;",
    ],
)
def test_what_only_adds_passes(script: str) -> None:
    assert list(problems(script)) == []


def test_every_migration_says_its_phase_and_follows_the_one_before() -> None:
    """The versions are in one line, without a gap; the first one has nothing before it."""
    assert [one.version for one in KNOWN] == [f"{number:04d}" for number in range(1, len(KNOWN) + 1)]
    assert KNOWN[-1].version == SCHEMA_VERSION
    assert max(one.version for one in KNOWN if one.phase is Phase.PRE) == REQUIRED_VERSION
    assert all(one.title and one.lowest <= one.version for one in KNOWN)


def migration(version: str, phase: str, lowest: str | None = None) -> Migration:
    return Migration(version, Phase(phase), lowest or version, "x")


@pytest.mark.parametrize(
    ("applied", "later", "lowest"),
    [
        (None, [], None),
        ("0003", [], "0003"),  # workers until then run on exactly their own
        ("0010", [], "0010"),
        ("0011", [migration("0011", "pre")], "0010"),
        ("0012", [migration("0011", "pre"), migration("0012", "post")], "0012"),
        ("0011", [migration("0011", "pre"), migration("0012", "post")], "0010"),
        ("0012", [migration("0011", "pre"), migration("0012", "post", "0011")], "0011"),
        ("0013", [migration("0011", "post"), migration("0012", "pre"), migration("0013", "pre")], "0011"),
        ("0013", [migration("0011", "post"), migration("0012", "post", "0010"), migration("0013", "pre")], "0011"),
    ],
)
def test_only_a_removal_raises_the_lowest_version_of_workers(
    applied: str | None, later: list[Migration], lowest: str | None
) -> None:
    until_now = [one for one in KNOWN if one.version <= BASELINE]
    assert lowest_worker(applied, (*until_now, *later)) == lowest


def test_a_file_that_does_not_say_its_phase_is_a_defect(tmp_path: Path) -> None:
    (tmp_path / "m0001_x.py").write_text('"""X."""\nrevision = "0001"\n', encoding="utf-8")
    with pytest.raises(AssertionError, match=r"m0001_x\.py does not say its phase"):
        phases.migrations(tmp_path)
