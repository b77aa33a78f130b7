"""The other check of a decision: made again by the product's engine, from the fact on its stream and the rules in
Postgres of the revision that it names, it must come out byte for byte.
"""

from __future__ import annotations

import json

import asyncpg
import msgspec

from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from domain.language import compile_rule
from streams.facts.intake import Accepted, Delivery, read_fact
from streams.messages.decisions import encode_decision
from tests.faults.evidence import FACTS, Evidence, Row
from tests.faults.identity import StoredMessage
from worker.adapters.postgres.active_rules import PostgresActiveRules


async def remade_differences(dsn: str, evidence: Evidence) -> list[str]:
    """Make every decision again and give those that come out otherwise."""
    rulesets: dict[int, Ruleset] = {}
    facts = {message.sequence: message for message in evidence.facts}
    problems: list[str] = []
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        for row in evidence.rows:
            body = json.loads(row.body)
            revision = body["ruleset"]["revision"]
            if revision not in rulesets:
                rulesets[revision] = await _ruleset(pool, revision)
            message = facts.get(body["factSeq"])
            if message is None or not _is_same(row, body, message, rulesets[revision]):
                problems.append(f"decision {body['decisionId']}, made again under revision {revision}, differs")
    return problems


async def _ruleset(pool: asyncpg.Pool[asyncpg.Record], revision: int) -> Ruleset:
    async with pool.acquire() as connection:
        rules = PostgresActiveRules(connection)
        members = await rules.members(revision)
        loaded = await rules.load([(rule_id, version) for rule_id, version, _ in members])
    return Ruleset.of(revision, loaded, compile_rule)


def _is_same(row: Row, body: dict[str, str], message: StoredMessage, ruleset: Ruleset) -> bool:
    delivery = Delivery(
        subject=message.subject,
        reply="",
        data=message.data,
        headers=message.headers or None,
        stream=FACTS,
        sequence=message.sequence,
        stored_at_ns=message.stored_at_ns,
        deliveries=1,
    )
    found = read_fact(delivery)
    if not isinstance(found, Accepted):
        return False
    decision = decide(ruleset, found.fact)
    effects = tuple((one.name, one.effect_id, msgspec.json.encode(one.payload)) for one in decision.effects)
    return encode_decision(decision, body["decidedAt"]) == row.body and effects == row.effects
