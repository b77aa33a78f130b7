"""The index: leaving rules out changes no decision, neither its output nor its faults nor its order."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.decisions import index as index_module
from domain.decisions import ruleset as ruleset_module
from domain.decisions.decision import Decision
from domain.decisions.engine import decide
from domain.decisions.index import RULES_MIN, Index, filing, numbers, pairs, table
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import CompiledRule, Demand, InvalidRuleError, compile_rule
from domain.language.demands import Asked
from domain.language.ranges import Values
from domain.rules.content import Priority
from tests.fakes.handmade import fact

EXAMPLES = int(os.environ.get("RULESTREAM_INDEX_EXAMPLES", "1000"))
POOL = 600 + EXAMPLES // 10  # rules that the random sets are drawn from

# What comes often stands here often, so that rules and facts meet.
PATHS = (*("a", "b", "o.x") * 4, "o.y", "o.p.q", "o", "payload['k k']", "t", "t.q")
TEXTS = ("'a'", "'a'", "'b'", "'1'", "''")
EDGES = (
    *("1u", "-0.0", "9007199254740993", "9007199254740992.0", "1e300", "4611686018427387903"),
    *("4611686018427387904", "9223372036854775807", "18446744073709551615u"),
)  # fmt: skip
NUMBERS = (*("0", "1", "1.0", "-1", "2.5", "3") * 3, *EDGES)
CONSTANTS = (
    *("'a'", "'b'", "0", "1", "2.5", "3", "true", "false", "null") * 4,
    *(*TEXTS, *NUMBERS, "[1]", "decimal('1')", "timestamp(0)", "b'a'"),
)  # fmt: skip
OTHERS = (
    *("has(o.x)", "has(payload.a)", "has(o.p.q)", "!a", "!(o.x == 1)", "xs.exists(x, x == 1)", "xs.all(x, x > 1)"),
    *("10 / b > 1", "b % 2 == 1", "a + 1 > 2", "o.x * 2.5 < 10", "a == b", "a < b", "o.x in xs", "b in {'a': 1}"),
    *("s.startsWith('a')", "s.matches('^a')", "s.size() > 1", "s + s == 'aa'", "int(s) == 1"),
    *("timestamp(s) > timestamp(0)", "lists.range(200000).size() > 1", "lists.range(200000).size() > 1"),
    *("fact.type == 'order.placed'", "fact.time > timestamp(0)", "true", "false"),
    *("(a ? b : true)", "dyn(1)", "1 / 0 == 1", "n > 1", "a.?b.orValue(1) == 1", "xs[0] == 1", "type(a) == int"),
)  # fmt: skip
# What an index takes that is more than comparisons of one path.
STRINGS = ("s", "a", "o.x", "s.lowerAscii()", "s.upperAscii()", "a.lowerAscii()")
STRING_TESTS = (
    *("{}.contains('a')", "{}.contains('ab')", "{}.startsWith('a')", "{}.startsWith('ab')", "{}.endsWith('b')"),
    *("{}.endsWith('ab') || {}.contains('c')", "{} == 'ab'", "{} in ['a', 'AB', 'b']", "{} != 'ab'"),
    *("{}.matches('ab')", "{}.matches('^a.*b$')", "{}.matches('(?i)ab')", "!{}.contains('a')"),
    *("['a', 'bc'].exists(x, {}.contains(x))", "['ab', 'c'].exists(x, {}.endsWith(x))", "few.exists(x, {} == x)"),
    *("['a', 'b'].all(x, {}.contains(x))", "few.exists_one(x, {}.startsWith(x))", "!few.exists(x, {}.contains(x))"),
    *("['a', '^b', '('].exists(x, {}.matches(x))", "few.exists(x, x == {} && b == 1)", "[1, 'a'].exists(x, {} == x)"),
)
LISTED = (
    *("xs.exists(x, x == 1)", "xs.exists(x, x == 'a' || x == 2)", "xs.exists(x, x > 1 && x < 3)", "'a' in xs"),
    *("ls.exists(i, i.x == 'a')", "ls.exists(i, i.x.startsWith('a'))", "ls.exists(i, i.x == 1 && i.y == 'b')"),
    *("ls.exists(i, i.x.lowerAscii().contains('b'))", "xs.all(x, x == 1)", "!xs.exists(x, x == 1)", "1 in xs"),
    *("xs.exists_one(x, x == 1)", "ls.exists(i, i.y.exists(j, j == 1))", "xs.size() > 0 && xs[0] == 1"),
    *("ls.map(i, i.x).exists(x, x == 'a')", "ls.filter(i, i.x == 'a').size() > 0", "o.exists(k, k == 'x')"),
)
CHAINED = ("decision.n > 1", "decision.r0 == 1", "has(decision.r1)", "decision.deep.x == 'a'")
ACTIONS = ("set r0 = 1", "set r1 = a", "add 1 to n", "add b to n", "append o.x to list", "set deep.x = 'a'",
           "emit alert {'a': a}", "set q = 10 / b", "append 'c' to list", "set r2 = null")  # fmt: skip


def condition(chance: random.Random, *, chained: bool) -> str:
    """Make up a condition, mostly of what an index takes, with all that can come in its way."""

    def compared() -> str:
        path, constant = chance.choice(PATHS), chance.choice(CONSTANTS)
        operator = chance.choice(("==", "==", "==", "!=", "<", "<=", ">", ">="))
        if operator not in {"==", "!="} and constant not in NUMBERS:
            constant = chance.choice(NUMBERS)
        return f"{path} {operator} {constant}" if chance.random() < 0.8 else f"{constant} {operator} {path}"

    def between() -> str:
        path = chance.choice(PATHS)
        low, high = sorted((chance.choice(NUMBERS), chance.choice(NUMBERS)), key=lambda one: float(one.rstrip("u")))
        return f"{path} {chance.choice(('>', '>='))} {low} && {path} {chance.choice(('<', '<='))} {high}"

    def one_of() -> str:
        path = chance.choice(PATHS)
        some = [chance.choice(CONSTANTS) for _ in range(chance.randint(0, 4))]
        if chance.random() < 0.6:
            return f"{path} in [{', '.join(some)}]"
        return f"({' || '.join(f'{path} == {one}' for one in some) or path})"

    def grouped() -> str:
        inner = [part() for _ in range(chance.randint(2, 3))]
        return f"({chance.choice((' && ', ' || ')).join(inner)})"

    def other() -> str:
        return chance.choice(CHAINED if chained and chance.random() < 0.5 else OTHERS)

    def text() -> str:
        return chance.choice(STRING_TESTS).replace("{}", chance.choice(STRINGS))

    def listed() -> str:
        return chance.choice(LISTED)

    def negated() -> str:
        return f"!({part()})"

    def part() -> str:
        kinds = (compared, compared, compared, between, one_of, one_of, text, text, listed, negated, other, grouped)
        return chance.choice((*kinds, lambda: chance.choice(PATHS)))()

    return " && ".join(part() for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))))


def rule_text(chance: random.Random) -> str:
    """Make up a rule; a few read what others decided, or may stop, so that some sets are considered in turn."""
    chained = chance.random() < 0.06
    lets = "let t = o.p\nlet n = xs.map(x, x).size()\nlet few = ['ab', 'B', 'c']\n"
    if chance.random() < 0.06:
        cells = "\n".join(f"| {chance.choice(TEXTS)} | {chance.choice(('-', '> 1', '1..3'))} | {n} |" for n in range(3))
        columns = chance.choice(("a | o.x", "o.x | b", "a | xs.map(x, x).size()", "s | 10 / b"))
        return f"table {chance.choice(('first', 'unique', 'collect'))}\n| {columns} | set q |\n{cells}"
    actions = [chance.choice(ACTIONS) for _ in range(chance.randint(1, 2))]
    text = f"{lets}when {condition(chance, chained=chained)}\nthen {' '.join(dict.fromkeys(actions))}"
    if chained and chance.random() < 0.3:
        text += " stop"
    return text + (f"\nelse {chance.choice(ACTIONS)}" if chance.random() < 0.15 else "")


@cache
def rule_pool() -> list[BoundRule]:
    chance = random.Random(20)
    found: list[BoundRule] = []
    while len(found) < POOL:
        try:
            compiled = compile_rule(rule_text(chance))
        except InvalidRuleError:
            continue
        dates = (chance.choice((None, None, None, None, 0, 5, 10)) for _ in range(2))
        found.append(bound_rule(len(found), compiled, chance.choice(list(Priority)), *dates))
    return found


def bound_rule(
    number: int,
    compiled: CompiledRule,
    priority: Priority = Priority.MEDIUM,
    from_ns: int | None = None,
    until_ns: int | None = None,
) -> BoundRule:
    name = f"rule {number:03}"
    return BoundRule(f"id-{number}", name, 1, priority, compiled, number.to_bytes(32), from_ns, until_ns)


COMMON = (0, 1, 2, 3, 1.0, 2.5, True, False, None, "a", "b")
RARE = (
    *(-1, 0.0, -0.0, 0.5, "1", "", "c", "1970-01-01T00:00:00Z", 1e300, 5e-324, 1e19, -1e300, -(2**63)),
    *(2**53, 2**53 + 1, float(2**53), 2**62 - 1, 2**62, float(2**62), 2**63 - 1, 2**63, float(2**63), 2**64 - 1),
)


def payload(chance: random.Random) -> dict[str, Any]:
    """Make up a fact: mostly with what conditions ask of it, now and then without, or with something else there."""

    def scalar() -> Any:
        return chance.choice(COMMON if chance.random() < 0.85 else RARE)

    def value() -> Any:
        if chance.random() < 0.9:
            return scalar()
        return [scalar() for _ in range(chance.randint(0, 3))] if chance.random() < 0.5 else some("xyq", {})

    def some(names: str | list[str], made: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        return {name: made.get(name, value)() for name in names if chance.random() < 0.9}

    def often(make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: make() if chance.random() < 0.85 else value()

    below = often(lambda: some("q", {}))
    held = often(lambda: some("xyp", {"p": below}))
    listed = often(lambda: [scalar() for _ in range(chance.randint(0, 3))])
    text = often(lambda: "".join(chance.choice("aAbBcä") for _ in range(chance.choice((1, 2, 2, 3, 4, 1_100)))))
    item = often(lambda: some("xy", {"x": text, "y": listed}))
    items = often(lambda: [item() for _ in range(chance.choice((0, 1, 2, 3, 3, 101)))])
    made = {"xs": listed, "o": held, "s": text, "ls": items}
    if chance.random() < 0.3:
        made["a"] = text
    return some(["a", "b", "k k", "s", "xs", "o", "ls"], made)


@cache
def fact_pool() -> list[dict[str, Any]]:
    chance = random.Random(30)
    return [payload(chance) for _ in range(POOL)]


def tried_in_turn(rules: list[BoundRule]) -> list[BoundRule]:
    return [replace(rule, compiled=replace(rule.compiled, demand=None)) for rule in rules]


@contextmanager
def bounds(
    rules: int = 1,
    path_rules: int = 1,
    entries: int = 64,
    share: float = 2.0,
    places: int = 64,
    saved: float = 1.0,
    cells: int = 100,
    segments: int = 16,
) -> Iterator[None]:
    """Set what an index takes in: by default whatever it can."""
    with (
        patch.object(index_module, "RULES_MIN", rules),
        patch.object(filing, "PLACE_RULES_MIN", path_rules),
        patch.object(filing, "SLOW_PLACE_RULES_MIN", path_rules),
        patch.object(table, "ENTRIES_PER_RULE_MAX", entries),
        patch.object(pairs, "ENTRIES_PER_RULE_MAX", entries),
        patch.object(pairs, "CELLS_MAX", cells),
        patch.object(filing, "_SHARE_MAX", share),
        patch.object(filing, "PLACES_MAX", places),
        patch.object(index_module, "PLACES_MAX", places),
        patch.object(numbers, "SEGMENTS_PER_RULE_MAX", segments),
        patch.object(filing, "SAVED_MIN", saved),
    ):
        yield


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    members=st.lists(st.integers(0, POOL - 1), min_size=6, max_size=24, unique=True),
    payloads=st.lists(st.integers(0, POOL - 1), min_size=6, max_size=12),
    time_ns=st.sampled_from([0, 5, 10, None]),
    limits=st.sampled_from(
        [
            *({}, {"entries": 1}, {"share": 0.5}, {"path_rules": 3}, {"places": 1}, {"saved": math.inf}),
            *({"saved": 0.0}, {"saved": 0.0, "cells": 0}, {"saved": 0.0, "entries": 4}, {"saved": 0.2, "share": 0.5}),
            *({"segments": 0}, {"segments": 0, "places": 1}, {"saved": 0.0, "segments": 0}),
        ]
    ),
)
def test_a_decision_with_an_index_is_the_decision_with_every_rule_tried_in_turn(
    members: list[int], payloads: list[int], time_ns: int | None, limits: dict[str, Any]
) -> None:
    rules = [rule_pool()[one] for one in members]
    plain = Ruleset(7, tried_in_turn(rules))
    with bounds(**limits):
        indexed = Ruleset(7, rules)
        for one in payloads:
            given_fact = fact(fact_pool()[one], time_ns=time_ns)
            # The text tells apart what Python takes for equal, such as 1, 1.0 and true.
            assert repr(decide(indexed, given_fact)) == repr(decide(plain, given_fact))


def make_index(rules: Iterable[Asked | None]) -> Index | None:
    """Make the index of rules by what they demand, labelled from 0."""
    return index_module.make_index(dict(enumerate(rules)))


def candidates(sources: list[str], payload: dict[str, Any]) -> list[float]:
    """Return which of some rules a fact concerns, when all are filed that can be."""
    with bounds():
        found = make_index([compile_rule(source).demand for source in sources])
    assert found is not None
    return found.candidates(payload)


MISSING = object()


@pytest.mark.parametrize(
    ("condition", "found", "left_out"),
    [
        ("a == 'x'", ["x"], ["y", 1, 1.0, True, None, [], ["x"], {}, {"x": 1}, MISSING]),
        ("'x' == a", ["x"], ["y", None, MISSING]),
        ("a == 1", [1, 1.0], [2, 0, True, "1", None, [1], {"a": 1}, MISSING, 1.5]),
        ("a == 1.0", [1, 1.0], [True, "1.0"]),
        ("a == 1u", [1, 1.0], [True, 2]),
        ("a == 0", [0, 0.0, -0.0], [False, "", None, 1]),
        ("a == true", [True], [1, 1.0, False, "true", MISSING, None]),
        ("a", [True], [False, 1, "true", None, [], {}, MISSING]),
        ("a == false", [False], [0, True, None, MISSING]),
        ("a == null", [None], [0, False, "", [], {}, MISSING]),
        ("a in ['x', 1, null, true]", ["x", 1, 1.0, None, True], ["y", 2, False, [], ["x"], MISSING]),
        ("a == 'x' || a == 2 || 3 == a", ["x", 2, 3.0], [1, "2", MISSING]),
        ("a == 9007199254740993", [2**53 + 1], [2**53, float(2**53), 2**53 + 2]),
        ("a == 9007199254740992.0", [2**53, float(2**53)], [2**53 + 1]),
        ("a == 4611686018427387903", [2**62 - 1], [2**62, float(2**62)]),
        ("a > 1 && a <= 2.5", [2, 1.5, 2.5, 1 + 2**-52], [1, 1.0, 3, 2.5000001, True, "2", None, [], {}, MISSING]),
        ("a >= 1 && a < 2.5", [1, 1.0, 2, 2.4999], [0.9999, 2.5, 3, True, False, MISSING]),
        ("1 < a && 3 > a && a != 2", [1.5, 2.5], [1, 2, 2.0, 3]),
        ("a < 5", [4, -(2**63), -1e300, 0.0], [5, 5.0, 2**64 - 1, 1e300, False, "4", MISSING]),
        ("a >= 5", [5, 5.0, 2**63 - 1, 2**64 - 1, 1e300], [4, True, "5", None]),
        ("a < 1 || a > 2 || a == 'x'", [0, 3, "x"], [1, 2, 1.5, "y", MISSING]),
        ("a != 1", [0, 2, True, "x", None, [], {}], [1, 1.0, MISSING]),
        ("a != 'x'", ["y", 1, None, False, []], ["x", MISSING]),
        ("a != 'x' && a != 'y'", ["z", 1], ["x", "y"]),
        ("a == 'x' && int(s) == 1", ["x", MISSING], ["y", 1, None, []]),
        ("a > 1 && int(s) == 1", [2, "x", True, None, [], {}, MISSING], [1, 0.5]),
        ("a && int(s) == 1", [True, "x", 1, None, MISSING], [False]),
        ("a == 'x' && 1 / b == 1", ["x"], ["y", None, MISSING]),
    ],
)  # fmt: skip
def test_a_rule_is_found_for_the_values_that_it_demands_and_left_out_for_others(
    condition: str, found: list[Any], left_out: list[Any]
) -> None:
    # The rules beside it make every kind of table of the path.
    beside = ["b == 'q'", "a == 'other'", "a == 77", "a > 70 && a < 80", "a == null && a == 1"]
    for company in ([], beside[:1], beside[:2], beside[:3], beside):
        for value in found:
            assert 0 in candidates([condition, *company], {"a": value}), value
        for value in left_out:
            payload = {} if value is MISSING else {"a": value}
            assert 0 not in candidates([condition, *company], payload), value


@pytest.mark.parametrize("holder", [MISSING, None, 1, True, "text", [], [{"b": 1}], {}])
def test_a_step_into_what_is_no_object_is_a_path_that_is_absent(holder: Any) -> None:
    payload = {} if holder is MISSING else {"a": holder}
    rules = ["a.b == 1", "a.b > 0 && int(s) == 1", "a.b.c == 'x'", "a.b.c == 'x' && int(s) == 1"]
    assert candidates(rules, payload) == [1, 3]


def test_a_path_and_one_below_it_are_looked_up_apart() -> None:
    rules = ["a == 1", "a.b == 1", "payload['a'].b.c == 1", "a != 1"]
    assert candidates(rules, {"a": 1}) == [0]
    assert candidates(rules, {"a": {"b": 1}}) == [1, 3]
    assert candidates(rules, {"a": {"b": {"c": 1}}}) == [2, 3]


def test_names_of_fields_are_data_in_the_index() -> None:
    for name in ("it's", 'a"b', "back\\slash", "line\nend", "{x}", "ö", "class", "a b"):
        text = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        assert candidates([f'payload["{text}"] == 1', "b == 2"], {name: 1}) == [0]
    lone = Demand(("\udc80",), Values(bools=frozenset({True})))
    with bounds():
        found = make_index([lone])
    assert found is not None
    assert found.candidates({"\udc80": True}) == [0]


def test_a_value_of_a_type_that_json_does_not_have_is_for_each_rule_to_say() -> None:
    assert candidates(["a == 'x'", "a > 1", "b == 1"], {"a": object()}) == [0, 1]


@pytest.mark.parametrize(
    "source",
    [
        "when a == 1 then set x = 1 else set x = 2",
        "then set x = 1",
        "a == 1 || fact.id == 'x'",
        "int(s) == 1 && a == 1",
        "xs.exists(x, x == a + s)",
        "decision.a == 1",
        "fact.type == 'x'",
        "!has(payload.a) || a != 1",
        "a" + ".b" * filing.STEPS_MAX + " == 1",
        "a.replace('x', 'y', 1) == 'x' && b == 1",
        "table first\n| a | int(s) | set x |\n| 1 | 2 | 3 |",
    ],
)
def test_a_rule_that_demands_nothing_for_certain_is_tried_on_every_fact(source: str) -> None:
    assert candidates([source, "z == 1"], {}) == [0]


def test_candidates_come_in_the_order_of_the_plan() -> None:
    rules = ["b == 1", "a == 1", "fact.id == 'x'", "b > 0", "a != 2", "b in [1, 2]", "a >= 1"]
    assert candidates(rules, {"a": 1, "b": 1}) == [0, 1, 2, 3, 4, 5, 6]
    assert candidates(rules, {"a": 2, "b": 2}) == [2, 3, 5, 6]


def demand(low: float, high: float) -> Demand:
    return Demand(("a",), Values(((low, True, high, False),)))


def test_a_rule_is_filed_under_its_demand_for_the_fewest_values() -> None:
    narrow = [f"a >= 0 && a < 100 && b >= {n} && b < {n + 1}" for n in range(20)]
    assert candidates(narrow, {"a": 5, "b": 7.5}) == [7]
    wide = [f"b > {n} && country == '{n}'" for n in range(20)]
    assert candidates(wide, {"b": 50, "country": "3"}) == [3]
    either = [f"flag && n in [{n}]" for n in range(20)]
    assert candidates(either, {"flag": True, "n": 4}) == [4]


def test_a_rule_is_not_filed_under_what_many_rules_ask_for() -> None:
    common = [f"a == 'common' && b == {n % 10}" for n in range(20)] + [f"a == 'rare {n}'" for n in range(20)]
    with bounds(saved=math.inf):
        found = make_index([compile_rule(source).demand for source in common])
    assert found is not None
    assert found.candidates({"a": "common", "b": 3}) == [3, 13]
    parts = [f"a.endsWith('powershell.exe') && b.contains('x{n:02}')" for n in range(20)]
    assert candidates(parts, {"a": "powershell.exe", "b": "x07"}) == [7]


def test_rules_that_demand_two_things_of_which_each_takes_many_are_filed_under_both() -> None:
    rules = [f"a == {n % 5} && b.c == '{n // 5}'" for n in range(20)]
    for listed in (0, 1_000):
        with bounds(cells=listed):
            found = make_index([compile_rule(source).demand for source in rules])
        assert found is not None
        assert found.candidates({"a": 3, "b": {"c": "2"}}) == [13]
        for payload in ({}, {"a": 3}, {"a": 3, "b": {"c": 2}}, {"a": "3", "b": {"c": "2"}}, {"a": 3, "b": "2"}):
            assert found.candidates(payload) == []
        assert found.candidates({"a": object(), "b": {"c": "2"}}) == [10, 11, 12, 13, 14]


def test_a_few_rules_are_tried_rather_than_looked_up() -> None:
    rules = [compile_rule(f"a == {n}").demand for n in range(RULES_MIN)]
    assert make_index(rules[1:]) is None
    assert make_index(rules) is not None
    assert make_index([]) is None
    assert make_index([None] * 100) is None


def test_a_path_of_few_rules_or_a_demand_for_nearly_anything_is_not_looked_up() -> None:
    rules = [f"a == {n}" for n in range(20)] + ["b == 1", "b == 2", "a != 1 && c == 1", "d == 1 && a == 5"]
    found = make_index([compile_rule(source).demand for source in rules])
    assert found is not None
    assert found.tried == (20, 21, 22)
    assert found.candidates({"a": 5}) == [5, 20, 21, 22, 23]


def test_nested_intervals_are_found_by_a_tree() -> None:
    count = 2_000
    found = make_index([demand(n, 2 * count - n) for n in range(count)])
    assert found is not None
    assert found.tried == ()
    for value in (-1, 0, 0.5, 7, count - 1, count - 0.5, count, 2 * count - 3, 2 * count):
        assert found.candidates({"a": value}) == [n for n in range(count) if n <= value < 2 * count - n]


def test_intervals_that_are_open_to_one_side_are_found_by_a_tree() -> None:
    over = [Demand(("a",), Values(((n, n % 2 == 0, math.inf, True),))) for n in range(500)]
    under = [Demand(("a",), Values(((-math.inf, True, n, n % 2 == 0),))) for n in range(500)]
    with bounds():
        found = make_index([*over, *under])
    assert found is not None
    assert found.tried == ()
    for value in (-1, 0, 0.5, 7, 250, 499, 500, 1e300):
        expected = [n for n in range(500) if value > n or (value == n and n % 2 == 0)]
        expected += [500 + n for n in range(500) if value < n or (value == n and n % 2 == 0)]
        assert found.candidates({"a": value}) == expected


def test_rules_against_one_text_each_take_no_more_places_than_their_bound() -> None:
    rules = [Demand(("a",), Values(texts=frozenset({str(n)}), all_texts_but=True)) for n in range(2_000)]
    rules += [Demand(("a",), Values(texts=frozenset({f"one {n}"}))) for n in range(50)]
    with bounds():
        found = make_index(rules)
    assert found is not None
    assert found.tried == ()
    assert set(found.candidates({"a": "7"})) >= set(range(2_000)) - {7}
    assert found.candidates({"a": "one 7"}) == [*range(2_000), 2_007]
    assert found.candidates({}) == found.candidates({"a": 1}) == []


def test_types_of_facts_that_meet_the_same_rules_share_their_index() -> None:
    compiled = [compile_rule(f"on order.*\nwhen a == {n}") for n in range(20)]
    made = Ruleset(1, [bound_rule(n, one) for n, one in enumerate(compiled)])
    assert made.plan("order.placed").index is not None
    assert made.plan("order.placed").index is made.plan("order.paid").index
    assert made.plan("flight.landed").index is None


def test_types_beyond_the_bound_of_plans_make_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [compile_rule(f"on order.*, kind{n % 2}\nwhen a == {n}") for n in range(40)]
    made = Ruleset(1, [bound_rule(n, one) for n, one in enumerate(compiled)])
    monkeypatch.setattr(ruleset_module, "PLANS_MAX", 1)
    assert made.plan("order.placed").index is not None
    assert made.plan("order.paid").index is made.plan("order.placed").index
    assert made.plan("kind0").index is None
    found: Decision = decide(made, fact({"a": 4}, fact_type="kind0"))
    assert [match.name for match in found.matches] == ["rule 004"]
