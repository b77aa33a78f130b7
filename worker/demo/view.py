"""What the demonstration shows: steps, a live table of rules and their matches, and the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich.console import Console, Group, RenderableType
from rich.json import JSON
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from worker.cli.tables import decision_line
from worker.demo.follower import Tally


class DemoView:
    """Prints for people on standard output; quiet, it prints nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(quiet=quiet)

    def step(self, text: str) -> None:
        """Say what is done."""
        self._console.print(Text.assemble(("✓ ", "green"), text), soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that something takes its time."""
        if self._quiet or not self._console.is_terminal:
            yield
            return
        with self._console.status(text):
            yield

    @contextmanager
    def live(self, tally: Tally, facts: int, rules: Sequence[str]) -> Iterator[None]:
        """Show the tally as it grows, four times a second, on a terminal."""
        if self._quiet or not self._console.is_terminal:
            yield
            return
        bar = Progress(TextColumn("decided"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        task = bar.add_task("", total=facts, rate="")
        started = time.monotonic()

        class Frame:
            def __rich__(self) -> RenderableType:
                seconds = time.monotonic() - started
                bar.update(
                    task, completed=tally.decisions, rate=f"{tally.decisions / max(seconds, 0.001):,.0f} a second"
                )
                return Group(bar, rules_table(tally, rules))

        with Live(Frame(), console=self._console, refresh_per_second=4, transient=True):
            yield

    def end(self, tally: Tally, rules: Sequence[str], summary: str) -> None:
        """Show one of the decisions, what every rule came to, and the figures."""
        if tally.sample:
            decision = msgspec.json.decode(tally.sample)
            self._console.print(Text("one of the decisions:", style="dim"))
            self._console.print(decision_line(decision), soft_wrap=True)
            self._console.print(JSON.from_data({key: decision[key] for key in ("output", "effects")}, indent=None))
        self._console.print(rules_table(tally, rules))
        self._console.print(summary, soft_wrap=True)


def rules_table(tally: Tally, rules: Sequence[str]) -> Table:
    """How often each rule's condition held, and how many effects were published."""
    table = Table("rule", "matched", title=f"{tally.decisions:,} decisions, {tally.matched:,} matched")
    for name in rules:
        table.add_row(name, f"{tally.by_rule[name]:,}")
    for name, count in sorted(tally.by_effect.items()):
        table.add_row(Text(f"effects.{name}", style="magenta"), f"{count:,}")
    return table
