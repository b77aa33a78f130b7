"""``rulestream migrate``: the database's versions."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.migrations.phases import Phase

if TYPE_CHECKING:
    from worker.migrations.runner import MigrationStatus

app = typer.Typer(help="Migrate the database up or down.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Go on where workers are connected that this would break.")]


@app.command()
def up(
    to: Annotated[str, typer.Argument(help="A version, or head.")] = "head",
    phase: Annotated[
        Phase | None,
        typer.Option(help="Only what is added (pre: old workers go on) or removed (post: none of them runs any more)."),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Apply migrations: all of them, or those of one phase."""
    from worker.migrations import runner

    if phase is not None and to != "head":
        raise typer.BadParameter("a phase leads to its own end; leave the version out")
    _migrate(lambda dsn: runner.upgrade(dsn, to, phase=phase, is_forced=force), json=json)


@app.command()
def down(
    to: Annotated[str, typer.Argument(help="A version, -1 for the last migration, or base for all of them.")] = "-1",
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Undo migrations; data in what they drop is lost."""
    from worker.migrations import runner

    _migrate(lambda dsn: runner.downgrade(dsn, to, is_forced=force), json=json)


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
        pending = [{"version": one.version, "phase": one.phase, "title": one.title} for one in found.pending]
        print_json({"current": found.current, "newest": found.newest, "lowestWorker": found.lowest, "pending": pending})
        return
    typer.echo(f"database: {found.current or 'empty'}, newest: {found.newest}")
    if found.lowest is not None:
        typer.echo(f"workers that run on it: written for {found.lowest} or newer")
    if found.is_ahead:
        typer.echo("a newer release has migrated it further than this one knows")
    for one in found.pending:
        typer.echo(f"  pending ({one.phase}): {one}")
