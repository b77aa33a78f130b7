"""The demonstration, from an empty folder to the last decision."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.errors import RulestreamError, UnavailableError
from streams.connection import connect
from streams.wire import BatchPublisher
from worker.cli.demo import flights_folder
from worker.client import Client
from worker.demo.follower import Tally, follow
from worker.demo.view import DemoView
from worker.embedded import Addresses, EmbeddedStack
from worker.embedded.process import Command, ServerProcess, StopSteps
from worker.files.content import create_payload
from worker.files.facts import FileFact, read_facts
from worker.files.rules import RuleSource, read_rules
from worker.migrations import runner
from worker.sending import BATCH, publication

AUTHOR: Final = "passenger-care"
APPROVER: Final = "operations-lead"
_READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.05
_STOP_S: Final = 40.0
_ORPHAN_STOP_S: Final = 5.0
_BATCHES_IN_FLIGHT: Final = 3


class DemoError(RulestreamError):
    """The demonstration did not come out as it must."""


async def run_demo(facts_most: int | None, *, quiet: bool) -> None:
    """Start everything, let the rules live and the facts be decided, show it, and stop everything.

    The last line on standard output is one JSON object. Raises RulestreamError when a part fails.
    """
    view = DemoView(quiet=quiet)
    folder = flights_folder()
    sources = read_rules(folder / "rules")
    facts = _read(folder / "facts.ndjson.gz", facts_most)
    started = time.monotonic()
    with view.waiting("starting NATS, Postgres and Valkey"):
        stack = EmbeddedStack()
        addresses = await stack.start()
    try:
        await runner.upgrade(addresses.postgres)
        async with worker_process(addresses, stack.data_dir) as health:
            view.step(f"NATS, Postgres, Valkey and a worker are ready ({time.monotonic() - started:.1f} s)")
            connection = await connect(addresses.nats, "rulestream-demo", is_patient=False)
            try:
                result = await _main_job(view, Connected(connection, health), sources, facts)
            finally:
                await connection.close()
    finally:
        with view.waiting("stopping"):
            await stack.stop()
    print(msgspec.json.encode(result).decode())  # noqa: T201  # the last line is the command's result


class Connected:
    """What the main job works with: a connection to NATS, and the worker's health address."""

    def __init__(self, connection: Any, health: str) -> None:
        self.connection = connection
        self.health = health


async def _main_job(
    view: DemoView, at: Connected, sources: Sequence[RuleSource], facts: Sequence[FileFact]
) -> dict[str, Any]:
    names = [source.content.name for source in sources]
    with view.waiting("taking the rules through review"):
        revision = await _activate(at, sources)
    view.step(f"{len(sources)} rules written and submitted by {AUTHOR}, approved and activated by {APPROVER}")
    await _until_ruleset(at.health, revision)
    tally = Tally()
    wanted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    started = time.monotonic()
    following = asyncio.create_task(follow(at.connection, "DECISIONS", tally, wanted))
    with view.live(tally, len(facts), names):
        await _publish(at.connection, facts)
        wanted.set_result(len(facts))
        await following
    seconds = time.monotonic() - started
    if tally.decisions != len(facts) or tally.faults:
        raise DemoError(f"{len(facts)} facts, {tally.decisions} decisions, {tally.faults} faults")
    rate = len(facts) / seconds
    memory = await _resident_bytes(at.health) / 1_000_000
    summary = f"{len(facts):,} facts decided in {seconds:.1f} s, {rate:,.0f} a second, all stored in Postgres"
    view.end(tally, names, f"{summary}; the worker holds {memory:.0f} MB")
    return {
        "facts": len(facts),
        "decisions": tally.decisions,
        "matched": tally.matched,
        "seconds": round(seconds, 3),
        "factsPerSecond": round(rate, 1),
        "rules": {name: tally.by_rule[name] for name in names},
    }


async def _activate(at: Connected, sources: Sequence[RuleSource]) -> int:
    """Take every rule through its life and return the ruleset's revision."""
    author, approver = Client(at.connection, AUTHOR), Client(at.connection, APPROVER)
    for source in sources:
        rule = await author.command("create", create_payload(source.content))
        named = {"ruleId": rule["ruleId"]}
        await author.command("submit", named)
        await approver.command("approve", {**named, "expectedVersion": rule["version"]})
        await approver.command("activate", named)
    ruleset = await author.query("ruleset", {})
    if ruleset["total"] != len(sources):
        raise DemoError(f"{ruleset['total']} of {len(sources)} rules are active")
    return int(ruleset["revision"])


