"""The servers in containers. Imported only where a Docker engine answers, since it imports testcontainers."""

from __future__ import annotations

import contextlib
import json
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from tests.servers import images
from worker.embedded.nats import PAYLOAD_BYTES_MAX

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a library's deprecations are not ours to fail on
    from testcontainers.core.container import DockerContainer

# As the embedded one has it; the size of a message has no flag.
NATS_CONFIG = json.dumps({"max_payload": PAYLOAD_BYTES_MAX, "jetstream": {"store_dir": "/data"}})
NATS_SCRIPT = f"echo '{NATS_CONFIG}' > /tmp/nats.conf && exec nats-server --config /tmp/nats.conf"
ROLE = "rulestream"


@dataclass(frozen=True, slots=True)
class ContainerAddresses:
    """Where the containers' ports are mapped to."""

    nats: str
    postgres: str
    redis: str


@contextlib.contextmanager
def running() -> Iterator[ContainerAddresses]:
    """Start the three containers; they are removed at the end. They may still be starting: callers wait for answers."""
    password = secrets.token_hex(16)
    nats = DockerContainer(images.NATS.name).with_kwargs(entrypoint=["/bin/sh", "-c", NATS_SCRIPT])
    nats = nats.with_exposed_ports(4222)
    postgres = (
        DockerContainer(images.POSTGRES.name)
        .with_env("POSTGRES_USER", ROLE)
        .with_env("POSTGRES_DB", ROLE)
        .with_env("POSTGRES_PASSWORD", password)
        .with_exposed_ports(5432)
    )
    valkey = DockerContainer(images.VALKEY.name).with_command("valkey-server --save '' --appendonly no")
    valkey = valkey.with_exposed_ports(6379)
    with contextlib.ExitStack() as started:
        for container in (nats, postgres, valkey):
            started.enter_context(container)
        yield ContainerAddresses(
            nats=f"nats://{_address(nats, 4222)}",
            postgres=f"postgresql://{ROLE}:{password}@{_address(postgres, 5432)}/{ROLE}",
            redis=f"redis://{_address(valkey, 6379)}/0",
        )


def _address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
