"""How a plan of changes, and what became of it, look to people and to programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.applying import Outcome
from worker.cli.output import visible
from worker.files.plan import Action, Plan, PlannedRule

# Of rules that stay as they are; the others are all shown.
UNCHANGED_SHOWN_MAX: Final = 20

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.NOTHING: "=", Action.PROBLEM: "!"}
_STYLES: Final = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.NOTHING: "dim", Action.PROBLEM: "bold red"}
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def plan_view(plan: Plan) -> RenderableType:
    """Show a plan: a line a file, what updates change, the rules of no file, and the counts."""
    table = Table()
    for heading in ("", "rule", "file", "on the worker", "plan"):
        table.add_column(heading, overflow="fold")  # a name that is cut is none
    unchanged = [planned for planned in plan.rules if planned.action is Action.NOTHING]
    hidden = {planned.source.origin for planned in unchanged[UNCHANGED_SHOWN_MAX:]}
    for planned in plan.rules:
        if planned.source.origin not in hidden:
            table.add_row(*(Text(cell, style=_STYLES[planned.action]) for cell in _cells(planned)))
    parts: list[RenderableType] = [table]
    if hidden:
        parts.append(_line(f"and {len(hidden)} more that stay as they are", "dim"))
    for planned in plan.rules:
        if planned.changes:
            parts.extend(_change_lines(planned))
    if plan.not_in_folder:
        parts.append(_line(f"not in the folder, left as they are: {len(plan.not_in_folder)}", "dim"))
        parts.extend(
            _line(f"  {visible(rule.name)}  version {rule.version} {rule.status}", "dim")
            for rule in plan.not_in_folder[:UNCHANGED_SHOWN_MAX]
        )
        if len(plan.not_in_folder) > UNCHANGED_SHOWN_MAX:
            parts.append(_line(f"  and {len(plan.not_in_folder) - UNCHANGED_SHOWN_MAX} more", "dim"))
    counts = plan.counts()
    said = f"{counts['create']} to create, {counts['update']} to update, {counts['nothing']} as they are"
    if counts["problem"]:
        said += f", {counts['problem']} that cannot be"
    parts.append(_line(f"plan: {said}", "bold"))
    return Group(*parts)


def outcome_line(outcome: Outcome) -> Text:
    """Say in a line what became of a change."""
    name = visible(outcome.planned.source.content.name)
    if outcome.error is None and outcome.rule is None:
        return Text(f"not sent: {name}", style="yellow")
    text = Text()
    if outcome.rule is not None:
        done = f"{outcome.planned.action.value}: {name} version {outcome.rule['version']} is {outcome.rule['status']}"
        text.append(done, style="green")
    if outcome.error is not None:
        text.append(", but " if outcome.rule is not None else "")
        subject = "" if outcome.rule is not None else f" {name}"
        text.append(f"{outcome.failed}{subject} failed: ", style="bold red")
        text.append(f"error[{outcome.error.code}]: {visible(outcome.error.message)}")
    return text


def outcomes_line(outcomes: Sequence[Outcome]) -> Text:
    """Say how many changes were done, failed and not sent."""
    done = sum(outcome.is_done for outcome in outcomes)
    failed = sum(outcome.error is not None for outcome in outcomes)
    text = f"{done} done"
    if failed:
        text += f", {failed} failed"
    if left := len(outcomes) - done - failed:
        text += f", {left} not sent"
    return Text(text, style="bold red" if done < len(outcomes) else "bold")


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON data."""
    return {
        "plan": [_planned_json(planned) for planned in plan.rules],
        "counts": plan.counts(),
        "notInFolder": [
            {"ruleId": rule.rule_id, "name": rule.name, "version": rule.version, "status": rule.status}
            for rule in plan.not_in_folder
        ],
    }


def outcomes_json(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return what became of changes as JSON data."""
    return [_outcome_json(outcome) for outcome in outcomes]


def _cells(planned: PlannedRule) -> tuple[str, str, str, str, str]:
    stored = planned.stored
    now = "-" if stored is None else f"version {stored.version} {stored.status}"
    said = planned.action.value
    if planned.action is Action.UPDATE:
        said += f" {', '.join(planned.changes)}"
    elif planned.action is Action.PROBLEM:
        said = planned.problem or ""
    content = planned.source.content
    return _SIGNS[planned.action], visible(content.name), visible(planned.source.origin), now, visible(said)


def _change_lines(planned: PlannedRule) -> list[Text]:
    consequence = f": {planned.consequence}" if planned.consequence else ""
    lines = [_line(f"{visible(planned.source.content.name)}{consequence}", "bold")]
    for field, (before, after) in planned.changes.items():
        if field != "dslContent":
            lines.append(_line(f"  {field}: {_shown(before)} -> {_shown(after)}"))
    for number, line in enumerate(planned.dsl_diff()):
        style = "bold" if number < 2 else _DIFF_STYLES.get(line[:1], "")
        lines.append(_line(f"  {visible(line)}", style))
    return lines


def _line(text: str, style: str = "") -> Text:
    """Give a line that is never broken, so that it can be copied."""
    return Text(text, style=style, no_wrap=True, overflow="ignore")


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    return visible(msgspec.json.encode(value).decode())


def _planned_json(planned: PlannedRule) -> dict[str, Any]:
    stored = planned.stored
    return {
        "action": planned.action.value,
        "name": planned.source.content.name,
        "file": planned.source.origin,
        "ruleId": None if stored is None else stored.rule_id.value,
        "version": None if stored is None else stored.version,
        "activeVersion": None if stored is None else stored.active_version,
        "status": None if stored is None else stored.status.value,
        "changes": {field: {"before": before, "after": after} for field, (before, after) in planned.changes.items()},
        "problem": planned.problem,
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    error, rule = outcome.error, outcome.rule
    result = "done" if outcome.is_done else "failed" if error is not None else "not-sent"
    return {
        "action": outcome.planned.action.value,
        "name": outcome.planned.source.content.name,
        "result": result,
        "ruleId": None if rule is None else rule["ruleId"],
        "version": None if rule is None else rule["version"],
        "status": None if rule is None else rule["status"],
        "failed": outcome.failed,
        "error": None
        if error is None
        else {"code": error.code.value, "message": error.message, "details": error.details},
    }
