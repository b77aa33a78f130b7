"""A worker on servers of its own, for benchmarks of a whole worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.client import Client

from domain.errors import RulestreamError
from streams.connection import connect
from worker.demo.run import worker_process
from worker.embedded import EmbeddedStack
from worker.migrations import runner


class BenchError(RulestreamError):
    """What was to be measured did not work."""


@dataclass(frozen=True, slots=True)
class At:
    """A connection to the worker's NATS, and the address of its probes."""

    connection: Client
    health: str


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
        async with worker_process(addresses, stack.data_dir) as health:
            connection = await connect(addresses.nats, "rulestream-bench", is_patient=False)
            try:
                yield At(connection, health)
            finally:
                await connection.close()
