"""``rulestream topology``: streams and consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client

    from streams.topology import Topology

app = typer.Typer(help="Streams and durable consumers: declare, compare, show.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def apply(json: JsonOption = False) -> None:
    """Declare what is missing; what exists otherwise is reported and left alone."""
    from streams import topology

    applied = _with_servers(topology.apply)
    found = [str(difference) for difference in applied.differences]
    _report({"created": applied.created, "differences": found}, json=json)


@app.command()
def diff(json: JsonOption = False) -> None:
    """Report what is missing or set otherwise; exit code 1 when something is."""
    from streams import topology

    found = [str(difference) for difference in _with_servers(topology.diff)]
    _report({"differences": found}, json=json)
    if found:
        raise typer.Exit(1)


@app.command()
def show(json: JsonOption = False) -> None:
    """Show what the worker declares, under the current settings; asks no server."""
    from rich.table import Table

    from worker.cli.output import print_json, stdout

    wanted = _wanted()
    if json:
        streams = [{"plane": spec.plane, **spec.config} for spec in wanted.streams]
        consumers = [{"plane": spec.plane, "stream": spec.stream, **spec.config} for spec in wanted.consumers]
        print_json({"streams": streams, "consumers": consumers})
        return
    table = Table("stream", "subjects", "plane", "retention", "discard", "max age", "consumers")
    for spec in wanted.streams:
        names = ", ".join(consumer.name for consumer in wanted.consumers if consumer.stream == spec.name)
        age = spec.config["max_age"] // 1_000_000_000
        table.add_row(
            spec.name,
            ", ".join(spec.config["subjects"]),
            spec.plane,
            spec.config["retention"],
            spec.config["discard"],
            f"{age} s" if age else "-",
            names,
        )
    stdout().print(table)


def _wanted() -> Topology:
    from streams.topology import topology as describe
    from worker.cli.running import settings_or_exit

    return describe(settings_or_exit().topology)


def _with_servers(action: Callable[[Topology, Client, Client], Awaitable[Any]]) -> Any:
    from worker.cli.running import run, settings_or_exit
    from worker.connecting import connection

    settings = settings_or_exit()

    async def work() -> Any:
        async with (
            connection(settings.control_endpoint, "rulestream-topology") as control,
            connection(settings.data_endpoint, "rulestream-topology") as data,
        ):
            return await action(_wanted(), control, data)

    return run(work())


def _report(found: dict[str, list[str]], *, json: bool) -> None:
    from worker.cli.output import print_json

    if json:
        print_json(found)
        return
    for kind, lines in found.items():
        for line in lines:
            typer.echo(f"{kind}: {line}")
    if not any(found.values()):
        typer.echo("streams and consumers are as the settings want them")
