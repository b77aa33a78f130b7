"""Where random sequences are played: one stack, one worker of its own process that comes and goes, and a listener."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import nats
import redis.asyncio
from nats.aio.msg import Msg
from nats.js.api import PubAck

from streams import topology
from tests.behaviour.bus import Bus, eventually
from tests.governance import vocabulary
from tests.governance.model import Command
from worker.embedded import Addresses
from worker.embedded.process import Command as Program
from worker.embedded.process import ServerProcess, StopSteps

PROJECT = Path(__file__).parents[2]
DYING_WORKER = PROJECT / "tests" / "behaviour" / "dying_worker.py"
# The server keeps message ids no shorter than this: repeats come both within and after it.
DUPLICATE_WINDOW_NS = 100_000_000
ACK_WAIT_S = 1
ANSWER_WAIT_S = 60.0
START_WAIT_S = 60.0
STOP_WAIT_S = 40.0
KEEPER = "keeper"  # who tidies up between sequences
HISTORIES = (
    "SELECT rule_id::text AS owner, event_id::text AS event_id FROM rule_event ORDER BY number",
    "SELECT template_id::text AS owner, event_id::text AS event_id FROM template_event ORDER BY number",
)


class Stage:
    """Real servers, a worker, and everything that was answered and published."""

    def __init__(self, addresses: Addresses, folder: Path) -> None:
        self._addresses = addresses
        self._folder = folder
        self._worker: ServerProcess | None = None
        self._heard = asyncio.Event()
        self.starts = 0
        self.answers: dict[str, list[bytes]] = {}  # by command id
        self.events: dict[str, list[Msg]] = {}  # by rule id, as the stream has them

    async def open(self) -> None:
        """Declare the streams, listen, and start a worker."""
        client = await nats.connect(self._addresses.nats)
        self.bus = Bus(client)
        wanted = topology.topology(topology.TopologySettings(ack_wait_s=ACK_WAIT_S))
        streams = tuple(
            dataclasses.replace(spec, config={**spec.config, "duplicate_window": DUPLICATE_WINDOW_NS})
            for spec in wanted.streams
        )
        await topology.apply(dataclasses.replace(wanted, streams=streams), client, client)
        await client.subscribe("rules.reply.>", cb=self._on_answer)
        await self.bus.jetstream.subscribe(
            "rules.event.>",
            stream="RULES_EVENTS",
            cb=self._on_event,
            ordered_consumer=True,
            pending_msgs_limit=0,
            pending_bytes_limit=0,
        )
        self._redis = redis.asyncio.from_url(self._addresses.redis)
        await self.start_worker()

    async def close(self) -> None:
        await self.stop_worker()
        await self._redis.aclose()
        await self.bus.client.close()

    async def _on_answer(self, message: Msg) -> None:
        self.answers.setdefault(message.subject.rpartition(".")[2], []).append(message.data)
        self._heard.set()

    async def _on_event(self, message: Msg) -> None:
        self.events.setdefault(message.subject.split(".")[2], []).append(message)
        self._heard.set()

    async def hear(self, is_there: Callable[[], bool], what: str) -> None:
        """Wait until what was heard is enough."""
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                while not is_there():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {ANSWER_WAIT_S:g} s") from None

    # --- the worker ---------------------------------------------------------------------------------------------------

    async def start_worker(self) -> None:
        """Start a worker and wait until it works."""
        await self._launch("-m", "worker.cli", "worker")

    async def start_dying_worker(self) -> None:
        """Start a worker that dies when it is about to answer its first command."""
        await self._launch(str(DYING_WORKER))

    async def worker_died(self) -> None:
        """Wait until a dying worker is dead."""
        worker = self._worker
        assert worker is not None

        async def status() -> int | None:
            return worker.exit_status

        await eventually(status, lambda code: code is not None, ANSWER_WAIT_S)
        await self.stop_worker()

    async def stop_worker(self) -> None:
        """Tell the worker to end and wait until it has."""
        if self._worker is not None:
            await self._worker.stop()
            self._worker = None

    async def kill_worker(self) -> None:
        """End the worker as a power cut would."""
        assert self._worker is not None
        await self._worker.kill()
        self._worker = None

    @property
    def has_worker(self) -> bool:
        return self._worker is not None and self._worker.running

    async def _launch(self, *arguments: str) -> None:
        self.starts += 1
        settings = {
            "NATS_URL": self._addresses.nats,
            "POSTGRES_DSN": self._addresses.postgres,
            "REDIS_URL": self._addresses.redis,
            "HTTP_PORT": "0",
            "ACK_WAIT_S": str(ACK_WAIT_S),
            "ROLE_POLICY": json.dumps({**vocabulary.ROLES, KEEPER: ("operator",), "*": ("viewer",)}),
        }
        environment = {f"RULESTREAM_{name}": value for name, value in settings.items()}
        self._worker = worker = await ServerProcess.launch(
            Program(
                argv=(sys.executable, *arguments),
                log=self._folder / "worker.log",
                stop=StopSteps(orderly=((signal.SIGTERM, STOP_WAIT_S),), orphaned=((signal.SIGTERM, 1.0),)),
                env={**environment, "PYTHONPATH": str(PROJECT)},
                cwd=PROJECT,
            )
        )

        async def is_ready() -> bool:
            assert worker.running, worker.log_tail()
            return '"worker_started"' in worker.log_since_start()

        await eventually(is_ready, bool, START_WAIT_S)

    # --- what is done -------------------------------------------------------------------------------------------------

    async def publish(self, command: Command, payload: Mapping[str, Any] | bytes | None = None) -> PubAck:
        """Publish a command, or another payload under its id."""
        body = command.payload if payload is None else payload
        return await self.bus.jetstream.publish(
            f"rules.command.{command.actor}.{command.verb}",
            body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Nats-Msg-Id": command.command_id},
        )

    async def flush(self) -> None:
        """Empty the cache."""
        await self._redis.flushall()

    async def tidy(self) -> int:
        """Let no rule of an earlier sequence decide any more; give the ruleset's revision."""
        if not self.has_worker:
            await self.stop_worker()
            await self.start_worker()
        while (found := await self.bus.ask("ruleset", pageSize=500))["items"]:
            for rule in found["items"]:
                await self.bus.tell(KEEPER, "deactivate", {"ruleId": rule["ruleId"]})
        return int(found["revision"])

    async def published_is_history(self) -> int:
        """Wait until the outbox is empty; the stream then holds the histories' events, once each and in their order."""
        connection = await asyncpg.connect(self._addresses.postgres)
        try:
            await eventually(lambda: connection.fetchval("SELECT count(*) FROM outbox"), lambda left: left == 0)
            wanted: dict[str, list[str]] = {}
            for query in HISTORIES:
                for row in await connection.fetch(query):
                    wanted.setdefault(row["owner"], []).append(row["event_id"])
        finally:
            await connection.close()
        total = sum(map(len, wanted.values()))
        await self.hear(lambda: sum(map(len, self.events.values())) >= total, f"{total} events")
        found = {
            rule_id: [message.headers["Nats-Msg-Id"] for message in messages]
            for rule_id, messages in self.events.items()
        }
        assert found == wanted
        return total
