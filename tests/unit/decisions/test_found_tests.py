"""Where the index tells all of a condition, the condition is not asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.decisions.arrangement import it_holds
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


def is_asked(ruleset: Ruleset, position: float) -> bool:
    return ruleset.plan("order.placed").tests[position][0] is not it_holds


@pytest.mark.parametrize(
    ("condition", "is_asked_again"),
    [
        ("a == N", False),
        ("a >= N.0 && a < N.5", False),
        ("a == 'N' || b.lowerAscii().startsWith('xN')", False),
        ("a == N && b == 1", True),  # filed under `a`, as nothing is gained by `b`
        ("a == N && b != c", True),
    ],
)
def test_conditions_are_asked_again_where_the_index_knows_a_part_of_them(
    condition: str, *, is_asked_again: bool
) -> None:
    ruleset = Ruleset(1, rules(condition))
    assert {is_asked(ruleset, rule.position) for rule in ruleset.rules} == {is_asked_again}


def test_a_rule_found_under_both_of_its_demands_is_not_asked() -> None:
    ruleset = Ruleset(
        1,
        [
            rule_of(f"when a == {a} && b == {b}\nthen append '{a}.{b}' to x", f"{a}-{b}")
            for a in range(8)
            for b in range(8)
        ],
    )
    assert not any(is_asked(ruleset, rule.position) for rule in ruleset.rules)
    assert decide(ruleset, fact({"a": 3, "b": 5.0})).output == {"x": ["3.5"]}
    assert decide(ruleset, fact({"a": 3})).output == {}


def test_it_stays_so_in_changed_snapshots() -> None:
    others = [rule for number in range(30) for rule in rules(f"b == 10{number} && c != N", f"other-{number}")]
    first = Ruleset(1, [*rules("a == N", "one"), *others])
    removed = next(rule for rule in first.rules if rule.rule_id == "one-3")
    (added,) = [rule for rule in rules("a == N", "two") if rule.rule_id == "two-3"]
    changed = first.changed(2, [removed.digest], [added])
    asked = {rule.rule_id: is_asked(changed, rule.position) for rule in changed.rules}
    assert asked["two-3"]  # what was added is few, and tried on every fact
    assert not asked["one-4"]
    assert [match.rule_id for match in decide(changed, fact({"a": 3})).matches] == ["two-3"]
    assert [match.rule_id for match in decide(changed, fact({"a": 4})).matches] == ["one-4"]
