"""``rulestream decision``: follow decisions, or fetch one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from worker.cli.arguments import checked_actor, checked_pattern

app = typer.Typer(help="Follow decisions as they are made, or fetch one.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def tail(
    fact_type: Annotated[
        str, typer.Option("--type", help="Only facts of this type; NATS wildcards allowed.", callback=checked_pattern)
    ] = ">",
    only: Annotated[str | None, typer.Option("--only", help="matched or unmatched.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many decisions.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest that is kept.")] = False,
    json: JsonOption = False,
) -> None:
    """Print decisions as they are published, until Ctrl-C."""
    from worker.cli.running import run, settings_or_exit

    if only not in (None, "matched", "unmatched"):
        raise typer.BadParameter("matched or unmatched", param_hint="--only")
    settings = settings_or_exit()
    subject = f"decisions.{only or '*'}.{fact_type}"
    run(_tail(settings.nats_url.get_secret_value(), settings.decisions_stream, subject, count, from_start, json))


@app.command()
def get(
    decision: Annotated[str, typer.Argument(metavar="ID", help="A decision's id, or a fact's.")],
    actor: Annotated[str, typer.Option("--actor", envvar="RULESTREAM_ACTOR", callback=checked_actor)] = "viewer",
    json: JsonOption = False,
) -> None:
    """Fetch a decision by its id (32 hexadecimal digits) or by the id of its fact."""
    from rich.json import JSON

    from worker.cli.output import print_json, stdout
    from worker.cli.running import run, settings_or_exit
    from worker.client import connected

    settings = settings_or_exit()
    is_key = len(decision) == 32 and all(character in "0123456789abcdef" for character in decision)

    async def work() -> dict[str, Any]:
        async with connected(settings.control_url, actor) as client:
            return await client.query("decision", {"decisionId" if is_key else "factId": decision})

    found = run(work())
    if json:
        print_json(found)
    else:
        stdout().print(JSON.from_data(found))


async def _tail(
    url: str,
    stream: str,
    subject: str,
    count: int | None,
    from_start: bool,
    json: bool,
) -> None:
    import msgspec
    from nats.errors import Error as NatsError
    from nats.errors import TimeoutError as NatsTimeoutError
    from nats.js.api import ConsumerConfig, DeliverPolicy
    from nats.js.errors import APIError
    from rich.console import Console

    from domain.errors import UnavailableError
    from streams.connection import connect
    from worker.cli.running import stop_signal
    from worker.cli.tables import decision_line

    stopping = stop_signal()
    console = Console(soft_wrap=True)
    connection = await connect(url, "rulestream-tail", is_patient=False)
    try:
        policy = DeliverPolicy.ALL if from_start else DeliverPolicy.NEW
        subscription = await connection.jetstream().subscribe(
            subject, stream=stream, ordered_consumer=True, config=ConsumerConfig(deliver_policy=policy)
        )
        seen = 0
        while not stopping.is_set() and (count is None or seen < count):
            try:
                message = await subscription.next_msg(timeout=0.5)
            except (TimeoutError, NatsTimeoutError):
                continue
            seen += 1
            if json:
                typer.echo(message.data.decode())
            else:
                console.print(decision_line(msgspec.json.decode(message.data)))
    except (NatsError, APIError) as error:
        raise UnavailableError("nats", f"the decisions cannot be followed: {error}") from error
    finally:
        await connection.close()
