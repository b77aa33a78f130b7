"""The outbox in Postgres: written with a change, emptied by relays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.identifiers import RuleId
from domain.ports import OutboxMessage
from domain.rules.content import parse_moment
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("outbox")


class PostgresOutbox:
    """Outbox on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def add(self, messages: Sequence[OutboxMessage]) -> None:
        await self._connection.executemany(
            _SQL["add_to_outbox"],
            [
                (
                    UUID(message.event_id),
                    UUID(message.rule_id.value),
                    message.subject,
                    msgspec.json.encode(message.headers),
                    message.payload,
                )
                for message in messages
            ],
        )

    async def claim(self, rules_max: int, held: Iterable[RuleId] = ()) -> Sequence[RuleId]:
        rows = await self._connection.fetch(_SQL["claim_rules"], rules_max, [UUID(rule_id.value) for rule_id in held])
        return [RuleId(str(row["rule_id"])) for row in rows]

    async def pending(self, rule_id: RuleId, most: int) -> PendingEvents:
        rows = await self._connection.fetch(_SQL["outbox_of_rule"], UUID(rule_id.value), most)
        messages = [
            OutboxMessage(
                event_id=str(row["event_id"]),
                rule_id=rule_id,
                subject=row["subject"],
                headers=msgspec.json.decode(row["headers"], type=dict[str, str]),
                payload=row["payload"],
                position=row["position"],
            )
            for row in rows
        ]
        return PendingEvents(messages, rows[0]["sequence"] if rows else 0)

    async def published(self, message: OutboxMessage, sequence: int) -> None:
        rule_id = UUID(message.rule_id.value)
        await self._connection.execute(_SQL["remove_published"], rule_id, sequence, message.position)


@dataclass(frozen=True, slots=True)
class OutboxState:
    """How many events wait in the outbox, and for how many seconds the oldest has."""

    pending: int
    oldest_age_s: float


class _Occurred(msgspec.Struct):
    occurredAt: str  # noqa: N815  # as events have it


async def outbox_state(pool: asyncpg.Pool[asyncpg.Record]) -> OutboxState:
    """Look at the outbox as it stands; by the clocks of the workers that wrote the events, and Postgres's."""
    row = await pool.fetchrow(_SQL["outbox_state"])
    assert row is not None
    return OutboxState(row["pending"], 0.0 if row["oldest"] is None else _age_s(row["oldest"], row["now"]))


def _age_s(payload: bytes, now: datetime) -> float:
    occurred_at = parse_moment(msgspec.json.decode(payload, type=_Occurred).occurredAt)
    return max((now - occurred_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class PendingEvents:
    """A rule's events to publish, oldest first, and the stream sequence of its last published one (0: none)."""

    messages: Sequence[OutboxMessage]
    sequence: int
