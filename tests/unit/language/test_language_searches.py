"""Tests of strings for constants are written together; what they give is what each by itself gives."""

from __future__ import annotations

import random
from typing import Any

import pytest

from domain.language import FactContext, RuleFault, compile_rule
from domain.language.assembly import write
from domain.language.interpretation import Interpreter, Missing
from domain.language.limits import STEPS_MAX
from domain.language.plan import PlannedRule
from domain.language.planning import plan_rule

FACT = FactContext("f1", "order.placed")
SUBJECTS = ("a", "a.lowerAscii()", "b", "b.upperAscii()", "c.d", "c.d.lowerAscii().upperAscii()", "t", "payload.a", "u")
TEXTS = ("x", "X", "\u00e9", "", "xy", "k")
VALUES: tuple[Any, ...] = ("x", "XY", "\u00c9x", "\u212a", "", 7, 1.5, True, None, [], ["x"], {}, {"x": 1}, {"d": "Xy"})
LETS = "let t = a.lowerAscii()\nlet u = c.d\nwhen "


def _test(draw: random.Random, depth: int) -> str:
    way = draw.randint(0, 9)
    if depth and way < 6:
        word = draw.choice((" || ", " && "))
        return "(" + word.join(_test(draw, depth - 1) for _ in range(draw.randint(2, 5))) + ")"
    if depth and way == 6:
        return f"!({_test(draw, depth - 1)})"
    subject, text = draw.choice(SUBJECTS), f'"{draw.choice(TEXTS)}"'
    if way < 8:
        return f"{subject}.{draw.choice(('contains', 'startsWith', 'endsWith'))}({text})"
    if way == 8:
        listed = ", ".join(f'"{one}"' for one in draw.choices(TEXTS, k=draw.randint(1, 12)))
        macro = f"[{listed}].{draw.choice(('exists', 'all'))}(e, {subject}.{draw.choice(('contains', 'endsWith'))}(e))"
        return draw.choice((f"{subject} in [{listed}]", macro))
    return f"{subject} {draw.choice(('==', '!='))} {text}"


def _interpreted(plan: PlannedRule, fact: dict[str, Any]) -> bool | None:
    assert plan.condition is not None
    try:
        return Interpreter(plan.lets, fact, FACT, {}).test(plan.condition)
    except Missing:
        return None


@pytest.mark.parametrize("seed", range(8))
def test_tests_written_together_give_what_they_give_one_by_one(seed):
    """Chains over several strings, nested and negated, on facts with and without them: as the interpreter has it."""
    draw = random.Random(seed)
    seen = set()
    for _ in range(40):
        source = LETS + _test(draw, 3)
        condition, (plan, _) = compile_rule(source).condition, plan_rule(source)
        assert plan is not None
        for _ in range(20):
            fact = {name: draw.choice(VALUES) for name in "abc" if draw.random() < 0.9}
            found = condition(fact, FACT, {})
            assert found == _interpreted(plan, fact), (source, fact)
            seen.add(found)
    assert seen >= {True, False, None}


def _text(rule: str) -> str:
    plan, _ = plan_rule(rule)
    assert plan is not None
    return write(plan).text


@pytest.mark.parametrize(
    "test", ['a.b.contains("{}")', 'a.b.lowerAscii().endsWith("{}")', 'a.b.lowerAscii() == "{}"', 'a.b == "{}"']
)
def test_a_thousand_alternatives_are_as_much_code_as_two(test):
    """The texts are data; what is compiled does not grow with them."""
    few, many = (" || ".join(test.format(f"text{number}") for number in range(count)) for count in (9, 1_000))
    assert _text(few) == _text(many)
    assert compile_rule(many).condition({"a": {"b": "text999"}}, FACT, {}) is True
    assert compile_rule(many).condition({"a": {"b": "text 999"}}, FACT, {}) is False
    missing = False if test.startswith("a.b ==") else None
    assert compile_rule(many).condition({"a": {"b": 999}}, FACT, {}) is missing
    assert compile_rule(many).condition({"a": {}}, FACT, {}) is None


