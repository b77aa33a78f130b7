"""Facts that were dead, sent again once their cause is cured: decided under their first identity, and once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from datetime import datetime

from tests.behaviour.bus import Bus, Message
from tests.end_to_end.stage import all_settled, each_decided_once
from worker.embedded import Addresses
from worker.service import running_worker
from worker.settings import load_settings

FACT_BYTES_MAX = 1024
LARGE = json.dumps({"total": 5, "text": "x" * FACT_BYTES_MAX}).encode()
SMALL = json.dumps({"total": 5}).encode()
EVENT = json.dumps({"specversion": "1.0", "id": "event-1", "source": "/shop", "data": json.loads(LARGE)}).encode()
# What is sent, the first of a stream: bytes, headers; and the kind, source and id of its identity where it has one.
DEAD = [
    (LARGE, None, None),
    (LARGE, {"Nats-Msg-Id": "order-1", "Nats-Expected-Last-Sequence": "1"}, ("msg", "", "order-1")),
    (LARGE, {"ce-id": "e 2", "ce-source": "/shop", "ce-time": "2026-01-01T00:00:00Z"}, ("ce", "/shop", "e 2")),
    (EVENT, {"content-type": "application/cloudevents+json"}, ("ce", "/shop", "event-1")),
]


def key(kind: str, source: str, fact_id: str) -> str:
    """Give a fact's key as the contract has it."""
    parts = (part.encode() for part in (kind, source, fact_id))
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()[:32]


def nanoseconds(text: str) -> int:
    """Read a time of RFC 3339 in UTC, of which datetime would lose the nanoseconds."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
    return whole * 1_000_000_000 + int(fraction.ljust(9, "0"))


async def redrive_all(addresses: Addresses) -> dict[str, int]:
    """Send every letter's fact again and give how many came to what."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker.cli", "dead", "redrive", "--all", "--keep", "--wait", "--json"),
        env={**os.environ, "RULESTREAM_NATS_URL": addresses.nats},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    tally: dict[str, int] = json.loads(printed.splitlines()[-1])
    return tally


async def test_a_fact_is_decided_once_however_often_its_letter_is_redriven(addresses: Addresses, bus: Bus) -> None:
    """The stream forgets message ids after a second, so that every redrive stores every fact once more."""
    servers = {"nats_url": addresses.nats, "postgres_dsn": addresses.postgres, "redis_url": addresses.redis}
    settings = load_settings(**servers, http_port=0, duplicate_window_s=1, fact_bytes_max=FACT_BYTES_MAX)
    async with running_worker(settings):
        for data, headers, _ in DEAD:
            await bus.publish_fact("order.placed", data, headers)
        await bus.publish_fact("order.placed", SMALL, {"Nats-Msg-Id": "small"})
        letters = await bus.wait_stored("DEAD_LETTERS", len(DEAD))
        await all_settled(bus, 1)
    first, *_ = sorted(letters, key=lambda letter: int(letter.headers["Rulestream-Sequence"]))
    place = f"{first.headers['Rulestream-Sequence']}@{nanoseconds(first.headers['Rulestream-Stored-At'])}"
    identities = [identity or ("seq", "FACTS", place) for _, _, identity in DEAD]
    facts = [{"id": "FACTS:1"}, *({"id": fact_id} for _, _, fact_id in identities[1:]), {"id": "small"}]

    async with running_worker(load_settings(**servers, http_port=0, duplicate_window_s=1)):
        messages = await decided_after_redrive(addresses, bus, len(facts))
        decided = {message.body["decisionId"]: message for message in messages}
        assert decided.keys() == {key(*identity) for identity in [*identities, ("msg", "", "small")]}
        without_id = decided[key(*identities[0])].body
        assert without_id["factTime"] == first.headers["Rulestream-Stored-At"], "the time of its first life"

        await decided_after_redrive(addresses, bus, len(facts))
    assert await bus.count("FACTS") == 3 * len(DEAD) + 1, "each redrive stored every fact"
    assert await bus.count("DEAD_LETTERS") == len(DEAD), "and none died again"
    again = await each_decided_once(bus, addresses.postgres, facts)
    assert {message.data for message in again} == {message.data for message in messages}


async def decided_after_redrive(addresses: Addresses, bus: Bus, decisions: int) -> list[Message]:
    """Redrive every letter and give the decisions once all facts are settled."""
    tally = await redrive_all(addresses)
    assert (tally["letters"], tally["redriven"]) == (len(DEAD), len(DEAD))
    await all_settled(bus, decisions)
    return await bus.stored("DECISIONS")
