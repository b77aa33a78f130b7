"""A rule's history as people read it: who did what when, why, and what each new version changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.text import Text

from worker.cli.output import visible

DIGEST_SHOWN: Final = 12
_INDENT: Final = "    "
_NEW_VERSION: Final = frozenset({"RuleCreated", "RuleUpdated", "RuleRolledBack"})
_FIELDS: Final = {
    "name": "name",
    "description": "description",
    "priority": "priority",
    "tags": "tags",
    "effectiveFrom": "effective from",
    "effectiveUntil": "effective until",
}
# The data of events under the names that people read; what is said by the version's own number is left out.
_DATA: Final = {
    "comment": "comment",
    "reason": "reason",
    "restoredVersion": "restored from version",
    "previousActiveVersion": "decides in place of version",
    "deactivatedVersion": "stopped version",
    "templateId": "template",
    "templateVersion": "template version",
    "parameters": "parameters",
}
_UNSAID: Final = frozenset({"previousVersion"})
_EVENT_STYLES: Final = {
    "RuleApproved": "bold cyan",
    "RuleRejected": "bold yellow",
    "RuleActivated": "bold green",
    "RuleRolledBack": "bold green",
    "RuleDeactivated": "bold red",
    "RuleDeprecated": "bold red",
    "RuleDeleted": "bold red",
}
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def history_text(entries: Sequence[Mapping[str, Any]], versions: Sequence[Mapping[str, Any]]) -> Text:
    """Show a rule's history, the oldest entry first, with what changed between the versions that are given.

    Both are items of the queries of their names. Versions of a deleted rule are gone; its entries then stand alone.
    No control character, nor one that turns the direction of writing, reaches the terminal: each is shown escaped.
    """
    content = {version["version"]: version for version in versions}
    text = Text()
    if entries:
        text.append(visible(entries[-1]["name"]), style="bold")
        text.append(f"  {entries[-1]['ruleId']}\n", style="dim")
    widths = {key: max((len(entry[key]) for entry in entries), default=0) for key in ("occurredAt", "actor")}
    for entry in entries:
        text.append(f"\n{entry['occurredAt']:<{widths['occurredAt']}}", style="dim")
        text.append(f"  {entry['actor']:<{widths['actor']}}  ")
        text.append(entry["eventType"], style=_EVENT_STYLES.get(entry["eventType"], "bold"))
        text.append(f"  version {entry['version']} {entry['status']}")
        if "revision" in entry:
            text.append(f", ruleset revision {entry['revision']}")
        text.append("\n")
        for line, style in _details(entry, content):
            text.append(f"{_INDENT}{line}".rstrip() + "\n", style=style)
    return text


def _details(entry: Mapping[str, Any], versions: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for key, value in entry["data"].items():
        if key not in _UNSAID and value is not None:
            yield f"{_DATA.get(key, key)}: {_shown(value)}", ""
    digest = entry["contentDigest"][:DIGEST_SHOWN]
    if entry["eventType"] in _NEW_VERSION:
        before = (entry["beforeDigest"] or "")[:DIGEST_SHOWN]
        yield f"content: {before} -> {digest}" if before else f"content: {digest}", "dim"
        if entry["version"] in versions:
            yield from _changes(versions.get(entry["version"] - 1, {}), versions[entry["version"]])
    elif entry["eventType"] == "RuleApproved":
        yield f"content: {digest}", "dim"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tell the fields that changed, and the text's difference line by line; without ``before`` all that is set."""
    for key, label in _FIELDS.items():
        old, new = before.get(key) or None, after.get(key) or None
        if old != new:
            yield f"{label}: {_shown(new)}" if not before else f"{label}: {_shown(old)} -> {_shown(new)}", ""
    lines = difflib.unified_diff(
        before["dslContent"].split("\n") if before else [],
        after["dslContent"].split("\n"),
        f"version {before['version']}" if before else "nothing",
        f"version {after['version']}",
        lineterm="",
    )
    for number, line in enumerate(lines):
        yield visible(line), "bold" if number < 2 else _DIFF_STYLES.get(line[0], "")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return visible(", ".join(value))
    return visible(value if isinstance(value, str) else msgspec.json.encode(value).decode())
