"""A deployment as it should be: the secured NATS, Postgres and Valkey that keep what they are given, and a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.servers import operations
from tests.servers.operations import run_apart
from tests.servers.secured import Secured, secured_nats
from worker.embedded import Addresses, EmbeddedStack
from worker.embedded.ports import HOST, free_port
from worker.migrations.runner import upgrade
from worker.settings import Settings, load_settings

POLICY: Final = '{"alice": ["author"], "*": ["viewer"]}'
START_WAIT_S: Final = 90.0


@dataclass(slots=True)
class Deployment:
    """Where everything is, and the settings of its workers by name."""

    nats: Secured
    addresses: Addresses
    options: dict[str, Any]

    def settings(self, **other: object) -> Settings:
        """Return the workers' settings, some of them otherwise."""
        return load_settings(**{**self.options, **other})


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """Run a deployment for the length of a block; none of its fixtures belongs to an event loop."""
    stack = EmbeddedStack()
    addresses = run_apart(stack.start())
    try:
        with secured_nats(folder) as nats:
            template = run_apart(operations.make_template(addresses.postgres, upgrade))
            run_apart(operations.execute(addresses.postgres, f"CREATE DATABASE deployed TEMPLATE {template}"))
            options = {
                "nats_url": nats.url,
                "control_nats_url": nats.url,
                "nats_nkey_file": str(nats.key("worker-data")),
                "control_nats_nkey_file": str(nats.key("worker-control")),
                "nats_inbox_prefix": "_INBOX_worker-data",
                "control_nats_inbox_prefix": "_INBOX_worker-control",
                "nats_ca_file": str(nats.ca_file),
                "postgres_dsn": operations.with_database(addresses.postgres, "deployed"),
                "redis_url": addresses.redis,
                "role_policy": POLICY,
            }
            found = Deployment(nats, addresses, options)
            with _worker(options, folder / "worker.log"):
                yield found
    finally:
        run_apart(_end(stack))


async def _end(stack: EmbeddedStack) -> None:
    """Stop the servers, whose data nobody wants."""
    await stack.postgres.kill()
    await stack.stop()


@contextmanager
def _worker(options: dict[str, Any], log: Path) -> Iterator[None]:
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RULESTREAM_")},
        **{f"RULESTREAM_{name.upper()}": value for name, value in options.items()},
        "RULESTREAM_HTTP_PORT": str(port),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(  # the product's own worker
            [sys.executable, "-m", "worker.cli", "worker"], env=environment, stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + START_WAIT_S
        while not _is_ready(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
