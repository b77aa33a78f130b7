"""Whole rules: statements, actions, what is read and written, and the faults of actions."""

import pytest

from domain.language import (
    FactContext,
    InvalidRuleError,
    MergeKind,
    RuleFault,
    Write,
    check_rule,
    compile_expression,
    compile_rule,
    explain_rule,
)
from domain.language.limits import LETS_MAX, STEPS_MAX

FACT = FactContext("f1", "order.placed")
RULE = """
on order.placed, order.amended
let spend = order.items.map(i, i.price * i.qty)
when customer.tier == "VIP" && size(spend) >= 1
then
  set discount.percent = 15
  add 25 to risk.score
  append "vip over 100" to reasons
  emit loyalty.points {"customer": customer.id, "points": int(spend[0] / 10.0)}
else
  set discount.percent = 0
"""
VIP = {"customer": {"tier": "VIP", "id": "c1"}, "order": {"items": [{"price": 55.0, "qty": 2}]}}


def test_a_rule_tells_what_it_is_for_and_what_it_writes():
    rule = compile_rule(RULE)
    assert rule.fact_types == ("order.placed", "order.amended")
    assert rule.writes == (
        Write(MergeKind.SET, ("discount", "percent")),
        Write(MergeKind.ADD, ("risk", "score")),
        Write(MergeKind.APPEND, ("reasons",)),
    )
    assert rule.emits == ("loyalty.points",)
    assert rule.decision_reads == ()
    assert not rule.may_stop


def test_then_gives_its_actions_in_order():
    outcome = compile_rule(RULE).evaluate(VIP, FACT, {})
    assert outcome.branch == "then"
    assert outcome.contributions == [
        (MergeKind.SET, ("discount", "percent"), 15),
        (MergeKind.ADD, ("risk", "score"), 25),
        (MergeKind.APPEND, ("reasons",), "vip over 100"),
    ]
    assert outcome.effects == [("loyalty.points", {"customer": "c1", "points": 11})]
    assert outcome.stop is False
    assert outcome.rows is None


def test_else_runs_when_the_condition_is_false_and_not_when_it_is_missing():
    rule = compile_rule(RULE)
    outcome = rule.evaluate({**VIP, "customer": {"tier": "GOLD"}}, FACT, {})
    assert (outcome.branch, outcome.contributions) == ("else", [(MergeKind.SET, ("discount", "percent"), 0)])
    assert rule.evaluate({"customer": {"tier": "VIP"}}, FACT, {}) is None


def test_a_bare_expression_is_a_rule():
    rule = compile_rule('customer.tier == "VIP"')
    outcome = rule.evaluate(VIP, FACT, {})
    assert (outcome.branch, outcome.contributions, outcome.effects) == ("then", [], [])
    assert rule.evaluate({"customer": {"tier": "x"}}, FACT, {}) is None
    assert rule.evaluate({}, FACT, {}) is None


def test_then_without_when_always_applies():
    assert compile_rule("then set a = 1").evaluate({}, FACT, {}).contributions == [(MergeKind.SET, ("a",), 1)]


def test_stop_is_told():
    rule = compile_rule("when x then stop else set a = 1")
    assert rule.may_stop
    assert rule.evaluate({"x": True}, FACT, {}).stop is True
    assert rule.evaluate({"x": False}, FACT, {}).stop is False


@pytest.mark.parametrize(
    ("condition", "reads"),
    [
        ("decision.risk.score > 5", [("risk", "score")]),
        ('decision["risk"].score > 5', [("risk", "score")]),
        ("decision.risk[x] > 5", [("risk",)]),
        ("decision[x] > 5", [()]),
        ("decision == {}", [()]),
        ("has(decision.risk.score)", [("risk", "score")]),
        ("decision.tags.exists(t, t == decision.tag)", [("tags",), ("tag",)]),
        ("payload.decision.x == 1", []),
        ("[1].exists(decision_, decision_ == 1)", []),
    ],
)
def test_the_paths_that_are_read_from_the_decision(condition, reads):
    assert sorted(compile_rule(f"when {condition}").decision_reads) == sorted(reads)


