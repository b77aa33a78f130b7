"""``rulestream ruleset``: the rules that decide now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from domain.errors import ConflictError
from worker.cli.asking import Answer, ask
from worker.cli.rule import ActorOption, AllOption, JsonOption, PageOffsetOption, PageSizeOption

if TYPE_CHECKING:
    from worker.applying import WorkerClient
    from worker.client import Client

ATTEMPTS: Final = 5

app = typer.Typer(help="Look at the rules that decide now.", no_args_is_help=True)


@app.command()
def show(
    actor: ActorOption = "viewer",
    page_size: PageSizeOption = 50,
    page_offset: PageOffsetOption = 0,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Show the ruleset's revision and digest, and its rules in the order of their ids.

    With --all every page is of one revision: reading begins again when the ruleset changes meanwhile.
    """
    from worker.cli.tables import ruleset_table

    async def work(client: Client) -> Answer:
        return await read_ruleset(client, page_size, page_offset, every=every)

    ask(actor, work, ruleset_table, json=json)


async def read_ruleset(client: WorkerClient, page_size: int, page_offset: int, *, every: bool) -> Answer:
    """Ask for a page of the ruleset, or for all from there on, each of one revision.

    Raises ConflictError when the ruleset has changed during every attempt.
    """
    for _ in range(ATTEMPTS):
        found = page = await client.query("ruleset", {"pageSize": page_size, "pageOffset": page_offset})
        while every and "nextOffset" in page and page["revision"] == found["revision"]:
            page = await client.query("ruleset", {"pageSize": page_size, "pageOffset": page["nextOffset"]})
            found["items"] += page["items"]
        if not every:
            return found
        if page["revision"] == found["revision"]:
            return {key: value for key, value in found.items() if key != "nextOffset"}
    raise ConflictError("the ruleset changes faster than it can be read")
