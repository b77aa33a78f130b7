"""Asking the worker as an actor, and showing the answer to people or to programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from worker.client import Client

Answer = dict[str, Any]
_Found = TypeVar("_Found")


def ask(
    actor: str,
    work: Callable[[Client], Awaitable[Answer]],
    show: Callable[[Answer], RenderableType],
    *,
    json: bool,
) -> None:
    """Connect as an actor, do the work and print what it found; a refusal is printed and ends with exit code 1."""
    from worker.cli.output import print_json, stdout

    found = answer(actor, work)
    if json:
        print_json(found)
    else:
        stdout().print(show(found))


def answer(actor: str, work: Callable[[Client], Awaitable[_Found]]) -> _Found:
    """Connect as an actor, do the work and return what it found; a refusal is printed and ends with exit code 1."""
    from worker.cli.running import run, settings_or_exit
    from worker.client import connected

    settings = settings_or_exit()

    async def connected_work() -> _Found:
        async with connected(settings.control_endpoint, actor) as client:
            return await work(client)

    return run(connected_work())