async def _publish(connection: Any, facts: Sequence[FileFact]) -> None:
    publisher = BatchPublisher(connection)
    await publisher.start()
    in_flight: set[asyncio.Task[None]] = set()
    for start in range(0, len(facts), BATCH):
        while len(in_flight) >= _BATCHES_IN_FLIGHT:
            done, in_flight = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        batch = [publication(fact) for fact in facts[start : start + BATCH]]
        in_flight.add(asyncio.create_task(publisher.publish(batch)))
    await asyncio.gather(*in_flight)


def _read(path: Path, most: int | None) -> list[FileFact]:
    facts: list[FileFact] = []
    for fact in read_facts(path):
        if not isinstance(fact, FileFact):
            raise DemoError(f"{path.name}:{fact.line}: {fact.message}")
        facts.append(fact)
        if most is not None and len(facts) >= most:
            break
    return facts


@asynccontextmanager
async def worker_process(addresses: Addresses, folder: Path, **settings: str) -> AsyncIterator[str]:
    """Run ``rulestream worker`` as a process of its own for the length of a block; gives its health address.

    Raises UnavailableError with the end of the worker's log when it does not come up.
    """
    process = await launch_worker(addresses, folder, **settings)
    try:
        yield f"http://127.0.0.1:{await health_port(process)}"
    finally:
        await process.stop()


async def launch_worker(addresses: Addresses, folder: Path, **settings: str) -> ServerProcess:
    """Start ``rulestream worker`` as a process of its own, which the caller stops; it may still fail right after.

    It is under guard as the servers are, so that it never outlives this process; its log is in ``folder``.
    """
    environment = {
        "RULESTREAM_NATS_URL": addresses.nats,
        "RULESTREAM_POSTGRES_DSN": addresses.postgres,
        "RULESTREAM_REDIS_URL": addresses.redis,
        "RULESTREAM_HTTP_PORT": "0",
        **settings,
    }
    return await ServerProcess.launch(
        Command(
            argv=(sys.executable, "-m", "worker.cli", "worker"),
            log=folder / "worker.log",
            stop=StopSteps(orderly=((signal.SIGTERM, _STOP_S),), orphaned=((signal.SIGTERM, _ORPHAN_STOP_S),)),
            env=environment,
        )
    )


async def health_port(process: ServerProcess) -> int:
    """Read a worker's log until it says that it has started; raises UnavailableError with its end when it does not."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline and process.running:
        await asyncio.sleep(_POLL_S)
        for line in process.log_since_start().splitlines():
            with suppress(msgspec.DecodeError):
                entry = msgspec.json.decode(line)
                if entry.get("event") == "worker_started":
                    return int(entry["health_port"])
    raise UnavailableError("worker", f"the worker did not start:\n{process.log_tail()}")


async def _until_ruleset(health: str, revision: int) -> None:
    """Wait until the worker decides by a revision: activation is durable at once, and in force a moment later."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        ready = await readiness(health)
        if ready.get("ruleset", {}).get("revision", -1) >= revision:
            return
        await asyncio.sleep(_POLL_S)
    raise UnavailableError("worker", f"the worker did not take over revision {revision}")


async def readiness(health: str) -> dict[str, Any]:
    """Ask a worker's ``/readyz``; an empty answer when it does not answer."""
    body = await _get(health, "/readyz")
    answer: dict[str, Any] = msgspec.json.decode(body) if body else {}
    return answer


async def _resident_bytes(health: str) -> int:
    """Ask a worker's ``/metrics`` how much memory it holds."""
    for line in (await _get(health, "/metrics")).splitlines():
        name, _, value = line.partition(b" ")
        if name == b"process_resident_memory_bytes":
            return round(float(value))
    return 0


async def _get(health: str, path: str) -> bytes:
    host, _, port = health.removeprefix("http://").partition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return b""
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await writer.drain()
        return (await reader.read()).partition(b"\r\n\r\n")[2]
    finally:
        writer.close()
        await writer.wait_closed()
