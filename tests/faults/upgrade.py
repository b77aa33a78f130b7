"""``make upgrade FROM=<git ref>``: a rolling upgrade from an earlier release's own code, and back, under load.

The earlier tree is taken out of git into build/upgrade; its migrations make the database, its workers run from its own
sources on the packages that are installed here. Ends with 1 when anything was lost, twice or otherwise. SEED chooses
the load, FACTS how many facts each step waits for.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import asyncpg

from tests.faults.rolling import Rolling
from tests.faults.stage import PROJECT, THIS, Release, Stage, site

BUILD = PROJECT / "build" / "upgrade"
TOLD = "from worker import release as r; print(r.this_release().code[:16], r.language_digest().hex()[:16])"
say = partial(print, flush=True)


class StepFailedError(AssertionError):
    """A command of the upgrade ended with another code than 0; the message has what it said."""


def taken_out(ref: str) -> Release:
    """Take a commit's tree out of git; raises StepFailedError where there is no such one."""
    commit = _run(["git", "rev-parse", "--verify", f"{ref}^{{commit}}"], PROJECT)
    folder = BUILD / commit[:12]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return Release(f"{ref} ({commit[:7]})", folder)


def _run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(  # our own commands
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise StepFailedError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def rulestream(release: Release, dsn: str, *arguments: str) -> str:
    """Run a release's command line on a database, and give what it printed."""
    command = [sys.executable, "-m", "worker.cli", *arguments]
    return _run(command, release.folder, RULESTREAM_POSTGRES_DSN=dsn)


async def _migrated(release: Release, dsn: str, *arguments: str) -> None:
    found = await asyncio.to_thread(rulestream, release, dsn, "migrate", "up", *arguments)
    said = found.replace("\n", "; ")
    say(f"{' '.join(('migrate up', *arguments))}, by {release.name}: {said}")


async def play(old: Release, seed: int, facts: int) -> int:
    """Roll from one release to this one and back; print what was seen, and give the exit status."""
    new = THIS
    for release in (old, new):
        say(f"{release.name}: code and language {_run([sys.executable, '-c', TOLD], release.folder)}")
    folder = Path(tempfile.mkdtemp(prefix="rulestream-upgrade-"))
    say(f"seed {seed}; logs in {folder}")
    began = time.monotonic()
    async with site(folder, lambda dsn: _migrated(old, dsn)) as servers:
        addresses = await servers.clean(f"upgrade_{seed}")
        stage = Stage(addresses, folder, seed, stack=servers.stack, release=old)

        async def additions() -> None:
            await _migrated(new, addresses.postgres, "--phase", "pre")
            await _migrated(old, addresses.postgres)  # as its own job does when it is rolled back

        async def removals() -> None:
            await _migrated(new, addresses.postgres, "--phase", "post")

        async with stage:
            rolling = Rolling(stage, old, new, facts, said=lambda step: say(f"  {step}"))
            found = await rolling.play(additions, removals, and_back=True)
            releases = await started(addresses.postgres)
    say(f"releases that decided: {', '.join(releases)}")
    say(f"{stage.injected} workers replaced, {time.monotonic() - began:.0f} s")
    say(found)
    return 0 if found.is_clean else 1


async def started(dsn: str) -> list[str]:
    """Give the digests of the code of every release that has decided facts."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT code FROM release ORDER BY first_started_at")
    finally:
        await connection.close()
    return [row["code"][:16] for row in rows]


def main() -> int:
    """Read the environment, and play."""
    ref = os.environ.get("FROM", "")
    if not ref:
        say("FROM names the git ref to upgrade from: make upgrade FROM=v0.1.0", file=sys.stderr)
        return 2
    seed = int(os.environ.get("SEED") or random.randrange(1, 100_000))
    try:
        return asyncio.run(play(taken_out(ref), seed, int(os.environ.get("FACTS") or "300")))
    except StepFailedError as error:
        say(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
