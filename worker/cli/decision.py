"""``rulestream decision``: follow decisions, list them, fetch one, or have one explained."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from worker.cli.arguments import checked_actor, checked_pattern, checked_type_pattern

app = typer.Typer(
    help="Follow decisions as they are made, list them, fetch one, or have one explained.", no_args_is_help=True
)

PAGE_SIZE: Final = 500

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A decision's id, or a fact's.")]
ActorOption = Annotated[str, typer.Option("--actor", envvar="RULESTREAM_ACTOR", callback=checked_actor)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def tail(
    fact_type: Annotated[
        str, typer.Option("--type", help="Only facts of this type; NATS wildcards allowed.", callback=checked_pattern)
    ] = ">",
    only: Annotated[str | None, typer.Option("--only", help="matched or unmatched.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many decisions.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest that is kept.")] = False,
    durable: Annotated[
        str | None,
        typer.Option("--durable", metavar="NAME", help="Take, and acknowledge, what a subscriber's consumer holds."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print decisions as they are published, until Ctrl-C.

    Where a key says who connects, new ones are heard as they are published; those that were missed meanwhile come with
    --durable. Without keys the stream is followed, and nothing is missed while this runs.
    """
    from worker.cli.running import run, settings_or_exit
    from worker.tailing import Wanted, tail

    if only not in (None, "matched", "unmatched"):
        raise typer.BadParameter("matched or unmatched", param_hint="--only")
    if from_start and durable is not None:
        raise typer.BadParameter("a durable consumer begins where it ended", param_hint="--from-start")
    settings = settings_or_exit()
    wanted = Wanted(f"decisions.{only or '*'}.{fact_type}", from_start=from_start, durable=durable)
    run(tail(settings.data_endpoint, settings.decisions_stream, wanted, count, _printer(json=json)))


def _printer(*, json: bool) -> Callable[[bytes], None]:
    import msgspec
    from rich.console import Console

    from worker.cli.tables import decision_line

    console = Console(soft_wrap=True)

    def show(decision: bytes) -> None:
        if json:
            typer.echo(decision.decode())
        else:
            console.print(decision_line(msgspec.json.decode(decision)))

    return show


@app.command()
def get(
    decision: IdArgument,
    actor: ActorOption = "viewer",
    json: JsonOption = False,
) -> None:
    """Fetch a decision by its id (32 hexadecimal digits) or by the id of its fact."""
    from rich.json import JSON

    from worker.cli.output import print_json, stdout
    from worker.cli.running import run, settings_or_exit
    from worker.client import connected

    settings = settings_or_exit()

    async def work() -> dict[str, Any]:
        async with connected(settings.control_endpoint, actor) as client:
            return await client.query("decision", {"decisionId" if _is_key(decision) else "factId": decision})

    found = run(work())
    if json:
        print_json(found)
    else:
        stdout().print(JSON.from_data(found))


@app.command("list")
def list_(
    fact_type: Annotated[
        str | None,
        typer.Option("--type", help="Only facts of this type; NATS wildcards allowed.", callback=checked_type_pattern),
    ] = None,
    fact: Annotated[str | None, typer.Option("--fact", metavar="ID", help="Only facts with this id.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="matched or unmatched.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only facts stored at this time (RFC 3339) or later.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only facts stored before this time (RFC 3339).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many at most.")] = 50,
    actor: ActorOption = "viewer",
    json: JsonOption = False,
) -> None:
    """List decisions, newest first by the time at which their facts were stored; with --json one a line."""
    from rich.console import Console

    from worker.cli.output import print_json
    from worker.cli.running import run, settings_or_exit
    from worker.cli.tables import decision_line
    from worker.client import connected

    if outcome not in (None, "matched", "unmatched"):
        raise typer.BadParameter("matched or unmatched", param_hint="--outcome")
    settings = settings_or_exit()
    criteria = {"factType": fact_type, "factId": fact, "outcome": outcome, "since": since, "until": until}
    console = Console(soft_wrap=True)

    async def work() -> None:
        left = limit
        asked = {name: value for name, value in criteria.items() if value is not None}
        async with connected(settings.control_endpoint, actor) as client:
            while True:
                page = await client.query("decisions", {**asked, "pageSize": min(left, PAGE_SIZE)})
                for decision in page["items"]:
                    if json:
                        print_json(decision)
                    else:
                        console.print(decision_line(decision))
                left -= len(page["items"])
                if left <= 0 or "nextOffset" not in page:
                    return
                asked |= {"pageOffset": page["nextOffset"], "until": page["until"]}

    run(work())


@app.command()
def explain(
    decision: IdArgument,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="NAME-OR-ID", help="Explain this rule only, whatever its 'on'.")
    ] = None,
    actor: ActorOption = "viewer",
    json: JsonOption = False,
) -> None:
    """Tell why each rule applied to a decision's fact, or did not: first those that did or failed, then the others."""
    import msgspec

    from streams.messages.explanations import ExplanationBody
    from worker.cli.output import print_json
    from worker.cli.running import run, settings_or_exit
    from worker.client import connected
    from worker.explanations import explanation_text

    settings = settings_or_exit()

    async def work() -> dict[str, Any]:
        async with connected(settings.control_endpoint, actor) as client:
            key = decision
            if not _is_key(decision):
                key = (await client.query("decision", {"factId": decision}))["decisionId"]
            named = {} if rule is None else {"ruleId" if _is_rule_id(rule) else "name": rule}
            found = await client.query("explain", {"decisionId": key, **named})
            while "nextOffset" in found:
                offset = found.pop("nextOffset")
                page = await client.query("explain", {"decisionId": key, **named, "pageOffset": offset})
                found = {**page, "items": found["items"] + page["items"]}
            return found

    found = run(work())
    if json:
        print_json(found)
        return
    revision = found["ruleset"]["revision"]
    typer.echo(f"decision {found['decisionId']} of {found['factType']} {found['factId']}, ruleset {revision}")
    for item in msgspec.convert(found["items"], list[ExplanationBody]):
        typer.echo(explanation_text(item))


def _is_key(text: str) -> bool:
    return len(text) == 32 and all(character in "0123456789abcdef" for character in text)


def _is_rule_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
