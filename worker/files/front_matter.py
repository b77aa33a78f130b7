"""A rule file's text: optional TOML between ``+++`` lines, then DSL; taken apart, and written."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from domain.errors import ValidationError
from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent, format_moment
from worker.files.content import create_payload, same_dsl

FENCE: Final = "+++"
TIME_FIELDS: Final = ("effectiveFrom", "effectiveUntil")

_MARK: Final = "# written by rulestream export, digest "


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule file's two parts; ``dsl_line_offset`` is how many of its lines come before the DSL's first."""

    toml: str
    dsl: str
    dsl_line_offset: int


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """What a rule file says, its DSL not compiled."""

    rule_id: RuleId | None
    content: RuleContent


def split_rule_text(text: str) -> RuleText | None:
    """Take a file's text apart; None where its front matter has no closing fence."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return RuleText("", text, 0)
    end = next((at for at, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        return None
    return RuleText("\n".join(lines[1:end]) + "\n", "\n".join(lines[end + 1 :]), end + 1)


def plain_text(text: str) -> str:
    """Return a file's text without a byte order mark and with line feeds alone."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def json_fields(toml: str) -> dict[str, Any]:
    """Read front matter, with times as the text that JSON would have; raises tomllib.TOMLDecodeError."""
    fields = tomllib.loads(toml)
    return {
        key: value.isoformat() if key in TIME_FIELDS and isinstance(value, date) else value
        for key, value in fields.items()
    }


def rule_text(content: RuleContent, rule_id: RuleId | None) -> str:
    """Write a rule as its file's text, in a form that depends on nothing but the rule.

    The DSL ends with one line feed. The second line is a comment with a digest of all others, by which
    ``is_as_written`` knows a text that nobody has changed.
    """
    fields = {"name": content.name}
    if rule_id is not None:
        fields["ruleId"] = rule_id.value
    fields["priority"] = content.priority.value
    if content.description:
        fields["description"] = content.description
    lines = [f"{key} = {_toml_string(value)}" for key, value in fields.items()]
    if content.tags:
        lines.append(f"tags = [{', '.join(map(_toml_string, content.tags))}]")
    for key, moment in zip(TIME_FIELDS, (content.effective_from, content.effective_until), strict=True):
        if moment is not None:
            lines.append(f"{key} = {format_moment(moment)}")
    rest = "\n".join([*lines, FENCE, same_dsl(content.dsl_content), ""])
    return f"{FENCE}\n{_MARK}{_digest(rest)}\n{rest}"


def rule_line(content: RuleContent, rule_id: RuleId | None) -> str:
    """Write a rule as a line of JSON, with its line feed; the DSL is kept to the letter."""
    fields = ({} if rule_id is None else {"ruleId": rule_id.value}) | create_payload(content)
    return msgspec.json.encode(fields).decode() + "\n"


def is_as_written(text: str) -> bool:
    """Say whether a file's text is what ``rule_text`` wrote, whatever version control did to its line ends."""
    fence, _, marked = plain_text(text).partition("\n")
    mark, _, rest = marked.partition("\n")
    return fence == FENCE and mark == _MARK + _digest(rest)


def read_written(text: str, stem: str) -> WrittenRule | None:
    """Read what a rule file says, without compiling it; None where it is no rule."""
    parts = split_rule_text(plain_text(text))
    if parts is None:
        return None
    try:
        fields = {"name": stem, "priority": Priority.MEDIUM.value, **json_fields(parts.toml)}
        rule_id = RuleId.parse(fields["ruleId"]) if "ruleId" in fields else None
        content = RuleContent.checked(
            name=fields["name"],
            dsl_content=parts.dsl,
            priority=fields["priority"],
            description=fields.get("description"),
            tags=fields.get("tags"),
            effective_from=fields.get("effectiveFrom"),
            effective_until=fields.get("effectiveUntil"),
        )
    except (tomllib.TOMLDecodeError, RecursionError, ValidationError, TypeError, AttributeError):
        return None
    return WrittenRule(rule_id, content)


def _toml_string(text: str) -> str:
    """Write a TOML basic string: JSON's escapes are among TOML's, and DEL is the one more that it wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
