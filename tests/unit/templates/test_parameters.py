"""Values for parameters: checked whole, completed by defaults, and put into names."""

from __future__ import annotations

from typing import Any

import pytest

from domain.templates.parameters import Parameter, bind_values, fill_text, unknown_in_text

PARAMETERS = (
    Parameter("tier", "string"),
    Parameter("limit", "double", 100),
    Parameter("days", "list<int>", [1, 2]),
)


def test_values_are_completed_by_defaults_and_become_literals() -> None:
    bound = bind_values(PARAMETERS, {"tier": '" || true || "'})
    assert bound.problems == []
    assert bound.values == {"tier": '" || true || "', "limit": 100, "days": [1, 2]}
    assert bound.literals == {"tier": r'"\" || true || \""', "limit": "100.0", "days": "[1, 2]"}


def test_null_takes_the_default_and_where_there_is_none_is_missing() -> None:
    assert bind_values(PARAMETERS, {"tier": "VIP", "limit": None}).values["limit"] == 100
    (problem,) = bind_values(PARAMETERS, {"tier": None}).problems
    assert problem.code == "missing-parameter"


def test_everything_wrong_with_a_row_is_told() -> None:
    bound = bind_values(PARAMETERS, {"limit": "100", "days": [True], "colour": "red"})
    assert [(one.code, one.field) for one in bound.problems] == [
        ("unknown-parameter", "parameters.colour"),
        ("missing-parameter", "parameters.tier"),
        ("parameter-type", "parameters.limit"),
        ("parameter-type", "parameters.days"),
    ]
    assert bound.problems[1].message == "parameter `tier`: a value is missing"
    assert bound.values == {}


def test_the_values_of_a_row_are_bounded() -> None:
    assert bind_values(PARAMETERS, {"tier": "x" * 65_000}).problems == []
    (problem,) = bind_values(PARAMETERS, {"tier": "x" * 65_536}).problems
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
    assert unknown_in_text(text, PARAMETERS) == []
    assert fill_text(text, PARAMETERS, bind_values(PARAMETERS, values).values) == filled


def test_a_name_that_uses_no_parameter_of_the_template_is_told() -> None:
    problems = unknown_in_text("${tier} ${tire} ${tire}", PARAMETERS)
    assert [(one.code, one.field, one.message) for one in problems] == [
        ("unknown-parameter", "name", "no parameter `tire` is declared for the name")
    ]
    assert len(unknown_in_text("".join(f"${{x{number}}}" for number in range(300)), PARAMETERS)) == 100
