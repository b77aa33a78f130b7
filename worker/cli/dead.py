"""``rulestream dead``: look through dead letters, and send their facts again once the cause is cured."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.arguments import checked_time, checked_type_pattern

if TYPE_CHECKING:
    from streams.dead_letter_stream import DeadLetterStream, LetterCriteria
    from streams.dead_letters import DeadLetter
    from streams.redriving import Redriver
    from worker.redriving import Redrive, RedriveSettings

app = typer.Typer(
    help="Look through what could not be decided, and send facts again once the cause is cured.", no_args_is_help=True
)

FactsOption = Annotated[bool, typer.Option("--facts", help="Only facts.")]
TypeOption = Annotated[
    str | None,
    typer.Option("--type", help="Only facts of this type; NATS wildcards allowed.", callback=checked_type_pattern),
]
ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="Only for this reason; may be given again.")
]
SinceOption = Annotated[str | None, typer.Option("--since", help="Only letters of this time (RFC 3339) or later.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Only letters from before this time (RFC 3339).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
SequenceArgument = Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The letter's number, as 'list' shows it.")]

TABLE_ROWS: Final = 500


@app.command("list")
def list_(
    facts: FactsOption = False,
    commands: Annotated[bool, typer.Option("--commands", help="Only commands.")] = False,
    fact_type: TypeOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many at most.")] = 50,
    json: JsonOption = False,
) -> None:
    """List dead letters, newest first; with --json one a line."""
    from worker.cli.dead_letters import letter_row, letters_table
    from worker.cli.output import print_json, stdout
    from worker.cli.running import run

    criteria = _criteria(facts, commands, fact_type, reason, since, until)

    async def work() -> None:
        some: list[DeadLetter] = []
        console = stdout()
        async with _letters() as (letters, _):
            async for letter in _first(letters.newest_first(criteria), limit):
                if json:
                    print_json(letter_row(letter))
                    continue
                some.append(letter)
                if len(some) == TABLE_ROWS:
                    console.print(letters_table(some))
                    some = []
        if some:
            console.print(letters_table(some))

    run(work())


@app.command()
def show(sequence: SequenceArgument, json: JsonOption = False) -> None:
    """Show a letter: what it was, why it is dead and what helps, its headers and its bytes."""
    from worker.cli.dead_letters import letter_panel, payload_text, whole_letter
    from worker.cli.output import print_json, stdout
    from worker.cli.running import run

    async def work() -> DeadLetter:
        from domain.errors import NotFoundError

        async with _letters() as (letters, _):
            letter = await letters.find(sequence)
        if letter is None:
            raise NotFoundError(f"there is no dead letter {sequence}")
        return letter

    letter = run(work())
    if json:
        print_json(whole_letter(letter))
    else:
        stdout().print(letter_panel(letter))
        typer.echo(payload_text(letter.data or b""))


@app.command()
def redrive(
    sequences: Annotated[list[int] | None, typer.Argument(metavar="SEQ", min=1, help="Letters' numbers.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every fact's letter, or those that the filters leave.")] = False,
    fact_type: TypeOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="With --all: so many at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the letters of facts that were sent again.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the duplicate window where the stream drops a fact as a repeat.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Send facts again, oldest first: their bytes and headers as they were, under their subjects.

    A fact keeps its identity, so that it is decided once however often it is sent. Its letter is removed when the
    stream has stored it. The exit code is 1 when a letter that was meant was not redriven.
    """
    from worker.cli.dead_letters import Tally, redrive_line, redrive_row
    from worker.cli.output import print_json, progress, say
    from worker.cli.running import run
    from worker.redriving import RedriveSettings

    filters = (fact_type, reason, since, until, limit)
    if bool(sequences) == every:
        raise typer.BadParameter("give either the numbers of letters or --all", param_hint="SEQ")
    if not every and any(given is not None for given in filters):
        raise typer.BadParameter("filters go with --all")
    criteria = _criteria(True, False, fact_type, reason, since, until)
    settings = RedriveSettings(is_dry=dry_run, keeps_letters=keep, waits=wait)
    tally = Tally()

    async def work() -> None:
        async with _letters() as (letters, redriver):
            with progress("letters", None if every else len(sequences or ())) as update:
                async for one in _redrives(letters, redriver, settings, sequences, criteria, limit):
                    tally.add(one)
                    update(tally.letters)
                    if json:
                        print_json(redrive_row(one))
                    elif not one.is_well:
                        say(redrive_line(one))
                    elif not every or dry_run or one.note:  # a million letters that are well need no line each
                        typer.echo(redrive_line(one))

    def tell() -> None:
        print_json(tally.row()) if json else typer.echo(tally.text())

    try:
        run(work())
    except typer.Exit:  # what was done until the failure is done
        if tally.letters:
            tell()
        raise
    tell()
    if tally.is_bad:
        raise typer.Exit(1)


def _criteria(
    facts: bool, commands: bool, fact_type: str | None, reasons: list[str] | None, since: str | None, until: str | None
) -> LetterCriteria:
    from streams.dead_letter_stream import LetterCriteria
    from streams.facts.intake import DeadReason

    if commands and (facts or fact_type is not None):
        raise typer.BadParameter("either commands or facts", param_hint="--commands")
    unknown = set(reasons or ()) - set(DeadReason)
    if unknown:
        known = ", ".join(sorted(DeadReason))
        raise typer.BadParameter(
            f"no such reason: {', '.join(sorted(unknown))}; there are {known}", param_hint="--reason"
        )
    return LetterCriteria(
        kind="command" if commands else "fact" if facts else None,
        fact_type=fact_type,
        reasons=frozenset(reasons or ()),
        since_ns=checked_time(since, "--since"),
        until_ns=checked_time(until, "--until"),
    )


@asynccontextmanager
async def _letters() -> AsyncIterator[tuple[DeadLetterStream, Redriver]]:
    """Connect to the data plane for the length of a block."""
    from streams.dead_letter_stream import DeadLetterStream
    from streams.redriving import Redriver
    from worker.cli.running import settings_or_exit
    from worker.connecting import connection

    settings = settings_or_exit()
    async with connection(settings.data_endpoint, "rulestream-dead-letters") as client:
        redriver = Redriver(client)
        await redriver.start()
        yield DeadLetterStream(client, settings.dead_letters_stream), redriver


async def _first(letters: AsyncGenerator[DeadLetter, None], most: int | None) -> AsyncGenerator[DeadLetter, None]:
    from contextlib import aclosing

    count = 0
    async with aclosing(letters):
        async for letter in letters:
            yield letter
            count += 1
            if count == most:
                return


async def _redrives(
    letters: DeadLetterStream,
    redriver: Redriver,
    settings: RedriveSettings,
    sequences: list[int] | None,
    criteria: LetterCriteria,
    limit: int | None,
) -> AsyncGenerator[Redrive, None]:
    from contextlib import aclosing

    from worker.redriving import DeadLetterRedrive

    redrive = DeadLetterRedrive(letters, redriver, settings)
    if sequences:
        async for one in redrive.of_sequences(dict.fromkeys(sequences)):
            yield one
        return
    async with aclosing(_first(letters.oldest_first(criteria), limit)) as chosen:
        async for one in redrive.of_letters(chosen):
            yield one
