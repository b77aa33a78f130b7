"""The database's version against what this release runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.adapters.postgres.pool import SchemaState, schema_state
from worker.doctor.findings import Code, Finding
from worker.doctor.reaching import Postgres
from worker.migrations.phases import Migration, Phase, migrations, newest
from worker.schema import OURS, SchemaRange


@dataclass(frozen=True, slots=True)
class SchemaSeen:
    """Where the database stands, and the migrations that this release knows."""

    state: SchemaState
    known: tuple[Migration, ...]


async def look(postgres: Postgres) -> SchemaSeen:
    """Read where the database stands."""
    return SchemaSeen(await schema_state(postgres.connection), migrations())


def judge(seen: SchemaSeen, range_: SchemaRange = OURS) -> Iterator[Finding]:
    """Say whether workers of this release run on it, and what is still to be applied."""
    applied = seen.state.applied
    problem = range_.problem(seen.state, "a worker of this release")
    if problem is not None:
        found, _, advice = problem.rpartition(": ")
        yield Finding(Code.SCHEMA_UNUSABLE, found, advice)
        return
    assert applied is not None
    if applied > newest(seen.known):
        yield Finding(
            Code.SCHEMA_AHEAD,
            f"the database is at version {applied}, and this release knows versions up to {newest(seen.known)}",
            "go on with the upgrade (docs/upgrades.md), or undo it by the newer release's 'rulestream migrate down'",
        )
    pending = [one for one in seen.known if one.version > applied and one.phase is Phase.POST]
    if pending:
        yield Finding(
            Code.MIGRATIONS_PENDING,
            f"not applied yet: {', '.join(map(str, pending))}",
            "when no worker of the release before runs any more: rulestream migrate up --phase post",
        )
