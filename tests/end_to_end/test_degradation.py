"""A backing service goes away and comes back: the worker says so, waits, and resumes by itself with nothing lost."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.behaviour.bus import Bus, connected, eventually
from tests.end_to_end.stage import WorkerProcess, all_settled, each_decided_once, publish, worker_process
from worker.embedded import EmbeddedStack

FACTS = 200
RULE = "order.total >= 100"
# Bounds on how long the worker may take: generous, and far below what it would take to hang.
RESUMED_WITHIN_S = 60.0
# Less than what one statement may take.
ANSWERED_WITHIN_S = 9.0


def some_facts(first: int) -> list[dict[str, Any]]:
    """Give facts of which some match the rule."""
    return [
        {
            "id": f"fact-{number}",
            "type": "order.placed",
            "time": "2026-01-31T12:00:00Z",
            "data": {"order": {"total": number}},
        }
        for number in range(first, first + FACTS)
    ]


async def ready(worker: WorkerProcess) -> dict[str, Any]:
    """Ask for readiness, which is answered whatever hangs."""
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        found: dict[str, Any] = json.loads(await worker.get("/readyz"))
        return found


async def becomes(worker: WorkerProcess, status: str, **states: str) -> dict[str, Any]:
    """Wait until the worker says that it is ready or not, with some services in some states."""

    def is_as_wanted(seen: dict[str, Any]) -> bool:
        return seen["status"] == status and all(seen["dependencies"][name] == state for name, state in states.items())

    return await eventually(lambda: ready(worker), is_as_wanted, RESUMED_WITHIN_S)


class PostgresFaults:
    """What can become of a database; each is over at the end of its block."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._server = stack.postgres
        self._dsn = stack.addresses.postgres
        self._name = urlsplit(self._dsn).path.removeprefix("/")

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        await self._server.stop()
        yield
        await self._server.start()

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        await self._server.kill()
        yield
        await self._server.start()

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        await self._server.freeze()
        yield
        await self._server.thaw()

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Have it end every connection, and take no new one but ours."""
        async with self._altered("CONNECTION LIMIT 1", "CONNECTION LIMIT -1"):
            yield

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Have it end every connection and take no writes on new ones, as a primary that became a standby."""
        setting = "default_transaction_read_only"
        async with self._altered(f"SET {setting} = on", f"RESET {setting}"):
            yield

    @asynccontextmanager
    async def _altered(self, begin: str, end: str) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(f"ALTER DATABASE {self._name} {begin}")
            await self._end_others(connection)
            yield
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(f"ALTER DATABASE {self._name} {end}")
        finally:
            await connection.close()

    async def connections_ended(self) -> None:
        """Have it end every connection but ours, once."""
        connection = await asyncpg.connect(self._dsn)
        try:
            await self._end_others(connection)
        finally:
            await connection.close()

    @staticmethod
    async def _end_others(connection: asyncpg.Connection) -> None:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def waiting_facts(bus: Bus) -> int:
    """Give how many facts are not acknowledged."""
    info = await bus.jetstream.consumer_info("FACTS", "rulestream-facts")
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen", "full", "read_only"])
async def test_while_postgres_is_away_facts_and_commands_wait_and_then_all_are_decided_once(
    own_stack: EmbeddedStack, tmp_path: Path, fault: str
) -> None:
    addresses = own_stack.addresses
    away: AbstractAsyncContextManager[None] = getattr(PostgresFaults(own_stack), fault)()
    before, meanwhile = some_facts(0), some_facts(FACTS)
    async with connected(addresses.nats) as bus, worker_process(addresses, tmp_path / "worker") as worker:
        await bus.activate_new("big order", RULE)
        await becomes(worker, "ready", postgres="up")
        await publish(bus, before)
        await all_settled(bus, FACTS)
        began = time.time()
        async with away:
            command = asyncio.create_task(
                bus.command(
                    "ann", "create", {"name": "later", "dslContent": RULE, "priority": "LOW"}, wait_s=RESUMED_WITHIN_S
                )
            )
            await publish(bus, meanwhile)

            said = await becomes(worker, "not ready", postgres="down", nats="up", redis="up")
            assert said["reasons"].keys() == {"postgres"}
            assert since(said, "postgres") >= began - 1
            if fault != "read_only":  # then questions can be answered still
                await eventually(lambda: ready(worker), lambda seen: seen["breakers"]["postgres"] != "closed")
                await queries_are_unavailable(bus)
            assert not command.done(), "a command is never answered with that"
            assert await waiting_facts(bus) == FACTS, "no fact is acknowledged"
            assert await bus.count("DECISIONS") == FACTS, "none is decided"
            assert worker.process.running, "the worker lives"

        answer = await command
        assert answer["status"] == "ok", answer
        await all_settled(bus, 2 * FACTS, RESUMED_WITHIN_S)
        decisions = await each_decided_once(bus, addresses.postgres, [*before, *meanwhile])
        assert len(decisions) == 2 * FACTS, "none was published twice"
        said = await becomes(worker, "ready", postgres="up")
        assert said["breakers"]["postgres"] == "closed"
        assert said["reasons"] == {}
        assert (await bus.ask("get", name="later"))["status"] == "DRAFT"
        assert worker.process.running


