"""Demands: what a fact must have for a rule to apply, told as a tree; and what that tree means."""

import time

import pytest

from domain.language import (
    EACH,
    EACH_MAX,
    EACH_TEXT_MAX,
    AllOf,
    AnyOf,
    Demand,
    FactContext,
    PartKind,
    RuleFault,
    TextParts,
    View,
    compile_rule,
    met_by,
)
from domain.language.demanding import ATOMS_MAX
from domain.language.joining import TEXTS_MAX, few
from domain.language.ranges import EVERYTHING, NOTHING, Values

FACT = FactContext("f1", "order.placed")


def shown(asked):
    """Write a tree in short: `?` where a path may be absent, `*` for each element and for any value."""
    if asked is None:
        return None
    if isinstance(asked, (AllOf, AnyOf)):
        return f"{'all' if isinstance(asked, AllOf) else 'any'}({'; '.join(map(shown, asked.items))})"
    path = ".".join("*" if step is EACH else step for step in asked.path)
    view = "" if asked.view is View.AS_IS else f" {asked.view}"
    return f"{path}{'?' if asked.absent else ''}{view}: {test_of(asked.test)}"


def test_of(test):
    if isinstance(test, TextParts):
        return " ".join([test.kind, *map(repr, sorted(test.texts))])
    if test == EVERYTHING:
        return "*"
    parts = [
        repr(low) if low == high else f"{'[' if low_in else '('}{low}, {high}{']' if high_in else ')'}"
        for low, low_in, high, high_in in test.numbers
    ]
    parts += [("!" if test.all_texts_but else "") + repr(text) for text in sorted(test.texts)]
    names = {"text": test.all_texts_but and not test.texts, "null": test.null, "others": test.others}
    parts += [name for name, held in names.items() if held]
    return " ".join([*parts, *sorted(str(one).lower() for one in test.bools)])


