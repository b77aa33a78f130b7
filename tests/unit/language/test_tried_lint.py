"""The lint `tried-always`: which rules it warns of, where, and which are meant so and left alone."""

from pathlib import Path

import pytest

from domain.language import compile_rule, is_wide, tried_lint

PAGE = (Path(__file__).parents[3] / "docs" / "matching.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "place", "told"),
    [
        ("!note.contains('x')", (1, 2), "a negated `contains` is true of most values"),
        ("on t\nwhen a != 'x' then set x = 1", (2, 6), "`!=` is true of most values"),
        ("a == b", (1, 1), "it compares two values of the fact"),
        ("a == 1 || b < c", (1, 11), "it compares two values of the fact"),
        ("note.matches('[a-z]+')", (1, 1), "no text is known that the pattern can't match without"),
        ("a * 2.0 > 3.0", (1, 1), "it compares what is calculated"),
        ("xs.all(x, x > 1)", (1, 1), "it holds for an empty list"),
        ("int(s) == 1 && a == 1", (1, 1), "what this may cost is not bounded"),
        ("let late = a > b when late", (1, 12), "it compares two values of the fact"),
        ("table first\n| a | set x |\n| != 1 | 1 |\n| 2 | 3 |", (3, 3), "`!=` is true of most values"),
    ],
)
def test_a_rule_that_an_index_can_hardly_leave_out_is_warned_of_at_its_place(source, place, told):
    problem = tried_lint(source)
    assert problem is not None
    assert (problem.code, problem.severity) == ("tried-always", "warning")
    assert (problem.line, problem.column) == place
    assert told in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    "source",
    [
        "note.contains('x') && !note.contains('y')",
        "a == 1 && a2 == b",
        "xs.exists(x, x.k == 'a')",
        "note.matches('^abc')",
        "a == 1 && int(s) == 1",
        "table first\n| a | set x |\n| 1 | 1 |\n| 2 | 3 |",
    ],
)
def test_a_rule_that_can_be_looked_up_is_left_alone(source):
    assert tried_lint(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "then set x = 1",
        "when a == b then set x = 1 else set x = 2",
        "table first\n| a | set x |\n| 1 | 1 |\n| - | 3 |",
        "decision.x >= 4 && !has(decision.y)",
        "fact.type == 'x'",
        "let hour = fact.time.getHours() when hour > 3",
        "true",
        "has(a.b)",
        "!has(a.b) && c == d",
        "a != null",
        "a != true && b == c",
    ],
)
def test_a_rule_that_is_meant_so_is_left_alone(source):
    assert compile_rule(source)
    assert tried_lint(source) is None


def test_a_text_that_is_no_rule_has_no_such_warning():
    assert tried_lint("when when") is None


def test_it_is_said_whether_facts_without_the_fields_are_spared():
    assert "tried on nearly every fact that has its fields: it compares" in tried_lint("a == b").message
    assert "tried on every fact: it compares" in tried_lint("a == b || decision.x == 1").message


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("paid < due", "paid < due && due >= 100.0"),
        ("total * 1.2 > 50.0", "total > 40.0"),
        ('int(code) == 7 && kind == "a"', 'kind == "a" && int(code) == 7'),
    ],
)
def test_what_the_page_says_to_write_instead_is_looked_up(written, instead):
    assert f"| `{written}` |" in PAGE
    assert f"`{instead}`" in PAGE
    assert tried_lint(written) is not None
    better = compile_rule(instead).demand
    assert better is not None
    assert not is_wide(better)


@pytest.mark.parametrize(
    "written",
    ['!note.contains("x")', 'status != "new"', 'note.matches("[a-z]+")', "lines.all(l, l.ok)", "decision.points > 4"],
)
def test_what_the_page_says_to_be_tried_is_tried(written):
    assert f"`{written}`" in PAGE
    demand = compile_rule(written).demand
    assert demand is None or is_wide(demand)
