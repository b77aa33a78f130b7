"""``rulestream redecide``: decide stored decisions' facts again, and see that every byte comes out as it was."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from worker.cli.arguments import checked_decision_id, checked_time, checked_type_pattern

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from domain.ports import DecisionRange
    from worker.adapters.postgres.releases import StartedRelease
    from worker.differences import Difference
    from worker.settings import Settings
    from worker.usecases.redecide_facts import Redecider, Redecision

# Decisions that are counted for the progress bar, differences that are told of one decision, and text of one value.
COUNTED_MAX: Final = 5_000_000
DIFFERENCES_MAX: Final = 100
_VALUE_MAX: Final = 400
_CONNECTIONS: Final = 4


def redecide(
    decisions: Annotated[
        list[str] | None,
        typer.Argument(metavar="DECISION_ID…", help="Decisions' ids, 32 hexadecimal digits each.", show_default=False),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Every decision of facts stored at this time (RFC 3339) or later.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only of facts stored before this time.")] = None,
    fact_type: Annotated[
        str | None,
        typer.Option("--type", help="Only of this type; NATS wildcards allowed.", callback=checked_type_pattern),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many at most, the oldest first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, a line for each decision and one for all.")] = False,
) -> None:
    """Decide facts again under the rulesets that decided them, and compare every byte with what is stored.

    Nothing is stored or published, and no worker is needed: the command asks Postgres and the facts' stream itself.

    A fact that its stream no longer holds is taken from its decision, where RULESTREAM_STORE_FACTS stored it; else it
    is told as FACT_EXPIRED.

    Exit code 0: every decision came out as it is stored. 1: one did not, or could not be made again.
    """
    from worker.cli.output import EXIT_FAILED
    from worker.cli.running import run, settings_or_exit

    others = {"--until": until, "--type": fact_type, "--limit": limit}
    if (since is None) is (not decisions):
        raise typer.BadParameter("give decisions' ids, or --since with a time")
    if decisions and (given := [name for name, value in others.items() if value is not None]):
        raise typer.BadParameter("goes with --since", param_hint=given[0])
    keys = [checked_decision_id(decision) for decision in decisions or ()]
    times = checked_time(since, "--since"), checked_time(until, "--until")
    report = _Report(json=json, tells_equal=since is None)
    run(_redecide(settings_or_exit(), keys, times, fact_type, limit, report))
    if not report.is_clean:
        raise typer.Exit(EXIT_FAILED)


async def _redecide(
    settings: Settings,
    keys: list[bytes],
    times: tuple[int | None, int | None],
    fact_type: str | None,
    limit: int | None,
    report: _Report,
) -> None:
    from domain.ports import DecisionRange
    from worker.cli.output import progress

    async with _redecider(settings) as (redecider, releases):
        report.begin(releases)
        if times[0] is None:
            total: int | None = len(keys)
            found = redecider.by_keys(keys)
        else:
            wanted = DecisionRange(times[0], times[1], fact_type)
            total = await _total(redecider, wanted, limit)
            found = redecider.between(wanted, limit)
        try:
            with progress("deciding again", total) as update:
                async for one in found:
                    report.add(one)
                    update(report.decisions)
            report.is_complete = True
        finally:
            report.end()


async def _total(redecider: Redecider, wanted: DecisionRange, limit: int | None) -> int | None:
    """Count what there is to do for the progress bar, where there is one and the number is within reach."""
    if not sys.stderr.isatty() or wanted.fact_type is not None:
        return limit
    most = min(COUNTED_MAX, limit or COUNTED_MAX)
    counted = await redecider.count(wanted, most)
    return None if counted == COUNTED_MAX else counted


@asynccontextmanager
async def _redecider(settings: Settings) -> AsyncIterator[tuple[Redecider, Sequence[StartedRelease]]]:
    """Connect to Postgres and to the data plane for the length of a block; gives the releases that decided too."""
    from streams.facts.reader import StreamFacts
    from worker.adapters.postgres.decision_scan import PostgresDecisionScan
    from worker.adapters.postgres.decisions import PostgresDecisions
    from worker.adapters.postgres.pool import open_pool
    from worker.adapters.postgres.releases import started_releases
    from worker.adapters.postgres.transactions import PostgresTransactions
    from worker.connecting import connection
    from worker.past_rulesets import PastRulesets
    from worker.schema import require_schema
    from worker.usecases.redecide_facts import Redecider

    pool = await open_pool(
        settings.postgres_dsn.get_secret_value(),
        size_max=_CONNECTIONS,
        timeout_s=settings.postgres_timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
    )
    try:
        await require_schema(pool, "redecide")
        async with connection(
            settings.data_endpoint, "rulestream-redecide", timeout_s=settings.connect_timeout_s
        ) as client:
            redecider = Redecider(
                PostgresDecisions(pool),
                PostgresDecisionScan(pool),
                StreamFacts(client, settings.facts_stream),
                PastRulesets(PostgresTransactions(pool)),
            )
            yield redecider, await started_releases(pool)
    finally:
        pool.terminate()  # nothing was written, and nothing is waited for


class _Report:
    """What is printed: decisions as they are made again, and a summary."""

    def __init__(self, *, json: bool, tells_equal: bool) -> None:
        self._json = json
        self._tells_equal = tells_equal
        self._counts: Counter[str] = Counter()
        self._started = 0.0
        self._releases: Sequence[StartedRelease] = ()
        self.is_complete = False

    @property
    def decisions(self) -> int:
        return self._counts.total()

    @property
    def is_clean(self) -> bool:
        """Whether every decision came out as it is stored."""
        return self._counts["equal"] == self.decisions

    def begin(self, releases: Sequence[StartedRelease]) -> None:
        """Take the time from now on; ``releases`` are those that may have made the decisions."""
        self._started = time.monotonic()
        self._releases = releases

    def add(self, one: Redecision) -> None:
        """Count a decision that was made again, and print it unless it is one of many that are equal (for people)."""
        from worker.cli.output import print_json

        self._counts[one.status] += 1
        if self._json:
            print_json(_line(one))
        elif one.status != "equal" or self._tells_equal:
            console = _console()
            console.print(_text(one), soft_wrap=True, markup=False, highlight=False)
            if one.differences:
                console.print(_table(one.differences))

    def end(self) -> None:
        """Print the summary."""
        from worker.cli.output import print_json, say
        from worker.release import this_release
        from worker.usecases.redecide_facts import STATUSES

        seconds = time.monotonic() - self._started
        rate = self.decisions / seconds if seconds else 0.0
        if self._json:
            print_json(
                {
                    "decisions": self.decisions,
                    **{status: self._counts[status] for status in STATUSES},
                    "isComplete": self.is_complete,
                    "seconds": round(seconds, 3),
                    "decisionsPerSecond": round(rate, 1),
                    "release": asdict(this_release()),
                    "releases": [_release(one) for one in self._releases],
                }
            )
            return
        counts = ", ".join(f"{self._counts[status]:,} {status}" for status in STATUSES)
        ended = "" if self.is_complete else "ended early: "
        noun = "decision" if self.decisions == 1 else "decisions"
        typer.echo(f"{ended}{self.decisions:,} {noun}: {counts}; {seconds:.1f} s, {rate:,.0f} a second")
        if self._counts["expired"]:
            say("FACT_EXPIRED: a fact can be decided again while its stream holds it, or with RULESTREAM_STORE_FACTS")
        if self._counts["different"] or self._counts["failed"]:
            self._tell_releases()

    def _tell_releases(self) -> None:
        """Say which releases may have made what comes out otherwise: a decision itself does not."""
        from domain.rules.content import format_moment
        from worker.cli.output import say
        from worker.release import this_release

        say(f"made again by {this_release()}")
        others = [one for one in self._releases if one.release != this_release()]
        if not others:
            say("workers of no other release have decided facts here")
        for one in others:
            first, last = format_moment(one.first_started_at), format_moment(one.last_started_at)
            say(f"workers have decided facts here by {one.release}, started from {first} to {last}")


def _release(one: StartedRelease) -> dict[str, Any]:
    from domain.rules.content import format_moment

    first, last = format_moment(one.first_started_at), format_moment(one.last_started_at)
    return {**asdict(one.release), "firstStartedAt": first, "lastStartedAt": last}


def _line(one: Redecision) -> dict[str, Any]:
    found: dict[str, Any] = {
        "decisionId": one.key.hex(),
        "status": one.status,
        "differences": one.differences[:DIFFERENCES_MAX],
    }
    if len(one.differences) > DIFFERENCES_MAX:
        found["differenceCount"] = len(one.differences)
    if one.error is not None:
        found["error"] = {"code": one.error.code, "message": one.error.message, "details": one.error.details}
    return found


def _console() -> Console:
    """Return where lines go: at a terminal the progress bar's console, so that they stand above the bar."""
    from worker.cli.output import stderr, stdout

    return stderr if sys.stdout.isatty() and sys.stderr.isatty() else stdout()


def _text(one: Redecision) -> str:
    from worker.cli.output import visible

    text = f"{one.status}: {one.key.hex()}"
    if one.stored is not None:
        text += f" of {one.stored.fact_type} {visible(one.stored.fact_id)}, ruleset {one.stored.revision}"
    if one.error is not None:
        text += f": error[{one.error.code}]: {visible(one.error.message)}"
    return text


def _table(differences: Sequence[Difference]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from worker.cli.output import visible

    table = Table("path", "stored", "made again")
    for one in differences[:DIFFERENCES_MAX]:
        table.add_row(Text(visible(one.path)), Text(_value(one.stored), style="red"), Text(_value(one.again)))
    if len(differences) > DIFFERENCES_MAX:
        table.add_row(Text(f"… {len(differences) - DIFFERENCES_MAX} more", style="dim"))
    return table


def _value(value: Any) -> str:
    import msgspec

    from worker.cli.output import visible

    if value is msgspec.UNSET:
        return "-"
    text = visible(msgspec.json.encode(value).decode())
    return text if len(text) <= _VALUE_MAX else f"{text[:_VALUE_MAX]}…"
