"""How templates, and what was made of them, look to people."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker.cli.output import visible, visible_lines
from worker.cli.tables import more, rule_line


def template_line(verb: str, template: dict[str, Any]) -> Text:
    """One line that says what a command made of a template."""
    text = Text(f"{verb}: ")
    text.append(visible(template["name"]), style="bold")
    text.append(f" version {template['version']}")
    text.append(f"  {template['templateId']}", style="dim")
    return text


def updated_text(template: dict[str, Any]) -> RenderableType:
    """What an update made of a template, and the rules that lag behind it."""
    lagging = template["lagging"]
    line = template_line("update", template)
    if not lagging["total"]:
        return line
    table = Table("rule", "status", "version", "decides", "made of template version", "id")
    for rule in lagging["items"]:
        table.add_row(
            Text(visible(rule["name"])),
            rule["status"],
            str(rule["version"]),
            str(rule["activeVersion"] or "-"),
            str(rule["templateVersion"]),
            rule["ruleId"],
        )
    shown, total = len(lagging["items"]), lagging["total"]
    return Group(line, Text(f"rules that lag behind it, {shown} of {total}:", style="yellow"), table)


def template_panel(template: dict[str, Any]) -> RenderableType:
    """A template, whole."""
    about = Table.grid(padding=(0, 2))
    for label, key in (
        ("id", "templateId"),
        ("version", "version"),
        ("description", "description"),
        ("created", "createdAt"),
        ("created by", "createdBy"),
        ("updated", "updatedAt"),
        ("updated by", "updatedBy"),
        ("lagging rules", "laggingRules"),
    ):
        if template[key] != "":
            about.add_row(Text(label, style="dim"), Text(visible_lines(str(template[key]))))
    parameters = Table("parameter", "type", "default", "description")
    for one in template["parameters"]:
        default = msgspec.json.encode(one["default"]).decode() if "default" in one else "-"
        parameters.add_row(one["name"], one["type"], Text(visible(default)), Text(visible(one.get("description", ""))))
    title = Text(visible(template["name"]), style="bold")
    panel = Panel(about, title=title, title_align="left")
    return Group(panel, parameters, Text(visible_lines(template["dslTemplate"])))


def templates_table(page: dict[str, Any]) -> RenderableType:
    """A page of templates."""
    table = Table("name", "version", "parameters", "updated by", "updated")
    for template in page["items"]:
        table.add_row(
            Text(visible(template["name"])),
            str(template["version"]),
            ", ".join(one["name"] for one in template["parameters"]),
            template["updatedBy"],
            template["updatedAt"],
        )
    return Group(table, more(page))


def made_rules(result: dict[str, Any]) -> RenderableType:
    """The rules that were made of a template, a line each."""
    return Group(*(rule_line("instantiate", rule) for rule in result["items"]))
