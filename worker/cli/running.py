"""Running a command's coroutine: one event loop, errors as people expect them, signals that mean stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import typer
import uvloop

from domain.errors import RulestreamError
from worker.cli.output import exit_with
from worker.settings import Settings, load_settings

EXIT_INTERRUPTED: Final = 130  # what shells say of a program that Ctrl-C ended

_Result = TypeVar("_Result")


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end; a RulestreamError is printed without a traceback and ends the process with 1."""
    try:
        return uvloop.run(work)
    except RulestreamError as error:
        exit_with(error)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def settings_or_exit(**overrides: object) -> Settings:
    """Read the settings, or print everything that is wrong with them and end with 1."""
    try:
        return load_settings(**overrides)
    except RulestreamError as error:
        exit_with(error)


def stop_signal() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set, for a graceful stop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event