def test_the_decision_so_far_is_seen():
    rule = compile_rule("when decision.risk.score > 5 then set x = decision.risk.score")
    assert rule.evaluate({}, FACT, {"risk": {"score": 7}}).contributions[0][2] == 7
    assert rule.evaluate({}, FACT, {"risk": {"score": 5}}) is None
    assert rule.evaluate({}, FACT, {}) is None


@pytest.mark.parametrize(
    ("action", "code", "position"),
    [
        ("set a = nothing.at.all", "missing-value", (3, 11)),
        ("set a = 1 / zero", "division-by-zero", (3, 13)),
        ("add name to a", "not-a-number", (3, 7)),
        ("add yes to a", "not-a-number", (3, 7)),
        ("emit e name", "not-a-map", (3, 10)),
        ("set a = 1.0 / zero", "no-json-form", (3, 15)),
        ("set a = [0.0 / zero]", "no-json-form", (3, 11)),
    ],
)
def test_a_failed_action_is_a_fault_and_the_rule_contributes_nothing(action, code, position):
    rule = compile_rule(f"when yes then\n  set ok = 1\n  {action}")
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"yes": True, "zero": 0, "name": "x"}, FACT, {})
    assert (caught.value.code, (caught.value.line, caught.value.column)) == (code, position)


def test_a_let_is_evaluated_only_when_it_is_needed():
    rule = compile_rule(
        "let bad = 1 / zero\nlet worse = bad + 1\nwhen a == 1 && worse == 1 && bad == 1 then set x = bad"
    )
    assert rule.evaluate({"a": 2, "zero": 0}, FACT, {}) is None
    with pytest.raises(RuleFault, match="division by zero"):
        rule.evaluate({"a": 1, "zero": 0}, FACT, {})
    assert rule.evaluate({"a": 1, "zero": 1}, FACT, {}) is None


def test_a_let_that_fails_is_not_evaluated_again():
    # Each let doubles the uses of the one before: two to the power of forty evaluations, were they not remembered.
    lets = "\n".join(f"let x{n} = x{n - 1} == 1 || x{n - 1} == 2" for n in range(1, 41))
    rule = compile_rule(f"let x0 = nothing.there\n{lets}\nwhen x40 == true && x40")
    assert rule.evaluate({}, FACT, {}) is None


CHAINS = {
    "of sums": "let x{n} = x{m} + a",
    "of doubled uses": "let x{n} = x{m} == 1 ? 1 : x{m} - x{m} + 1",
    "of bools": "let x{n} = x{m} == 1 && a == 1 || x{m} == 2 ? 1 : 2",
    "of macros": "let x{n} = [x{m}, 1].exists(v, v == x{m}) ? 1 : 0",
}


@pytest.mark.parametrize("form", CHAINS)
@pytest.mark.parametrize("count", [2, 30, LETS_MAX - 1])
def test_lets_build_on_one_another_in_chains_of_any_length(form, count):
    """A chain as long as a rule may have compiles, decides, fails and is explained like a short one."""
    lines = [CHAINS[form].format(n=n, m=n - 1) for n in range(1, count + 1)]
    source = "\n".join(["let x0 = a", *lines, f"when x{count} >= 1 || 1 / b == 1"])
    rule = compile_rule(source)
    assert rule.evaluate({"a": 1, "b": 0}, FACT, {}) is not None
    assert rule.evaluate({"b": 2}, FACT, {}) is None
    assert explain_rule(source, {"a": 1, "b": 0}, FACT).status == "true"
    assert explain_rule(source, {"b": 0}, FACT).status == "missing"
    with pytest.raises(RuleFault, match="division by zero"):
        compile_rule(source.replace(">= 1", "< 0")).evaluate({"a": 1, "b": 0}, FACT, {})


