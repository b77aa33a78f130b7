"""``rulestream command``: what became of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.asking import Answer, ask
from worker.cli.rule import ActorOption, JsonOption

if TYPE_CHECKING:
    from worker.client import Client

app = typer.Typer(help="Look up what became of commands.", no_args_is_help=True)


@app.command()
def get(
    command: Annotated[str, typer.Argument(metavar="ID", help="The command's id.")],
    actor: ActorOption,
    json: JsonOption = False,
) -> None:
    """Show the answer that a command of this actor got, when no one was there to hear it; a refusal is an answer too.

    A command that is not decided yet is not found.
    """
    from worker.cli.tables import command_answer

    async def work(client: Client) -> Answer:
        return await client.query("command", {"commandId": command})

    ask(actor, work, command_answer, json=json)
