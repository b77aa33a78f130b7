"""A rule's content as the fields of files and commands, and what differs between two."""

from __future__ import annotations

import re
from typing import Any, Final

from domain.rules.content import RuleContent, format_moment

_LINE_BREAKS: Final = re.compile(r"\r+\n")


def create_payload(content: RuleContent) -> dict[str, Any]:
    """Return the payload of the command that creates a rule with this content: the fields that it has."""
    return {key: value for key, value in wire_fields(content).items() if value}


def wire_fields(content: RuleContent) -> dict[str, Any]:
    """Return a rule's content as commands carry it; None and an empty list stand for what it has not."""
    start, end = content.effective_from, content.effective_until
    return {
        "name": content.name,
        "dslContent": content.dsl_content,
        "priority": content.priority.value,
        "description": content.description or None,
        "tags": list(content.tags),
        "effectiveFrom": None if start is None else format_moment(start),
        "effectiveUntil": None if end is None else format_moment(end),
    }


def content_changes(before: RuleContent, after: RuleContent) -> dict[str, tuple[Any, Any]]:
    """Return the fields that differ, by wire name, with both values, the DSL last; texts of one ``same_dsl`` do not."""
    old, new = wire_fields(before), wire_fields(after)
    changes = {key: (old[key], new[key]) for key in old if key != "dslContent" and old[key] != new[key]}
    if same_dsl(before.dsl_content) != same_dsl(after.dsl_content):
        changes["dslContent"] = before.dsl_content, after.dsl_content
    return changes


def same_dsl(text: str) -> str:
    """Return the form of a DSL text by which texts are compared: line feeds alone, and none at the end.

    Editors and version control change those without anyone having changed the rule.
    """
    return _LINE_BREAKS.sub("\n", text).rstrip("\r\n")
