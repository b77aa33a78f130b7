"""Whether a command that a page or a manifest names is one that the command line takes; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import typer

from worker.cli.app import app

_WRONG_USAGE: Final = 2


def usage_error(arguments: Sequence[str]) -> str | None:
    """Return what is wrong with the arguments of ``rulestream``; None where nothing is."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    name, rest = "rulestream", list(arguments)
    try:
        while True:
            context = command.make_context(name, rest, context)
            if not hasattr(command, "resolve_command"):
                return None
            name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    except Exception as error:
        if getattr(error, "exit_code", None) == _WRONG_USAGE:
            return str(getattr(error, "message", error))
        raise
