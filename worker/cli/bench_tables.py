"""What ``rulestream bench`` shows people: tables and sentences of its reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.bench.backlog import BacklogReport
    from worker.bench.compilation import CompilationReport
    from worker.bench.evaluation import EvaluationReport
    from worker.bench.latency import LatencyReport
    from worker.bench.listing import ListingReport
    from worker.bench.pipeline import PipelineReport
    from worker.bench.scale import ScaleReport
    from worker.bench.scale_start import ReadyReport
    from worker.bench.starting import StartReport
    from worker.bench.stopping import StopReport
    from worker.bench.telemetry import TelemetryReport


def evaluation_tables(report: EvaluationReport) -> list[Table | Text]:
    """Show each condition beside the other engines, the sample beside a function, and notes."""
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


def compilation_tables(report: CompilationReport) -> list[Table | Text]:
    """Show where compiling's time goes, and each figure with the most that it may be."""
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


def listing_tables(report: ListingReport) -> list[Table | Text]:
    """Show each filter and sort with its times by offset, and the slowest."""
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


def pipeline_tables(report: PipelineReport) -> list[Table | Text]:
    """Show every pair, and the medians against their floors."""
    table = Table(
        title=f"facts a second, and microseconds of processor time for a fact; {report.facts:,} facts a round"
    )
    for name in ("effects", "first", "worker", "copy loop", "ratio", "worker us", "copy loop us", "Postgres us"):
        table.add_column(name, justify="left" if name in {"effects", "first"} else "right")
    table.add_column("NATS us, both", justify="right")
    for pair in report.pairs:
        table.add_row(
            "20 %" if pair.effects else "none",
            "worker" if pair.worker_first else "copy loop",
            f"{pair.worker.facts_per_second:,.0f}",
            f"{pair.copy_loop.facts_per_second:,.0f}",
            f"{pair.ratio:.2f}",
            f"{pair.worker.cpu_us_per_fact:.1f}",
            f"{pair.copy_loop.cpu_us_per_fact:.1f}",
            f"{pair.worker.postgres_cpu_us:.1f}",
            f"{pair.worker.nats_cpu_us:.1f} {pair.copy_loop.nats_cpu_us:.1f}",
        )
    ratios = f"{report.ratio:.2f}, with effects {report.ratio_with_effects:.2f}"
    most = f"at most {report.cpu_share_max:g} of the copy loop's {report.copy_loop_cpu_us:.1f}"
    return [
        table,
        Text(f"worker to copy loop, median: {ratios}; at least {report.ratio_min:g}"),
        Text(f"processor time of the worker for a fact: {report.cpu_us_per_fact:.1f} us; {most}"),
    ]


def telemetry_tables(report: TelemetryReport) -> list[Table | Text]:
    """Show every pair, and the median of what telemetry costs against its floor."""
    table = Table(title=f"microseconds of a worker's processor time for a fact; {report.facts:,} facts a round")
    table.add_column("first")
    for name in ("with telemetry", "without", "cost", "facts/s with", "facts/s without"):
        table.add_column(name, justify="right")
    for pair in report.pairs:
        table.add_row(
            "with" if pair.on_first else "without",
            f"{pair.on_us:.2f}",
            f"{pair.off_us:.2f}",
            f"{pair.cost:+.1%}",
            f"{pair.on_per_second:,.0f}",
            f"{pair.off_per_second:,.0f}",
        )
    kind = f"every fact with a traceparent, one in {report.sampled_every} recorded by its publisher"
    return [
        table,
        Text(f"workload: {report.rules} rules, {kind}; sent away: {report.spans:,} spans, {report.metrics:,} metrics"),
        Text(f"telemetry costs, median: {report.cost:+.1%} of the processor time; less than {report.cost_max:.0%}"),
    ]


def latency_tables(report: LatencyReport) -> list[Table | Text]:
    """Show the milliseconds at both rates against their floors."""
    table = Table(title=f"milliseconds from a fact's due time to its decision, {report.rules:,} rules")
    for name in ("facts a second", "facts", "50 %", "less than", "99 %", "less than", "all", "holds"):
        table.add_column(name, justify="right")
    for found in (report.busy, report.quiet):
        table.add_row(
            f"{found.rate:,}",
            f"{found.facts:,}",
            f"{found.p50_ms:.1f}",
            "-" if found.p50_ms_max is None else f"{found.p50_ms_max:g}",
            f"{found.p99_ms:.1f}",
            f"{found.p99_ms_max:g}",
            f"{found.max_ms:.1f}",
            _mark(holds=found.holds),
        )
    return [table]


def backlog_tables(report: BacklogReport) -> list[Table | Text]:
    """Say how fast the backlog was worked off, what memory that took, and what the files hold."""
    sizes = f"{report.before_mb:.0f} MB before, {report.median_mb:.0f} (median) while it worked"
    peaks = f"{report.worker_peak_mb:.0f} MB, its compiler's {report.compiler_peak_mb:.0f}"
    return [
        Text(f"{report.facts:,} facts decided in {report.seconds:.0f} s, {report.facts_per_second:,.0f} a second"),
        Text(f"the worker's process held {sizes}"),
        Text(f"at most {peaks}: {report.peak_mb:.0f} together, less than {report.mb_max:g}"),
        Text(f"the servers' files hold {report.disk_mb:,.0f} MB"),
    ]


def start_tables(report: StartReport) -> list[Table | Text]:
    """Show the seconds to ready, with the cache and without."""
    table = Table(title="seconds from a worker's start until it is ready")
    for name in ("cache", "median", "each", "holds"):
        table.add_column(name)
    for name, median, each in (("full", report.warm_seconds, report.warm), ("empty", report.cold_seconds, report.cold)):
        told = " ".join(f"{one:.2f}" for one in each)
        table.add_row(name, f"{median:.2f}", told, _mark(holds=median < report.seconds_max))
    return [table, Text(f"with {report.rules:,} active rules; less than {report.seconds_max:g}")]