async def queries_are_unavailable(bus: Bus) -> None:
    """Ask many questions at once, each of which would wait for a connection: all are answered, and at once."""
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        answers = await asyncio.gather(*(bus.query("viewer", "list", {"pageSize": 5}) for _ in range(50)))
    assert {answer["status"] for answer in answers} == {"error"}
    assert {answer["error"]["code"] for answer in answers} == {"UNAVAILABLE"}


def since(said: dict[str, Any], service: str) -> float:
    """Give since when a service is in its state, in seconds since the epoch."""
    return datetime.fromisoformat(said["since"][service]).timestamp()


async def test_connections_that_are_ended_under_load_cost_no_fact(own_stack: EmbeddedStack, tmp_path: Path) -> None:
    addresses = own_stack.addresses
    facts = [fact for round_ in range(5) for fact in some_facts(round_ * FACTS)]
    async with connected(addresses.nats) as bus, worker_process(addresses, tmp_path / "worker") as worker:
        await bus.activate_new("big order", RULE)
        for round_ in range(5):
            load = asyncio.create_task(publish(bus, facts[round_ * FACTS : (round_ + 1) * FACTS]))
            await PostgresFaults(own_stack).connections_ended()
            await load
        await all_settled(bus, len(facts), RESUMED_WITHIN_S)
        await each_decided_once(bus, addresses.postgres, facts)
        await becomes(worker, "ready", postgres="up")


@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen"])
async def test_while_nats_is_away_the_worker_waits_and_then_goes_on_by_itself(
    own_stack: EmbeddedStack, tmp_path: Path, fault: str
) -> None:
    addresses = own_stack.addresses
    server = own_stack.nats
    facts = [some_facts(round_ * FACTS) for round_ in range(3)]
    # A server that is killed may forget acknowledgements: these facts come again after the wait for them.
    async with worker_process(addresses, tmp_path / "worker", ack_wait_s=10) as worker:
        async with connected(addresses.nats) as bus:
            rule = await bus.activate_new("big order", RULE)
            await publish(bus, facts[0])
            await all_settled(bus, FACTS)
            await publish(bus, facts[1])  # some are under way when it happens
        began = time.time()
        await {"stopped": server.stop, "killed": server.kill, "frozen": server.freeze}[fault]()
        said = await becomes(worker, "not ready", nats="down", postgres="up", redis="up")
        assert said["reasons"].keys() == {"nats"}
        assert since(said, "nats") >= began - 1
        assert worker.process.running
        await (server.thaw() if fault == "frozen" else server.start())
        await becomes(worker, "ready", nats="up")

        async with connected(addresses.nats) as bus:
            await publish(bus, facts[2])
            await all_settled(bus, 3 * FACTS, RESUMED_WITHIN_S)
            await each_decided_once(bus, addresses.postgres, [fact for some in facts for fact in some])
            # Commands, the relay and what follows the ruleset go on as well.
            answer = await bus.command("bob", "deactivate", {"ruleId": rule["ruleId"]}, wait_s=RESUMED_WITHIN_S)
            assert answer["status"] == "ok", answer
            await eventually(
                lambda: bus.last("RULES_EVENTS", f"rules.event.{rule['ruleId']}.RuleDeactivated"),
                lambda event: event is not None,
                RESUMED_WITHIN_S,
            )
            revision = int((await bus.ask("ruleset"))["revision"])
            await eventually(worker.revision, lambda seen: seen == revision, RESUMED_WITHIN_S)
        assert worker.process.running


