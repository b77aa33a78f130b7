"""``rulestream bench``: conditions beside other engines, what compiling rules costs, and a whole worker at work."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from worker.cli.output import EXIT_FAILED, exit_with, print_json, progress, stdout

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from worker.bench.commands import CommandsReport
    from worker.bench.compilation import CompilationReport
    from worker.bench.evaluation import EvaluationReport
    from worker.bench.listing import ListingReport
    from worker.bench.pipeline import PipelineReport

app = typer.Typer(
    help="Measure how fast rules are decided and compiled, and commands and queries answered, here and now.",
    no_args_is_help=True,
)

SECONDS_MAX: Final = 60
PROFILE_FORMATS: Final = (".svg", ".json", ".txt")  # as worker.bench.profiling

_Report = TypeVar("_Report")

JsonOption = Annotated[bool, typer.Option("--json", help="Print only the last line, as JSON.")]
CheckOption = Annotated[bool, typer.Option("--check", help="End with exit code 1 when a floor does not hold.")]


def _checked_seconds(seconds: float) -> float:
    if not 0 < seconds <= SECONDS_MAX:
        raise typer.BadParameter(f"more than 0 and at most {SECONDS_MAX}")
    return seconds


def _checked_profile(file: Path | None) -> Path | None:
    if file is not None and file.suffix not in PROFILE_FORMATS:
        raise typer.BadParameter(f"must end in {', '.join(PROFILE_FORMATS)}")
    return file


@app.command("eval")
def evaluate(
    json: JsonOption = False,
    check: CheckOption = False,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", callback=_checked_seconds, help="Time for each engine and condition; more is steadier."
        ),
    ] = 0.2,
) -> None:
    """Decide the same facts by the same conditions in ours and in other engines, side by side.

    The other engines come with the extra `bench`. What they give is compared before anything is timed.
    """
    from domain.errors import RulestreamError
    from worker.bench.cases import CASES
    from worker.bench.evaluation import compare

    try:
        with progress("comparing", len(CASES)) as update:
            report = compare(seconds, update=update)
    except RulestreamError as error:
        exit_with(error, as_json=json)
    if not json:
        from worker.cli.bench_tables import evaluation_tables

        _print(*evaluation_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("compile")
def compilation(
    json: JsonOption = False,
    check: CheckOption = False,
    rules: Annotated[int, typer.Option("--rules", min=1, max=100_000, help="So many small rules.")] = 1_000,
) -> None:
    """Measure what compiling small rules and very large ones takes, in time and memory."""
    from worker.bench.compilation import PARTS, measure

    with progress("compiling", PARTS) as update:
        report = measure(rules, update)
    if not json:
        from worker.cli.bench_tables import compilation_tables

        _print(*compilation_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("commands")
def commands(
    json: JsonOption = False,
    check: CheckOption = False,
    count: Annotated[int, typer.Option("--commands", min=1, max=1_000_000, help="So many in bulk.")] = 3_000,
    seconds: Annotated[
        float, typer.Option("--seconds", callback=_checked_seconds, help="So long at 50 commands a second.")
    ] = 10.0,
) -> None:
    """Measure how many commands a second one worker decides, and how soon it answers, on servers of its own."""
    from worker.bench.commands import ACTORS, RATE, WARM_UP, measure

    total = WARM_UP + count + max(1, round(RATE * seconds))
    with progress("commands", total) as update:
        report = _run(measure(count, seconds, update), as_json=json)
    if not json:
        from rich.text import Text

        bulk = f"{report.commands_per_second:,.0f} commands a second of {ACTORS} actors"
        soon = f"{report.p50_ms:.1f} ms (median), {report.p99_ms:.1f} ms (99 %), {report.max_ms:.1f} ms (all)"
        _print(
            Text(f"{bulk}; at least {report.commands_per_second_min:,.0f}"),
            Text(f"at {RATE} a second answered within {soon}; 99 % within less than {report.p99_ms_max:g}"),
            holds=report.floors_hold,
        )
    _end(report, check=check)


@app.command("list")
def listing(
    json: JsonOption = False,
    check: CheckOption = False,
    rules: Annotated[
        int, typer.Option("--rules", min=1, max=1_000_000, help="So many rules in the database.")
    ] = 100_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=100, help="So many answers for each question.")] = 3,
) -> None:
    """Measure how soon one worker lists a full database by every filter, sort and page, on servers of its own."""
    from worker.bench.listing import cases_count, measure

    with progress("questions", cases_count()) as update:
        report = _run(measure(rules, rounds, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import listing_tables

        _print(*listing_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("pipeline")
def pipeline(
    json: JsonOption = False,
    check: CheckOption = False,
    facts: Annotated[int, typer.Option("--facts", min=1, max=1_000_000, help="So many facts a round.")] = 40_000,
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, max=100, help="So many pairs of rounds, without effects and with.")
    ] = 7,
    rules: Annotated[int, typer.Option("--rules", min=1, max=10_000, help="So many active rules.")] = 100,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile",
            dir_okay=False,
            callback=_checked_profile,
            help="Also profile the worker in one more round, to FILE.svg (flame graph), .json (speedscope) or .txt.",
        ),
    ] = None,
) -> None:
    """Measure the whole worker against a loop that only copies messages, on servers of its own.

    Both have the same facts from the same stream, in turn. The worker decides, stores, publishes and acknowledges.
    """
    from worker.bench.pipeline import measure, rounds_count

    with progress("pairs", rounds_count(pairs)) as update:
        report = _run(measure(facts, pairs, rules, profile, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import pipeline_tables

        _print(*pipeline_tables(report), holds=report.floors_hold)
    _end(report, check=check)


def _run(work: Coroutine[Any, Any, _Report], *, as_json: bool) -> _Report:
    """Run a benchmark of a whole worker; what does not start or fails ends the command with 1."""
    import uvloop

    from domain.errors import RulestreamError

    try:
        return uvloop.run(work)
    except RulestreamError as error:
        exit_with(error, as_json=as_json)


def _print(*shown: Table | Text, holds: bool) -> None:
    console = stdout()
    for one in shown:
        console.print(one)
    console.print("[green]all floors hold[/]" if holds else "[red]a floor does not hold[/]")


def _end(
    report: EvaluationReport | CompilationReport | CommandsReport | ListingReport | PipelineReport, *, check: bool
) -> None:
    print_json(report)
    if check and not report.floors_hold:
        raise typer.Exit(EXIT_FAILED)
