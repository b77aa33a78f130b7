"""A rule's plan as plain data: what a restart and another process make the rule of again."""

import contextlib
import dataclasses
import marshal
import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from domain.language import (
    STORED_VERSION,
    AllOf,
    AnyOf,
    Demand,
    FactContext,
    InvalidRuleError,
    PartKind,
    RuleFault,
    StoredPlanError,
    TextParts,
    View,
    compile_rule,
    explain_compiled,
    explain_rule,
    image_of,
    load_image,
    restore_rule,
    timestamp_from_ns,
)
from domain.language import rule as rule_module
from domain.language.library.catalogue import FUNCTIONS
from domain.language.plan import Const, Invoke, children
from domain.language.planning import plan_rule
from domain.language.ranges import Values
from domain.language.record import load_demand, store_demand
from domain.language.rule import LATER_BYTES_MAX
from domain.language.stored import load_plan, store_plan

sys.path.insert(0, str(Path(__file__).parent))
from expressions import conditions, expressions, facts

EXAMPLES = int(os.environ.get("RULESTREAM_FUZZ_EXAMPLES", "300"))
FACT = FactContext("f1", "order.placed", timestamp_from_ns(1_700_000_000_000_000_000))
RULES = (
    "customer.tier == 'VIP' && order.total > 100.0",
    "on a.b, c.* let x = a.map(i, i * 2) when x.sum() > 1 && has(a.b)\nthen set a.b = 1\n emit e {'k': x}\nelse stop",
    "table first\n| a.b | c | set d | emit e |\n| 1, 2 | 5..6 | 'x' | {'k': 1} |\n| - | _ > 1 | - | - |\n",
    "table unique\n| a | add n.m |\n| 1..3 | b |\n| >= 2 | 5 |\n",
    "name.matches('^ab+c') || name.matches('lit.ral$') || 'ab'.matches(name)",
    "name.lowerAscii().split(',').exists(w, w in ['a', 'b'])",
    "xs.all(i, x, i < 3 || x > 1) && xs.transformMap(i, x, i + x).size() > 1",
    "xs.transformMapEntry(i, x, {string(i): x}).size() > 1 && xs.transformList(i, x, x > 0, i).sum() > 0",
    "xs.sortBy(x, -x)[0] == 3 && xs.exists_one(x, x == 1) && xs.filter(x, x > 0).map(x, x * 2).max() > 1",
    "m.?k.orValue(1) == 2 && m[?'j'].or(optional.of(3)).hasValue() && m.?k.optMap(v, v + 1).value() == 3",
    "m.?k.optFlatMap(v, optional.of(v)).hasValue() || [?m.?k, 1].size() > 1 || {?'a': m.?k, 'b': 2}.size() > 1",
    "cel.bind(t, timestamp('2024-01-01T00:00:00.000000001Z'), fact.time > t && fact.time - t > duration('1h'))",
    "fact.time.getHours('Europe/Berlin') in [1, 2, 3] && timestamp(at) < timestamp('9999-12-31T23:59:59Z')",
    "timestamp(at) - timestamp('2023-01-01T00:00:00Z') > duration('1h')",
    "timestamp(at).getHours('Europe/Berlin') == 1",
    "type(a) == int || type(a) in [string, uint, google.protobuf.Timestamp] || b == b'\\x00\\xff' || a == 5u",
    "{1: 'a', true: 'b', 2u: 'c'}[a] == 'a' || {'x': [1, 2.5, null]}.x[0] == a || a == -9223372036854775808",
    "a == 18446744073709551615u || a > 1e300 || decimal('1.50') < decimal(a) || money('1.5', 'EUR') == money(price)",
    "email('a@B.c').domain == 'b.c' && ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP(ip(name))",
    "decision.risk.score > 10 && decision['x'] == 1",
    "then set a = decision.b append 'x' to c add 1 to d",
    "when a ? b : (c ? d : e) then set x = a > 1 ? 1 : a > 2 ? 2 : a > 3 ? 3 : a > 4 ? 4 : a > 5 ? 5 : 6",
    " + ".join(["a"] * 900) + " > 1",
    " || ".join(f"x{n} == {n}" for n in range(900)),
)
A_FACT = {
    "a": 1, "b": 2, "c": {"d": 1}, "xs": [3, 1, 2], "m": {"k": 2}, "name": "abbc,b", "customer": {"tier": "VIP"},
    "order": {"total": 120.5}, "at": "2024-01-01T00:00:00Z", "price": {"amount": "1.5", "currency": "EUR"}, "x7": 7,
}  # fmt: skip


