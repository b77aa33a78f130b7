"""A fact that does not meet what a rule demands gets nothing of the rule: neither a branch nor a fault."""

import os
import random
import reprlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.language import AllOf, FactContext, InvalidRuleError, RuleFault, compile_rule, met_by
from domain.language.shared_tests import function_of

sys.path.insert(0, str(Path(__file__).parent))
from expressions import conditions, facts
from random_rules import fact_of, rule_text, words_of

FACT = FactContext("f1", "order.placed")
EXAMPLES = int(os.environ.get("RULESTREAM_INDEX_EXAMPLES", "5000"))  # pairs of a rule and a fact
FACTS = 50  # that each rule is tried on


def came_of(rule, fact):
    """Return what a rule gives for a fact, the code of its fault where it fails."""
    try:
        outcome = rule.evaluate(fact, FACT, {"n": 2})
    except RuleFault as fault:
        return fault.code
    return None if outcome is None else "then"


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=max(EXAMPLES // FACTS, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48))
def test_what_a_fact_does_not_meet_is_silent_for_it(seed):
    chance = random.Random(seed)
    while True:
        source = rule_text(chance)
        try:
            rule = compile_rule(source)
        except InvalidRuleError:
            continue
        break
    if rule.demand is None:
        return
    words = words_of(source)
    for _ in range(FACTS):
        fact = fact_of(chance, words)
        if not met_by(rule.demand, fact):
            assert came_of(rule, fact) is None, (source, rule.demand, reprlib.repr(fact))


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=max(EXAMPLES // 10, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, fact=facts)
@example(condition="1 / b == 1 && a == 1", fact={"b": 0})
@example(condition="a == 1 && b", fact={"a": True})
@example(condition="c.e > 1 && a", fact={"a": 0, "b": 0})
def test_so_it_is_for_any_expression(condition, fact):
    for extra in (
        "a == 1 && ",
        "c.d in ['a', null] || ",
        "s == 'a' || s == 'b' && ",
        "b >= 0 && b < 1.5 && a != 1 && ",
        "",
    ):
        try:
            rule = compile_rule(f"let let1 = a\nlet let2 = c\nwhen {extra}{condition}")
        except InvalidRuleError:
            continue
        if rule.demand is not None and not met_by(rule.demand, fact):
            assert came_of(rule, fact) is None, (extra, rule.demand)


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=max(EXAMPLES // FACTS, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48))
def test_a_condition_is_true_for_what_meets_an_exact_demand(seed):
    chance = random.Random(seed)
    while True:
        source = f"when {plain_condition(chance)}"
        try:
            rule = compile_rule(source)
        except InvalidRuleError:
            continue
        if rule.is_exact:
            break
    words = words_of(source)
    for _ in range(FACTS):
        fact = fact_of(chance, words)
        holds = rule.condition(fact, FACT, {"n": 2}) if met_by(rule.demand, fact) else True
        assert holds is True, (source, rule.demand, reprlib.repr(fact))


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=max(EXAMPLES // FACTS, 1), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48))
def test_a_demand_as_a_function_holds_for_what_meets_it(seed):
    chance = random.Random(seed)
    made = None
    while made is None:
        source = f"when {plain_condition(chance)}"
        try:
            demand = compile_rule(source).demand
        except InvalidRuleError:
            continue
        if demand is not None:
            items = demand.items if isinstance(demand, AllOf) else (demand,)
            made = function_of(items)
    words = words_of(source)
    for _ in range(FACTS):
        fact = fact_of(chance, words)
        assert made(fact, FACT, {}) is all(met_by(item, fact) for item in items), (source, items, reprlib.repr(fact))


def plain_condition(chance, depth=2):
    """Return a condition of plain tests, and of some that are not quite plain."""
    if depth and chance.random() < 0.6:
        joined = chance.choice([" && ", " || "]).join(
            plain_condition(chance, depth - 1) for _ in range(chance.randint(2, 3))
        )
        return f"({joined})"
    path = chance.choice(["a", "b", "s", "c.d", "c.e", 'c["d"]', "items", "c.d.x"])
    text = chance.choice(["'a'", "'B'", "'ab'", "''", "'K'", "'\\u212a'", "'é'"])
    number = chance.choice(["0", "1", "1.0", "-0.0", "2.5", "9007199254740993", "4611686018427387904", "1e300"])
    seen = chance.choice(["", "", ".lowerAscii()", ".upperAscii()"])
    return chance.choice(
        [
            f"{path} {chance.choice(['==', '<', '<=', '>', '>=', '!='])} {number}",
            f"{path}{seen} == {text}",
            f"{path} == {chance.choice(['true', 'false', 'null'])}",
            f"{path}{seen}.{chance.choice(['contains', 'startsWith', 'endsWith'])}({text})",
            f"{path}{seen} in [{text}, 'b']",
            f"[{text}, 'b'].{chance.choice(['exists', 'exists', 'all', 'exists_one'])}(x, {path}{seen}.contains(x))",
            f"[{text}, 'b'].exists(x, {path}{seen}{chance.choice([' == x', '.endsWith(x)', ' == x && b == 1'])})",
            f"{path} in [{number}, 3, {text}]",
            f"!({path} == {number})",
            f"!({path}{seen} == {text})",
            f"{path}{seen} != {text}",
            f"{path} != {text}",
            path,
        ]
    )


@pytest.mark.parametrize(
    ("condition", "is_exact"),
    [
        ("a == 1", True),
        ("a == 'x' && b < 5", True),
        ("a == 1 || b.c.lowerAscii().contains('x')", True),
        ("a in ['x', 'y'] && b >= 1 && b < 3", True),
        ("a['k'] == true", True),
        ("a != 'x'", True),
        ("a == 1 && !(b == 'x')", True),
        ("a != 'x' && !(a == 'y')", True),
        ("!(a.lowerAscii() == 'x')", False),
        ("a != 3", False),
        ("a == null", False),
        ("a == 1 && a != 3", False),
        ("['x', 'y'].exists(t, a.lowerAscii().contains(t))", True),
        ("['x', 'y'].all(t, a.startsWith(t)) && b == 1", True),
        ("['x', 'y'].exists(t, a == t)", True),
        ("['x', ''].exists(t, a.contains(t))", False),
        ("['x', 1].exists(t, a == t)", False),
        ("['x', 'y'].exists_one(t, a.contains(t))", False),
        ("['x', 'y'].exists(t, a.contains(t) && b == 1)", False),
        ("!['x', 'y'].exists(t, a == t)", False),
        ("a == 1 && !(b == 1)", False),
        ("a == b", False),
        ("a > 4611686018427387904", False),
        ("a.startsWith('')", False),
        ("a.exists(x, x == 1)", False),
        ("a == 1 && size(b) > 0", False),
        ("decision.a == 1", False),
        ("a", False),
    ],
)
def test_conditions_of_plain_tests_are_exactly_what_they_demand(condition, is_exact):
    assert compile_rule(f"when {condition}").is_exact is is_exact


def test_a_rule_that_does_something_else_where_its_condition_is_false_demands_nothing_exactly():
    assert not compile_rule("when a == 1\nthen set x = 1\nelse set x = 2").is_exact


def test_the_random_rules_and_facts_tell_something():
    """Many rules demand something, many facts do not meet it, and many that do match."""
    chance = random.Random(1)
    demanding = unmet = matched = rules = 0
    while rules < 200:
        source = rule_text(chance)
        try:
            rule = compile_rule(source)
        except InvalidRuleError:
            continue
        rules += 1
        if rule.demand is None:
            continue
        demanding += 1
        words = words_of(source)
        for _ in range(20):
            fact = fact_of(chance, words)
            if met_by(rule.demand, fact):
                matched += came_of(rule, fact) == "then"
            else:
                unmet += 1
    assert demanding > 100
    assert unmet > 1_000
    assert matched > 150