async def test_a_command_that_is_decided_while_nats_goes_away_is_answered_when_it_is_asked_for(
    own_stack: EmbeddedStack, tmp_path: Path
) -> None:
    """Its result is stored, and its event leaves when NATS is back."""
    addresses = own_stack.addresses
    async with worker_process(addresses, tmp_path / "worker") as worker:
        ids = [str(uuid.uuid4()) for _ in range(20)]
        async with connected(addresses.nats) as bus:
            for number, command_id in enumerate(ids):
                payload = {"name": f"rule {number}", "dslContent": RULE, "priority": "LOW"}
                await bus.send_command("ann", "create", payload, {"Nats-Msg-Id": command_id})
        await own_stack.nats.kill()
        await becomes(worker, "not ready", nats="down")
        await own_stack.nats.start()
        await becomes(worker, "ready", nats="up")
        async with connected(addresses.nats) as bus:
            for command_id in ids:
                answer = await eventually(
                    lambda asked=command_id: bus.query("ann", "command", {"commandId": asked}),
                    lambda seen: seen["status"] == "ok",
                    RESUMED_WITHIN_S,
                )
                assert answer["result"]["status"] == "ok", answer
            await bus.wait_stored("RULES_EVENTS", len(ids), within_s=RESUMED_WITHIN_S)
            assert await bus.count("RULES_EVENTS") == len(ids), "each event once"


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_without_the_cache_nothing_changes(own_stack: EmbeddedStack, tmp_path: Path, fault: str) -> None:
    addresses = own_stack.addresses
    server = own_stack.valkey
    facts = [some_facts(0), some_facts(FACTS)]
    async with connected(addresses.nats) as bus, worker_process(addresses, tmp_path / "worker") as worker:
        rule = await bus.activate_new("big order", RULE)
        await publish(bus, facts[0])
        await all_settled(bus, FACTS)
        await {"killed": server.kill, "frozen": server.freeze}[fault]()
        await publish(bus, facts[1])
        await all_settled(bus, 2 * FACTS)
        await each_decided_once(bus, addresses.postgres, [*facts[0], *facts[1]])
        said = await becomes(worker, "ready", redis="degraded", postgres="up", nats="up")
        assert said["reasons"].keys() == {"redis"}

        # Another ruleset comes from Postgres, and takes no time-out of the cache for each thing that it looks up.
        await bus.tell("bob", "deactivate", {"ruleId": rule["ruleId"]})
        revision = int((await bus.ask("ruleset"))["revision"])
        await eventually(worker.revision, lambda seen: seen == revision)
        assert (await bus.decide("order.placed", {"order": {"total": 1000}}))["outcome"] == "unmatched"
        await (server.thaw() if fault == "frozen" else server.start())
        said = await becomes(worker, "ready", redis="up")
        assert said["breakers"]["redis"] == "closed"


@pytest.mark.parametrize("service", ["postgres", "nats"])
async def test_a_worker_that_is_told_to_stop_while_a_service_hangs_stops(
    own_stack: EmbeddedStack, tmp_path: Path, service: str
) -> None:
    addresses = own_stack.addresses
    server = {"postgres": own_stack.postgres, "nats": own_stack.nats}[service]
    async with connected(addresses.nats) as bus:
        async with worker_process(addresses, tmp_path / "worker", stop_timeout_s=5) as worker:
            await bus.activate_new("big order", RULE)
            await server.freeze()
            await becomes(worker, "not ready", **{service: "down"})
            await worker.process.stop()
            assert worker.process.exit_status == 0, worker.process.log_tail()
        await server.thaw()
