"""Snapshots that differ in a few rules: they decide as one made at once of the same rules, and share what they can."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.decisions import arrangement
from domain.decisions import index as index_module
from domain.decisions import ruleset as module
from domain.decisions.engine import decide
from domain.decisions.index import RULES_MIN
from domain.decisions.ruleset import BoundRule, Ruleset, ruleset_digest
from domain.language import compile_rule
from domain.rules.content import Priority
from tests.fakes.handmade import bound, fact

EXAMPLES = int(os.environ.get("RULESTREAM_INDEX_EXAMPLES", "2000")) // 4

TYPES = ("on t.a\n", "on t.*\n", "on u\n", "")
CONDITIONS = (
    "a == 1",
    "a == 2",
    "a in [1, 2, 3]",
    "b.c > 1",
    "b.c < 1 && a == 1",
    "xs.exists(x, x == 1)",
    "10 / a > 3",
)
ACTIONS = ("set r = 1", "set r = 2", "append a to list", "add 1 to n", "set q = 10 / a")


def made_rule(
    number: int, text: str, priority: Priority = Priority.LOW, from_ns: int | None = None, until_ns: int | None = None
) -> BoundRule:
    digest = number.to_bytes(32)
    return BoundRule(f"id-{number}", f"rule {number}", 1, priority, compile_rule(text), digest, from_ns, until_ns)


def chain(number: int) -> str:
    """Give one rule in twelve that depends on what others decided, or keeps them from deciding."""
    return {5: " && decision.r == 1", 17: ""}.get(number, "")


POOL = [
    made_rule(
        number,
        f"{TYPES[number % 4]}when {CONDITIONS[number % 7]}{chain(number)}\nthen {ACTIONS[number % 5]}"
        + (" stop" if number == 17 else ""),
        list(Priority)[number % 3],
        5 if number % 11 == 0 else None,
        8 if number % 13 == 0 else None,
    )
    for number in range(40)
]
FACTS = [
    fact(payload, fact_type=fact_type, time_ns=6)
    for payload in ({}, {"a": 1}, {"a": 2, "b": {"c": 3}}, {"a": 1, "b": {"c": 0}, "xs": [1]}, {"a": "x"}, {"a": 0})
    for fact_type in ("t.a", "t.b", "u", "v")
]


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sets(st.integers(0, 39), max_size=30),
    changes=st.lists(st.tuples(st.sets(st.integers(0, 39), max_size=4), st.booleans()), max_size=6),
    alone=st.sampled_from([1, 2_000]),
    rules_min=st.sampled_from([1, RULES_MIN]),
)
def test_a_changed_snapshot_decides_as_one_made_at_once(
    start: set[int], changes: list[tuple[set[int], bool]], alone: int, rules_min: int
) -> None:
    with (
        patch.object(module, "WHOLE_MAX", -1),
        patch.object(arrangement, "GROUP_ALONE_MIN", alone),
        patch.object(index_module, "RULES_MIN", rules_min),
        patch.object(index_module.filing, "PLACE_RULES_MIN", 1),
    ):
        held = set(start)
        ruleset = Ruleset(1, [POOL[number] for number in held])
        for revision, (switched, is_rebuilt) in enumerate(changes, start=2):
            removed = [POOL[number].digest for number in held & switched]
            ruleset = ruleset.changed(revision, removed, [POOL[number] for number in switched - held])
            held ^= switched
            if is_rebuilt:
                ruleset = ruleset.rebuilt()
            whole = Ruleset(revision, [POOL[number] for number in held])
            assert ruleset.state == whole.state
            assert len(ruleset) == len(whole.rules)
            assert [rule.digest for rule in ruleset.rules] == [rule.digest for rule in whole.rules]
            for given_fact in FACTS:
                assert repr(decide(ruleset, given_fact)) == repr(decide(whole, given_fact))
                plans = ruleset.plan(given_fact.type), whole.plan(given_fact.type)
                assert [rule.digest for rule in plans[0].rules] == [rule.digest for rule in plans[1].rules]


def large(count: int = 600) -> Ruleset:
    rules = [made_rule(number, f"on t\nwhen a == {number}\nthen set x = {number}") for number in range(count)]
    return Ruleset(1, rules)


def names(ruleset: Ruleset, payload: dict[str, Any]) -> list[str]:
    return [match.name for match in decide(ruleset, fact(payload, fact_type="t")).matches]


def test_a_changed_snapshot_shares_the_index_of_all_that_did_not_change() -> None:
    earlier = large()
    made = earlier.plan("t").index
    newer = made_rule(1_000, "on u\nwhen a == 1\nthen set y = 1")
    changed = earlier.changed(2, [], [newer])
    assert made is not None
    assert changed.plan("t").index is made
    assert names(changed, {"a": 7}) == ["rule 7"]


def test_a_rule_is_replaced_by_its_next_version_in_its_place() -> None:
    earlier = large()
    old = next(rule for rule in earlier.rules if rule.name == "rule 7")
    newer = replace(old, version=2, digest=b"new", compiled=compile_rule("on t\nwhen a == 8\nthen set y = 2"))
    changed = earlier.changed(2, [old.digest], [newer])
    assert names(changed, {"a": 7}) == []
    assert names(changed, {"a": 8}) == ["rule 7", "rule 8"]
    assert [rule.name for rule in changed.rules] == [rule.name for rule in earlier.rules]
    assert names(earlier, {"a": 7}) == ["rule 7"]
    again = changed.changed(3, [b"new"], [old])
    assert names(again, {"a": 7}) == ["rule 7"]
    assert again.digest == earlier.digest


def test_a_snapshot_is_due_to_be_arranged_anew_when_much_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHANGES_MAX", 3)
    ruleset = large()
    for number in range(3):
        assert not ruleset.is_due
        added = made_rule(1_000 + number, f"on t\nwhen a == {number}\nthen set y = 1")
        ruleset = ruleset.changed(2 + number, [], [added])
    assert ruleset.is_due
    rebuilt = ruleset.rebuilt()
    assert not rebuilt.is_due
    assert rebuilt.state == ruleset.state
    assert [rule.position for rule in rebuilt.rules] == list(range(603))
    assert names(rebuilt, {"a": 2}) == names(ruleset, {"a": 2}) == ["rule 1002", "rule 2"]


def test_a_change_makes_the_plans_ready_that_were_made_before() -> None:
    earlier = large()
    earlier.prepare()
    added = made_rule(1_000, "on t, u\nwhen a == 1\nthen set y = 1")
    with patch.object(Ruleset, "_make_plan", autospec=True, side_effect=Ruleset._make_plan) as planned:
        changed = earlier.changed(2, [], [added])
        assert planned.call_count == 1
        assert changed.plan("t").index is not None
        assert planned.call_count == 1
        changed.plan("u")
        assert planned.call_count == 2


def test_a_digest_that_is_given_is_taken_over_and_another_is_worked_out() -> None:
    earlier = large()
    assert earlier.changed(2, [], [bound("x")], b"given").digest == b"given"
    digests = [rule.digest for rule in earlier.rules]
    assert earlier.changed(2, digests[:1], [bound("x")]).digest == ruleset_digest([*digests[1:], bound("x").digest])


def test_what_no_rule_has_cannot_be_removed() -> None:
    for ruleset in (large(), large(10)):
        with pytest.raises(KeyError):
            ruleset.changed(2, [b"unknown"], [])
