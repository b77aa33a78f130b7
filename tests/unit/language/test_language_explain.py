"""Explanations: the tree of a condition's values, and that it never says other than the compiled rule."""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from domain.language import FactContext, InvalidRuleError, RuleFault, compile_rule, explain_rule, to_json

sys.path.insert(0, str(Path(__file__).parent))
from expressions import conditions, expressions, facts

FACT = FactContext("f1", "order.placed")
ORDER = {"customer": {"tier": "VIP"}, "order": {"total": 50, "items": [{"price": 2.0}, {"price": 7.0}, {"price": 1.0}]}}
EXAMPLES = int(os.environ.get("RULESTREAM_FUZZ_EXAMPLES", "100"))


def attempt(call):
    """What a call returns and what it raises, of which one is None."""
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return None, error


def test_the_tree_shows_each_part_down_to_the_comparison_that_decided():
    source = (
        'let total = order.total * 2\nwhen customer.tier == "VIP" && (total > 100 || nothing.x == 1)'
        " && order.items.exists(i, i.price > 5.0) && 1 / zero > 1"
    )
    assert explain_rule(source, {**ORDER, "zero": 0}, FACT).render() == (
        'customer.tier == "VIP" && (total > 100 || nothing.x == 1) && order.items.exists(i, i.price > 5.0)'
        " && 1 / zero > 1: missing\n"
        '  customer.tier == "VIP": true\n'
        '    customer.tier: "VIP"\n'
        "  (total > 100 || nothing.x == 1): missing\n"
        "    total > 100: false\n"
        "      total: 100\n"
        "        order.total * 2: 100\n"
        "          order.total: 50\n"
        "    nothing.x == 1: missing\n"
        "      nothing.x: missing\n"
        "  order.items.exists(i, i.price > 5.0): true\n"
        '    order.items: [{"price": 2.0}, {"price": 7.0}, {"price": 1.0}]\n'
        "    i.price > 5.0: true\n"
        "      i.price: 7.0\n"
        "  1 / zero > 1: error (division by zero)\n"
        "    1 / zero: error (division by zero)\n"
        "      zero: 0"
    )


def test_what_is_not_needed_is_not_evaluated():
    tree = explain_rule('customer.tier == "GOLD" && order.total > 1', ORDER, FACT).to_json()
    assert (tree["status"], tree["line"], tree["column"]) == ("false", 1, 25)
    assert [child["status"] for child in tree["children"]] == ["false", "not evaluated"]
    assert tree["children"][0]["children"] == [
        {"text": "customer.tier", "line": 1, "column": 10, "status": "value", "value": "VIP"}
    ]
    json.dumps(tree)


def test_a_table_shows_its_rows():
    source = 'table first\n| customer.tier | set x |\n| "GOLD" | 1 |\n| "VIP", "B" | 2 |\n| - | 3 |'
    assert explain_rule(source, ORDER, FACT).render() == (
        "table first: true\n"
        '  row 1: | "GOLD" | 1 |: false\n'
        '    "GOLD": false\n'
        '      customer.tier: "VIP"\n'
        '  row 2: | "VIP", "B" | 2 |: true\n'
        '    "VIP", "B": true\n'
        '      "VIP": true\n'
        '        customer.tier: "VIP"\n'
        '      "B": not evaluated\n'
        '        customer.tier: "VIP"\n'
        "  row 3: | - | 3 |: not evaluated"
    )


def test_a_large_value_is_shown_by_its_size():
    tree = explain_rule("size(xs) > 1", {"xs": list(range(1000))}, FACT)
    assert tree.children[0].children[0].value == "list of 1000"
    tree = explain_rule("size(s) > 1", {"s": "x" * 1000}, FACT)
    assert tree.children[0].children[0].value == "x" * 200 + "…"


def test_a_rule_without_a_condition_always_applies():
    assert explain_rule("then set a = 1", {}, FACT).status == "true"


def test_a_rule_that_is_too_much_ends_in_an_error():
    tree = explain_rule("a.all(x, a.all(y, y == y))", {"a": list(range(1000))}, FACT)
    assert tree.status == "error"
    assert "steps" in tree.detail


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, let=expressions, fact=facts, n=st.sampled_from([None, 1, "a", 2.5]))
@example(condition="1 / b == 1 || nothing", let="1", fact={"b": 0}, n=None)
@example(condition="[1, a].all(v, v > 0) && let1", let="a == 1", fact={"a": 1}, n=None)
@example(condition="has(dyn(let1).k)", let="[{'k': (decision.n ? a : a)}, a]", fact={}, n=1)
def test_the_explanation_agrees_with_the_compiled_rule(condition, let, fact, n):
    source = f"let let1 = {let}\nlet let2 = [let1]\nwhen {condition} then set a = 1 else set a = 2"
    try:
        rule = compile_rule(source)
    except InvalidRuleError:
        assume(False)
    decision = {} if n is None else {"n": n}
    status = explain_rule(source, fact, FACT, decision).status
    held, failed = attempt(lambda: rule.condition(fact, FACT, decision))
    if (
        failed is None
    ):  # else the interpreter settles it, to any status: missing wins over the fault, and has absorbs it
        assert held is {"true": True, "false": False, "missing": None}[status]
    outcome, failed = attempt(lambda: rule.evaluate(fact, FACT, decision))
    if failed is not None:
        assert isinstance(failed, RuleFault)
        assert status == "error"
        assert failed.line in {1, 2, 3}
    else:
        assert (outcome and outcome.branch) == {"true": "then", "false": "else", "missing": None}[status]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=expressions, fact=facts)
@example(value="has(dyn(int('a') + a).k)", fact={})  # missing wins over the fault, and has absorbs it
def test_an_action_gives_a_json_value_or_a_fault_with_a_position(value, fact):
    try:
        rule = compile_rule(f"then set a = {value}")
    except InvalidRuleError:
        assume(False)
    before = repr(fact)
    outcome, failed = attempt(lambda: rule.evaluate(fact, FACT, {}))
    if failed is not None:
        assert isinstance(failed, RuleFault)
        assert (failed.line, failed.column > 13) == (1, True)
    else:
        json.dumps(to_json(outcome.contributions[0][2]), allow_nan=False)
    assert repr(fact) == before  # a rule changes no fact


@pytest.mark.parametrize("source", ["", "when", "when x = 1"])
def test_only_a_rule_that_checks_is_explained(source):
    with pytest.raises(InvalidRuleError):
        explain_rule(source, {}, FACT)
