"""The ruleset in Postgres: its state, its members at any revision, and their content."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from domain.decisions.ruleset import ActiveRule, RulesetState
from domain.identifiers import RuleId
from domain.ports import RulesetChanges
from domain.rules.rule import Rule
from worker.adapters.postgres.rules import content_of
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("ruleset")


class PostgresActiveRules:
    """ActiveRules on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def state(self) -> RulesetState:
        return _state(await self._connection.fetchrow(_SQL["ruleset_state"]))

    async def lock(self) -> RulesetState:
        return _state(await self._connection.fetchrow(_SQL["lock_ruleset"]))

    async def change(self, rule: Rule, at: datetime) -> RulesetState:
        revision = (await self.lock()).revision + 1
        rule_id = UUID(rule.id.value)
        await self._connection.execute(_SQL["end_membership"], rule_id, revision)
        if rule.active is not None:
            digest = rule.active.content.digest(rule.id, rule.active.number)
            await self._connection.execute(_SQL["begin_membership"], rule_id, rule.active.number, digest, revision)
        return _state(await self._connection.fetchrow(_SQL["advance_ruleset"], revision, at))

    async def members(self, revision: int | None = None) -> Sequence[tuple[RuleId, int, bytes]]:
        if revision is None:
            rows = await self._connection.fetch(_SQL["members"])
        else:
            rows = await self._connection.fetch(_SQL["members_at"], revision)
        return _members(rows)

    async def changes(self, since: int, most: int) -> RulesetChanges:
        rows = await self._connection.fetch(_SQL["changes_since"], since, most + 1)
        found = [row for row in rows if row["content_digest"] is not None]
        ended = {row["content_digest"] for row in found if not row["is_begun"]}
        begun = {row["content_digest"]: row for row in found if row["is_begun"]}
        both = ended.intersection(begun)  # went, and came back
        return RulesetChanges(
            _state(rows[0]),
            [digest for digest in ended if digest not in both],
            [_active_rule(row) for digest, row in begun.items() if digest not in both],
            len(found) > most,
        )

    async def load(self, versions: Sequence[tuple[RuleId, int]]) -> Sequence[ActiveRule]:
        ids = [UUID(rule_id.value) for rule_id, _ in versions]
        rows = await self._connection.fetch(_SQL["load_versions"], ids, [number for _, number in versions])
        return [_active_rule(row) for row in rows]


def _members(rows: Sequence[asyncpg.Record]) -> list[tuple[RuleId, int, bytes]]:
    return [(RuleId(str(row["rule_id"])), row["version"], row["content_digest"]) for row in rows]


def _active_rule(row: asyncpg.Record) -> ActiveRule:
    return ActiveRule(RuleId(str(row["rule_id"])), row["version"], content_of(row))


def _state(row: asyncpg.Record | None) -> RulesetState:
    assert row is not None  # the migration puts the one row there
    return RulesetState(row["revision"], row["digest"])