def test_a_test_of_another_string_absorbs_what_one_lacks():
    """Tests of two strings fail apart, so that either may decide where the other is missing."""
    rule = compile_rule('a.contains("x") || b.contains("x") || a.contains("y") || b.contains("y")')
    assert rule.condition({"b": "y"}, FACT, {}) is True
    assert rule.condition({"a": "y", "b": 1}, FACT, {}) is True
    assert rule.condition({"a": "z"}, FACT, {}) is None


@pytest.mark.parametrize("source", ["[{}].exists(e, {})", "let texts = [{}]\nwhen texts.exists(e, {})"])
@pytest.mark.parametrize("test", ["a.lowerAscii().contains(e)", "a.endsWith(e)", "a == e", "e == a", "a.matches(e)"])
def test_a_macro_over_constants_takes_no_steps_for_the_size_of_the_string(source, test):
    """It is what the alternatives written out would be, however long the string is."""
    texts = ", ".join(f'"text{number}"' for number in range(500))
    rule = compile_rule(source.format(texts, test))
    for filler in ("a", "a" * 254, "a" * 255, "a" * 256, "a" * 200_000):
        assert rule.evaluate({"a": filler}, FACT, {}) is None
        assert (rule.evaluate({"a": f"{filler}text499"}, FACT, {}) is None) is ("==" in test)
    assert rule.evaluate({"a": "text499"}, FACT, {}) is not None
    for absent in ({}, {"a": None}, {"a": ["text499"]}, {"a": 1}):
        assert rule.evaluate(absent, FACT, {}) is None


def test_a_macro_over_constants_within_one_over_the_fact_takes_the_steps_that_it_takes():
    """A string that is gone through again for each of many elements is a fault."""
    texts = ", ".join(f'"text{number}"' for number in range(1_000))
    rule = compile_rule(f"l.exists(x, [{texts}].exists(e, a.lowerAscii().contains(e)))")
    assert rule.evaluate({"l": [1], "a": "a" * 255}, FACT, {}) is None
    assert rule.evaluate({"l": [1], "a": "TEXT999"}, FACT, {}) is not None
    assert rule.evaluate({"l": [1], "a": "a" * 2_000 + "text999"}, FACT, {}) is not None
    with pytest.raises(RuleFault, match=str(STEPS_MAX)):
        rule.evaluate({"l": [1], "a": "a" * 20_000}, FACT, {})


@pytest.mark.parametrize(("length", "fails"), [(255, False), (256, True)])
def test_a_macro_over_long_constants_takes_steps_for_them_within_one_over_the_fact(length, fails):
    """A list takes all steps but those that two long texts take."""
    texts = ", ".join(f'"{sign * length}"' for sign in "bc")
    rule = compile_rule(f"l.all(e, e == 0) && m.exists(x, [{texts}].exists(e, a.contains(e)))")
    fact = {"l": [0] * (STEPS_MAX - 6), "m": [1], "a": "a"}
    if fails:
        with pytest.raises(RuleFault, match=str(STEPS_MAX)):
            rule.evaluate(fact, FACT, {})
    else:
        assert rule.evaluate(fact, FACT, {}) is None


def test_lower_case_is_that_of_the_string_however_often_it_is_asked():
    """What is kept of one fact's strings is only ever given for an equal string."""
    rule = compile_rule('a.lowerAscii() == "x\u00c9" || b.lowerAscii().startsWith("y")')
    for number in range(1_000):
        assert rule.condition({"a": f"X{number}", "b": f"z{number}"}, FACT, {}) is False
        assert rule.condition({"a": "X\u00c9"}, FACT, {}) is True
        assert rule.condition({"a": f"{number}", "b": f"Y{number}" * 2_000}, FACT, {}) is True
        assert rule.condition({"a": "X", "b": "Z"}, FACT, {}) is False
        assert rule.condition({"a": "X", "b": "Y"}, FACT, {}) is True
