"""A worker on servers of its own, for benchmarks of a whole worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.errors import RulestreamError
from streams.connection import LenientClient, connect
from worker.demo.run import health_port, launch_worker
from worker.embedded import EmbeddedStack
from worker.embedded.process import ServerProcess
from worker.migrations import runner


class BenchError(RulestreamError):
    """What was to be measured did not work."""


@dataclass(frozen=True, slots=True)
class At:
    """A connection to the worker's NATS, the address of its probes, its process and its servers."""

    connection: LenientClient
    health: str
    worker: ServerProcess
    stack: EmbeddedStack


async def _nothing(_: str) -> None:
    pass


@asynccontextmanager
async def worker_on_a_stack(before: Callable[[str], Awaitable[None]] = _nothing) -> AsyncIterator[At]:
    """Start NATS, Postgres, Valkey and a worker process, and stop them at the end.

    ``before`` is called with the DSN of the migrated database before the worker starts. Raises RulestreamError when a
    part does not start.
    """
    async with EmbeddedStack() as stack:
        addresses = stack.addresses
        await runner.upgrade(addresses.postgres)
        await before(addresses.postgres)
        worker = await launch_worker(addresses, stack.data_dir)
        try:
            health = f"http://127.0.0.1:{await health_port(worker)}"
            connection = await connect(addresses.nats, "rulestream-bench", is_patient=False)
            try:
                yield At(connection, health, worker, stack)
            finally:
                await connection.close()
        finally:
            await worker.stop()