def test_a_let_shadows_a_field_and_a_macro_variable_shadows_both():
    rule = compile_rule("let a = 1\nwhen a == 1 && payload.a == 2 && [3].exists(a, a == 3)")
    assert rule.evaluate({"a": 2}, FACT, {}) is not None


def test_in_an_expression_alone_no_statement_word_is_reserved():
    expression = compile_expression("set + add.append + to == on", ["set", "add", "to", "on"])
    assert expression({"set": 1, "add": {"append": 2}, "to": 3, "on": 6}) is True


def test_a_path_of_quoted_names():
    rule = compile_rule("then add payload.`a b` to `c d`.e")
    assert rule.evaluate({"a b": 1}, FACT, {}).contributions == [(MergeKind.ADD, ("c d", "e"), 1)]


def test_keywords_are_free_after_a_dot_and_at_no_word_boundary():
    rule = compile_rule(
        "when payload.set == 1 && x.then.to == 2 && settings && to == 3 then set a.stop = 1 add to to b.to"
    )
    fact = {"set": 1, "x": {"then": {"to": 2}}, "settings": True, "to": 3}
    assert rule.evaluate(fact, FACT, {}).contributions == [
        (MergeKind.SET, ("a", "stop"), 1),
        (MergeKind.ADD, ("b", "to"), 3),
    ]


@pytest.mark.parametrize("pattern", ["order.*", "order.>", ">", "*", "order.placed-2.x"])
def test_fact_types_may_have_wildcards_and_hyphens(pattern):
    assert compile_rule(f"on {pattern} when x").fact_types == (pattern,)


@pytest.mark.parametrize("source", ["", " \n\t", "// only a comment", "\r\n"])
def test_an_empty_rule_is_refused(source):
    with pytest.raises(InvalidRuleError) as caught:
        compile_rule(source)
    assert str(caught.value) == "DSL content cannot be empty"
    assert caught.value.details["problems"][0]["code"] == "empty"
    assert [problem.message for problem in check_rule(source)] == ["DSL content cannot be empty"]


def test_a_rule_that_takes_too_many_steps_is_stopped():
    rule = compile_rule("a.all(x, a.all(y, x == y || x != y))")
    items = list(range(500))
    assert len(items) ** 2 > STEPS_MAX
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"a": items}, FACT, {})
    assert caught.value.code == "limit"
    assert rule.evaluate({"a": items[:50]}, FACT, {}) is not None


def test_a_missing_value_of_an_action_is_named():
    rule = compile_rule("then set total = order.price * (order.\n  qty + 1)")
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"order": {"price": 2}}, FACT, {})
    assert (caught.value.code, caught.value.message) == (
        "missing-value", "the value of an action is missing: order. qty"
    )  # fmt: skip


def test_a_string_that_doubles_is_stopped():
    lets = "\n".join(f"let x{n} = x{n - 1} + x{n - 1}" for n in range(1, 60))
    rule = compile_rule(f"let x0 = name\n{lets}\nwhen size(x59) > 0")
    with pytest.raises(RuleFault) as caught:
        rule.evaluate({"name": "ab"}, FACT, {})
    assert caught.value.code == "limit"


@pytest.mark.parametrize("count", [1000])
def test_a_generated_rule_of_a_thousand_operators_compiles_and_runs(count):
    any_of = " || ".join(f"order.sku == 'sku-{number:05}-{'x' * 40}'" for number in range(count))
    total = " + ".join(["order.count"] * count)
    nested = " : ".join(f"order.count == {number} ? {number}" for number in range(count))
    rule = compile_rule(f"when ({any_of}) && {total} == {count} && ({nested} : -1) == 1")
    fact = {"order": {"sku": f"sku-{count - 1:05}-{'x' * 40}", "count": 1}}
    assert rule.evaluate(fact, FACT, {}) is not None
    assert rule.evaluate({"order": {**fact["order"], "count": 2}}, FACT, {}) is None
