"""Obstacles: why a rule is tried on every fact, told with its place and what to write instead."""

import pytest

from domain.language import why_tried
from domain.language.obstacles import OBSTACLES_MAX
from domain.language.planning import plan_rule


def obstacles(source):
    plan, problems = plan_rule(source)
    assert plan is not None, problems
    return why_tried(plan)


@pytest.mark.parametrize(
    "source",
    [
        "a == 1",
        "a == 1 && b != 2",
        "a == b && c in ['x', 'y']",
        "a.lowerAscii().contains('x') || b.matches('^abc')",
        "xs.exists(x, x.k == 'a')",
        "a == 1 && int(s) == 1",
        "table first\n| t | set x |\n| 'a' | 1 |\n| 'b' | 2 |",
    ],
)
def test_a_rule_that_few_facts_can_concern_has_no_obstacle(source):
    assert obstacles(source) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("when a == 1 then set x = 1 else set x = 2", [("an `else` branch", None)]),
        ("then set x = 1", [("no condition", None)]),
        ("a != 1", [("`!=` is true of most", "a != 1")]),
        ("!(a == 1)", [("a negated `==`", "(a == 1)")]),
        ("!(a.contains('x')) && b != 2", [("a negated `contains`", "(a.contains('x'))"), ("`!=`", "b != 2")]),
        ("a == b", [("compares two values of the fact", "a == b")]),
        ("a == 1 || b < c", [("compares two values", "b < c")]),
        ("a == 1 || has(b.c)", [("most facts have", "has(b.c)")]),
        ("!has(b.c)", [("most facts lack", "has(b.c)")]),
        ("a.matches('a*')", [("the pattern can't match without", "a.matches('a*')")]),
        ("a.contains('')", [("true of every string", "a.contains('')")]),
        ("decision.x == 1", [("what other rules decide", "decision.x == 1")]),
        ("fact.type == 'x'", [("`fact.type` is no field", "fact.type == 'x'")]),
        ("xs.all(x, x == 1)", [("an empty list", "xs.all(x, x == 1)")]),
        ("!xs.exists(x, x == 1)", [("an empty list", "xs.exists(x, x == 1)")]),
        ("a + 1 > 2", [("what is calculated", "a + 1 > 2")]),
        ("int(s) == 1 && a == 1", [("not bounded", "int(s) == 1")]),
        ("true", [("the same for every fact", "true")]),
        ("let q = a == 1 || fact.id == 'x'\nwhen q", [("`fact.id`", "fact.id == 'x'")]),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| - | 2 |", [("takes every fact", "| - | 2 |")]),
        ("table first\n| int(t) | set x |\n| 1 | 1 |", [("not bounded", "1")]),
    ],
)
def test_what_makes_a_rule_be_tried_is_told_with_its_place(source, told):
    found = obstacles(source)
    assert len(found) == len(told)
    for obstacle, (reason, text) in zip(found, told, strict=True):
        assert reason in obstacle.reason
        assert (None if obstacle.span is None else source[slice(*obstacle.span)]) == text


def test_obstacles_are_few_and_in_order():
    found = obstacles(" || ".join(f"a{n} != {n}" for n in range(50)))
    assert len(found) == OBSTACLES_MAX
    assert found == sorted(found, key=lambda one: one.span)
    assert all("&&" in one.hint for one in found)
