"""Rules in each state, for stores to keep."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.identifiers import Actor, CommandId, RuleId
from domain.ports import RecordedEvent
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule

ALICE = Actor("alice")
BOB = Actor("bob")
NOW = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)
COMMAND = CommandId("0123456789abcdef")


def content(
    name: str,
    dsl: str = "a == 1",
    *,
    priority: Priority = Priority.MEDIUM,
    description: str = "",
    tags: tuple[str, ...] = (),
) -> RuleContent:
    return RuleContent(name, dsl, priority, description, tags)


def draft(name: str = "some rule", made_of: RuleContent | None = None, *, at: datetime = NOW) -> Rule:
    return Rule.create(RuleId.for_name(name), made_of or content(name), ALICE, at)


def activate(rule: Rule) -> Rule:
    """Take a rule's latest version through its approval into deciding."""
    rule.submit(None, ALICE, NOW)
    rule.approve(rule.version, None, BOB, NOW)
    rule.activate(BOB, LATER)
    return rule


def active(name: str = "some rule", dsl: str = "a == 1") -> Rule:
    return activate(draft(name, content(name, dsl)))


def recorded(rule: Rule, revision: int | None = None) -> RecordedEvent:
    """Make a history entry of a rule's newest event."""
    event = rule.pull_events()[-1]
    event_id = RuleId.for_name(f"{rule.id}/{event.name}/{event.version}").value
    return RecordedEvent(event_id, event, COMMAND, revision)


def seen(rule: Rule | None) -> tuple[object, ...]:
    """Return everything of a rule that a store must keep."""
    assert rule is not None
    return (
        rule.id,
        rule.latest,
        rule.active,
        rule.status,
        (rule.created_by, rule.created_at, rule.updated_by, rule.updated_at),
        (rule.was_submitted, rule.was_active, rule.revision),
        rule.pull_events(),
    )
