"""``rulestream apply``: rule files become commands, after a plan that is shown first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import answer
from worker.cli.rule import ActorOption

if TYPE_CHECKING:
    from worker.applying import Outcome
    from worker.client import Client
    from worker.files.plan import Plan
    from worker.files.rules import RuleSet, RuleSource


def _existing(rules: Path) -> Path:
    """Refuse what is not there; ``-`` is NDJSON on standard input."""
    if str(rules) != "-" and not rules.exists():
        raise typer.BadParameter(f"'{rules}' does not exist.")
    return rules


def is_at_terminal() -> bool:
    """Say whether there is someone to ask."""
    return sys.stdin.isatty()


def apply(
    rules: Annotated[
        Path,
        typer.Argument(
            metavar="RULES",
            callback=_existing,
            help="A folder of rule files, one rule file, NDJSON, or - for NDJSON on standard input.",
        ),
    ],
    actor: ActorOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Show the plan and send nothing.")] = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Ask for approval of every rule that is created or updated.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs; never asks.")] = False,
) -> None:
    """Make the worker's rules what files say: create, update, or nothing, as a plan tells first.

    A file says everything of its rule. With ruleId it is for that rule, else for the rule of its name. Rules that no
    file names are listed and left as they are. Nothing is sent while a file has an error or the plan has a problem.

    Exit code 0: there was nothing to do, or all of it is done. 1: something failed, could not be, or was not agreed to;
    without a terminal and without --yes that is so whenever there is something to do.
    """
    from worker.cli.output import EXIT_FAILED, say

    if yes and plan_only:
        raise typer.BadParameter("--yes and --plan-only exclude each other")
    found = _checked(rules, json=json)
    plan = _plan(found.sources, actor)
    if not json:
        from worker.cli.output import stdout
        from worker.cli.plans import plan_view

        stdout().print(plan_view(plan), crop=False)
    outcomes: list[Outcome] | None = None
    try:
        if plan.problems:
            say("nothing was sent: the plan has problems")
            raise typer.Exit(EXIT_FAILED)
        if plan_only or not plan.changes:
            return
        _require_consent(plan, yes=yes, json=json)
        outcomes = []
        _send(plan, actor, outcomes, submit=submit, json=json)
    finally:
        if json:
            _print_document(actor, found, plan, outcomes)
    if not all(outcome.is_done for outcome in outcomes):
        raise typer.Exit(EXIT_FAILED)


def _checked(rules: Path, *, json: bool) -> RuleSet:
    from worker.cli.output import exit_with, say
    from worker.files.problems import InvalidRulesError
    from worker.files.rules import inspect_rules

    found = inspect_rules(rules)
    if found.has_errors:
        exit_with(InvalidRulesError(found.problems), as_json=json)
    if not json:
        for warning in found.problems:
            say(warning.render())
    return found


def _plan(sources: tuple[RuleSource, ...], actor: str) -> Plan:
    from worker.applying import read_known
    from worker.files.plan import plan_changes

    async def work(client: Client) -> Plan:
        return plan_changes(sources, await read_known(client, sources))

    return answer(actor, work)


def _require_consent(plan: Plan, *, yes: bool, json: bool) -> None:
    from worker.cli.output import EXIT_FAILED, say

    if yes:
        return
    if json or not is_at_terminal():
        say("nothing was sent: --yes is needed to go on without being asked")
        raise typer.Exit(EXIT_FAILED)
    count = len(plan.changes)
    if not typer.confirm(f"Send {'this change' if count == 1 else f'these {count} changes'}?", err=True):
        say("nothing was sent")
        raise typer.Exit(EXIT_FAILED)


def _send(plan: Plan, actor: str, outcomes: list[Outcome], *, submit: bool, json: bool) -> None:
    """Send the changes; ``outcomes`` has what became of each as soon as it is known, whatever ends this."""
    from domain.errors import UnavailableError
    from worker.applying import Outcome, send_changes
    from worker.cli.output import progress, stdout
    from worker.cli.plans import outcome_line, outcomes_line
    from worker.cli.running import EXIT_INTERRUPTED

    async def work(client: Client) -> None:
        with progress("applying", len(plan.changes), wanted=json) as update:
            async for outcome in send_changes(client, plan, submit=submit):
                outcomes.append(outcome)
                update(len(outcomes))
                if not json:
                    stdout().print(outcome_line(outcome), soft_wrap=True)

    try:
        answer(actor, work)
    except typer.Exit as end:
        if end.exit_code == EXIT_INTERRUPTED and len(outcomes) < len(plan.changes):
            planned = plan.changes[len(outcomes)]
            error = UnavailableError("worker", "interrupted before an answer came; it may be done all the same")
            outcomes.append(Outcome(planned, failed=planned.action.value, error=error))
        raise
    finally:
        unsent = [Outcome(planned) for planned in plan.changes[len(outcomes) :]]
        outcomes.extend(unsent)
        if not json:
            for outcome in unsent:
                stdout().print(outcome_line(outcome), soft_wrap=True)
            stdout().print(outcomes_line(outcomes))


def _print_document(actor: str, found: RuleSet, plan: Plan, outcomes: list[Outcome] | None) -> None:
    from worker.cli.output import print_json
    from worker.cli.plans import outcomes_json, plan_json

    document: dict[str, Any] = {"actor": actor, "warnings": [problem.to_json() for problem in found.problems]}
    document |= plan_json(plan)
    document["results"] = None if outcomes is None else outcomes_json(outcomes)
    print_json(document)
