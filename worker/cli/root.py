"""The root of the command line, for all commands or for one alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer


def command_line() -> typer.Typer:
    """Return the command line without any command."""
    app = typer.Typer(
        name="rulestream",
        help="A rules worker on event streams: publish facts, subscribe to decisions, scale by adding workers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    return app


def _show_version(wanted: bool) -> None:  # typer's callback signature
    if wanted:
        typer.echo(f"rulestream {version('rulestream')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Decide facts by rules, exactly once, with proof."""
