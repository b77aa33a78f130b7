"""``rulestream fact``: publish facts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.arguments import checked_type

app = typer.Typer(help="Publish facts.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Publish facts."""


@app.command()
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="NDJSON facts, .gz allowed; - is standard input.")],
    fact_type: Annotated[
        str | None, typer.Option("--type", help="The type of facts that name none.", callback=checked_type)
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most so many facts a second.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Publish every fact of a file and wait until the stream has stored each."""
    from worker.cli.output import print_json, say
    from worker.cli.running import run, settings_or_exit
    from worker.sending import Pace, SendReport, send_facts

    settings = settings_or_exit()
    if str(file) != "-" and not file.is_file():
        raise typer.BadParameter(f"no such file: {file}", param_hint="FILE")
    started = time.monotonic()
    report: SendReport = run(send_facts(settings.data_endpoint, file, fact_type, Pace(rate) if rate else None))
    seconds = time.monotonic() - started
    for problem in report.problems:
        say(f"line {problem.line}: {problem.code}: {problem.message}")
    per_second = report.sent / seconds
    if json:
        print_json({"facts": report.sent, "refused": report.refused, "seconds": round(seconds, 3)})
    else:
        speed = f"{seconds:.1f} s ({per_second:,.0f} a second)"
        typer.echo(f"{report.sent} facts stored in {speed}, {report.refused} refused")
    if report.refused:
        raise typer.Exit(1)