def through_msgpack(stored):
    return msgspec.msgpack.decode(msgspec.msgpack.encode(stored))


def parts_of(plan):
    waiting = [part for _, part in plan.lets] + [*plan.tests]
    waiting += [action.value for branch in plan.branches for action in branch.actions]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += children(part)


def came_of(rule, fact, decision):
    """What a rule gives for a fact, or how it fails."""
    try:
        return rule.evaluate(fact, FACT, decision)
    except RuleFault as fault:
        return (fault.code, fault.message, fault.line, fault.column)


@pytest.mark.parametrize("source", RULES)
def test_a_plan_survives_the_way_through_data(source):
    """Every kind of part, constant and function comes back as it was."""
    plan, problems = plan_rule(source)
    assert plan is not None, problems
    stored = store_plan(plan)
    loaded = load_plan(through_msgpack(stored))
    assert store_plan(loaded) == stored
    for before, after in zip(parts_of(plan), parts_of(loaded), strict=True):
        assert type(before) is type(after)
        if isinstance(before, Const):
            assert (type(before.value), repr(before.value)) == (type(after.value), repr(after.value))
        if isinstance(before, Invoke):
            prepared = any(word in before.call.__qualname__ for word in ("matches_pattern", "part_in_zone"))
            assert before.call.__qualname__ == after.call.__qualname__
            assert prepared or before.call is after.call


@pytest.mark.parametrize("source", RULES)
def test_a_restored_rule_is_the_rule(source):
    """All that a worker asks of a rule is there again, and it decides the same."""
    rule = compile_rule(source)
    restored = restore_rule(source, rule.stored)
    for field in dataclasses.fields(rule):
        if field.name not in {"functions", "origin", "warnings"}:
            assert getattr(restored, field.name) == getattr(rule, field.name), field.name
    assert (restored.plain is None) == (rule.plain is None)
    assert restored.stored == rule.stored
    for fact in (A_FACT, {}, {"a": "x", "name": 5, "xs": {}}):
        assert came_of(restored, fact, {"risk": {"score": 11}}) == came_of(rule, fact, {"risk": {"score": 11}})


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(condition=conditions, let=expressions, fact=facts)
@example(condition="let2[0] == a && 1 / b == 1", let="[a, 18446744073709551615u]", fact={"a": 1, "b": 0})
def test_any_restored_rule_decides_as_the_compiled_one(condition, let, fact):
    """Restored from data, or compiled elsewhere: the same outcome, or the same fault at the same place."""
    source = f"let let1 = {let}\nlet let2 = [let1]\nwhen {condition} then set a = let1 else set b = let2"
    try:
        rule = compile_rule(source)
    except InvalidRuleError:
        assume(False)
    wanted = came_of(rule, fact, {})
    assert repr(came_of(restore_rule(source, rule.stored), fact, {})) == repr(wanted)
    assert repr(came_of(load_image(source, image_of(source)), fact, {})) == repr(wanted)


@pytest.mark.parametrize("source", RULES)
def test_an_image_needs_no_compilation(source, monkeypatch):
    """What another process compiled is used as it is: not parsed here, nor compiled if it is large."""
    image = image_of(source)
    monkeypatch.setattr(rule_module, "plan_rule", None)
    if image.code:
        monkeypatch.setattr("domain.language.text.code_of", None)
    rule = load_image(source, image)
    wanted = came_of(rule, A_FACT, {})
    monkeypatch.undo()
    assert wanted == came_of(compile_rule(source), A_FACT, {})
    assert rule.warnings == compile_rule(source).warnings


