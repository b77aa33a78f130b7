"""Identifiers: what is one, what is none, and that those made of a command are the same again."""

from __future__ import annotations

import hashlib

import pytest

from domain.errors import InvalidRequestError, ValidationError
from domain.identifiers import Actor, CommandId, RuleId, event_id_for_command, fact_key, is_dotted_name, is_fact_id

COMMAND = CommandId("0123456789abcdef")


@pytest.mark.parametrize("name", ["a", "A-z_09", "x" * 64])
def test_an_actor_is_one_token(name: str) -> None:
    assert str(Actor(name)) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a.b", "a b", "a*", ">", "é", "a\n", "a\x00"])
def test_anything_else_is_no_actor(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        Actor(name)


@pytest.mark.parametrize("value", ["x" * 16, "x" * 64, "550e8400-e29b-41d4-a716-446655440000"])
def test_a_command_id_is_16_to_64_characters(value: str) -> None:
    assert str(CommandId(value)) == value


@pytest.mark.parametrize("value", ["", "x" * 15, "x" * 65, "x" * 16 + "\n", "x" * 15 + ".", "é" * 16])
def test_anything_else_is_no_command_id(value: str) -> None:
    with pytest.raises(InvalidRequestError):
        CommandId(value)


@pytest.mark.parametrize(
    "spelling",
    [
        "550e8400-e29b-41d4-a716-446655440000",
        "550E8400-E29B-41D4-A716-446655440000",
        "550e8400e29b41d4a716446655440000",
        "{550e8400-e29b-41d4-a716-446655440000}",
    ],
)
def test_every_spelling_of_a_uuid_is_one_rule_id(spelling: str) -> None:
    assert RuleId.parse(spelling) == RuleId("550e8400-e29b-41d4-a716-446655440000")


@pytest.mark.parametrize(
    "text", ["", "rule", "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-44665544000g"]
)
def test_what_is_no_uuid_is_no_rule_id(text: str) -> None:
    with pytest.raises(ValidationError, match="ruleId is not a UUID"):
        RuleId.parse(text)


def test_a_command_that_runs_again_names_the_same_rule_and_events() -> None:
    first = RuleId.for_command(Actor("a"), COMMAND), event_id_for_command(Actor("a"), COMMAND, 0)
    again = RuleId.for_command(Actor("a"), COMMAND), event_id_for_command(Actor("a"), COMMAND, 0)
    assert first == again


def test_another_actor_command_or_index_names_another_rule() -> None:
    other = CommandId("fedcba9876543210")
    ids = [
        RuleId.for_command(Actor("a"), COMMAND),
        RuleId.for_command(Actor("b"), COMMAND),
        RuleId.for_command(Actor("a"), other),
        RuleId.for_command(Actor("a"), COMMAND, 1),
        RuleId.for_name("a"),
    ]
    events = [event_id_for_command(Actor("a"), COMMAND, index) for index in range(2)]
    assert len({*map(str, ids), *events}) == 7


@pytest.mark.parametrize("text", ["a", "order.placed", "A-z.0_9", ".".join("a" * 16), "x" * 256])
def test_a_dotted_name_is_1_to_16_tokens_and_256_bytes(text: str) -> None:
    assert is_dotted_name(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", ".".join("a" * 17), "x" * 257, "a b", "a.*", "a.>", "é", "a\n", "a\x00"]
)
def test_anything_else_is_no_dotted_name(text: str) -> None:
    assert not is_dotted_name(text)


@pytest.mark.parametrize("text", [" ", "a b", "é", "x" * 256, "é" * 128, "a/b?c=\N{GRINNING FACE}"])
def test_a_fact_id_is_1_to_256_bytes(text: str) -> None:
    assert is_fact_id(text)


@pytest.mark.parametrize("text", ["", "x" * 257, "é" * 128 + "x", "a\x00", "a\nb", "a\x7f", "a\x85", "a\ud800"])
def test_anything_else_is_no_fact_id(text: str) -> None:
    assert not is_fact_id(text)


def test_a_facts_key_is_pinned_since_decisions_are_found_by_it() -> None:
    text = b"\x00\x00\x00\x02ce\x00\x00\x00\x05/shop\x00\x00\x00\x02\xc3\xa9"
    assert fact_key("ce", "/shop", "é") == hashlib.sha256(text).digest()[:16]


def test_where_a_keys_parts_end_matters() -> None:
    assert len({fact_key("ce", "ab", "c"), fact_key("ce", "a", "bc"), fact_key("ce", "", "abc")}) == 3
