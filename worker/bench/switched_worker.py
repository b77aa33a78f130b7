"""A worker whose telemetry a signal switches on (SIGUSR1) or off (SIGUSR2), for the benchmark of what it costs.

SIGHUP has it send the spans that wait.
It runs as a process of its own (``python -m worker.bench.switched_worker``) and is a worker as any other beside that.
"""

from __future__ import annotations

import asyncio
import signal
import threading

import uvloop

from worker.cli.running import stop_signal
from worker.cli.work import calm_collector, take_turns
from worker.service import Worker
from worker.settings import load_settings
from worker.telemetry.logs import configure_logging


async def serve() -> None:
    """Run until told to stop."""
    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level)
    stopping = stop_signal()
    take_turns()
    worker = Worker(settings)
    loop = asyncio.get_running_loop()
    for number, is_on in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
        loop.add_signal_handler(number, _switch, worker, is_on)
    loop.add_signal_handler(signal.SIGHUP, _send, worker)
    await worker.start()
    try:
        calm_collector()
        await stopping.wait()
    finally:
        await worker.stop()


def _switch(worker: Worker, is_on: bool) -> None:  # noqa: FBT001  # a signal's handler
    worker.telemetry.is_on = is_on


def _send(worker: Worker) -> None:
    threading.Thread(target=worker.telemetry.flush, daemon=True).start()


if __name__ == "__main__":
    uvloop.run(serve())