test_of.__test__ = False


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("a == 1", "a: 1"),
        ('customer.tier == "VIP" && order.total > 100.0', "all(customer.tier: 'VIP'; order.total: (100.0, inf])"),
        ('"VIP" == customer.tier', "customer.tier: 'VIP'"),
        ("a in ['x', 'y', 'z'] && a != 'y'", "a: 'x' 'z'"),
        ("a in [1, true, null, 'x']", "a: 1 'x' null true"),
        ("a in {'x': 1, 'y': 2}", "a: 'x' 'y'"),
        ("a == 1 && a == 1.0", "a: 1"),
        ("a.b && c", "all(a.b: true; c: true)"),
        ("a.b == true", "a.b: true"),
        ("!a", "a: false"),
        ('let t = payload["a b"].c\nwhen t.d == 1', "a b.c.d: 1"),
        ("let t = a\nwhen t > 1 && a < 5", "a: (1, 5)"),
        ("let most = 5\nlet is = a < most\nwhen is && b", "all(a: [-inf, 5); b: true)"),
        ("1 <= a && a < 5.5 && 2 > b", "all(a: [1, 5.5); b: [-inf, 2))"),
        ("(a > 1 && b > 2) && c == 3", "all(a: (1, inf]; b: (2, inf]; c: 3)"),
        ("a != 1", "a: [-inf, 1) (1, inf] text null others false true"),
        ("a != 'x'", "a: [-inf, inf] !'x' null others false true"),
        ("a < 'x'", "a: text"),
        ("a == [1]", "a: others"),
        ("a == decimal('1')", "a: [-inf, inf]"),
        ("a == 4611686018427387903", "a: 4611686018427387903"),
        ("a == 9223372036854775807", f"a: [{2**61}, inf]"),
        ("a < 4611686018427387904 && b == 1", "all(a: [-inf, inf]; b: 1)"),
        ("a in []", "any()"),
        ("a == 1 && a == true", "any()"),
        ("a == 1 && a.lowerAscii() == 'X'", "any()"),
        # alternatives
        ("a == 1 || a == 2", "a: 1 2"),
        ("a == 1 || b == 2", "any(a: 1; b: 2)"),
        ("a == 1 && (b == 'x' || c.d > 5)", "all(a: 1; any(b: 'x'; c.d: (5, inf]))"),
        ("a == 1 && b == 2 || c == 3", "any(c: 3; all(a: 1; b: 2))"),
        ("a == 1 || b == c.size()", "any(a: 1; all(b: *; c: *))"),
        ("a == 1 || fact.type == 'x'", None),
        ("a > 5 && a <= 5.0 || true", None),
        ("a == 1 || false", "a: 1"),
        # negations
        ("!(a == 1)", "a: [-inf, 1) (1, inf] text null others false true"),
        ("!(a > 5)", "a: [-inf, 5]"),
        ("!(a in ['x', 'y'])", "a: [-inf, inf] !'x' !'y' null others false true"),
        ("!(a.contains('x'))", "a: text"),
        ("!(a > 1 || b.c)", "all(a: [-inf, 1]; b.c: false)"),
        ("!(a > 1 && b.c)", "any(a: [-inf, 1]; b.c: false)"),
        ("!!a", "a: true"),
        # presence
        ("has(a.b)", "a.b: *"),
        ("!has(a.b)", "a.b?: "),
        ("has(payload.a) && a > 1", "a: (1, inf]"),
        ("size(a) > 0", "a: !'' others"),
        ("a.size() < 5", "a: text others"),
        ("a == b.c", "any(a: others; all(a: *; b.c: *))"),
        ("a + 1 > b.c && d", "all(a: *; b.c: *; d: true)"),
        ("timestamp(a).getHours() > 5", "a: *"),
        ("a.?b.orValue(1) == 1", "a: *"),
        ("cel.bind(v, a.b, v == 1)", "a.b: 1"),
        ("b ? c == 1 : d == 2", "any(all(b: true; c: 1); all(b: false; d: 2))"),
        # parts of strings
        ("a.contains('x')", "a: contains 'x'"),
        ("a.startsWith('x') || a.startsWith('y') || a.endsWith('z')", "any(a: starts 'x' 'y'; a: ends 'z')"),
        ("a.contains('')", "a: text"),
        ("a.lowerAscii() == 'x'", "a lower: 'x'"),
        ("a.lowerAscii() == 'X'", "any()"),
        ("a.lowerAscii() != 'x'", "a lower: !'x'"),
        ("a.upperAscii() in ['X', 'y', 'Z']", "a upper: 'X' 'Z'"),
        ("a.lowerAscii().contains('x') || a.lowerAscii().contains('Y')", "a lower: contains 'x'"),
        ("a.lowerAscii().upperAscii().endsWith('X')", "a upper: ends 'X'"),
        ("let low = a.lowerAscii()\nwhen low.contains('x') || low == 'y'", "any(a lower: 'y'; a lower: contains 'x')"),
        ("a.trim() == 'x'", "a: contains 'x'"),
        ("[1, 5].exists(n, a > n)", "a: (1, inf]"),
        # macros over constants
        ("['x', 'y'].exists(t, a.lowerAscii().contains(t))", "a lower: contains 'x' 'y'"),
        ("['x', 'Y'].exists(t, a.lowerAscii().contains(t.lowerAscii()))", "a lower: contains 'x' 'y'"),
        ("['x', 'y'].all(t, a.contains(t))", "all(a: contains 'x'; a: contains 'y')"),
        ("['x', 'y'].exists_one(t, a.startsWith(t))", "a: starts 'x' 'y'"),
        ("['x', 'y'].filter(t, a.endsWith(t)).size() > 0", "a: ends 'x' 'y'"),
        (
            "let few = ['x', 'y']\nlet low = a.lowerAscii()\nwhen few.exists(t, low.endsWith(t))",
            "a lower: ends 'x' 'y'",
        ),
        ("['x', 'y'].exists(t, a == t)", "a: 'x' 'y'"),
        ("['x', 1].exists(t, t == a)", "any(a: 1 'x'; a.*: )"),
        ("['x', 'y'].exists(t, t in xs)", "xs.*: 'x' 'y'"),
        ("['x.*', 'y+'].exists(t, a.matches(t))", "a: contains 'x' 'y'"),
        ("['^x', '('].exists(t, a.matches(t))", "any(a: text; a: starts 'x')"),
        (
            "['x', 'y'].exists(t, a.contains(t) && b == 1)",
            "any(all(b: 1; a: contains 'x'); all(b: 1; a: contains 'y'))",
        ),
        ("['x', 'y'].exists(t, ['u', 'v'].exists(w, a.contains(t) || a.contains(w)))", "a: contains 'u' 'v' 'x' 'y'"),
        ("['x'].exists(t, xs.exists(e, e.contains(t)))", "xs.*: contains 'x'"),
        ("xs.exists(e, ['x', 'y'].exists(t, e.k == t))", "xs.*.k: 'x' 'y'"),
        ("!['x', 'y'].exists(t, a.contains(t))", "a: text"),
        ("!['x', 'y'].exists(t, a == t)", "a: [-inf, inf] !'x' !'y' null others false true"),
        ("[].exists(t, a.contains(t))", "any()"),
        ("['x', 'y'].exists(t, b)", "b: true"),
        # lists
        ("'x' in xs", "xs.*: 'x'"),
        ("!('x' in xs)", "xs: others"),
        ("xs[0] == 'x'", "xs.*: 'x'"),
        ("xs.exists(x, x == 'a' || x > 5)", "xs.*: (5, inf] 'a'"),
        ("xs.exists(x, x.k.lowerAscii() == 'a')", "xs.*.k lower: 'a'"),
        ("xs.exists(x, x.ys.exists(y, y == 1))", "xs.*.ys.*: 1"),
        ("xs.exists_one(x, x.k == 1)", "xs.*.k: 1"),
        ("xs.exists(x, true)", "xs.*: *"),
        ("xs.all(x, x == 1)", "any(xs: others; xs.*: )"),
        ("!xs.all(x, x > 1)", "xs.*: [-inf, 1]"),
        ("xs.filter(x, x.k == 1).size() > 0", "xs.*.k: 1"),
        # what may be too large to tell
        ("a == 1 && xs.exists(x, x.k == 'a')", "any(xs.*.k: ; all(a: 1; xs.*.k: 'a'))"),
        ("xs.exists(x, x.contains('a')) && b == 2", "any(xs.*: ; all(b: 2; xs.*: contains 'a'))"),
        # branches, tables, and what others decided
        ("then set x = 1", None),
        ("when a == 1 then set x = 1 else set x = 2", None),
        ("decision.a == 1 && fact.type == 'x'", None),
        ("decision.a == b", "b: *"),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| 'b', 'a' | 2 |", "t: 'a' 'b'"),
        ("table first\n| t | n | set x |\n| 'a' | 1 | 1 |\n| 'b' | - | 2 |", "any(t: 'b'; all(t: 'a'; n: 1))"),
        ("table first\n| t | set x |\n| 'a' | 1 |\n| - | 2 |", None),
    ],
)
def test_the_demand_of_a_rule(source, tree):
    assert shown(compile_rule(source).demand) == tree


