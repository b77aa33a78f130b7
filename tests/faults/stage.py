"""Where faults are played: real servers, workers under guard, the load, and the audit at the end.

One ``Site`` (servers, started once) serves many stages, one after the other; each ``Stage`` has empty streams, a fresh
database and an empty cache of its own, so that its audit compares everything that there is.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import asyncpg
import nats
import nats.errors
import redis.asyncio

from tests.behaviour.bus import Bus, eventually
from tests.faults import points, rulebook
from tests.faults.audit import Audit, audit
from tests.faults.evidence import CONSUMER, DECISIONS, FACTS, Evidence, gather
from tests.faults.ledger import Ledger
from tests.faults.load import Load, Mix, patiently
from tests.faults.points import Point
from tests.faults.rulebook import Active
from tests.servers import operations
from worker.embedded import Addresses, EmbeddedStack
from worker.embedded.process import Command, ServerProcess, StopSteps
from worker.migrations.runner import upgrade

PROJECT = Path(__file__).parents[2]
DYING_WORKER = PROJECT / "tests" / "faults" / "dying_worker.py"
START_WAIT_S = 90.0
STOP_WAIT_S = 40.0
DEATH_WAIT_S = 300.0
SETTLE_WAIT_S = 180.0
ANSWER_WAIT_S = 60.0
PROBE_WAIT_S = 15.0
CHANGE_WAIT_S = 180.0
JETSTREAM_WAIT_S = 5.0  # then it is asked again, for a server that hangs may have been replaced
COUNT_KEYS = "SELECT count(*) FROM fact_key WHERE key = ANY($1::bytea[])"
KILLED = 128 + signal.SIGKILL

# What a dead worker held comes again after two seconds; a message id is forgotten by the server after one. So what a
# worker published before it died is published again in part within the window and in part after it.
ACK_WAIT_S = 2
DUPLICATE_WINDOW_S = 1
SETTINGS: Mapping[str, object] = {
    "ack_wait_s": ACK_WAIT_S,
    "duplicate_window_s": DUPLICATE_WINDOW_S,
    "connect_timeout_s": 20,
    "postgres_timeout_s": 5,
    "postgres_pool_max": 6,
    "log_level": "warning",
}


@dataclass(frozen=True, slots=True)
class Release:
    """Code that workers run: a tree of sources, what Python is told to run there, environment beside the settings."""

    name: str
    folder: Path = PROJECT
    arguments: tuple[str, ...] = ("-m", "worker.cli", "worker")
    environment: Mapping[str, str] = field(default_factory=dict)


THIS: Final = Release("this")


class Site:
    """Servers for stages: an embedded stack of the suite's own and a template of the migrated database."""

    def __init__(self, stack: EmbeddedStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self._template = ""
        self._used: list[str] = []

    async def open(self, prepare: operations.Prepare = upgrade) -> None:
        """Make the template; the stack must run."""
        self._template = await operations.make_template(self.stack.addresses.postgres, prepare)

    async def clean(self, name: str) -> Addresses:
        """Give addresses with no streams, an empty cache, and a fresh database; what a fault has left down is started.

        Other stages' databases go. A checkpoint keeps short what Postgres must go through when it is killed.
        """
        addresses = await self.stack.start()
        await operations.delete_streams(addresses.nats)
        await operations.flush(addresses.redis)
        drops = [f"DROP DATABASE {used} WITH (FORCE)" for used in self._used]
        create = f"CREATE DATABASE {name} TEMPLATE {self._template}"
        await operations.execute(addresses.postgres, *drops, create, "CHECKPOINT")
        self._used = [name]
        return Addresses(addresses.nats, operations.with_database(addresses.postgres, name), addresses.redis)


@asynccontextmanager
async def site(folder: Path, prepare: operations.Prepare = upgrade) -> AsyncIterator[Site]:
    """Run servers for stages; ``folder`` takes the workers' logs, ``prepare`` migrates their databases."""
    async with EmbeddedStack() as stack:
        found = Site(stack, folder)
        await found.open(prepare)
        yield found


class WorkerEndedError(AssertionError):
    """A worker ended by itself where it had to go on, or to die at its point."""


class FaultyWorker:
    """A worker process of a stage, which may be made to die or to freeze at a point."""

    def __init__(self, process: ServerProcess, log: Path) -> None:
        self.process = process
        self.log = log

    def said(self, event: str) -> dict[str, Any] | None:
        """Give the first log entry of an event."""
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if f'"{event}"' in line and line.startswith("{"):
                entry: dict[str, Any] = json.loads(line)
                return entry
        return None

    async def started(self) -> None:
        """Wait until it works."""
        await eventually(self._has_started, bool, START_WAIT_S)

    async def _has_started(self) -> bool:
        if not self.process.running:
            raise WorkerEndedError(f"a worker ended at its start, {self.log}:\n{self.process.log_tail()}")
        return self.said("worker_started") is not None

    async def get(self, path: str) -> tuple[int, str]:
        """Ask its probes and give the answer's status and body; 0 where nothing answers."""
        entry = self.said("worker_started")
        assert entry is not None
        try:
            async with asyncio.timeout(PROBE_WAIT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", entry["health_port"])
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    await writer.drain()
                    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return 0, ""
        return (int(head.split()[1]) if head else 0), body.decode()

    async def is_ready(self) -> bool:
        """Say whether it calls itself ready."""
        return (await self.get("/readyz"))[0] == 200

    async def metric(self, name: str) -> float:
        """Give the value of a counter, 0 before it first counted."""
        status, text = await self.get("/metrics")
        assert status == 200, f"{self.log}: no metrics"
        for line in text.splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                return float(line.rpartition(" ")[2])
        return 0.0

    async def total(self, name: str) -> float:
        """Give the sum of a counter over its labels, 0 before it first counted."""
        status, text = await self.get("/metrics")
        assert status == 200, f"{self.log}: no metrics"
        found = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    async def at_point(self) -> dict[str, Any]:
        """Wait until it has died, or frozen, at its point, and give what it said there."""

        async def look() -> dict[str, Any] | None:
            found = self.said(points.MARK)
            ended = not self.process.running
            if not found and ended:
                raise WorkerEndedError(f"a worker ended before its point, {self.log}:\n{self.process.log_tail()}")
            return found

        found = await eventually(look, bool, DEATH_WAIT_S)
        assert found is not None
        return found

    async def died(self) -> dict[str, Any]:
        """Wait until it has killed itself at its point, and give what it said there."""
        found = await self.at_point()

        async def status() -> int | None:
            return self.process.exit_status

        assert await eventually(status, lambda code: code is not None, DEATH_WAIT_S) == KILLED
        await self.process.stop()  # its guard
        return found

    async def ends(self) -> None:
        """Tell it to end (SIGTERM) and see that it does so in order."""
        await self.process.stop()
        assert self.process.exit_status == 0, f"{self.log}:\n{self.process.log_tail()}"

    async def kill(self) -> None:
        """Kill it (SIGKILL)."""
        await self.process.kill()


class Stage:
    """Workers and their load on clean servers; ``settings`` are the workers', in lower case without their prefix.

    ``chance`` is the only source of randomness: the same seed plays the same schedule.
    """

    def __init__(
        self,
        addresses: Addresses,
        folder: Path,
        seed: int,
        mix: Mix | None = None,
        stack: EmbeddedStack | None = None,
        release: Release = THIS,
        **settings: object,
    ) -> None:
        self.addresses = addresses
        self.release = release
        self.folder = folder
        self.stack = stack
        self.chance = random.Random(seed)
        self.settings: dict[str, object] = {**SETTINGS, **settings}
        self.ledger = Ledger()
        self.injected = 0
        self.kills = 0
        self.notes: dict[str, int] = {}
        self._mix = mix or Mix()
        self._workers: list[FaultyWorker] = []
        self._spared: list[str] = []
        self._started = 0
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        client = await nats.connect(
            self.addresses.nats.split(","),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            ping_interval=1,  # a node that hangs is left for another one of a cluster
            error_cb=_unheard,
        )
        self._resources.push_async_callback(client.close)
        self.bus = Bus(client, JETSTREAM_WAIT_S)
        self.load = Load(self.bus, self.ledger, random.Random(self.chance.random()), self._mix)
        self.cache = redis.asyncio.from_url(self.addresses.redis)
        self._resources.push_async_callback(self.cache.aclose)
        self._resources.push_async_callback(self._end_workers)
        # The steward takes commands and queries, and lives on: the victims only decide.
        self.steward = await self.start_worker(roles="commands,queries,relay")
        for rule in rulebook.RULES:
            await self.create_rule(rule.name)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    # --- workers ------------------------------------------------------------------------------------------------------

    async def start_worker(
        self, addresses: Addresses | None = None, release: Release | None = None, **settings: object
    ) -> FaultyWorker:
        """Start the product's own worker, of the stage's release or another one, and wait until it works."""
        worker = await self.launch(release or self.release, addresses, **settings)
        await worker.started()
        return worker

    async def launch(self, release: Release, addresses: Addresses | None = None, **settings: object) -> FaultyWorker:
        """Start a release's worker, which is not waited for."""
        return await self._launch(release.arguments, release.environment, addresses, settings, release.folder)

    @property
    def running(self) -> list[FaultyWorker]:
        """The workers that run and have said that they work."""
        return [one for one in self._workers if one.process.running and one.said("worker_started")]

    async def all_ready(self, *, ready: bool = True) -> None:
        """Wait until every running worker calls itself ready, or none does."""

        async def look() -> list[bool]:
            return await asyncio.gather(*(one.is_ready() for one in self.running))

        await eventually(look, lambda seen: all(one is ready for one in seen), CHANGE_WAIT_S)

    async def progress(self, decisions: int) -> None:
        """Wait until so many more decisions are on their stream."""
        wanted = await self.decisions() + decisions
        await eventually(self.decisions, lambda seen: seen >= wanted, CHANGE_WAIT_S)

    async def decisions(self) -> int:
        """Count the decisions on their stream."""
        return int(await patiently(lambda: self.bus.count(DECISIONS)))

    async def caught_up(self) -> None:
        """Wait until every fact is acknowledged that is on the stream now, whoever holds it."""
        last = int(await patiently(lambda: self.bus.count(FACTS)))

        async def acknowledged() -> int:
            info = await patiently(lambda: self.bus.jetstream.consumer_info(FACTS, CONSUMER))
            return 0 if info.ack_floor is None else int(info.ack_floor.stream_seq)

        await eventually(acknowledged, lambda floor: floor >= last, SETTLE_WAIT_S)

    async def start_faulty(
        self,
        point: Point | None = None,
        *,
        at_pass: int = 1,
        how: str = "KILL",
        delay_us: int = 0,
        lose_acks: int = 0,
        clock_shift_s: float = 0,
        addresses: Addresses | None = None,
        **settings: object,
    ) -> FaultyWorker:
        """Start a worker that dies or freezes (``how``: KILL or STOP) at its n-th pass through a point.

        It is not waited for: it may be at its point before it says that it works.
        """
        environment = {
            points.PASS: str(at_pass),
            points.HOW: how,
            points.DELAY_US: str(delay_us),
            points.SPARED: json.dumps(self._spared),
            points.LOSE_ACKS: str(lose_acks),
            points.CLOCK_SHIFT_S: str(clock_shift_s),
            **({} if point is None else {points.POINT: point.value}),
        }
        return await self._launch((str(DYING_WORKER),), environment, addresses, settings)

    async def _launch(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        addresses: Addresses | None,
        settings: Mapping[str, object],
        folder: Path = PROJECT,
    ) -> FaultyWorker:
        self._started += 1
        at = addresses or self.addresses
        found = {
            "nats_url": at.nats,
            "postgres_dsn": at.postgres,
            "redis_url": at.redis,
            "http_port": "0",
            "roles": "facts",
            **self.settings,
            "log_level": "info",
            **settings,
        }
        log = self.folder / f"worker-{self._started}.log"
        process = await ServerProcess.launch(
            Command(
                argv=(sys.executable, *arguments),
                log=log,
                stop=StopSteps(orderly=((signal.SIGTERM, STOP_WAIT_S),), orphaned=((signal.SIGTERM, 1.0),)),
                env={
                    **{f"RULESTREAM_{name.upper()}": str(value) for name, value in found.items()},
                    **environment,
                    "PYTHONPATH": str(folder),
                },
                cwd=folder,
            )
        )
        worker = FaultyWorker(process, log)
        self._workers.append(worker)
        return worker

    async def _end_workers(self) -> None:
        for worker in self._workers:
            await worker.process.kill()

    async def kill_at(self, point: Point, at_pass: int = 1, **more: Any) -> dict[str, Any]:
        """Start a worker, let it die at a point, and count the kill; give what it said."""
        worker = await self.start_faulty(point, at_pass=at_pass, **more)
        said = await worker.died()
        if point is Point.DECIDE:
            self._spared.append(said["fact"])  # twice, and it would be the fact that kills
        self.injected += 1
        self.kills += 1
        return said

    def note(self, what: str) -> None:
        """Count something that happened, for the row's notes."""
        self.notes[what] = self.notes.get(what, 0) + 1

    # --- rules --------------------------------------------------------------------------------------------------------

    async def create_rule(self, name: str) -> None:
        """Take a rule's first variant through its life until it decides."""
        rule = rulebook.BY_NAME[name]
        payload = {"name": name, "dslContent": rule.variants[0].dsl, "priority": rule.priority}
        view = await self._told("ann", "create", payload)
        await self._review_and_activate(name, view, 0)

    async def change_rule(self, name: str, variant: int) -> None:
        """Give a rule that decides another content, through its whole life."""
        known = self.ledger.active[name]
        view = await self._told("keeper", "get", {"ruleId": known.rule_id}, is_query=True)
        update = {
            "ruleId": known.rule_id,
            "expectedVersion": view["version"],
            "dslContent": rulebook.BY_NAME[name].variants[variant].dsl,
        }
        view = await self._told("ann", "update", update)
        await self._review_and_activate(name, view, variant)

    async def deactivate_rule(self, name: str) -> None:
        """Stop a rule at once."""
        await self._told("keeper", "deactivate", {"ruleId": self.ledger.active[name].rule_id})
        active = dict(self.ledger.active)
        del active[name]
        await self._note_revision(active)

    async def reactivate_rule(self, name: str, known: Active) -> None:
        """Let a rule that was stopped decide again, as it was."""
        await self._told("keeper", "activate", {"ruleId": known.rule_id})
        await self._note_revision({**self.ledger.active, name: known})

    async def roll_back_rule(self, name: str, to: Active) -> None:
        """Let the content of an earlier version decide again."""
        view = await self._told("keeper", "rollback", {"ruleId": to.rule_id, "toVersion": to.version})
        active = Active(to.rule_id, view["activeVersion"], to.variant)
        await self._note_revision({**self.ledger.active, name: active})

    async def _review_and_activate(self, name: str, view: Mapping[str, Any], variant: int) -> None:
        named = {"ruleId": view["ruleId"]}
        await self._told("ann", "submit", named)
        await self._told("bob", "approve", {**named, "expectedVersion": view["version"]})
        view = await self._told("bob", "activate", named)
        active = Active(view["ruleId"], view["activeVersion"], variant)
        await self._note_revision({**self.ledger.active, name: active})

    async def _note_revision(self, active: Mapping[str, Active]) -> None:
        revision = max(self.ledger.revisions) + 1
        self.ledger.changed(revision, active)

    async def _told(self, actor: str, verb: str, payload: dict[str, Any], *, is_query: bool = False) -> dict[str, Any]:
        answer = (
            await self.bus.query(actor, verb, payload)
            if is_query
            else await self.bus.command(actor, verb, payload, wait_s=ANSWER_WAIT_S)
        )
        assert answer["status"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    # --- the end ------------------------------------------------------------------------------------------------------

    async def waiting(self) -> tuple[int, int]:
        """Say how many facts wait to be delivered, and how many to be acknowledged."""
        info = await patiently(lambda: self.bus.jetstream.consumer_info(FACTS, CONSUMER))
        return info.num_pending or 0, info.num_ack_pending or 0

    async def settled(self, within_s: float = SETTLE_WAIT_S) -> None:
        """Wait until no fact waits for anything."""
        await eventually(self.waiting, lambda seen: seen == (0, 0), within_s)

    async def finish(self, *, with_worker: bool = True) -> tuple[Audit, Evidence]:
        """End the load, let a healthy worker do what is left, and compare the ledger with what is there."""
        await self.load.end()
        if with_worker:
            await self.start_worker()
        await self.settled()
        evidence = await gather(self.bus.jetstream, self.addresses.postgres)
        return await asyncio.to_thread(audit, self.ledger, evidence), evidence

    async def rows_of(self, keys: list[str]) -> int:
        """Count which of these decisions Postgres holds, when it answers."""
        found = [bytes.fromhex(key) for key in keys]

        async def ask() -> int | None:
            try:
                connection = await asyncpg.connect(self.addresses.postgres, timeout=PROBE_WAIT_S)
                try:
                    return int(await connection.fetchval(COUNT_KEYS, found))
                finally:
                    await connection.close()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                return None

        count = await eventually(ask, lambda seen: seen is not None, CHANGE_WAIT_S)
        assert count is not None
        return count


async def _unheard(_: Exception) -> None:
    """Say nothing of lost connections: faults are what this suite is for."""
