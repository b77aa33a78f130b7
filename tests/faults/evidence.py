"""What is there in the end: every message of the streams and every row of the tables, read by ordinary clients.

Nothing of the project is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
from nats.js.client import JetStreamContext

from tests.faults.identity import StoredMessage

READ_WAIT_S = 60.0
FACTS, DECISIONS, EFFECTS, DEAD_LETTERS = "FACTS", "DECISIONS", "EFFECTS", "DEAD_LETTERS"
CONSUMER = "rulestream-facts"
COLUMNS = "key, fact_id, fact_type, matched, body, effects"


@dataclass(frozen=True, slots=True)
class Row:
    """A decision as Postgres holds it; effects are (name, effect id, payload)."""

    key: bytes
    fact_id: str
    fact_type: str
    matched: bool
    body: bytes
    effects: tuple[tuple[str, str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the workers left behind.

    ``waiting`` are the consumer's facts not delivered and not acknowledged, ``deliveries`` all that it ever made.
    """

    facts: list[StoredMessage]
    decisions: list[StoredMessage]
    effects: list[StoredMessage]
    dead_letters: list[StoredMessage]
    keys: list[bytes]
    rows: list[Row]
    waiting: tuple[int, int]
    deliveries: int


async def gather(jetstream: JetStreamContext, dsn: str) -> Evidence:
    """Read the streams and the tables whole."""
    info = await jetstream.consumer_info(FACTS, CONSUMER)
    facts, decisions, effects, dead_letters = [
        await stored(jetstream, name) for name in (FACTS, DECISIONS, EFFECTS, DEAD_LETTERS)
    ]
    connection = await asyncpg.connect(dsn)
    try:
        keys = [row["key"] for row in await connection.fetch("SELECT key FROM fact_key")]
        rows = [_row(row) for row in await connection.fetch(f"SELECT {COLUMNS} FROM decision")]
    finally:
        await connection.close()
    return Evidence(
        facts,
        decisions,
        effects,
        dead_letters,
        keys,
        rows,
        (info.num_pending or 0, info.num_ack_pending or 0),
        0 if info.delivered is None else info.delivered.consumer_seq,
    )


async def stored(jetstream: JetStreamContext, stream: str) -> list[StoredMessage]:
    """Give every message that a stream holds, the oldest first."""
    wanted = (await jetstream.stream_info(stream)).state.messages
    found: list[StoredMessage] = []
    subscription = await jetstream.subscribe(
        ">", stream=stream, ordered_consumer=True, pending_msgs_limit=0, pending_bytes_limit=0
    )
    try:
        while len(found) < wanted:
            message = await subscription.next_msg(timeout=READ_WAIT_S)
            tokens = message.reply.split(
                "."
            )  # … <stream sequence> <consumer sequence> <time in ns> <pending> [<token>]
            at = 2 if len(tokens) == 9 else 4
            found.append(
                StoredMessage(
                    message.subject,
                    int(tokens[at + 3]),
                    int(tokens[at + 5]),
                    dict(message.headers or {}),
                    message.data,
                )
            )
    finally:
        await subscription.unsubscribe()
    return found


def _row(row: Any) -> Row:
    effects = () if row["effects"] is None else tuple(map(tuple, msgspec.msgpack.decode(row["effects"])))
    return Row(row["key"], row["fact_id"], row["fact_type"], row["matched"], row["body"], effects)
