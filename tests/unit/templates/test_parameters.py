"""Values for parameters: checked whole, completed by defaults, and put into names."""

from __future__ import annotations

from typing import Any

import pytest

from domain.templates.parameters import (
    Parameter,
    Values,
    bind_values,
    default_literals,
    fill_text,
    name_pattern_problems,
)

PARAMETERS = (
    Parameter("tier", "string"),
    Parameter("limit", "double", 100),
    Parameter("days", "list<int>", [1, 2]),
)


def bound(given: dict[str, Any]) -> Values:
    return bind_values(PARAMETERS, given, default_literals(PARAMETERS))


def test_values_are_completed_by_defaults_and_become_literals() -> None:
    row = bound({"tier": '" || true || "'})
    assert row.problems == []
    assert row.values == {"tier": '" || true || "', "limit": 100, "days": [1, 2]}
    assert row.literals == {"tier": r'"\" || true || \""', "limit": "100.0", "days": "[1, 2]"}


def test_null_takes_the_default_and_where_there_is_none_is_missing() -> None:
    assert bound({"tier": "VIP", "limit": None}).values["limit"] == 100
    (problem,) = bound({"tier": None}).problems
    assert problem.code == "missing-parameter"


def test_everything_wrong_with_a_row_is_told() -> None:
    row = bound({"limit": "100", "days": [True], "colour": "red"})
    assert [(one.code, one.field) for one in row.problems] == [
        ("unknown-parameter", "parameters.colour"),
        ("missing-parameter", "parameters.tier"),
        ("parameter-type", "parameters.limit"),
        ("parameter-type", "parameters.days"),
    ]
    assert row.problems[1].message == "parameter `tier`: a value is missing"
    assert row.values == {}


def test_the_values_of_a_row_are_bounded() -> None:
    assert bound({"tier": "x" * 65_000}).problems == []
    (problem,) = bound({"tier": "x" * 65_536}).problems
    assert problem.code == "values-too-large"


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("VIP over 100", {"tier": "a"}, "VIP over 100"),
        ("${tier} over ${limit}", {"tier": "VIP", "limit": 99.5}, "VIP over 99.5"),
        ("${tier}", {"tier": "${limit}"}, "${limit}"),
        ("days ${days}, $tier $${tier}", {"tier": "VIP", "days": [6, 7]}, "days 6, 7, $tier $VIP"),
    ],
)
def test_a_name_may_use_values_which_are_never_read_again(text: str, values: dict[str, Any], filled: str) -> None:
    assert name_pattern_problems(text, PARAMETERS) == []
    assert fill_text(text, PARAMETERS, bound(values).values) == filled


def test_a_name_that_uses_no_parameter_of_the_template_is_told() -> None:
    problems = name_pattern_problems("${tier} ${tire} ${tire}", PARAMETERS)
    assert [(one.code, one.field, one.message) for one in problems] == [
        ("unknown-parameter", "name", "no parameter `tire` is declared for the name")
    ]
    assert len(name_pattern_problems("".join(f"${{x{number}}}" for number in range(150)), PARAMETERS)) == 100


def test_the_name_is_bounded_before_values_are_in_it_and_a_value_in_it_too() -> None:
    assert name_pattern_problems("x" * 1000, PARAMETERS) == []
    (problem,) = name_pattern_problems("x" * 1001, PARAMETERS)
    assert problem.code == "name-too-long"
    assert fill_text("${tier}${tier}", PARAMETERS, {"tier": "x" * 5000}) == "x" * 202
