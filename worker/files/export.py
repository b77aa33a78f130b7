"""Which files an export writes into a folder, decided before any is written.

A rule keeps the file that it has in the folder, under whatever name; another gets one named after it. What a person
wrote or changed is kept: only a file that still is what an export wrote is written anew.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.identifiers import RuleId
from domain.rules.content import RuleContent
from worker.files.content import content_changes
from worker.files.front_matter import WrittenRule, is_as_written, plain_text, read_written, rule_text
from worker.files.rules import RULE_SUFFIX

# Of a file's 255 bytes, what is left beside the suffix and a rule's id.
STEM_BYTES_MAX: Final = 200

_KEPT: Final = frozenset("-_.")
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(10))}
)


@dataclass(frozen=True, slots=True)
class ExportedRule:
    """A rule to be written; ``created_at`` (RFC 3339) decides which of two alike names keeps its plain file name."""

    rule_id: RuleId
    created_at: str
    content: RuleContent


@dataclass(slots=True)
class ExportPlan:
    """File names and what becomes of them: texts to write, files that say it already, and files to be kept."""

    writes: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str | None
    rule: WrittenRule | None


def plan_export(
    rules: Iterable[ExportedRule], found: Mapping[str, str | None], *, with_ids: bool = True, force: bool = False
) -> ExportPlan:
    """Decide what to write for rules, beside the rule files found: their texts by name, None for what is not text.

    The outcome depends on nothing but the rules and the files. ``others`` are rule files of none of the rules.
    ``force`` writes over what would be refused.
    """
    plan = ExportPlan()
    files = [_read(name, text) for name, text in sorted(found.items())]
    by_id: dict[RuleId, _File] = {}
    by_name: dict[str, _File] = {}
    for file in files:
        if file.rule is not None and file.rule.rule_id is not None:
            by_id.setdefault(file.rule.rule_id, file)
        elif file.rule is not None:
            by_name.setdefault(file.rule.content.name, file)
    unreadable = {_key(file.name): file for file in files if file.rule is None}
    taken = {_key(file.name) for file in files if file.rule is not None}
    claimed: set[str] = set()
    for rule in sorted(rules, key=lambda one: (one.created_at, one.rule_id)):
        own = by_id.get(rule.rule_id) or by_name.get(rule.content.name)
        if own is None:
            name = next(name for name in _names(rule) if _key(name) not in taken)
            taken.add(_key(name))
            own = unreadable.get(_key(name), _File(name, None, None))
        claimed.add(own.name)
        _decide(plan, rule, own, is_there=own.name in found, with_ids=with_ids, force=force)
    plan.others = [file.name for file in files if file.name not in claimed]
    return plan


def file_stem(name: str) -> str:
    """Return a file's stem for a rule's name: letters, digits and ``-_.`` of any script; others become ``-``."""
    text = unicodedata.normalize("NFC", name)
    kept = "".join(character if character.isalnum() or character in _KEPT else "-" for character in text)
    return "-".join(part for part in kept.split("-") if part).strip("-.") or "rule"


def _decide(plan: ExportPlan, rule: ExportedRule, own: _File, *, is_there: bool, with_ids: bool, force: bool) -> None:
    text = rule_text(rule.content, rule.rule_id if with_ids else None)
    is_ours = own.text is not None and is_as_written(own.text)
    if not is_there:
        plan.writes[own.name] = text
    elif (own.text is not None and plain_text(own.text) == text) or (
        not is_ours and _says(own.rule, rule, with_ids=with_ids)
    ):
        plan.unchanged.append(own.name)
    elif is_ours or force:
        plan.writes[own.name] = text
    elif own.rule is None:
        plan.refused[own.name] = "it is no rule file that can be read"
    else:
        plan.refused[own.name] = "it says something else, and not in an export's words"


def _says(written: WrittenRule | None, rule: ExportedRule, *, with_ids: bool) -> bool:
    """Say whether a file that a person wrote says of a rule what an export would."""
    if written is None or (written.rule_id is not None and not with_ids):
        return False
    return not content_changes(rule.content, written.content)


def _read(name: str, text: str | None) -> _File:
    return _File(name, text, None if text is None else read_written(text, name.removesuffix(RULE_SUFFIX)))


def _names(rule: ExportedRule) -> Iterator[str]:
    """Give names for a rule's file, the plainest first."""
    whole = file_stem(rule.content.name)
    stem = whole.encode()[:STEM_BYTES_MAX].decode(errors="ignore").rstrip("-.")
    if stem == whole and stem.partition(".")[0].casefold() not in _RESERVED:
        yield stem + RULE_SUFFIX
    yield f"{stem}-{rule.rule_id.value[:8]}{RULE_SUFFIX}"
    yield f"{stem}-{rule.rule_id}{RULE_SUFFIX}"
    for number in range(2, 1_000_000):
        yield f"{stem}-{rule.rule_id}-{number}{RULE_SUFFIX}"


def _key(name: str) -> str:
    """Return what file systems that ignore case and the form of accents take for the same name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
