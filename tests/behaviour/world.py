"""What a scenario works with: an event loop, a worker, a user of the subjects, and what happened so far."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import uvloop

from tests.behaviour.bus import Bus, connected, eventually
from worker.embedded import EmbeddedStack
from worker.migrations.runner import upgrade
from worker.service import Worker, running_worker
from worker.settings import Settings, load_settings

T = TypeVar("T")

# What a command may change; the command log is not among it, for a refusal is logged too.
TABLES = ("rule", "rule_name", "rule_version", "rule_event", "ruleset", "ruleset_member", "template", "template_event")
HISTORY = """
SELECT rule_id::text AS id, number, event_id::text FROM rule_event
UNION ALL SELECT template_id::text, number, event_id::text FROM template_event ORDER BY id, number
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A command as it was sent."""

    actor: str
    verb: str
    payload: dict[str, Any]
    command_id: str


@dataclass(slots=True)
class World:
    """One scenario's world; ``answer`` is the last one, ``rule`` the last successful command's result."""

    addresses: dict[str, str]
    runner: asyncio.Runner = field(default_factory=lambda: asyncio.Runner(loop_factory=uvloop.new_event_loop))
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    worker: Worker | None = None
    stack: EmbeddedStack | None = None
    process: subprocess.Popen[bytes] | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    first_answer: dict[str, Any] = field(default_factory=dict)
    rule: dict[str, Any] = field(default_factory=dict)
    template: dict[str, Any] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    decision: dict[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    replies: Any = None
    acknowledgement: Any = None
    dead: tuple[str, bytes] = ("", b"")
    before: list[str] = field(default_factory=list)
    _bus: Bus | None = None

    def run(self, work: Awaitable[T]) -> T:
        async def whole() -> T:
            return await work

        return self.runner.run(whole())

    @property
    def bus(self) -> Bus:
        if self._bus is None:
            self._bus = self.run(self.resources.enter_async_context(connected(self.addresses["nats_url"])))
        return self._bus

    def settings(self, **more: object) -> Settings:
        return load_settings(**self.addresses, http_port=0, **more)

    def start_worker(self, **more: object) -> None:
        self.worker = self.run(self.resources.enter_async_context(running_worker(self.settings(**more))))

    def start_own_servers(self, folder: Path) -> None:
        """Replace the session's servers by some that may be stopped."""

        async def start() -> None:
            self.stack = await self.resources.enter_async_context(EmbeddedStack(folder / "data"))
            found = self.stack.addresses
            await upgrade(found.postgres)
            self.addresses = {
                "nats_url": found.nats,
                "postgres_dsn": found.postgres,
                "redis_url": found.redis,
            }

        self.run(start())

    def command(self, actor: str, verb: str, payload: dict[str, Any] | bytes, command_id: str | None = None) -> None:
        """Send a command, remember what there was before it, and keep its answer."""
        self.remember()
        self.answer = self.run(self.bus.command(actor, verb, payload, command_id))
        if self.answer["status"] == "ok":
            self.rule = self.answer["result"]

    def done(self, actor: str, verb: str, payload: dict[str, Any]) -> None:
        """Send a command that must succeed."""
        self.command(actor, verb, payload)
        assert self.answer["status"] == "ok", self.answer

    def on_rule(self, actor: str, verb: str, **more: Any) -> None:
        """Send a command about the rule that the scenario speaks of."""
        self.command(actor, verb, {"ruleId": self.rule["ruleId"], **more})

    def remember(self) -> None:
        """Keep what there is, to be compared with what there will be."""
        self.before = self.run(self.tables())

    async def tables(self) -> list[str]:
        """Give the content of every table that a command may change."""
        connection = await asyncpg.connect(self.addresses["postgres_dsn"])
        try:
            return [
                await connection.fetchval(f"SELECT coalesce(json_agg(t ORDER BY t::text)::text, '') FROM {name} t")
                for name in TABLES
            ]
        finally:
            await connection.close()

    async def published_is_history(self) -> None:
        """Wait until the outbox is empty; the stream then holds exactly the history's events, in the rules' order."""
        connection = await asyncpg.connect(self.addresses["postgres_dsn"])
        try:
            await eventually(lambda: connection.fetchval("SELECT count(*) FROM outbox"), lambda left: left == 0)
            of_rules: dict[str, list[str]] = {}
            for message in await self.bus.stored("RULES_EVENTS"):
                of_rules.setdefault(message.body["ruleId"], []).append(message.body["eventId"])
            history: dict[str, list[str]] = {}
            for row in await connection.fetch(HISTORY):
                history.setdefault(row["id"], []).append(row["event_id"])
            assert of_rules == history
        finally:
            await connection.close()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        try:
            self.run(self.resources.aclose())
        finally:
            self.runner.close()
