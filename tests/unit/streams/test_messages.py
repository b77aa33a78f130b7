"""Lifecycle events and the views of rules, as they go over the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec

from domain.identifiers import Actor, CommandId, RuleId
from domain.ports import RecordedEvent
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule
from streams.messages.events import history_entry, outbox_message
from streams.messages.queries import rule_summary, rule_view

NOW = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
RULE_ID = RuleId("00000000-0000-0000-0000-000000000001")
EVENT_ID = "00000000-0000-0000-0000-0000000000e1"
COMMAND = CommandId("0123456789abcdef")
ALICE, BOB = Actor("alice"), Actor("bob")


def a_rule() -> Rule:
    content = RuleContent(
        "some rule", "a == 1", Priority.HIGH, "text", ("b", "a"), datetime(2026, 1, 1, tzinfo=UTC), None
    )
    return Rule.create(RULE_ID, content, ALICE, NOW)


def an_active_rule() -> Rule:
    rule = a_rule()
    rule.submit(None, ALICE, NOW)
    rule.approve(1, None, BOB, NOW)
    rule.activate(BOB, NOW)
    return rule


def test_an_event_is_the_contracts_in_its_final_bytes() -> None:
    rule = an_active_rule()
    made = outbox_message(EVENT_ID, rule.pull_events()[-1], COMMAND, 7)
    assert (made.event_id, made.rule_id, made.subject) == (EVENT_ID, RULE_ID, f"rules.event.{RULE_ID}.RuleActivated")
    assert json.loads(made.payload) == {
        "eventId": EVENT_ID,
        "eventType": "RuleActivated",
        "ruleId": RULE_ID.value,
        "name": "some rule",
        "version": 1,
        "status": "ACTIVE",
        "actor": "bob",
        "occurredAt": "2026-01-31T12:00:00.000005Z",
        "revision": 7,
        "commandId": COMMAND.value,
        "contentDigest": rule.content.digest(RULE_ID, 1).hex(),
        "data": {},
    }
    assert made.headers["Nats-Msg-Id"] == made.headers["ce-id"] == EVENT_ID
    assert made.headers["ce-type"] == "rulestream.event.RuleActivated"
    assert made.headers["ce-time"] == "2026-01-31T12:00:00.000005Z"


def test_an_event_that_does_not_change_the_ruleset_names_no_revision() -> None:
    made = outbox_message(EVENT_ID, a_rule().pull_events()[-1], COMMAND, None)
    assert "revision" not in json.loads(made.payload)


def test_a_history_entry_is_the_published_event_and_the_digest_before_it() -> None:
    """What listeners get has the contract's fields alone; the history adds one."""
    rule = a_rule()
    created = rule.pull_events()[0]
    rule.update(rule.content, 1, ALICE, NOW)
    updated = rule.pull_events()[0]
    for event, before in ((created, None), (updated, created.content_digest.hex())):
        entry = json.loads(msgspec.json.encode(history_entry(RecordedEvent(EVENT_ID, event, COMMAND, None))))
        assert entry.pop("beforeDigest") == before
        assert entry == json.loads(outbox_message(EVENT_ID, event, COMMAND, None).payload)


def test_a_rules_view_is_the_contracts() -> None:
    assert msgspec.to_builtins(rule_view(an_active_rule())) == {
        "ruleId": RULE_ID.value,
        "name": "some rule",
        "description": "text",
        "dslContent": "a == 1",
        "priority": "HIGH",
        "tags": ["b", "a"],
        "status": "ACTIVE",
        "version": 1,
        "activeVersion": 1,
        "createdBy": "alice",
        "createdAt": "2026-01-31T12:00:00.000005Z",
        "updatedBy": "bob",
        "updatedAt": "2026-01-31T12:00:00.000005Z",
        "approvedBy": "bob",
        "effectiveFrom": "2026-01-01T00:00:00Z",
        "effectiveUntil": None,
        "templateId": None,
    }


def test_a_draft_shows_null_for_what_it_has_not() -> None:
    view = msgspec.to_builtins(rule_view(a_rule()))
    assert (view["activeVersion"], view["approvedBy"], view["status"]) == (None, None, "DRAFT")


def test_a_summary_is_the_view_without_the_text() -> None:
    view = msgspec.to_builtins(rule_view(a_rule()))
    summary = msgspec.to_builtins(rule_summary(a_rule()))
    assert {**summary, "dslContent": "a == 1"} == view
    assert "dslContent" not in summary
