"""Active rules, compiled and placed in a ruleset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.identifiers import RuleId
from domain.language import CompiledRule
from domain.rules.content import Priority, RuleContent

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A version of a rule that decides: what the ruleset's digest is made of."""

    rule_id: RuleId
    version: int
    content: RuleContent

    @property
    def digest(self) -> bytes:
        return self.content.digest(self.rule_id, self.version)


@dataclass(frozen=True, slots=True)
class BoundRule:
    """An active rule, compiled and placed.

    Positions are in the order of priority, then name, then id: of a ruleset made at once the rank, and of rules that
    were added to one later what lies between their neighbours'.
    """

    rule_id: str
    name: str
    version: int
    priority: Priority
    compiled: CompiledRule
    digest: bytes
    from_ns: int | None
    until_ns: int | None
    position: float = 0

    @property
    def sort_key(self) -> tuple[int, str, str]:
        return (self.priority.rank, self.name, self.rule_id)


def bind(rule: ActiveRule, digest: bytes, compiled: CompiledRule) -> BoundRule:
    """Place a compiled rule in a ruleset; ``digest`` is the active rule's own, which callers have at hand."""
    content = rule.content
    return BoundRule(
        rule_id=rule.rule_id.value,
        name=content.name,
        version=rule.version,
        priority=content.priority,
        compiled=compiled,
        digest=digest,
        from_ns=_nanoseconds(content.effective_from),
        until_ns=_nanoseconds(content.effective_until),
    )


def placed(rule: BoundRule, position: float) -> BoundRule:
    """Return a rule with its position in a ruleset."""
    if rule.position == position:
        return rule
    return BoundRule(
        rule_id=rule.rule_id,
        name=rule.name,
        version=rule.version,
        priority=rule.priority,
        compiled=rule.compiled,
        digest=rule.digest,
        from_ns=rule.from_ns,
        until_ns=rule.until_ns,
        position=position,
    )


def _nanoseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1000
