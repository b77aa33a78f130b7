"""``rulestream bench``: conditions beside other engines, what compiling rules costs, and a whole worker at work."""

from __future__ import annotations

from collections.abc import Coroutine
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

app = typer.Typer(
    help="Measure how fast rules are decided and compiled, and commands and queries answered, here and now.",
    no_args_is_help=True,
)

SECONDS_MAX: Final = 60

_Report = TypeVar("_Report")

JsonOption = Annotated[bool, typer.Option("--json", help="Print only the last line, as JSON.")]
CheckOption = Annotated[bool, typer.Option("--check", help="End with exit code 1 when a floor does not hold.")]


def _checked_seconds(seconds: float) -> float:
    if not 0 < seconds <= SECONDS_MAX:
        raise typer.BadParameter(f"more than 0 and at most {SECONDS_MAX}")
    return seconds


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
        _print(*_evaluation_tables(report), holds=report.floors_hold)
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
        _print(*_compilation_tables(report), holds=report.floors_hold)
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
        _print(*_listing_tables(report), holds=report.floors_hold)
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


def _end(report: EvaluationReport | CompilationReport | CommandsReport | ListingReport, *, check: bool) -> None:
    print_json(report)
    if check and not report.floors_hold:
        raise typer.Exit(EXIT_FAILED)


def _evaluation_tables(report: EvaluationReport) -> list[Table | Text]:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="microseconds for one fact, from a dict; the ratio is the fastest peer's time to ours")
    table.add_column("condition")
    table.add_column("fact")
    for name in ("ours", *report.versions, "ratio", "floor"):
        table.add_column(name, justify="right")
    table.add_column("holds")
    for case in report.cases:
        ratio = "-" if case.ratio_to_fastest_peer is None else f"{case.ratio_to_fastest_peer:.1f}"
        peers = ("-" if spent is None else f"{spent:.2f}" for spent in case.peers_us.values())
        table.add_row(
            case.name, case.fact, f"{case.ours_us:.3f}", *peers, ratio, f"{case.floor:g}", _mark(holds=case.holds)
        )
    beside = Table(title="the sample beside a Python function written by hand, in microseconds")
    for name in ("fact", "ours", "by hand", "ratio", "at most", "holds"):
        beside.add_column(name)
    for fact, found in report.lambdas.items():
        beside.add_row(
            fact,
            f"{found.ours_us:.3f}",
            f"{found.lambda_us:.3f}",
            f"{found.ratio:.2f}",
            f"{report.lambda_ratio_max:g}",
            _mark(holds=found.ratio <= report.lambda_ratio_max),
        )
    notes = [Text(f"{case.name}: {note}") for case in report.cases for note in case.notes]
    return [table, beside, *notes]


def _compilation_tables(report: CompilationReport) -> list[Table | Text]:
    from rich.table import Table
    from rich.text import Text

    phases = Table(title="a small rule's way, median milliseconds")
    for name in ("parse", "check", "write", "all"):
        phases.add_column(name, justify="right")
    found = report.phases
    phases.add_row(*(f"{part:.3f}" for part in (found.parse_ms, found.check_ms, found.write_ms, report.median_ms)))
    floors = Table(title=f"{report.rules:,} small rules, and the largest within the limits")
    floors.add_column("measured")
    floors.add_column("found", justify="right")
    floors.add_column("at most", justify="right")
    floors.add_column("holds")
    for floor in report.floors:
        floors.add_row(floor.name, f"{floor.value:.3f}", f"{floor.most:g}", _mark(holds=floor.holds))
    traced = Text(f"by Python's own account the small rules hold {report.traced_mb:.2f} MB")
    return [phases, floors, traced]


def _listing_tables(report: ListingReport) -> list[Table | Text]:
    from rich.table import Table
    from rich.text import Text

    offsets = sorted({case.offset for case in report.cases})
    table = Table(
        title=f"milliseconds to a page of {report.page_size} of {report.rules:,} rules: least, median, most; by offset"
    )
    for name in ("filter", "rules", "sort", *(f"{offset:,}" for offset in offsets)):
        table.add_column(name, justify="left" if name in {"filter", "sort"} else "right")
    lines: dict[tuple[str, str], dict[int, str]] = {}
    totals: dict[str, int] = {}
    for case in report.cases:
        shown = f"{case.min_ms:.1f} {case.median_ms:.1f} {case.max_ms:.1f}"
        lines.setdefault((case.filter, case.sort), {})[case.offset] = shown
        totals[case.filter] = case.total
    for (name, sort), found in lines.items():
        table.add_row(name, f"{totals[name]:,}", sort, *(found[offset] for offset in offsets))
    worst = f"slowest (median): {report.worst_median_ms:.1f} ms, at most {report.ms_max:g}, for {report.worst}"
    return [table, Text(worst)]


def _mark(*, holds: bool) -> str:
    return "[green]yes[/]" if holds else "[red]NO[/]"
