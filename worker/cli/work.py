"""``rulestream worker``: workers against the configured servers."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from worker.settings import Settings

COLLECT_AFTER: Final = 200_000
SWITCH_S: Final = 0.000_5
PORT_MAX: Final = 65_535

RolesOption = Annotated[
    str | None, typer.Option("--roles", help="Some of: facts,commands,queries,relay. All by default.")
]


def work(
    roles: RolesOption = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, max=64, help="How many worker processes; their probes are on as many ports."
        ),
    ] = 1,
) -> None:
    """Run workers until Ctrl-C or SIGTERM, then drain and exit."""
    from worker.cli.running import run, settings_or_exit
    from worker.settings import Role

    overrides: dict[str, object] = {}
    if roles is not None:
        known = {role.value for role in Role}
        unknown = [name for name in roles.split(",") if name.strip() not in known]
        if unknown:
            raise typer.BadParameter(f"no such role: {', '.join(unknown)}", param_hint="--roles")
        overrides["roles"] = roles
    settings = settings_or_exit(**overrides)
    if processes > 1:
        ports = probe_ports(settings.http_port, processes)
        raise typer.Exit(run(supervise(ports, roles)))
    gc.disable()  # until it is ready: what a worker makes till then are modules and rules, which stay
    try:
        run(serve(settings))
    finally:
        gc.enable()


async def serve(settings: Settings) -> None:
    """Run one worker until told to stop."""
    from worker.cli.running import stop_signal
    from worker.service import running_worker
    from worker.telemetry.logs import configure_logging

    configure_logging(settings.log_format, settings.log_level)
    stopping = stop_signal()
    take_turns()
    async with running_worker(settings) as worker:
        keep_what_is_there()
        waiting = asyncio.create_task(stopping.wait())
        failing = asyncio.create_task(worker.failed())
        await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        failing.cancel()
        await asyncio.gather(waiting, failing, return_exceptions=True)
        worker.raise_failure()


def calm_collector() -> None:
    """Collect what is garbage now, and tell the garbage collector what a worker looks like."""
    gc.collect()
    keep_what_is_there()


def keep_what_is_there() -> None:
    """Tell the garbage collector what a worker looks like: what is there at the start stays; batches come and go.

    A batch makes some ten thousand objects that all go by reference counting; the default threshold of 700 would have
    the collector look at them again and again.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)
    gc.enable()


def take_turns() -> None:
    """Have threads that compute let the event loop on soon: facts wait while rules are compiled or compared in one.

    By default a thread goes on for 5 ms before it does, each time that the loop has waited for something.
    """
    sys.setswitchinterval(SWITCH_S)


def probe_ports(first: int, processes: int) -> list[int]:
    """Return the port of each process's probes and metrics: the first one's and those after it; 0 is any free one."""
    if first and first + processes - 1 > PORT_MAX:
        message = f"{processes} processes need as many ports for their probes, from RULESTREAM_HTTP_PORT {first} on"
        raise typer.BadParameter(message, param_hint="--processes")
    return [first and first + number for number in range(processes)]


async def supervise(ports: Sequence[int], roles: str | None) -> int:
    """Run a worker process for each port of probes, and pass signals on.

    When one ends by itself the others are stopped, and 1 is returned.
    """
    from worker.cli.running import stop_signal

    command = [sys.executable, "-m", "worker.cli", "worker", *(["--roles", roles] if roles else [])]
    stopping = stop_signal()
    children = [
        await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "RULESTREAM_HTTP_PORT": str(port)}, start_new_session=True
        )
        for port in ports
    ]
    ends = [asyncio.create_task(child.wait()) for child in children]
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait([asked, *ends], return_when=asyncio.FIRST_COMPLETED)
    was_asked = stopping.is_set()
    asked.cancel()
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
    codes = await asyncio.gather(*ends)
    return 0 if was_asked and not any(codes) else 1