@pytest.mark.parametrize(
    ("pattern", "test"),
    [
        ("abc", "a: contains 'abc'"),
        ("^abc", "a: starts 'abc'"),
        ("abc$", "a: ends 'abc'"),
        ("^abc$", "a: 'abc'"),
        ("^a.*bcd$", "a: ends 'bcd'"),
        ("ab+c", "a: contains 'ab'"),
        ("abc?d", "a: contains 'ab'"),
        ("ab*", "a: contains 'a'"),
        ("a{2}bc", "a: contains 'bc'"),
        ("x[abc]yz", "a: contains 'yz'"),
        ("(cmd|ps)\\\\.exe", "a: contains '.exe'"),
        ("abc|xyz", "a: contains 'abc' 'xyz'"),
        ("^abc|^xyz", "a: starts 'abc' 'xyz'"),
        ("^abc|xyz$", "a: contains 'abc' 'xyz'"),
        ("(?i)Admin", "a lower: contains 'admin'"),
        ("(?i)powershell", "a lower: contains 'power'"),
        ("(?i)^ab$|^cd$", "a lower: 'ab' 'cd'"),
        ("(?i)k", "a: text"),
        ("abc|.", "a: text"),
        ("\\\\x41bc", "a: text"),
        ("ab(?i)c", "a: text"),
        ("(?m)^abc", "a: text"),
        ("\\\\Qa.b", "a: text"),
        ("a^b", "a: text"),
        ("", "a: text"),
    ],
)
def test_what_a_pattern_requires(pattern, test):
    assert shown(compile_rule(f'a.matches("{pattern}")').demand) == test


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("a == 1 && xs.exists(x, x == b + c)", "a?: 1"),
        ("xs.exists(x, x == b + c) && a == 1", None),
        ("a == 1 && xs.exists(x, x == b + c) && c == 1", "a?: 1"),
        ("a > 1 && xs.exists(x, x == b + c)", "a?: (1, inf] text null others false true"),
        ("a && xs.exists(x, x == b + c)", "a?: [-inf, inf] text null others true"),
        (
            "['x'].exists(t, b.contains(t)) && a + b == 'xy'",
            "any(b?: [-inf, inf] null others false true; b: contains 'x')",
        ),
        ("a.contains('x') && int(s) == 1", "any(a?: [-inf, inf] null others false true; a: contains 'x')"),
        ("(a == 1 || b == 2) && int(s) == 1", "any(a?: 1; b?: 2)"),
        ("!has(a.b) && int(s) == 1", "a.b?: "),
        ("a == 1 && s + t == 'xy'", "a?: 1"),
        ("a == 1 && xs.map(x, x.y).sum() == 1", "a?: 1"),
        ("xs.exists(x, xs.exists(y, xs.exists(z, z == 1)))", None),
        ("table first\n| t | int(s) | set x |\n| 'a' | 1 | 1 |", None),
    ],
)
def test_beside_what_can_reach_a_limit_only_what_is_false_before_it_makes_a_rule_silent(source, tree):
    assert shown(compile_rule(source).demand) == tree


