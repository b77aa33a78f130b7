"""``rulestream eval``: facts from a file decided by rules from files, without a server."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.arguments import checked_type
from worker.cli.output import EXIT_FAILED, exit_with, file_or_stdin, print_json_line, progress, say, stderr

if TYPE_CHECKING:
    from rich.table import Table

    from domain.decisions.ruleset import Ruleset
    from worker.files.evaluation import Tally


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
        typer.Option("--type", callback=checked_type, help="The type of facts that do not name their own."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Tell after each decision why each rule applied or did not; with --json, as its key explanations.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--rule", metavar="NAME", help="Explain this rule only; may be repeated.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the summary as one line of JSON, the last on standard error.")
    ] = False,
) -> None:
    """Decide facts by rules, offline: one decision a line on standard output, a summary on standard error.

    Exit code 1 when the rules are not valid (nothing is decided then) or some line was no fact (the others are).
    """
    from domain.errors import RulestreamError
    from worker.files.evaluation import Explaining, evaluate_facts
    from worker.files.facts import count_lines
    from worker.files.rules import offline_ruleset, read_rules

    if only and not explain:
        raise typer.BadParameter("goes with --explain", param_hint="--rule")
    try:
        ruleset = offline_ruleset(read_rules(rules))
    except RulestreamError as error:
        exit_with(error, as_json=as_json)
    explaining = Explaining(_rule_ids(ruleset, only), as_json) if explain else None
    # What is alive now, the compiled rules above all, lives to the end: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    try:
        with progress("deciding", lambda: count_lines(facts), wanted=not sys.stdout.isatty()) as update:
            tally = evaluate_facts(
                ruleset, facts, fact_type, sys.stdout.buffer, say=say, update=update, explaining=explaining
            )
    except BrokenPipeError:
        # Whoever read the decisions has enough. What Python still holds for them goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
    finally:
        gc.unfreeze()
    if as_json:
        print_json_line(tally.to_json())
    else:
        stderr.print(_table(tally))
    if tally.refused:
        raise typer.Exit(EXIT_FAILED)


def _rule_ids(ruleset: Ruleset, names: list[str] | None) -> tuple[str, ...] | None:
    """Return the ids of rules by their names; a name that no rule has is wrong usage."""
    if not names:
        return None
    ids = {rule.name: rule.rule_id for rule in ruleset.rules}
    for name in names:
        if name not in ids:
            raise typer.BadParameter(f"no rule is called '{name}'", param_hint="--rule")
    return tuple(dict.fromkeys(ids[name] for name in names))


def _table(tally: Tally) -> Table:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for label in ("facts", "matched", "unmatched", "faults", "refused", "rules"):
        table.add_row(label, f"{getattr(tally, label):,}")
    table.add_row("seconds", f"{tally.seconds:.2f}")
    table.add_row("facts/s", f"{tally.facts_per_second:,.0f}")
    return table
