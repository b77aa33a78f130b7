"""A worker answers NATS's service discovery, so that ``nats micro ls`` shows it; and nobody but who asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from tests.behaviour.bus import connected, eventually
from worker.service import Worker, running_worker
from worker.settings import load_settings
from worker.telemetry.identity import INSTANCE

ANSWER_WAIT_S = 10.0


@asynccontextmanager
async def workers(addresses: dict[str, str], *roles: str) -> AsyncIterator[list[Worker]]:
    """Run a worker for each of some sets of roles."""
    settings = [load_settings(**addresses, http_port=0, roles=one) for one in roles]
    async with running_worker(settings[0]) as first:
        if len(settings) == 1:
            yield [first]
            return
        async with running_worker(settings[1]) as second:
            yield [first, second]


@pytest.fixture
def addresses(nats_url: str, database: str, redis_url: str) -> dict[str, str]:
    return {"nats_url": nats_url, "postgres_dsn": database, "redis_url": redis_url}


async def answers(client: Client, subject: str, count: int) -> list[dict[str, Any]]:
    """Ask everybody and give the first ``count`` answers."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish(subject, reply=inbox)
    found = [json.loads((await subscription.next_msg(ANSWER_WAIT_S)).data) for _ in range(count)]
    await subscription.unsubscribe()
    return found


async def test_every_worker_is_found_by_a_ping(addresses: dict[str, str]) -> None:
    """Whoever asks all services, or all of ours, hears of each worker what must be alike in all of them."""
    async with workers(addresses, "facts,relay", "commands,queries") as _, connected(addresses["nats_url"]) as bus:
        for subject in ("$SRV.PING", "$SRV.PING.rulestream"):
            pings = [ServicePing.from_dict(found) for found in await answers(bus.client, subject, 2)]
            assert {(one.name, one.version) for one in pings} == {("rulestream", version("rulestream"))}
            assert {one.metadata["roles"] for one in pings} == {"facts,relay", "commands,queries"}
            assert len({one.id for one in pings}) == 2
            assert {one.metadata["instance"] for one in pings} == {INSTANCE}
            for shared in ("policy", "language", "code", "schema"):
                assert len({one.metadata[shared] for one in pings}) == 1, shared


async def test_one_worker_tells_what_it_serves(addresses: dict[str, str]) -> None:
    async with workers(addresses, "facts,queries") as _, connected(addresses["nats_url"]) as bus:
        (ping,) = await answers(bus.client, "$SRV.PING.rulestream", 1)
        reply = await bus.client.request(f"$SRV.INFO.rulestream.{ping['id']}", timeout=ANSWER_WAIT_S)
        info = ServiceInfo.from_dict(json.loads(reply.data))
        assert info.id == ping["id"]
        assert info.type == "io.nats.micro.v1.info_response"
        assert [(one.name, one.subject, one.queue_group) for one in info.endpoints] == [
            ("facts", "facts.>", "rulestream-facts"),
            ("queries", "rules.query.*.*", "rulestream"),
        ]


async def test_the_statistics_count_what_was_served(addresses: dict[str, str]) -> None:
    """Facts, commands and queries; an answer that is an error counts as one, with its code."""
    async with (
        workers(addresses, "facts,commands,queries,relay") as (worker,),
        connected(addresses["nats_url"]) as bus,
    ):
        await bus.publish_fact("order.placed", {})
        await bus.query("ann", "list", {})
        await bus.query("ann", "no-such-verb", {})
        await bus.command("ann", "activate", {"ruleId": "no-such-rule"})

        async def stats() -> ServiceStats:
            (found,) = await answers(bus.client, "$SRV.STATS.rulestream", 1)
            return ServiceStats.from_dict(found)

        seen = await eventually(stats, lambda found: all(one.num_requests for one in found.endpoints))
        by_name = {one.name: one for one in seen.endpoints}
        assert by_name["facts"].num_requests == 1
        assert by_name["facts"].num_errors == 0
        assert (by_name["queries"].num_requests, by_name["queries"].num_errors) == (2, 1)
        assert by_name["queries"].last_error == "NOT_FOUND"
        assert (by_name["commands"].num_requests, by_name["commands"].num_errors) == (1, 1)
        ruleset = (await worker.readiness()).details["ruleset"]
        assert isinstance(ruleset, dict)
        assert by_name["facts"].data == {"revision": ruleset["revision"], "digest": ruleset["digest"]}


async def test_nothing_is_answered_but_to_an_inbox(addresses: dict[str, str]) -> None:
    """Else whoever may ask could have the worker publish an event, a command or an effect."""
    heard: list[str] = []
    is_last = asyncio.Event()

    async def hear(message: Msg) -> None:
        heard.append(message.subject)
        if message.subject == "_INBOX.last":
            is_last.set()

    async with workers(addresses, "queries") as _, connected(addresses["nats_url"]) as bus:
        for subject in ("rules.event.>", "effects.>", "_INBOX_ann.>", "_INBOX.>"):
            await bus.client.subscribe(subject, cb=hear)
        for reply in ("rules.event.r.RuleCreated", "effects.pay", "_INBOXES.x", "_INBOX_ann.x", ""):
            await bus.client.publish("$SRV.PING", reply=reply)
        await bus.client.publish("$SRV.PING", reply="_INBOX.last")
        async with asyncio.timeout(ANSWER_WAIT_S):
            await is_last.wait()
        assert heard == ["_INBOX_ann.x", "_INBOX.last"]


async def test_a_stopped_worker_answers_no_more(addresses: dict[str, str]) -> None:
    async with connected(addresses["nats_url"]) as bus:
        async with workers(addresses, "queries"):
            await answers(bus.client, "$SRV.PING.rulestream", 1)
        inbox = bus.client.new_inbox()
        subscription = await bus.client.subscribe(inbox)
        await bus.client.publish("$SRV.PING.rulestream", reply=inbox)
        message = await subscription.next_msg(ANSWER_WAIT_S)
        assert (message.headers or {}).get("Status") == "503", "nobody listens"
