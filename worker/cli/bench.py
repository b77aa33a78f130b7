"""``rulestream bench``: conditions beside other engines, what compiling rules costs, and whole workers at work."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import typer

from worker.cli.output import EXIT_FAILED, exit_with, print_json, progress, stdout

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

app = typer.Typer(
    help="Measure how fast rules are decided and compiled, and how whole workers do their work, here and now.",
    no_args_is_help=True,
)

SECONDS_MAX: Final = 60
SIZE_MIN: Final = 10  # as worker.bench.scale_workloads
SIZE_MAX: Final = 1_000_000
PROFILE_FORMATS: Final = (".svg", ".json", ".txt")  # as worker.bench.profiling

_Report = TypeVar("_Report")


class _WithFloors(Protocol):
    """Any report of these commands."""

    @property
    def floors_hold(self) -> bool: ...


RulesOption = Annotated[int, typer.Option("--rules", min=1, max=10_000, help="So many active rules.")]

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


def _checked_workloads(names: list[str] | None) -> list[str] | None:
    if names:
        from worker.bench.scale_workloads import WORKLOADS

        if unknown := [name for name in names if name not in WORKLOADS]:
            raise typer.BadParameter(f"no such workload: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    return names


def _checked_sizes(text: str) -> str:
    sizes = text.split(",")
    if not all(size.isascii() and size.isdecimal() and SIZE_MIN <= int(size) <= SIZE_MAX for size in sizes):
        raise typer.BadParameter(f"must be numbers from {SIZE_MIN} to {SIZE_MAX:,}, with commas between")
    return text


ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        dir_okay=False,
        callback=_checked_profile,
        help="Also profile the worker in one more round, to FILE.svg (flame graph), .json (speedscope) or .txt.",
    ),
]


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
    facts: Annotated[int, typer.Option("--facts", min=1_000, max=1_000_000, help="So many facts a round.")] = 40_000,
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, max=100, help="So many pairs of rounds, without effects and with.")
    ] = 7,
    rules: RulesOption = 100,
    profile: ProfileOption = None,
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


@app.command("telemetry")
def telemetry(
    json: JsonOption = False,
    check: CheckOption = False,
    facts: Annotated[int, typer.Option("--facts", min=1_000, max=1_000_000, help="So many facts a round.")] = 80_000,
    pairs: Annotated[int, typer.Option("--pairs", min=1, max=100, help="So many pairs of rounds.")] = 7,
    rules: RulesOption = 100,
    profile: ProfileOption = None,
) -> None:
    """Measure what metrics and traces cost a worker, beside one without them, on servers of its own.

    Both decide facts that carry a trace, of which publishers record one in a hundred.
    """
    from worker.bench.telemetry import measure

    with progress("pairs", pairs) as update:
        report = _run(measure(facts, pairs, rules, profile, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import telemetry_tables

        _print(*telemetry_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("latency")
def latency(
    json: JsonOption = False,
    check: CheckOption = False,
    seconds: Annotated[
        float, typer.Option("--seconds", callback=_checked_seconds, help="So long at 1,000 facts a second.")
    ] = 30.0,
    rules: RulesOption = 100,
) -> None:
    """Measure how soon facts are decided, at 1,000 and at 50 a second, on servers of its own.

    The time is from when a fact was due to be published until its decision reaches a subscriber.
    """
    from worker.bench.latency import facts_count, measure

    with progress("facts", facts_count(seconds)) as update:
        report = _run(measure(seconds, rules, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import latency_tables

        _print(*latency_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("backlog")
def backlog(
    json: JsonOption = False,
    check: CheckOption = False,
    facts: Annotated[int, typer.Option("--facts", min=1, max=100_000_000, help="So many facts wait.")] = 1_000_000,
    rules: RulesOption = 100,
) -> None:
    """Measure what memory a worker holds while it works off a backlog, on servers of its own.

    A million facts take some minutes, and up to 8 GB of the folder for temporary files (TMPDIR) until the end.
    """
    from worker.bench.backlog import measure

    with progress("published, decided", 2 * facts) as update:
        report = _run(measure(facts, rules, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import backlog_tables

        _print(*backlog_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("start")
def start(
    json: JsonOption = False,
    check: CheckOption = False,
    rules: RulesOption = 1_000,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, max=100, help="So many starts with a cache, and without.")
    ] = 5,
) -> None:
    """Measure how soon a worker is ready after its start, with compiled rules in the cache and with an empty one."""
    from worker.bench.starting import measure, starts_count

    with progress("starts", starts_count(rounds)) as update:
        report = _run(measure(rules, rounds, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import start_tables

        _print(*start_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("stop")
def stop(
    json: JsonOption = False,
    check: CheckOption = False,
    facts: Annotated[int, typer.Option("--facts", min=3_000, max=1_000_000, help="So many facts wait.")] = 30_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=100, help="So many stops.")] = 7,
    rules: RulesOption = 100,
) -> None:
    """Measure how soon a worker stops under full load, and what is delivered again for it, on servers of its own."""
    from worker.bench.stopping import measure

    with progress("stops", rounds) as update:
        report = _run(measure(facts, rounds, rules, update), as_json=json)
    if not json:
        from worker.cli.bench_tables import stop_tables

        _print(*stop_tables(report), holds=report.floors_hold)
    _end(report, check=check)


@app.command("scale")
def scale(
    json: JsonOption = False,
    check: CheckOption = False,
    workload: Annotated[
        list[str] | None,
        typer.Option("--workload", callback=_checked_workloads, help="Only this one; repeat for more."),
    ] = None,
    sizes: Annotated[
        str, typer.Option("--sizes", callback=_checked_sizes, help="Numbers of rules, with commas between.")
    ] = "10,100,1000,10000,100000",
    seconds: Annotated[
        float, typer.Option("--seconds", callback=_checked_seconds, help="Time for each size; more is steadier.")
    ] = 2.0,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Also ask other engines with the same rules, until they give up.")
    ] = True,
    ready: Annotated[
        bool, typer.Option("--ready/--no-ready", help="Also start workers with so many rules, on servers of their own.")
    ] = True,
) -> None:
    """Measure facts a second from 10 to 100,000 rules of which about five match, from JSON to the decision.

    Then how soon a worker is ready with 10,000 and 100,000 rules, what memory they hold, and how soon a changed rule is
    in force. It all takes half an hour.
    """
    from domain.errors import RulestreamError
    from worker.bench.scale import measure, report_of
    from worker.bench.scale_peers import PEERS
    from worker.bench.scale_start import measure_ready, starts_count, starts_of
    from worker.bench.scale_workloads import WORKLOADS

    wanted = [WORKLOADS[name] for name in workload or WORKLOADS]
    counts = [int(size) for size in sizes.split(",")]
    try:
        with progress("rules", len(wanted) * max(counts)) as update:
            found = measure(wanted, counts, seconds, update, PEERS if peers else ())
    except RulestreamError as error:
        exit_with(error, as_json=json)
    started = None
    if ready:
        starts = starts_of(counts)
        with progress("starts", starts_count(starts)) as update:
            started = _run(measure_ready(starts, update), as_json=json)
    report = report_of(found, started)
    if not json:
        from worker.cli.bench_tables import scale_tables

        _print(*scale_tables(report), holds=report.floors_hold)
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


def _end(report: _WithFloors, *, check: bool) -> None:
    print_json(report)
    if check and not report.floors_hold:
        raise typer.Exit(EXIT_FAILED)