def test_a_large_rules_image_has_its_code():
    """Compiling a large text takes long; a small one is compiled when a fact meets it, or shares another's code."""
    assert image_of(LARGE).code
    assert not image_of("a == 1").code


def test_an_image_whose_code_is_of_another_text_is_compiled_here():
    """Code is taken only with the very text that it was compiled from."""
    image = image_of(LARGE)
    other = dataclasses.replace(image, text_digest=b"", code=marshal.dumps(compile("1 / 0", "", "exec")))
    assert came_of(load_image(LARGE, other), {"x1": 1}, {}) == came_of(compile_rule(LARGE), {"x1": 1}, {})


def test_an_image_of_no_rule_is_its_problems():
    """The compiler elsewhere finds what it would find here."""
    with pytest.raises(InvalidRuleError) as here:
        compile_rule("when x = 1\nthen set")
    with pytest.raises(InvalidRuleError) as elsewhere:
        image_of("when x = 1\nthen set")
    assert elsewhere.value.problems == here.value.problems


def test_every_function_has_a_name_to_be_stored_by():
    """A function is found by its name again, whatever library it is of."""
    for name, function in FUNCTIONS.items():
        assert function.name == name


GOOD = store_plan(plan_rule("a.b == 'x' && xs.exists(v, v > 1) && s.matches('^a')")[0])


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        "text",
        [],
        {},
        [STORED_VERSION],
        [STORED_VERSION + 1, *GOOD[1:]],
        [*GOOD, None],
        [STORED_VERSION, *([None] * (len(GOOD) - 1))],
        *([*GOOD[:at], wrong, *GOOD[at + 1 :]] for at in range(1, len(GOOD)) for wrong in (7, "x", [[99]])),
    ],
    ids=repr,
)
def test_what_is_no_plan_is_refused(data):
    """Damaged data is a StoredPlanError, or harmlessly a plan, and never another exception."""
    with contextlib.suppress(StoredPlanError):
        load_plan(data)


LARGE = " || ".join(f"x{n} == {n}" for n in range(900))
RECORDS = {source: msgspec.msgpack.decode(compile_rule(source).stored) for source in ("a.b == 'x' && c > 1", LARGE)}


@pytest.mark.parametrize("source", RECORDS, ids=["small", "large"])
@pytest.mark.parametrize("wrong", [None, 7, "x", b"", [[99]], [2, ["a"], 0, [[1]], []], [0, [[7]]]], ids=repr)
@pytest.mark.parametrize("place", range(8))
def test_what_is_stored_of_no_rule_is_refused_or_makes_the_rule_all_the_same(source, place, wrong):
    """Damaged bytes are a StoredPlanError at once, or cost nothing that decides: the text makes the functions."""
    record = [*RECORDS[source][:place], wrong, *RECORDS[source][place + 1 :]]
    try:
        rule = restore_rule(source, msgspec.msgpack.encode(record))
    except StoredPlanError:
        return
    assert came_of(rule, A_FACT, {}) == came_of(compile_rule(source), A_FACT, {})
    assert explain_compiled(rule, A_FACT, FACT).to_json() == explain_rule(source, A_FACT, FACT).to_json()


def test_a_text_that_has_no_utf8_is_stored_all_the_same():
    """Half of a surrogate pair is no text for Postgres, so no such rule is ever active; it compiles and decides."""
    source = "on \ud800 when a == '\udfff' && b != b'\\xff' then set x = '\ud801' emit e {'\ud802': b'x'}"
    rule = compile_rule(source)
    restored = restore_rule(source, rule.stored)
    assert restored.fact_types == ("\ud800",)
    assert restored.demand == rule.demand
    assert restored.writes == rule.writes
    assert came_of(restored, {"a": "\udfff", "b": 1}, {}) == came_of(rule, {"a": "\udfff", "b": 1}, {}) is not None


