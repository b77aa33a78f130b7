"""``rulestream eval``: facts from a file decided by rules from files, without a server."""

from __future__ import annotations

import gc
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from domain.decisions.engine import decide
from domain.decisions.ruleset import Ruleset
from domain.errors import RulestreamError
from domain.identifiers import is_dotted_name
from domain.rules.content import format_moment
from streams.messages.decisions import encode_decision
from worker.cli.output import EXIT_FAILED, exit_with, file_or_stdin, print_json_line, progress, say, stderr
from worker.files.facts import FactProblem, FileFact, count_lines, read_fact_batches
from worker.files.lines import shown_name
from worker.files.rules import offline_ruleset, read_rules

_WITHOUT_TIME: Final = (
    "warning: {place}: a fact without a time: for such facts fact.time is missing and effective dates are ignored"
)


@dataclass(slots=True)
class Tally:
    """What came of the facts. ``refused`` are lines that are no fact, or whose decision has no JSON form."""

    rules: int
    facts: int = 0
    matched: int = 0
    faults: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def facts_per_second(self) -> float:
        return self.facts / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, int | float]:
        return {
            "facts": self.facts,
            "matched": self.matched,
            "unmatched": self.facts - self.matched,
            "faults": self.faults,
            "refused": self.refused,
            "rules": self.rules,
            "seconds": round(self.seconds, 6),
            "factsPerSecond": round(self.facts_per_second, 1),
        }

    def table(self) -> Table:
        table = Table(show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column(justify="right")
        for label, value in (
            ("facts", f"{self.facts:,}"),
            ("matched", f"{self.matched:,}"),
            ("unmatched", f"{self.facts - self.matched:,}"),
            ("faults", f"{self.faults:,}"),
            ("refused", f"{self.refused:,}"),
            ("rules", f"{self.rules:,}"),
            ("seconds", f"{self.seconds:.2f}"),
            ("facts/s", f"{self.facts_per_second:,.0f}"),
        ):
            table.add_row(label, value)
        return table


def _checked_type(value: str | None) -> str | None:
    if value is not None and not is_dotted_name(value):
        raise typer.BadParameter("a fact type is 1 to 16 tokens of A-Z a-z 0-9 _ -, joined by dots, at most 256 bytes")
    return value


def evaluate(
    *,
    rules: Annotated[
        Path,
        typer.Option(
            exists=True,
            readable=True,
            help="A folder of NAME.rule files, one such file, or NDJSON with a rule a line (.gz allowed).",
        ),
    ],
    facts: Annotated[
        Path,
        typer.Option(callback=file_or_stdin, help="NDJSON with a fact a line (.gz allowed), or - for standard input."),
    ],
    fact_type: Annotated[
        str | None,
        typer.Option("--type", callback=_checked_type, help="The type of facts that do not name their own."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the summary as one line of JSON, the last on standard error.")
    ] = False,
) -> None:
    """Decide facts by rules, offline: one decision a line on standard output, a summary on standard error.

    Exit code 1 when the rules are not valid (nothing is decided then) or some line was no fact (the others are).
    """
    try:
        ruleset = offline_ruleset(read_rules(rules))
    except RulestreamError as error:
        exit_with(error, as_json=as_json)
    # What is alive now, the compiled rules above all, lives to the end: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    try:
        tally = _decide_all(ruleset, facts, fact_type)
    except BrokenPipeError:
        # Whoever read the decisions has enough. What Python still holds for them goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
    finally:
        gc.unfreeze()
    if as_json:
        print_json_line(tally.to_json())
    else:
        stderr.print(tally.table())
    if tally.refused:
        raise typer.Exit(EXIT_FAILED)


def _decide_all(ruleset: Ruleset, path: Path, fact_type: str | None) -> Tally:
    """Decide a file's facts to standard output, a batch of lines a write."""
    tally = Tally(len(ruleset.rules))
    file_name = shown_name(path)
    output = sys.stdout.buffer
    is_warned = False
    started = time.perf_counter()
    with progress("deciding", lambda: count_lines(path), wanted=not sys.stdout.isatty()) as update:
        for batch in read_fact_batches(path, fact_type):
            decided_at = format_moment(datetime.now(UTC))
            lines: list[bytes] = []
            for found in batch:
                if isinstance(found, FactProblem):
                    _refuse(tally, file_name, found)
                    continue
                if found.time_ns is None and not is_warned:
                    is_warned = True
                    say(_WITHOUT_TIME.format(place=f"{file_name}:{found.line}"))
                body = _decided(tally, ruleset, found, file_name, decided_at)
                if body is not None:
                    lines.append(body)
            if lines:
                lines.append(b"")
                output.write(b"\n".join(lines))
                output.flush()
            if batch:
                update(batch[-1].line)
    tally.seconds = time.perf_counter() - started
    return tally


def _decided(tally: Tally, ruleset: Ruleset, found: FileFact, file_name: str, decided_at: str) -> bytes | None:
    decision = decide(ruleset, found.to_fact(file_name))
    try:
        body = encode_decision(decision, decided_at)
    except ValueError as error:
        _refuse(tally, file_name, FactProblem(found.line, "NO_JSON_FORM", f"the decision has no JSON form: {error}"))
        return None
    tally.facts += 1
    tally.matched += decision.matched
    tally.faults += decision.fault_count
    return body


def _refuse(tally: Tally, file_name: str, problem: FactProblem) -> None:
    tally.refused += 1
    say(f"{file_name}:{problem.line}: {problem.code}: {problem.message}")
