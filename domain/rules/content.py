"""What people write and approve: a rule's content, its bounds and its digest."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from domain.errors import ValidationError
from domain.identifiers import RuleId

NAME_LENGTH_MIN: Final = 3
NAME_LENGTH_MAX: Final = 100
DESCRIPTION_LENGTH_MAX: Final = 500
TAGS_MAX: Final = 20
TAG_LENGTH_MAX: Final = 50

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.(?P<fraction>\d+))?(?:[Zz]|[+-]\d{2}:\d{2})\Z",
    re.ASCII,
)


class Priority(StrEnum):
    """A rule's class of importance; a higher one goes first."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for the highest class, rising as importance falls: what rules are sorted by."""
        return _RANKS[self]


_RANKS: Final = {Priority.CRITICAL: 0, Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field of a rule."""

    code: str
    field: str
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "field": self.field, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class RuleContent:
    """Everything of a version that its approver vouches for; see ``checked`` for the bounds."""

    name: str
    dsl_content: str
    priority: Priority
    description: str = ""
    tags: tuple[str, ...] = ()
    effective_from: datetime | None = None
    effective_until: datetime | None = None

    @classmethod
    def checked(
        cls,
        *,
        name: str,
        dsl_content: str,
        priority: str,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        effective_from: str | None = None,
        effective_until: str | None = None,
    ) -> RuleContent:
        """Make content of a sender's fields; raises ValidationError with every field's problem.

        The DSL is only checked for being there: compiling it is the language's part (``domain.language``).
        """
        problems = [*name_problems(name), *_dsl_problems(dsl_content)]
        if priority not in Priority.__members__:
            message = f"priority must be one of {', '.join(Priority)}"
            problems.append(FieldProblem("priority-unknown", "priority", message))
        text = description or ""
        if len(text) > DESCRIPTION_LENGTH_MAX:
            message = f"rule description cannot exceed {DESCRIPTION_LENGTH_MAX} characters"
            problems.append(FieldProblem("description-too-long", "description", message))
        elif not is_storable(text):
            message = "rule description cannot hold NUL or lone surrogates"
            problems.append(FieldProblem("description-not-text", "description", message))
        labels = tuple(dict.fromkeys(tags or ()))
        problems.extend(_tag_problems(labels))
        moments: list[datetime | None] = []
        for field, value in (("effectiveFrom", effective_from), ("effectiveUntil", effective_until)):
            try:
                moments.append(None if value is None else parse_moment(value))
            except ValueError as error:
                moments.append(None)
                problems.append(FieldProblem("not-a-time", field, f"{field} {error}"))
        start, end = moments
        if start is not None and end is not None and start >= end:
            problems.append(
                FieldProblem("empty-period", "effectiveUntil", "effectiveUntil must be after effectiveFrom")
            )
        if problems:
            raise ValidationError(problems[0].message, problems=[problem.to_json() for problem in problems])
        return cls(name, dsl_content, Priority(priority), text, labels, start, end)

    def digest(self, rule_id: RuleId, version: int) -> bytes:
        """Return the SHA-256 that stands for exactly this content of this version of this rule.

        It goes over the rule id, the version and every field in a fixed order, each as its length in bytes (8-byte
        big-endian, or all ones for an absent value) and its UTF-8 text.
        """
        texts: list[str | None] = [rule_id.value, str(version)]
        for name in _FIELDS:
            value = getattr(self, name)
            if isinstance(value, tuple):
                texts.extend([str(len(value)), *value])
            elif isinstance(value, datetime):
                texts.append(format_moment(value))
            else:
                texts.append(value)
        parts = [b"rulestream.rule.1"]
        for text in texts:
            if text is None:
                parts.append(_ABSENT)
            else:
                data = text.encode("utf-8", "surrogatepass")
                parts += (len(data).to_bytes(8, "big"), data)
        return hashlib.sha256(b"".join(parts)).digest()


_FIELDS: Final = tuple([field.name for field in fields(RuleContent)])
_ABSENT: Final = b"\xff" * 8


def parse_moment(text: str) -> datetime:
    """Read an RFC 3339 time with offset, to the microsecond, as UTC; raises ValueError with the reason."""
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError("must be an RFC 3339 time with an offset, like 2026-01-31T00:00:00Z")
    if len(match["fraction"] or "") > 6:
        raise ValueError("cannot be finer than a microsecond")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None


def format_moment(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, with microseconds only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def name_problems(name: str, owner: str = "rule") -> list[FieldProblem]:
    """Return what is wrong with the name of a rule, or of what else is named as rules are."""
    if not name.strip():
        return [FieldProblem("name-empty", "name", f"{owner} name cannot be empty")]
    if len(name) > NAME_LENGTH_MAX:
        return [FieldProblem("name-too-long", "name", f"{owner} name cannot exceed {NAME_LENGTH_MAX} characters")]
    if len(name) < NAME_LENGTH_MIN:
        return [FieldProblem("name-too-short", "name", f"{owner} name must have at least {NAME_LENGTH_MIN} characters")]
    if name != name.strip() or not _printable(name):
        message = f"{owner} name cannot hold control or invisible characters, nor begin or end with white space"
        return [FieldProblem("name-not-printable", "name", message)]
    return []


def _dsl_problems(dsl_content: str) -> list[FieldProblem]:
    if not dsl_content.strip():
        return [FieldProblem("dsl-empty", "dslContent", "DSL content cannot be empty")]
    if not is_storable(dsl_content):
        return [FieldProblem("dsl-not-text", "dslContent", "DSL content cannot hold NUL or lone surrogates")]
    return []


def _tag_problems(tags: tuple[str, ...]) -> list[FieldProblem]:
    if len(tags) > TAGS_MAX:
        return [FieldProblem("too-many-tags", "tags", f"a rule cannot have more than {TAGS_MAX} tags")]
    return [
        FieldProblem("tag-invalid", "tags", f"a tag is 1 to {TAG_LENGTH_MAX} printable characters")
        for tag in tags
        if not 1 <= len(tag) <= TAG_LENGTH_MAX or not _printable(tag)
    ][:1]


def is_storable(text: str) -> bool:
    """Say whether text is what Postgres takes for text."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)
