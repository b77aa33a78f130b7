"""Demands: what a fact must have for a rule to apply; a fact without it never gets anything but None."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings

from domain.language import FactContext, InvalidRuleError, RuleFault, compile_rule

sys.path.insert(0, str(Path(__file__).parent))
from expressions import conditions, facts

FACT = FactContext("f1", "order.placed")
EXAMPLES = int(os.environ.get("RULESTREAM_FUZZ_EXAMPLES", "200"))


def shown(demand):
    """Write a demand in short: path, values, and `?` where the path may be absent."""
    values = demand.values
    parts = [
        repr(low) if low == high else f"{'[' if low_in else '('}{low}, {high}{']' if high_in else ')'}"
        for low, low_in, high, high_in in values.numbers
    ]
    parts += [("!" if values.all_texts_but else "") + repr(text) for text in sorted(values.texts)]
    parts += [
        name
        for name, held in (
            ("text", values.all_texts_but and not values.texts),
            ("null", values.null),
            ("others", values.others),
        )
        if held
    ]
    parts += [str(one).lower() for one in sorted(values.bools)]
    return ".".join(demand.path) + ("?" if demand.absent else "") + ": " + " ".join(parts)


@pytest.mark.parametrize(
    ("source", "demands"),
    [
        ('customer.tier == "VIP" && order.total > 100.0', ["customer.tier: 'VIP'", "order.total: (100.0, inf]"]),
        ('"VIP" == customer.tier', ["customer.tier: 'VIP'"]),
        ("a == 1 || a == 2", ["a: 1 2"]),
        ("a == 1 || b == 2", []),
        ("a in ['x', 'y', 'z'] && a != 'y'", ["a: 'x' 'z'"]),
        ("a in [1, true, null, 'x']", ["a: 1 'x' null true"]),
        ("a == 1 && a == 1.0", ["a: 1"]),
        ("a == 1 && a == true", ["a: "]),
        ("a in []", ["a: "]),
        ("a.b && c", ["a.b: true", "c: true"]),
        ("a.b == true", ["a.b: true"]),
        ('let t = payload["a b"].c\nwhen t.d == 1', ["a b.c.d: 1"]),
        ("let t = a\nwhen t > 1 && a < 5", ["a: (1, 5)"]),
        ("1 <= a && a < 5.5 && 2 > b", ["a: [1, 5.5)", "b: [-inf, 2)"]),
        ("(a > 1 && b > 2) && c == 3", ["a: (1, inf]", "b: (2, inf]", "c: 3"]),
        ("when a == 1 then set x = 1 else set x = 2", []),
        ("a > 5 && a <= 5.0 || true", []),
        ("decision.a == 1 && fact.type == 'x'", []),
        ("a < 'x'", []),
        ("a == decimal('1')", []),
        ("a == 9223372036854775807", []),
        ("a == 4611686018427387903", ["a: 4611686018427387903"]),
        ("a < 4611686018427387904 && b == 1", ["b: 1"]),
        ("!a", []),
        ("a != 1", ["a: [-inf, 1) (1, inf] text null others false true"]),
        ("a != 'x'", ["a: [-inf, inf] !'x' null others false true"]),
        ("a.b == 1 && 10 / a.c > 1 && a.d.contains('x') && has(a.e) && (b ? c : d)", ["a.b: 1"]),
        ("then set x = 1", []),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| 'b', 'a' | 2 |", ["t: 'a' 'b'"]),
        ("table first\n| t | n | set x |\n| 'a' | 1 | 1 |\n| 'b' | - | 2 |", ["t: 'a' 'b'"]),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| - | 2 |", []),
        ("table first\n| t | xs.exists(x, x) | set x |\n| 'a' | true | 1 |", []),
    ],
)
def test_the_demands_of_a_rule(source, demands):
    assert [shown(demand) for demand in compile_rule(source).demands] == demands


@pytest.mark.parametrize(
    ("source", "demands"),
    [
        ("a == 1 && xs.exists(x, x == b)", ["a?: 1"]),
        ("xs.exists(x, x == b) && a == 1", []),
        ("a == 1 && xs.exists(x, x == b) && c == 1", ["a?: 1"]),
        ("a > 1 && xs.exists(x, x == b)", ["a?: (1, inf] text null others false true"]),
        ("a && xs.exists(x, x == b)", ["a?: [-inf, inf] text null others true"]),
        ("a in ['x'] && b == c", ["a?: 'x'"]),
        ("a == 1 && s + t == 'xy'", ["a?: 1"]),
        ("let n = xs.map(x, x + 1)\nwhen a == 1 && n.size() > 1", ["a?: 1"]),
        ("let n = xs.map(x, x + 1)\nwhen n.size() > 1 && a == 1", []),
    ],
)
def test_beside_what_can_reach_a_limit_only_what_is_false_before_it_makes_a_rule_silent(source, demands):
    assert [shown(demand) for demand in compile_rule(source).demands] == demands


def meets(demand, fact):
    value = fact
    for step in demand.path:
        if not isinstance(value, dict) or step not in value:
            return demand.absent
        value = value[step]
    values = demand.values
    if isinstance(value, bool):
        return value in values.bools
    if isinstance(value, (int, float)):
        return any(
            (low < value or (low_in and low == value)) and (value < high or (high_in and high == value))
            for low, low_in, high, high_in in values.numbers
        )
    if isinstance(value, str):
        return (value in values.texts) != values.all_texts_but
    return values.null if value is None else values.others


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, fact=facts)
@example(condition="1 / b == 1 && a == 1", fact={"b": 0})
@example(condition="a == 1 && b", fact={"a": True})
@example(condition="c.e > 1 && a", fact={"a": 0, "b": 0})
def test_a_fact_without_what_a_rule_demands_gets_nothing(condition, fact):
    for extra in (
        "a == 1 && ", "c.d in ['a', null] && ", "s == 'a' || s == 'b' && ", "b >= 0 && b < 1.5 && a != 1 && ", ""
    ):  # fmt: skip
        try:
            rule = compile_rule(f"let let1 = a\nlet let2 = c\nwhen {extra}{condition}")
        except InvalidRuleError:
            assume(False)
        if not all(meets(demand, fact) for demand in rule.demands):
            assert rule.evaluate(fact, FACT, {}) is None


def test_a_rule_that_reaches_a_limit_before_its_demand_fails_on_every_fact():
    """What is tried first costs its steps, whatever comes after it."""
    items = list(range(100_001))
    rule = compile_rule("xs.exists(x, x == -1) && a == 1")
    with pytest.raises(RuleFault, match="steps"):
        rule.evaluate({"xs": items, "a": 2}, FACT, {})
    rule = compile_rule("a == 1 && xs.exists(x, x == -1)")
    assert rule.evaluate({"xs": items, "a": 2}, FACT, {}) is None
    with pytest.raises(RuleFault, match="steps"):
        rule.evaluate({"xs": items}, FACT, {})