def test_a_large_rule_demands_a_set_of_texts():
    """A rule of 77,000 characters is one demand for each path, view and kind."""
    source = " || ".join(f"image{n % 3}.lowerAscii().contains('text number {n}')" for n in range(1_200))
    asked = compile_rule(source).demand
    assert isinstance(asked, AnyOf)
    assert [len(item.test.texts) for item in asked.items] == [400, 400, 400]


def test_a_tree_has_a_bound():
    texts = ", ".join(f"'{n}'" for n in range(ATOMS_MAX // 2 + 1))
    either = f"[{texts}].exists(x, a.contains(x) && b.contains(x))"
    assert compile_rule(either).demand is None
    assert shown(compile_rule(f"a == 1 && ({either})").demand) == "a: 1"
    asked = compile_rule(f"[{texts}].all(x, a.contains(x) && b.contains(x))").demand
    assert len(asked.items) == ATOMS_MAX
    assert asked.items[:2] == (Demand(("a",), part("0")), Demand(("b",), part("0")))


def part(text):
    return TextParts(PartKind.CONTAINS, frozenset({text}))


def test_many_alternatives_of_one_path_have_a_bound():
    assert shown(compile_rule(f"a in {list(range(0, 4_000, 2))}").demand) == "a: [0, 3998]"
    texts = [str(n) for n in range(TEXTS_MAX)]
    assert compile_rule(f"a in {texts[:-10]}").demand == Demand(("a",), Values(texts=frozenset(texts[:-10])))
    halves = f"let few = {texts[: TEXTS_MAX // 2]}\nwhen few.exists(x, a == x) || few.exists(x, a == 'x' + x)"
    assert compile_rule(halves).demand is None
    assert few(Values(texts=frozenset([*texts, "x"]))) == Values(all_texts_but=True)


def test_the_longest_list_of_texts_is_a_demand_for_all_of_them():
    """As many texts as a rule can hold, looked for one after the other in a string in lower case."""
    texts = [f"{n}" for n in range(TEXTS_MAX - 30)]
    rule = compile_rule(f"{texts}.exists(x, a.lowerAscii().contains(x))".replace("'", '"'))
    assert rule.demand == Demand(("a",), TextParts(PartKind.CONTAINS, frozenset(texts)), view=View.LOWER)
    assert rule.evaluate({"a": "x" * 300_000}, FACT, {}) is None


def test_strings_that_a_function_goes_through_again_and_again_are_looked_at_up_to_a_size():
    """Where size counts, a fact that is too large meets the demand, and fails; others are told apart."""
    texts = ", ".join(f"'{n}'" for n in range(50))
    rule = compile_rule(f"[{texts}].exists(x, a.indexOf(x) >= 0)")
    assert rule.demand is not None
    for large in ("q" * 1_000_001, ["q"] * (EACH_MAX + 1)):
        assert met_by(rule.demand, {"a": large})
    assert not met_by(rule.demand, {})
    rule = compile_rule(f"xs.exists(x, [{texts}].exists(t, t in a))")
    assert met_by(rule.demand, {"xs": [1], "a": ["7"]})
    assert met_by(rule.demand, {"xs": [1], "a": ["q"] * (EACH_MAX + 1)})
    assert not met_by(rule.demand, {"xs": [1], "a": ["q"] * EACH_MAX})
    assert rule.evaluate({"xs": [1] * EACH_MAX, "a": ["q"] * EACH_MAX}, FACT, {}) is None


def test_lets_that_use_one_another_over_and_over_take_no_longer():
    lets = "\n".join(f"let x{n} = x{n - 1} || x{n - 1} && x{n - 1}" for n in range(1, 60))
    started = time.process_time()
    assert compile_rule(f"let x0 = a\n{lets}\nwhen x59").demand is not None
    assert time.process_time() - started < 60, "and not for hours"


VALUE = Demand(("a", "b"), Values(texts=frozenset({"x"})))
PART = Demand(("a",), TextParts(PartKind.CONTAINS, frozenset({"xy", "q"})))


@pytest.mark.parametrize(
    ("asked", "met", "not_met"),
    [
        (VALUE, [{"a": {"b": "x"}}], [{}, {"a": "x"}, {"a": [{"b": "x"}]}, {"a": {"b": "y"}}]),
        (Demand(("a", "b"), VALUE.test, absent=True), [{}, {"a": 1}, {"a": {"b": "x"}}], [{"a": {"b": None}}]),
        (Demand(("a",), NOTHING, absent=True), [{}], [{"a": None}]),
        (PART, [{"a": "axyz"}, {"a": "q"}], [{"a": "x"}, {"a": ["q"]}, {"a": 1}, {}]),
        (Demand(("a",), TextParts(PartKind.STARTS, frozenset({"x"}))), [{"a": "xy"}], [{"a": "yx"}]),
        (Demand(("a",), TextParts(PartKind.ENDS, frozenset({"x"}))), [{"a": "yx"}], [{"a": "xy"}]),
        (Demand(("a",), VALUE.test, view=View.LOWER), [{"a": "X"}, {"a": "x"}], [{"a": "y"}, {"a": None}]),
        (Demand(("a",), Values(texts=frozenset({"K"})), view=View.UPPER), [{"a": "k"}], [{"a": "\u212a"}]),
        (Demand(("a", EACH), VALUE.test), [{"a": ["y", "x"]}, {"a": {"x": 1}}], [{"a": []}, {"a": ["y"]}, {"a": "x"}]),
        (Demand(("a", EACH), VALUE.test, absent=True), [{}, {"a": "x"}, {"a": 1}], [{"a": []}, {"a": ["y"]}]),
        (Demand(("a", EACH, "b"), VALUE.test), [{"a": [{"b": "y"}, {"b": "x"}]}], [{"a": [{}]}, {"a": {"b": "x"}}]),
        (Demand(("a", EACH, "b", EACH), VALUE.test), [{"a": [{}, {"b": ["x"]}]}], [{"a": [{"b": "x"}]}]),
        (AllOf((VALUE, PART)), [], [{"a": {"b": "x"}}]),
        (AnyOf((VALUE, PART)), [{"a": {"b": "x"}}, {"a": "q"}], [{"a": "x"}]),
        (AnyOf(()), [], [{}]),
    ],
)
def test_the_meaning_of_a_demand(asked, met, not_met):
    for fact in met:
        assert met_by(asked, fact), fact
    for fact in not_met:
        assert not met_by(asked, fact), fact


def test_what_is_too_large_to_tell_meets_whatever_is_demanded_through_a_list():
    guard = Demand(("a", EACH), NOTHING)
    for value in (["y"] * (EACH_MAX + 1), dict.fromkeys(map(str, range(EACH_MAX + 1))), "y" * (EACH_TEXT_MAX + 1)):
        assert met_by(guard, {"a": value})
        assert not met_by(Demand(("a",), NOTHING), {"a": value})
    for element in ([], {}, "y" * (EACH_TEXT_MAX + 1)):
        assert met_by(guard, {"a": ["y", element]})
    for value in (["y"] * EACH_MAX, ["y" * EACH_TEXT_MAX], "y" * EACH_TEXT_MAX, [], {}, None):
        assert not met_by(guard, {"a": value})


def test_a_rule_that_reaches_a_limit_before_its_demand_fails_on_every_fact():
    """What is tried first costs its steps, whatever comes after it."""
    items = list(range(100_001))
    rule = compile_rule("xs.exists(x, x == -1) && a == 1")
    assert met_by(rule.demand, {"xs": items, "a": 2})
    assert not met_by(rule.demand, {"xs": items[:EACH_MAX], "a": 2})
    with pytest.raises(RuleFault, match="steps"):
        rule.evaluate({"xs": items, "a": 2}, FACT, {})
    rule = compile_rule("a == 1 && xs.exists(x, x == -1)")
    assert rule.evaluate({"xs": items, "a": 2}, FACT, {}) is None
    with pytest.raises(RuleFault, match="steps"):
        rule.evaluate({"xs": items}, FACT, {})


def test_macros_stay_within_their_steps_for_the_largest_fact_that_a_demand_looks_at():
    """As many tests of long strings as are taken in do not reach the limit; with more the rule demands nothing."""
    text = "y" * EACH_TEXT_MAX
    for count, is_taken in ((332, True), (340, False)):
        tests = " || ".join(f"x.contains('{n}')" for n in range(count))
        rule = compile_rule(f"xs.exists(x, {tests})")
        assert (rule.demand is not None) == is_taken
        if is_taken:
            assert not met_by(rule.demand, {"xs": [text] * EACH_MAX})
        try:
            assert rule.evaluate({"xs": [text] * EACH_MAX}, FACT, {}) is None
        except RuleFault:
            assert not is_taken
