"""``rulestream migrate``: the database's versions."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from worker.migrations.runner import MigrationStatus

app = typer.Typer(help="Migrate the database up or down.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def up(to: Annotated[str, typer.Argument(help="A version, or head.")] = "head", json: JsonOption = False) -> None:
    """Apply migrations."""
    from worker.migrations import runner

    _migrate(lambda dsn: runner.upgrade(dsn, to), json=json)


@app.command()
def down(
    to: Annotated[str, typer.Argument(help="A version, -1 for the last migration, or base for all of them.")] = "-1",
    json: JsonOption = False,
) -> None:
    """Undo migrations; data in what they drop is lost."""
    from worker.migrations import runner

    _migrate(lambda dsn: runner.downgrade(dsn, to), json=json)


@app.command()
def status(json: JsonOption = False) -> None:
    """Show where the database stands."""
    from worker.migrations import runner

    _migrate(runner.status, json=json)


def _migrate(action: Callable[[str], Coroutine[Any, Any, MigrationStatus]], *, json: bool) -> None:
    from worker.cli.output import print_json
    from worker.cli.running import run, settings_or_exit

    found = run(action(settings_or_exit().postgres_dsn.get_secret_value()))
    if json:
        print_json({"current": found.current, "newest": found.newest, "pending": list(found.pending)})
        return
    typer.echo(f"database: {found.current or 'empty'}, newest: {found.newest}")
    for pending in found.pending:
        typer.echo(f"  pending: {pending}")
