"""Templates: parameters are typed values, and no value is ever read as anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.language import (
    PARAMETER_TYPES,
    FactContext,
    ParameterError,
    check_filled,
    check_rule,
    check_template,
    compile_expression,
    compile_rule,
    fill_template,
    is_parameter_name,
    value_text,
)

FACT = FactContext("f1", "order.placed")
SOURCE = 'when order.total > ${limit} && customer.tier in ${tiers} then set reason = ${text} // ${limit}\nset "x" = 1'
SOURCE = SOURCE.split("\n", maxsplit=1)[0]
PARAMETERS = {"limit": "double", "tiers": "list<string>", "text": "string"}


def test_a_template_becomes_a_rule():
    assert check_template(SOURCE, PARAMETERS) == []
    text = fill_template(SOURCE, PARAMETERS, {"limit": 100, "tiers": ["VIP", 'a"b'], "text": "x\n${limit}"})
    assert text == (
        'when order.total > 100.0 && customer.tier in ["VIP", "a\\"b"] then set reason = "x\\n${limit}" // ${limit}'
    )
    outcome = compile_rule(text).evaluate({"order": {"total": 101}, "customer": {"tier": 'a"b'}}, FACT, {})
    assert outcome.contributions[0][2] == "x\n${limit}"


@pytest.mark.parametrize(
    ("source", "parameters", "code", "hint"),
    [
        ('when a == "${p}"', {"p": "string"}, "quoted-parameter", "drop the quotes: `${p}`"),
        ("when a > ${limt}", {"limit": "int"}, "unknown-parameter", "did you mean `${limit}`?"),
        ("when 'x' > ${p}", {"p": "int"}, "no-overload", None),
        ("when ${p}", {"p": "int"}, "not-a-bool", None),
        ("when a.${p} == 1", {"p": "int"}, "syntax", None),
        ("when a ${p} b", {"p": "string"}, "syntax", "a parameter stands where a literal may"),
    ],
)
def test_what_is_wrong_with_a_template(source, parameters, code, hint):
    problems = [problem for problem in check_template(source, parameters) if problem.severity == "error"]
    assert problems[0].code == code
    if hint is not None and code != "syntax":
        assert problems[0].hint == hint


def test_a_parameter_that_is_not_used_is_told():
    (problem,) = check_template("when a", {"p": "int"})
    assert (problem.code, problem.severity) == ("unused-parameter", "warning")


def test_a_parameter_stands_in_no_rule():
    assert [problem.code for problem in check_rule("when a > ${p}")] == ["template-parameter"]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("bool", True, "true"),
        ("int", -(2**63), "-9223372036854775808"),
        ("double", 1, "1.0"),
        ("double", 1e300, "1e+300"),
        ("string", "", '""'),
        ("string", "\x00\u2028é", '"\\U00000000\\U00002028é"'),
        ("decimal", "10.10", 'decimal("10.10")'),
        ("decimal", 0.1, 'decimal("0.1")'),
        ("timestamp", "2024-01-01T01:00:00+01:00", 'timestamp("2024-01-01T00:00:00Z")'),
        ("list<int>", [1, -2], "[1, -2]"),
        ("list<string>", [], "[]"),
    ],
)
def test_a_value_becomes_a_literal(kind, value, text):
    assert fill_template("when ${p} == a", {"p": kind}, {"p": value}) == f"when {text} == a"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", 1),
        ("int", True),
        ("int", 1.0),
        ("int", 2**63),
        ("double", "1"),
        ("double", float("nan")),
        ("string", 1),
        ("string", "\ud800"),
        ("decimal", "x"),
        ("decimal", True),
        ("timestamp", "yesterday"),
        ("list<int>", 1),
        ("list<int>", ["1"]),
        ("list<int>", [0] * 1001),
    ],
)
def test_a_value_of_another_type_is_refused(kind, value):
    with pytest.raises(ParameterError) as caught:
        fill_template("when ${p} == a", {"p": kind}, {"p": value})
    assert caught.value.details == {"parameter": "p"}


@pytest.mark.parametrize(("parameters", "values"), [({"p": "int"}, {}), ({}, {"p": 1}), ({}, {})])
def test_a_missing_or_unknown_value_is_refused(parameters, values):
    with pytest.raises(ParameterError):
        fill_template("when ${p} == a", parameters, values)


def test_there_are_no_other_types():
    with pytest.raises(ValueError, match="no parameter type"):
        check_template("when a", {"p": "object"})
    assert "list<decimal>" in PARAMETER_TYPES


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_stays_that_text(text):
    filled = fill_template("${p}", {"p": "string"}, {"p": text})
    assert "\n" not in filled
    assert compile_expression(filled)() == text


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_stays_that_number(number):
    assert compile_expression(fill_template("1.0 * ${p}", {"p": "double"}, {"p": number}))() == number


class TestFilledTemplates:
    """A template that is filled and checked as a rule: its problems stand where they are in the template."""

    @pytest.mark.parametrize(
        ("source", "literals", "place"),
        [
            ("when ${a} == b\nthen set x = ${p} / 0 + nope()", {"a": '"long long"', "p": "1"}, (2, 25)),
            ("when a\nthen set x = ${pattern}.size() + ${n}", {"pattern": '"abc"', "n": '"no number"'}, (2, 32)),
            ("when b.matches(${p})", {"p": '"("'}, (1, 8)),
            ("when ${a} && ${b} && ${p}", {"a": "true", "b": "false", "p": "7"}, (1, 22)),
            ("when ${p}", {"p": '"text"'}, (1, 6)),
        ],
    )
    def test_a_problem_is_where_the_template_has_it(self, source, literals, place):
        _, problems = check_filled(source, literals)
        errors = [problem for problem in problems if problem.severity == "error"]
        assert (errors[0].line, errors[0].column) == place
        lines = source.split("\n")
        assert errors[0].end_column is None or errors[0].end_column <= len(lines[place[0] - 1]) + 1

    def test_the_whole_token_of_a_value_is_shown(self):
        _, (problem,) = check_filled("when ${p}", {"p": '"a text that is longer than its token"'})
        assert (problem.column, problem.end_column) == (6, 10)

    def test_a_rule_without_problems_is_the_filled_text(self):
        assert check_filled("when a == ${p}", {"p": '"x"'}) == ('when a == "x"', [])

    def test_a_parameter_without_a_literal_is_refused(self):
        with pytest.raises(ParameterError):
            check_filled("when a == ${p}", {})


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", 'a ${p} "b"', 'a ${p} "b"'),
        ("int", 5, "5"),
        ("double", 5, "5"),
        ("double", 5.0, "5"),
        ("double", -0.0, "0"),
        ("double", 1e15, "1000000000000000.0"),
        ("double", 1e300, "1e+300"),
        ("double", 0.5, "0.5"),
        ("bool", False, "false"),
        ("decimal", "10.10", "10.10"),
        ("timestamp", "2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00Z"),
        ("list<string>", ["VIP", "GOLD"], "VIP, GOLD"),
    ],
)
def test_a_value_can_be_told_to_people(kind, value, text):
    assert value_text(kind, value) == text


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("limit", True),
        ("_x9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("9a", False),
        ("a-b", False),
        ("é", False),
        ("a\n", False),
    ],
)
def test_a_parameter_is_named_by_an_identifier(name, good):
    assert is_parameter_name(name) is good


def test_problems_of_a_template_are_bounded():
    assert len(check_template("when " + " && ".join("${x}" for _ in range(500)), {})) == 100
