"""``rulestream lint``: everything that is wrong, or looks wrong, with a rule or a set of rules."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from domain.language import SetLint

OBSERVED_MAX: Final = 10_000


def lint(
    rules: Annotated[
        Path, typer.Argument(metavar="RULES", exists=True, help="A folder of rule files, one rule file, or NDJSON.")
    ],
    facts: Annotated[
        Path | None,
        typer.Option("--facts", exists=True, dir_okay=False, help="Facts that were seen: fields none of them has."),
    ] = None,
    fact_type: Annotated[str | None, typer.Option("--type", help="The type of facts that name none.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Print problems as a compiler does; exit code 1 when a rule cannot be used, 0 for warnings alone."""
    from domain.language import lint_rules
    from worker.cli.output import EXIT_FAILED, print_json
    from worker.files.rules import inspect_rules

    found = inspect_rules(rules, warn_of_tried=True)
    named = [(one.content.name, one.content.priority.rank, one.content.dsl_content) for one in found.sources]
    lints = lint_rules(named, _observed(facts, fact_type))
    errors = sum(problem.is_error for problem in found.problems)
    warnings = len(found.problems) - errors + len(lints)
    if json:
        problems: list[dict[str, Any]] = [problem.to_json() for problem in found.problems]
        print_json({"rules": found.read, "problems": [*problems, *map(_to_json, lints)]})
    else:
        for problem in found.problems:
            typer.echo(problem.render())
        for finding in lints:
            beside = f" and '{finding.other}'" if finding.other else ""
            typer.echo(f"rule '{finding.rule}'{beside} warning[{finding.code}]: {finding.message}")
        typer.echo(f"{found.read} rules, {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(EXIT_FAILED)


def _observed(facts: Path | None, fact_type: str | None) -> list[dict[str, Any]]:
    if facts is None:
        return []
    from worker.files.facts import FileFact, read_facts

    return [fact.payload for fact in islice(read_facts(facts, fact_type), OBSERVED_MAX) if isinstance(fact, FileFact)]


def _to_json(finding: SetLint) -> dict[str, Any]:
    return {
        "code": finding.code,
        "message": finding.message,
        "severity": "warning",
        "rule": finding.rule,
        "other": finding.other or None,
    }
