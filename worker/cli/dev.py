"""``rulestream dev``: the embedded stack with a worker, until told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer


def dev(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", file_okay=False, help="Keep the data here. Without it, it goes when this ends."),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", dir_okay=False, help="Write the addresses here too, when ready.")
    ] = None,
) -> None:
    """Start NATS, Postgres, Valkey and a worker; print their addresses as one JSON line when ready."""
    from worker.cli.running import run

    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    try:
        run(_dev(data_dir, ready_file))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


async def _dev(data_dir: Path | None, ready_file: Path | None) -> None:
    import msgspec

    from worker.cli.output import say
    from worker.cli.running import stop_signal
    from worker.cli.work import calm_collector, take_turns
    from worker.embedded import EmbeddedStack
    from worker.migrations import runner
    from worker.service import running_worker
    from worker.settings import load_settings
    from worker.telemetry.logs import configure_logging

    stopping = stop_signal()
    take_turns()
    configure_logging("console", "info")
    async with EmbeddedStack(data_dir) as stack:
        addresses = stack.addresses
        await runner.upgrade(addresses.postgres)
        settings = load_settings(
            nats_url=addresses.nats, control_nats_url=None, postgres_dsn=addresses.postgres, redis_url=addresses.redis
        )
        async with running_worker(settings) as worker:
            ready = {
                "nats": addresses.nats,
                "postgres": addresses.postgres,
                "redis": addresses.redis,
                "health": f"http://127.0.0.1:{worker.health_port}",
            }
            line = msgspec.json.encode(ready).decode()
            calm_collector()
            typer.echo(line)
            if ready_file is not None:
                _write_private(ready_file, line + "\n")
            say("ready; Ctrl-C stops everything" if data_dir else "ready; Ctrl-C stops everything and removes the data")
            waiting = asyncio.create_task(stopping.wait())
            failing = asyncio.create_task(worker.failed())
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (waiting, failing):
                task.cancel()
            await asyncio.gather(waiting, failing, return_exceptions=True)
            worker.raise_failure()


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (it holds a password), whole or not at all."""
    draft = path.with_name(f".{path.name}.{id(text):x}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
