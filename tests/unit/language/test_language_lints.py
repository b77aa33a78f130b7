"""Lints: what each finds, and the near miss that it leaves alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.language import check_rule, compile_rule
from domain.language.lints import SetLint, fact_types_meet, lint_rules
from domain.language.ranges import EVERYTHING, NOTHING, Values, compared_with, equal_to, meet, uncovered


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('a == "x" && a == "y"', "always-false"),
        ("a > 5 && a < 3", "always-false"),
        ("a > 5 && b == 1 && 5 >= a", "always-false"),
        ("a in ['x', 'y'] && a == 'z'", "always-false"),
        ("a > 5 || a <= 5", "always-true"),
        ("a != 'x' || a != 'y'", "always-true"),
        ("1 == 2", "always-false"),
        ("true", "always-true"),
        ("a && false", "always-false"),
        ("size(a) == 'x'", "always-false"),
        ("order.total / 2 > 1.0", "truncating-division"),
        ("let x = 1 when a", "unused-let"),
        ("table first\n| a | set x |\n| > 5 | 1 |\n| 6..7 | 2 |\n| - | 3 |", "unreachable-row"),
        ("table first\n| a | set x |\n| - | 1 |\n| 1 | 2 |", "unreachable-row"),
        ("table first\n| a | set x |\n| < 5 | 1 |\n| >= 6 | 2 |", "table-gap"),
        ("table first\n| a | set x |\n| 'x' | 1 |", "table-gap"),
        ("table first\n| a | set x |\n| true | 1 |", "table-gap"),
        ("table unique\n| a | set x |\n| < 5 | 1 |\n| 4..6 | 2 |\n| >= 6 | 3 |", "overlapping-rows"),
    ],
)
def test_a_lint_finds(source, code):
    (problem,) = check_rule(source)
    assert (problem.code, problem.severity) == (code, "warning")
    assert compile_rule(source).warnings == (problem,)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("table first\n| a.b | set x |\n| 3..1 | 1 |\n| - | 2 |", "`a.b`"),
        ("let n = size(a) when n > 3 && n < 2", "`n`"),
        ("a.b > 3 && a.b < 2", "`a.b`"),
    ],
)
def test_a_lint_names_what_was_written(source, named):
    (problem,) = check_rule(source)
    assert problem.message == f"{named} can't be all of this at once"


@pytest.mark.parametrize(
    "source",
    [
        "a == 'x' || a == 'y'",
        "a > 3 && a < 5",
        "a >= 5 && a <= 5",
        "a > 5 || a < 5",
        "a == 'x' && b == 'y'",
        "a.x == 1 && b.x == 2",
        "a == 1 && a == 1.0",
        "order.total / 2.0 > 1.0",
        "order.total / order.count > 1",
        "size(a) / 2 > 1",
        "let x = 1 when a == x",
        "a == b",
        "table first\n| a | set x |\n| > 5 | 1 |\n| 5..7 | 2 |\n| - | 3 |",
        "table first\n| a | set x |\n| < 5 | 1 |\n| >= 5 | 2 |",
        "table first\n| a | b | set x |\n| true | - | 1 |\n| false | true | 2 |\n| - | false | 3 |",
        "table first\n| a | set x |\n| _ > 5 | 1 |\n| _ < c | 2 |",
        "table unique\n| a | b | set x |\n| < 5 | 'x' | 1 |\n| < 5 | != 'x' | 2 |\n| >= 5 | - | 3 |",
    ],
)
def test_a_lint_leaves_alone(source):
    assert check_rule(source) == []


def test_a_gap_is_told_with_an_example():
    source = 'table first\n| t | n | set x |\n| "VIP" | >= 100.0 | 1 |\n| "VIP" | 50..100 | 1 |\n| != "VIP" | - | 2 |'
    (problem,) = check_rule(source)
    assert problem.hint == 'for example t "VIP", n < 50'


RULES = {
    "vip": "on order.placed when customer.tier == 'VIP' && order.total > 100 then set discount = 15",
    "vip big": "on order.* when customer.tier == 'VIP' && order.total > 200 then set discount = 20",
    "gold": "on order.placed when customer.tier == 'GOLD' then set discount = 10",
    "vip small": "on order.placed when customer.tier == 'VIP' && order.total <= 100 then set discount = 5",
    "vip gift": "on order.placed when customer.tier == 'VIP' then set gift = true",
    "refund": "on refund.asked when customer.tier == 'VIP' then set discount = 0",
}


def lint(*names, ranks=None):
    ranks = ranks or [2] * len(names)
    return lint_rules([(name, rank, RULES[name]) for name, rank in zip(names, ranks, strict=True)])


def test_a_field_that_no_observed_fact_has():
    source = "when has(customer.tier) && order.items.exists(i, i.prize > 1) && order.items[0].price > 1 && x.y == 1"
    facts = [{"customer": {}, "order": {"items": [{"price": 1}]}}, {"x": {"y": 1}}]
    found = lint_rules([("r", 0, source)], facts)
    assert [(lint.code, lint.message) for lint in found] == [
        ("unobserved-field", "no fact of 2 observed has `customer.tier`"),
    ]
    assert lint_rules([("r", 0, source)]) == []


def test_two_rules_of_one_priority_that_set_one_path_and_can_both_match():
    message = "both set `discount` and can both match; `vip` wins by its name"
    assert lint("vip", "vip big") == [SetLint("vip big", "vip", "conflicting-set", message)]


@pytest.mark.parametrize("other", ["gold", "vip small", "vip gift", "refund"])
def test_rules_that_do_not_meet_are_left_alone(other):
    assert lint("vip", other) == []
    assert lint("vip", "vip big", ranks=[1, 2]) == []


def test_a_rule_that_another_makes_pointless():
    higher = "on order.placed when customer.tier == 'VIP' then set discount = 15"
    rules = [("all", 0, higher), ("big", 3, RULES["vip"])]
    assert [(found.rule, found.other, found.code) for found in lint_rules(rules)] == [("big", "all", "pointless-rule")]
    narrower = [("all", 0, higher.replace("'VIP'", "'VIP' && order.total > 150")), ("big", 3, RULES["vip"])]
    assert lint_rules(narrower) == []
    more = [("all", 0, higher), ("big", 3, RULES["vip"] + " add 1 to score")]
    assert lint_rules(more) == []


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ((), ("a",), True),
        (("a.b",), ("a.b",), True),
        (("a.b",), ("a.c",), False),
        (("a.*",), ("*.c",), True),
        (("a.*",), ("a.b.c",), False),
        (("a.>",), ("a.b.c",), True),
        (("a.>",), ("a",), False),
        (("a", "b"), ("c", "b"), True),
    ],
)
def test_patterns_of_fact_types_that_one_fact_can_meet(one, other, meets):
    assert fact_types_meet(one, other) is meets
    assert fact_types_meet(other, one) is meets


scalars = st.one_of(st.integers(-4, 4), st.sampled_from(["", "x", "y"]), st.booleans(), st.none())
atoms = st.one_of(
    scalars.map(equal_to),
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(-4, 4)).map(lambda t: compared_with(*t)),
    st.sampled_from([EVERYTHING, NOTHING]),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: t[0] & t[1]),
        st.tuples(inner, inner).map(lambda t: t[0] | t[1]),
        inner.map(Values.complement),
    ),
    max_leaves=6,
)


def holds(value, among):
    return bool(equal_to(value) & among)


@given(a=values, b=values, value=st.one_of(scalars, st.sampled_from([-4.5, -0.5, 0.5, 3.5, 100.0, "z"])))
def test_sets_of_values_agree_with_their_members(a, b, value):
    assert holds(value, a & b) == (holds(value, a) and holds(value, b))
    assert holds(value, a | b) == (holds(value, a) or holds(value, b))
    assert holds(value, a - b) == (holds(value, a) and not holds(value, b))
    assert holds(value, a.complement()) != holds(value, a)
    if a <= b and holds(value, a):
        assert holds(value, b)


boxes = st.dictionaries(st.sampled_from("ab"), values.filter(bool), max_size=2)


@given(box=boxes, others=st.lists(boxes, max_size=3), fact=st.fixed_dictionaries({"a": scalars, "b": scalars}))
def test_what_is_left_of_a_box_agrees_with_its_members(box, others, fact):
    def inside(one):
        return all(holds(fact[path], among) for path, among in one.items())

    left = uncovered(box, others, {})
    assert left is not None
    expected = inside(box) and not any(inside(other) for other in others)
    assert any(inside(piece) for piece in left) == expected
    for other in others:
        both = meet(box, other)
        assert (both is not None and inside(both)) == (inside(box) and inside(other))


def test_infinite_bounds_are_no_values():
    assert compared_with("<", math.inf) is None
    assert equal_to(math.nan) is None