def stop_tables(report: StopReport) -> list[Table | Text]:
    """Show each stop: how long it took, and what was delivered again for it."""
    table = Table(title="seconds from SIGTERM to the end of a worker under full load")
    for name in ("stop", "seconds", "facts left in the stream", "delivered again", "holds"):
        table.add_column(name, justify="right")
    for number, one in enumerate(report.stops, 1):
        mark = _mark(holds=one.seconds < report.seconds_max and not one.again)
        table.add_row(str(number), f"{one.seconds:.2f}", f"{one.pending:,}", f"{one.again:,}", mark)
    slowest = f"{report.median_seconds:.2f} s (median), {report.slowest_seconds:.2f} s (slowest)"
    return [table, Text(f"{slowest}, less than {report.seconds_max:g}; {report.again:,} facts delivered again, none")]


def scale_tables(report: ScaleReport) -> list[Table | Text]:
    """Show each workload's facts a second by size, what is behind them, and each floor."""
    sizes = sorted({size for one in report.workloads for size in one.facts_per_second})
    table = Table(title="facts decided a second on one core, from JSON, by the number of rules")
    cold = Table(title="the same where each fact leads to what was not touched for long, which memory is waited for")
    for one_table in (table, cold):
        one_table.add_column("workload")
        for name in (*(f"{size:,}" for size in sizes), "ratio"):
            one_table.add_column(name, justify="right")
    table.add_column("to unindexed", justify="right")
    behind = Table(title="rules that match, rules tried on every fact, milliseconds to the first decision; by size")
    for name in ("workload", *(f"{size:,}" for size in sizes), "bytes", "compiled in"):
        behind.add_column(name, justify="left" if name == "workload" else "right")
    for one in report.workloads:
        table.add_row(
            one.name,
            *_rates(one.facts_per_second, sizes),
            _or_dash(one.ratio, ".2f"),
            _or_dash(one.unindexed_ratio, ".2f"),
        )
        cold.add_row(one.name, *_rates(one.cold_facts_per_second, sizes), _or_dash(one.cold_ratio, ".2f"))
        if one.plain is not None:
            plain = one.plain
            name = f"{one.name}, dictionaries alone"
            table.add_row(name, *_rates(plain.facts_per_second, sizes), _or_dash(plain.ratio, ".2f"), "")
            cold.add_row(name, *_rates(plain.cold_facts_per_second, sizes), _or_dash(plain.cold_ratio, ".2f"))
        details = (
            f"{one.matches[size]:.1f} {one.tried_always[size]:,} {one.first_fact_ms[size]:,.1f}" for size in sizes
        )
        behind.add_row(one.name, *details, f"{one.fact_bytes}", f"{one.compile_seconds:.1f} s")
    floors = Table(title="floors")
    for name in ("measured", "found", "at least", "at most", "holds"):
        floors.add_column(name, justify="left" if name == "measured" else "right")
    for floor in report.floors:
        floors.add_row(
            floor.name,
            f"{floor.value:,.10g}",
            _or_dash(floor.least, ",.10g"),
            _or_dash(floor.most, ",.10g"),
            _mark(holds=floor.holds),
        )
    missing = [Text(f"not measured: {name}") for name in report.unmeasured]
    return [table, cold, *_peer_tables(report, sizes), behind, *_ready_tables(report.ready), floors, *missing]


def _rates(found: Mapping[int, float], sizes: Sequence[int]) -> list[str]:
    return [_or_dash(found.get(size), ",.0f") for size in sizes]


def _peer_tables(report: ScaleReport, sizes: Sequence[int]) -> list[Table | Text]:
    if not any(one.peers for one in report.workloads):
        return []
    table = Table(title="the same of other engines, which only find the rules that match; and why they went no further")
    table.add_column("workload")
    table.add_column("engine")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    table.add_column("note")
    for one in report.workloads:
        for peer in one.peers:
            table.add_row(one.name, peer.name, *_rates(peer.facts_per_second, sizes), peer.note or "")
    return [table]


def _ready_tables(ready: ReadyReport | None) -> list[Table | Text]:
    if ready is None:
        return []
    table = Table(title="seconds from a worker's start until it is ready, and what the cache then holds")
    for name in ("rules", "cold", "from the cache", "each", "processor, cold", "from the cache", "MB"):
        table.add_column(name, justify="right")
    for one in ready.starts:
        each = " ".join(f"{seconds:.2f}" for seconds in one.warm)
        spent = f"{one.cold_cpu_seconds:.2f}", f"{one.warm_cpu_seconds:.2f}"
        told = f"{one.cold_seconds:.2f}", f"{one.warm_seconds:.2f}"
        table.add_row(f"{one.rules:,}", *told, each, *spent, f"{one.cache_mb:.0f}")
    held = f"{ready.kb_per_rule:.2f} thousand bytes a rule, {ready.loaded_kb_per_rule:.2f} before the first fact"
    change = ready.change
    return [
        table,
        Text(f"with {change.rules:,} rules a worker holds {held}; its first fact took {ready.first_fact_ms:,.1f} ms"),
        Text(
            f"a changed rule is in force {change.swap_ms:,.1f} ms after the answer (median, at most "
            f"{change.swap_ms_max:,.1f}), which took {change.command_ms:,.1f} ms; facts waited for up to "
            f"{change.wait_ms:,.1f} ms (median, at most {change.wait_ms_max:,.1f}), usually {change.usual_wait_ms:,.1f}"
        ),
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _mark(*, holds: bool) -> str:
    return "[green]yes[/]" if holds else "[red]NO[/]"
