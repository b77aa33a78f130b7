"""JetStream's disk runs full: a small file system of its own (tmpfs), which takes root to mount."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.behaviour.bus import eventually
from tests.faults.load import Mix
from tests.faults.results import Result
from tests.faults.scenario import NotPlayableError, Scenario, perform_on
from tests.faults.stage import CHANGE_WAIT_S, Site, Stage
from worker.embedded import Addresses
from worker.embedded.folder import DataFolder
from worker.embedded.nats import NatsServer

DISK_BYTES = 64 * 1024 * 1024
LEFT_BYTES = 1024 * 1024
FULL = "no space left on device"


class DiskStage(Stage):
    """A stage whose NATS server has a small disk."""

    nats_server: NatsServer
    disk: Path


async def fill_disk(stage: Stage, times: int) -> None:
    """Leave next to no room, until the server cannot write; then make room and restart it, as an operator does."""
    assert isinstance(stage, DiskStage)
    await stage.start_worker()
    await stage.start_worker()
    ballast = stage.disk / "ballast"
    for _ in range(times):
        await stage.progress(stage.chance.randrange(20, 200))
        refusals = _refusals(stage)
        found = os.statvfs(stage.disk)
        room = max(0, found.f_bavail * found.f_frsize - LEFT_BYTES)
        with contextlib.suppress(OSError):  # the server was faster: the disk is full
            await asyncio.to_thread(ballast.write_bytes, bytes(room))

        async def refused(before: int = refusals) -> bool:
            return _refusals(stage) > before

        await eventually(refused, bool, CHANGE_WAIT_S)
        await asyncio.to_thread(ballast.unlink)
        await stage.nats_server.restart()
        stage.injected += 1
        await stage.all_ready()
    await stage.progress(100)


def _refusals(stage: DiskStage) -> int:
    return stage.nats_server.log.read_text(encoding="utf-8", errors="replace").count(FULL)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system for the length of a block; raises NotPlayableError where that is not allowed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPlayableError(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def perform(site: Site, scenario: Scenario, seed: int, times: int) -> Result:
    """Play a scenario on a NATS server with a small disk, beside the site's Postgres and cache."""
    name = f"faults_{scenario.name.replace('-', '_')}_{seed}"
    folder = site.folder / name
    folder.mkdir(parents=True)
    clean = await site.clean(name)
    with small_disk(folder / "disk") as disk:
        data = DataFolder(disk / "data")
        await data.open()
        server = NatsServer(data)
        try:
            addresses = Addresses(await server.start(), clean.postgres, clean.redis)
            stage = DiskStage(addresses, folder, seed, scenario.mix, **scenario.settings)
            stage.nats_server, stage.disk = server, disk
            return await perform_on(stage, scenario, seed, times, folder)
        finally:
            await server.stop()
            await asyncio.to_thread(data.close)


SCENARIOS = (Scenario("disk-full", "JetStream's disk full", 4, fill_disk, Mix(poison=0)),)
