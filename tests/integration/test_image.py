"""The worker's image, built and run by a Docker engine: what is promised of it, and a worker of it at work.

It runs where an engine answers that has the base image, for no test pulls one. ``RULESTREAM_TEST_IMAGE`` names an image
that is built already; ``RULESTREAM_TEST_BUILD_ARGS`` are more arguments for docker build, such as ``--secret``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.bus import connected, eventually
from tests.servers.engine import engine_answers
from worker.embedded.ports import free_port

pytestmark = pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers")

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
FACTS = 20_000
STOP_S = 10
GUARDS = (
    "--read-only",
    "--tmpfs=/tmp:size=64m",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=host",
)


def docker(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, cwd=ROOT)


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build the image, unless one is named, and remove it at the end; skip where its base is missing, and say so."""
    if named := os.environ.get("RULESTREAM_TEST_IMAGE"):
        yield named
        return
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    if docker("image", "inspect", base).returncode:
        pytest.skip(f"the engine has no image {base}: docker pull {base}, or deploy/stand-ins/base.sh")
    name = f"rulestream-test:{secrets.token_hex(4)}"
    said(
        docker(
            "build", "-f", DOCKERFILE, "-t", name, *shlex.split(os.environ.get("RULESTREAM_TEST_BUILD_ARGS", "")), "."
        )
    )
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture
def start(image: str, nats_url: str, redis_url: str, database: str) -> Iterator[Callable[[], str]]:
    """Give what starts a worker of the image against the tests' servers and gives its container's name."""
    started: list[str] = []

    def run() -> str:
        name = f"rulestream-test-{secrets.token_hex(4)}"
        settings = {
            "nats_url": nats_url,
            "postgres_dsn": database,
            "redis_url": redis_url,
            "http_host": "127.0.0.1",
            "http_port": str(free_port()),
        }
        environment = [f"--env=RULESTREAM_{key.upper()}={value}" for key, value in settings.items()]
        said(docker("run", "--detach", "--name", name, *GUARDS, *environment, image))
        started.append(name)
        return name

    yield run
    for name in started:
        docker("rm", "--force", name)


async def ready(container: str) -> None:
    """Wait until the image's own health check says that its worker is ready."""

    async def ask() -> str:
        check = ("exec", container, "python", "-I", "-m", "worker.healthcheck", "readyz")
        done = await asyncio.to_thread(docker, *check)
        return "ready" if done.returncode == 0 else done.stdout + docker("logs", "--tail", "5", container).stderr

    await eventually(ask, lambda answer: answer == "ready")


def test_the_image_is_what_is_promised(image: str) -> None:
    """Its size, its user, and what is not in it."""
    checked = subprocess.run([ROOT / "deploy/check-image.sh", image], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("ok ") > 8


async def test_a_worker_on_a_read_only_file_system_decides_facts_and_stops_under_load(
    start: Callable[[], str], nats_url: str
) -> None:
    """Killed by the engine it would end with 137; and what it leaves, another decides without having seen it twice."""
    container = start()
    await ready(container)
    async with connected(nats_url) as bus:
        for n in range(FACTS):
            await bus.client.publish("facts.order.placed", b'{"total": 7}', headers={"Nats-Msg-Id": f"fact-{n}"})
        await eventually(lambda: bus.count("DECISIONS"), lambda count: count > 0)

        stopped = await asyncio.to_thread(docker, "stop", "-t", str(STOP_S), container)

        assert said(stopped) == container
        state: dict[str, Any] = json.loads(said(docker("inspect", "--format", "{{json .State}}", container)))
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        await ready(start())
        assert await bus.count("FACTS") == FACTS
        await eventually(lambda: bus.count("DECISIONS"), lambda count: count == FACTS)
        consumer = await bus.jetstream.consumer_info("FACTS", "rulestream-facts")
        assert (consumer.num_redelivered, consumer.num_pending) == (0, 0)