@pytest.mark.parametrize(
    "data", [None, b"", b"text", b"\xc1", b"\xc1{}", b"\xc1[1]", msgspec.msgpack.encode([STORED_VERSION])], ids=repr
)
def test_bytes_that_are_no_record_are_refused(data):
    """Whatever is found in a rule's place, it is a StoredPlanError."""
    with pytest.raises(StoredPlanError):
        restore_rule("a == 1", data)


def test_another_versions_record_is_refused():
    """A release that stores other things than this one raises the version."""
    record = [STORED_VERSION + 1, *RECORDS[LARGE][1:]]
    with pytest.raises(StoredPlanError):
        restore_rule(LARGE, msgspec.msgpack.encode(record))


def test_a_rules_functions_are_made_when_they_are_first_asked_for(monkeypatch):
    """Restoring does nothing that a rule which meets no fact can do without; what was made once is kept."""
    stored = compile_rule("a == 1").stored
    with monkeypatch.context() as without:
        without.setattr(rule_module, "assemble", None)
        rule = restore_rule("a == 1", stored)
    assert rule.functions() is rule.functions()
    assert rule.evaluate({"a": 1}, FACT, {}) is not None


def test_a_large_rules_functions_are_made_at_once():
    """A fact never waits for long; a plan that is none is found before any fact meets the rule."""
    record = [*RECORDS[LARGE][:-1], b"\x00" * (LATER_BYTES_MAX + 1)]
    with pytest.raises(StoredPlanError):
        restore_rule(LARGE, msgspec.msgpack.encode(record))


def test_rules_that_differ_in_their_constants_alone_share_their_code():
    """Thousands of rules of a few shapes take the memory and the time of a few."""
    one, other = (compile_rule(f"when a.b == '{n}' && c > {n} then set x = {n}") for n in (1, 2))
    assert one.condition.__code__ is other.condition.__code__
    assert one.condition({"a": {"b": "1"}, "c": 2}, FACT, {}) is True
    assert other.condition({"a": {"b": "1"}, "c": 2}, FACT, {}) is False


texts = st.frozensets(st.text(max_size=3), max_size=3)
bounds = st.floats(allow_nan=False) | st.integers(-(2**62), 2**62)
values = st.builds(
    Values,
    st.lists(st.tuples(bounds, st.booleans(), bounds, st.booleans()), max_size=2).map(tuple),
    texts,
    st.booleans(),
    st.frozensets(st.booleans()),
    st.booleans(),
    st.booleans(),
)
parts = st.builds(TextParts, st.sampled_from(PartKind), texts)
paths = st.lists(st.text(max_size=3) | st.none(), min_size=1, max_size=3).map(tuple)
demands = st.recursive(
    st.builds(Demand, paths, values | parts, st.booleans(), st.sampled_from(View)),
    lambda inner: (
        st.builds(AllOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(demand=st.none() | demands)
def test_a_demand_survives_the_way_through_data(demand):
    """Any tree comes back as it was, and like trees as like data."""
    stored = msgspec.msgpack.encode(store_demand(demand))
    loaded = load_demand(msgspec.msgpack.decode(stored))
    assert loaded == demand
    assert msgspec.msgpack.encode(store_demand(loaded)) == stored


@settings(max_examples=EXAMPLES, deadline=None)
@given(fact=facts)
def test_a_fault_is_settled_from_the_stored_plan(fact):
    """A fault's place is found without the text being parsed again."""
    source = "when 1 / b == 1 && int(s) > 0\nthen set x = a + 1 else set x = s.size()"
    rule = compile_rule(source)
    assert repr(came_of(restore_rule(source, rule.stored), fact, {})) == repr(came_of(rule, fact, {}))
