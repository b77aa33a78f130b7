"""Where the index tells all of a condition it is not asked again; what it leaves, rules of a shape ask alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.decisions.candidate import Candidate, it_holds
from domain.decisions.engine import decide
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import compile_rule
from tests.fakes.handmade import bound, fact


def rule_of(text: str, name: str) -> BoundRule:
    return replace(bound(name, rule_id=name), compiled=compile_rule(text))


def rules(condition: str, name: str = "rule") -> list[BoundRule]:
    """Make rules of one condition, in which ``N`` is another number each time."""
    return [
        rule_of(f"when {condition.replace('N', str(number))}\nthen set found.r{number} = true", f"{name}-{number}")
        for number in range(20)
    ]


def found(ruleset: Ruleset, payload: dict[str, Any]) -> dict[str, Candidate]:
    """Return the candidates that a fact leads to, ready to be asked, by their rules' ids."""
    index = ruleset.plan("order.placed").index
    assert index is not None
    candidates: list[Candidate] = index.candidates(payload)
    for one in candidates:
        one.make()
    return {one.rule.rule_id: one for one in candidates}


def is_asked(candidate: Candidate) -> bool:
    return candidate.condition is not it_holds


@pytest.mark.parametrize(
    ("condition", "payload", "is_asked_again"),
    [
        ("a == N", {"a": 3}, False),
        ("a >= N.0 && a < N.5", {"a": 3.25}, False),
        ("a == 'N' || b.lowerAscii().startsWith('xN')", {"b": "X3"}, False),
        ("a == N && b == 1", {"a": 3, "b": 1}, True),  # filed under `a`, as nothing is gained by `b`
        ("a == N && b != c", {"a": 3, "b": 1, "c": 2}, True),
    ],
)
def test_conditions_are_asked_again_where_the_index_knows_a_part_of_them(
    condition: str, payload: dict[str, Any], *, is_asked_again: bool
) -> None:
    ruleset = Ruleset(1, rules(condition))
    candidates = found(ruleset, payload)
    assert {is_asked(one) for one in candidates.values()} == {is_asked_again}
    assert "rule-3" in [match.rule_id for match in decide(ruleset, fact(payload)).matches]


def test_what_the_index_leaves_to_ask_is_one_function_for_all_rules_that_ask_it() -> None:
    ruleset = Ruleset(1, rules("a == N && b == 'left to ask' && c > 5"))
    asked = [found(ruleset, {"a": number})[f"rule-{number}"].condition for number in range(20)]
    assert len(set(asked[1:])) == 1  # the first rule does not know yet of others
    for payload, matches in (
        ({"b": "left to ask", "c": 5.5}, True),
        ({"b": "left to ask", "c": 5}, False),
        ({"b": "else", "c": 6}, False),
        ({"c": 6}, False),
        ({"b": "left to ask", "c": True}, False),
        ({"b": ["left to ask"], "c": 6}, False),
    ):
        assert decide(ruleset, fact({"a": 3, **payload})).matched is matches


def test_what_a_rule_alone_asks_it_asks_itself() -> None:
    ruleset = Ruleset(1, rules("a == N && b == 'own N'"))
    assert len({found(ruleset, {"a": number})[f"rule-{number}"].test_constants for number in range(20)}) == 20


def test_a_rule_found_under_both_of_its_demands_is_not_asked() -> None:
    ruleset = Ruleset(
        1,
        [
            rule_of(f"when a == {a} && b == {b}\nthen append '{a}.{b}' to x", f"{a}-{b}")
            for a in range(8)
            for b in range(8)
        ],
    )
    assert not is_asked(found(ruleset, {"a": 3, "b": 5.0})["3-5"])
    assert decide(ruleset, fact({"a": 3, "b": 5.0})).output == {"x": ["3.5"]}
    assert decide(ruleset, fact({"a": 3})).output == {}


def test_it_stays_so_in_changed_snapshots() -> None:
    others = [rule for number in range(30) for rule in rules(f"b == 10{number} && c != N", f"other-{number}")]
    first = Ruleset(1, [*rules("a == N", "one"), *others])
    removed = next(rule for rule in first.rules if rule.rule_id == "one-3")
    (added,) = [rule for rule in rules("a == N", "two") if rule.rule_id == "two-3"]
    changed = first.changed(2, [removed.digest], [added])
    assert is_asked(found(changed, {"a": 3})["two-3"])  # what was added is few, and tried on every fact
    assert not is_asked(found(changed, {"a": 4})["one-4"])
    assert [match.rule_id for match in decide(changed, fact({"a": 3})).matches] == ["two-3"]
    assert [match.rule_id for match in decide(changed, fact({"a": 4})).matches] == ["one-4"]
