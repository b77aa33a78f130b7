"""A worker that is stopped at its work decides what it has fetched: nothing is delivered a second time for it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from nats.js.api import ConsumerInfo
from structlog.testing import capture_logs

from tests.behaviour.bus import Bus, connected, eventually
from worker.service import running_worker
from worker.settings import load_settings

COMMANDS = 400
BEGUN = 20
DRAFT = {"dslContent": "when order.total > 100.0 then set tier = 1", "priority": "LOW"}


async def send_commands(bus: Bus) -> None:
    """Publish commands of several actors, and wait for no answer."""

    async def send(number: int) -> None:
        payload: dict[str, Any] = {"name": f"rule {number}", **DRAFT}
        await bus.send_command(f"ann-{number % 8}", "create", payload, {"Nats-Msg-Id": uuid.uuid4().hex})

    for start in range(0, COMMANDS, 50):
        await asyncio.gather(*(send(number) for number in range(start, start + 50)))


async def commands_of(bus: Bus) -> ConsumerInfo:
    return await bus.jetstream.consumer_info("RULES_COMMANDS", "rulestream-commands")


def acknowledged(info: ConsumerInfo) -> int:
    assert info.ack_floor is not None
    return info.ack_floor.consumer_seq


async def test_commands_that_were_fetched_are_decided(nats_url: str, database: str, redis_url: str) -> None:
    """Dropped, they would wait for AckWait, a minute, though another worker has nothing to do."""
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with connected(nats_url) as bus:
        async with running_worker(settings):
            pass  # it declares the streams
        await send_commands(bus)
        with capture_logs() as logs:
            async with running_worker(settings):
                await eventually(lambda: commands_of(bus), lambda found: acknowledged(found) >= BEGUN)
        info = await commands_of(bus)
        assert info.delivered is not None
        assert info.num_pending, "the stop came too late to say anything"
        assert (info.num_ack_pending, acknowledged(info)) == (0, info.delivered.consumer_seq)
        decided = [line for line in logs if line["event"] == "command_decided"]
        assert len(decided) == info.delivered.consumer_seq == COMMANDS - info.num_pending
