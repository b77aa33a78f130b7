"""Subjects: what is written reads back, and what is no subject of ours is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identifiers import Actor, CommandId, RuleId
from domain.rules.events import EventName
from streams import subjects

TOKEN = st.text("abzABZ09_-", min_size=1, max_size=8)
FACT_TYPE = st.lists(TOKEN, min_size=1, max_size=16).map(".".join)
RULE = RuleId("00000000-0000-0000-0000-000000000001")


@given(TOKEN, TOKEN)
def test_actor_and_verb_of_a_command_and_a_query_read_back(actor: str, verb: str) -> None:
    assert subjects.address(subjects.command(actor, verb)) == (actor, verb)
    assert subjects.address(subjects.query(actor, verb)) == (actor, verb)


@pytest.mark.parametrize("subject", ["", "rules.command", "rules.command.alice", "rules.command.alice.create.now"])
def test_a_subject_with_another_number_of_tokens_has_no_address(subject: str) -> None:
    assert subjects.address(subject) is None


@given(FACT_TYPE)
def test_a_facts_type_reads_back(fact_type: str) -> None:
    assert subjects.fact_type(subjects.fact(fact_type)) == fact_type


@pytest.mark.parametrize(
    "subject",
    [
        "facts",
        "facts.",
        "facts.a..b",
        "facts.a.",
        "facts.*",
        "facts.a b",
        "facts.é",
        "facts.a\x00",
        "facts." + ".".join("a" * 17),
        "facts." + "x" * 257,
        "fact.a",
        "other.facts.a",
        "a",
    ],
)
def test_a_subject_that_names_no_fact_type_has_none(subject: str) -> None:
    assert subjects.fact_type(subject) is None


@pytest.mark.parametrize("fact_type", [".".join("a" * 16), "x" * 256])
def test_the_largest_fact_types_are_taken(fact_type: str) -> None:
    assert subjects.fact_type(f"facts.{fact_type}") == fact_type


WRITTEN = [
    (subjects.command("alice", "create"), "rules.command.alice.create"),
    (subjects.query("alice", "get"), "rules.query.alice.get"),
    (subjects.reply(Actor("alice"), CommandId("c" * 16)), "rules.reply.alice.cccccccccccccccc"),
    (subjects.event(RULE, EventName.ACTIVATED), f"rules.event.{RULE}.RuleActivated"),
    (subjects.events_of(RULE), f"rules.event.{RULE}.>"),
    (subjects.decision("order.placed", matched=True), "decisions.matched.order.placed"),
    (subjects.decision("order.placed", matched=False), "decisions.unmatched.order.placed"),
    (subjects.effect("loyalty.points"), "effects.loyalty.points"),
    (subjects.dead_fact("order.placed"), "dead.facts.order.placed"),
    (subjects.dead_fact(None), "dead.facts._invalid"),
    (subjects.dead_command("rules.command.alice.create"), "dead.commands.alice.create"),
    (subjects.dead_command("rules.command.a.b.c"), "dead.commands.a.b.c"),
    (subjects.dead_command("rules.command.é.create"), "dead.commands._invalid"),
    (subjects.dead_command("rules.command.a\x00.create"), "dead.commands._invalid"),
]


@pytest.mark.parametrize(("written", "expected"), WRITTEN)
def test_subjects_are_the_contracts(written: str, expected: str) -> None:
    assert written == expected
