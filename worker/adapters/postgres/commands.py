"""The command log and the rules' history in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.identifiers import Actor, CommandId, RuleId
from domain.ports import LoggedCommand, RecordedEvent
from domain.rules.events import EventName, RuleEvent
from domain.rules.status import RuleStatus
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("commands")


class PostgresCommandLog:
    """CommandLog on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def find(self, actor: Actor, command_id: CommandId) -> LoggedCommand | None:
        row = await self._connection.fetchrow(_SQL["find_command"], actor.name, command_id.value)
        return None if row is None else LoggedCommand(row["verb"], row["payload_digest"], row["answer"])

    async def add(self, actor: Actor, command_id: CommandId, command: LoggedCommand, decided_at: datetime) -> bool:
        added = await self._connection.fetchval(
            _SQL["add_command"],
            actor.name,
            command_id.value,
            command.verb,
            command.payload_digest,
            command.answer,
            decided_at,
        )
        return added is not None


class PostgresHistory:
    """History on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def add(self, entry: RecordedEvent) -> None:
        event = entry.event
        await self._connection.execute(
            _SQL["add_event"],
            UUID(event.rule_id.value),
            UUID(entry.event_id),
            event.name.value,
            event.rule_name,
            event.version,
            event.status.value,
            event.actor.name,
            event.occurred_at,
            entry.command_id.value,
            entry.revision,
            event.content_digest,
            event.before_digest,
            msgspec.json.encode(event.data),
        )

    async def of_rule(self, rule_id: RuleId) -> Sequence[RecordedEvent]:
        rows = await self._connection.fetch(_SQL["events_of_rule"], UUID(rule_id.value))
        return [
            RecordedEvent(
                event_id=str(row["event_id"]),
                event=RuleEvent(
                    name=EventName(row["name"]),
                    rule_id=RuleId(str(row["rule_id"])),
                    rule_name=row["rule_name"],
                    version=row["version"],
                    status=RuleStatus(row["status"]),
                    actor=Actor(row["actor"]),
                    occurred_at=row["occurred_at"],
                    content_digest=row["content_digest"],
                    before_digest=row["before_digest"],
                    changes_ruleset=row["revision"] is not None,
                    data=msgspec.json.decode(row["data"]),
                ),
                command_id=CommandId(row["command_id"]),
                revision=row["revision"],
            )
            for row in rows
        ]
