"""A fact that does not meet what a rule demands gets nothing of the rule: neither a branch nor a fault."""

import os
import random
import reprlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.language import FactContext, InvalidRuleError, RuleFault, compile_rule, met_by

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
