"""``rulestream bench``: conditions against the same ones in other engines, and what compiling rules costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.output import EXIT_FAILED, exit_with, print_json, progress, stdout

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from worker.bench.compilation import CompilationReport
    from worker.bench.evaluation import EvaluationReport

app = typer.Typer(help="Measure how fast rules are decided and compiled, here and now.", no_args_is_help=True)

SECONDS_MAX: Final = 60

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


def _print(*shown: Table | Text, holds: bool) -> None:
    console = stdout()
    for one in shown:
        console.print(one)
    console.print("[green]all floors hold[/]" if holds else "[red]a floor does not hold[/]")


def _end(report: EvaluationReport | CompilationReport, *, check: bool) -> None:
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


def _mark(*, holds: bool) -> str:
    return "[green]yes[/]" if holds else "[red]NO[/]"
