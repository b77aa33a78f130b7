"""Demands: what a fact must have for a rule to apply; a fact without it never gets anything but None."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from domain.language import Demand, FactContext, InvalidRuleError, compile_rule

sys.path.insert(0, str(Path(__file__).parent))
from expressions import conditions, facts

FACT = FactContext("f1", "order.placed")
EXAMPLES = int(os.environ.get("RULESTREAM_FUZZ_EXAMPLES", "200"))


@pytest.mark.parametrize(
    ("source", "demands"),
    [
        ('customer.tier == "VIP" && order.total > 100.0', [Demand(("customer", "tier"), ("VIP",))]),
        ('"VIP" == customer.tier', [Demand(("customer", "tier"), ("VIP",))]),
        ("a == 1 || a == 2", [Demand(("a",), (1, 2))]),
        ("a == 1 || b == 2", []),
        ("a in ['x', 'y', 'z'] && a != 'y'", [Demand(("a",), ("x", "z"))]),
        ("a in [1, true, null, 'x']", [Demand(("a",), ("x", 1, True, None))]),
        ("a.b && c", [Demand(("a", "b"), (True,)), Demand(("c",), (True,))]),
        ('let t = payload["a b"].c\nwhen t.d == 1', [Demand(("a b", "c", "d"), (1,))]),
        ("when a == 1 then set x = 1 else set x = 2", []),
        ("a > 5 && a <= 5.0 || true", []),
        ("decision.a == 1 && fact.type == 'x'", []),
        ("a == 9223372036854775807", []),
        ("!a", []),
        ("a != 1", []),
        ("then set x = 1", []),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| 'b', 'a' | 2 |", [Demand(("t",), ("a", "b"))]),
        ("table first\n| t | n | set x |\n| 'a' | 1 | 1 |\n| 'b' | - | 2 |", [Demand(("t",), ("a", "b"))]),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| - | 2 |", []),
    ],
)
def test_the_demands_of_a_rule(source, demands):
    assert list(compile_rule(source).demands) == demands


def meets(demand, fact):
    value = fact
    for step in demand.path:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return any(value == wanted and (type(value) is bool) == (type(wanted) is bool) for wanted in demand.values)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, fact=facts)
@example(condition="1 / b == 1 && a == 1", fact={"b": 0})
@example(condition="a == 1 && b", fact={"a": True})
def test_a_fact_without_what_a_rule_demands_gets_nothing(condition, fact):
    for extra in ("a == 1 && ", "c.d in ['a', null] && ", "s == 'a' || s == 'b' && ", ""):
        try:
            rule = compile_rule(f"let let1 = a\nlet let2 = c\nwhen {extra}{condition}")
        except InvalidRuleError:
            assume(False)
        if not all(meets(demand, fact) for demand in rule.demands):
            assert rule.evaluate(fact, FACT, {}) is None
