"""How rules and decisions look to people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.json import JSON
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker.cli.output import visible, visible_lines

_STATUS_STYLES: Final = {
    "DRAFT": "white",
    "UNDER_REVIEW": "yellow",
    "APPROVED": "cyan",
    "ACTIVE": "bold green",
    "INACTIVE": "dim",
    "DEPRECATED": "dim strike",
}


def rule_line(verb: str, rule: dict[str, Any]) -> RenderableType:
    """One line that says what a command made of a rule."""
    text = Text(f"{verb}: ")
    text.append(visible(rule["name"]), style="bold")
    text.append(f" version {rule['version']} is ")
    text.append(rule["status"], style=_STATUS_STYLES.get(rule["status"], ""))
    if rule["activeVersion"] is not None and rule["activeVersion"] != rule["version"]:
        text.append(f" (version {rule['activeVersion']} decides)")
    text.append(f"  {rule['ruleId']}", style="dim")
    return text


def rule_panel(rule: dict[str, Any]) -> RenderableType:
    """A rule, whole."""
    labels = (
        ("id", "ruleId"),
        ("status", "status"),
        ("version", "version"),
        ("deciding version", "activeVersion"),
        ("priority", "priority"),
        ("description", "description"),
        ("tags", "tags"),
        ("created", "createdAt"),
        ("created by", "createdBy"),
        ("updated", "updatedAt"),
        ("updated by", "updatedBy"),
        ("approved by", "approvedBy"),
        ("effective from", "effectiveFrom"),
        ("effective until", "effectiveUntil"),
        ("template", "templateId"),
    )
    return _panel(rule, labels)


def version_panel(version: dict[str, Any]) -> RenderableType:
    """One version of a rule, whole."""
    labels = (
        ("version", "version"),
        ("priority", "priority"),
        ("description", "description"),
        ("tags", "tags"),
        ("author", "author"),
        ("created", "createdAt"),
        ("approved by", "approvedBy"),
        ("approved", "approvedAt"),
        ("restored from", "restoredFrom"),
        ("effective from", "effectiveFrom"),
        ("effective until", "effectiveUntil"),
    )
    return _panel(version, labels)


def rules_table(page: dict[str, Any]) -> RenderableType:
    """A page of rules."""
    table = Table("name", "status", "version", "decides", "priority", "updated by", "updated")
    for rule in page["items"]:
        table.add_row(
            Text(visible(rule["name"])),
            Text(rule["status"], style=_STATUS_STYLES.get(rule["status"], "")),
            str(rule["version"]),
            str(rule["activeVersion"] or "-"),
            rule["priority"],
            rule["updatedBy"],
            rule["updatedAt"],
        )
    return Group(table, more(page))


def versions_table(page: dict[str, Any]) -> RenderableType:
    """A rule's versions."""
    table = Table("version", "name", "author", "created", "approved by", "restored from")
    for version in page["items"]:
        table.add_row(
            str(version["version"]),
            Text(visible(version["name"])),
            version["author"],
            version["createdAt"],
            version["approvedBy"] or "-",
            str(version["restoredFrom"] or "-"),
        )
    return Group(table, more(page))


def ruleset_table(page: dict[str, Any]) -> RenderableType:
    """A page of the rules that decide."""
    table = Table("name", "version", "priority", "content digest", "id")
    for rule in page["items"]:
        digest = Text(rule["contentDigest"][:16], style="dim")
        table.add_row(
            Text(visible(rule["name"])),
            str(rule["version"]),
            rule["priority"],
            digest,
            Text(rule["ruleId"], style="dim"),
        )
    header = Text(f"ruleset {page['revision']}, digest {page['digest']}", style="bold")
    return Group(header, table, more(page))


def command_answer(answer: dict[str, Any]) -> RenderableType:
    """What a command was answered with."""
    error, result = answer["error"], answer["result"]
    if error is not None:
        return Text(f"error[{error['code']}]: {error['message']}", style="red")
    if isinstance(result, dict) and {"ruleId", "name", "version", "activeVersion", "status"} <= result.keys():
        return rule_line("ok", result)
    return JSON.from_data(result)


def decision_line(decision: dict[str, Any]) -> Text:
    """One line that says what was decided about a fact."""
    text = Text(decision["factTime"] or "-", style="dim")
    matched = decision["outcome"] == "matched"
    text.append(f" {decision['outcome']:<9} ", style="bold green" if matched else "white")
    text.append(f"{decision['factType']} {decision['factId']}  ")
    text.append(", ".join(match["name"] for match in decision["matches"] if match["branch"] == "then"), style="cyan")
    if decision["faultCount"]:
        text.append(f"  {decision['faultCount']} faults", style="bold red")
    return text


def _panel(data: dict[str, Any], labels: Iterable[tuple[str, str]]) -> RenderableType:
    """Show what has a value, above the DSL."""
    table = Table.grid(padding=(0, 2))
    for label, key in labels:
        value = data.get(key)
        if value not in (None, "", []):
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            table.add_row(Text(label, style="dim"), Text(visible_lines(shown), style=_STATUS_STYLES.get(shown, "")))
    title = Text(visible(data["name"]), style="bold")
    return Group(Panel(table, title=title, title_align="left"), Text(visible_lines(data["dslContent"])))


def more(page: dict[str, Any]) -> Text:
    """How much of a listing a page is, and where it goes on."""
    text = f"{len(page['items'])} of {page['total']}"
    if "nextOffset" in page:
        text += f", more with --page-offset {page['nextOffset']}"
    return Text(text, style="dim")
