"""An explanation is bounded, whatever the rule and the fact: its parts, its nesting and its values."""

from __future__ import annotations

import json

import pytest

from domain.language import Explained, FactContext, explain_rule
from domain.language.limits import EXPLAINED_DEPTH_MAX, EXPLAINED_PARTS_MAX

FACT = FactContext("f1", "order.placed")


def depth(tree: Explained) -> int:
    return 1 + max((depth(child) for child in tree.children), default=0)


def omitted(tree: Explained) -> int:
    return tree.omitted + sum(omitted(child) for child in tree.children)


def test_a_let_is_taken_apart_where_it_is_first_used_and_only_there():
    tree = explain_rule("let total = price * 2\nwhen total > 1 && total < 9", {"price": 3}, FACT)
    assert tree.render() == (
        "total > 1 && total < 9: true\n"
        "  total > 1: true\n"
        "    total: 6\n"
        "      price * 2: 6\n"
        "        price: 3\n"
        "  total < 9: true\n"
        "    total: 6"
    )


def test_a_tables_column_is_taken_apart_in_its_first_cell_and_only_there():
    tree = explain_rule("table first\n| price * 2 | set x |\n| 1 | 1 |\n| 6 | 2 |", {"price": 3}, FACT)
    assert tree.render() == (
        "table first: true\n"
        "  row 1: | 1 | 1 |: false\n"
        "    1: false\n"
        "      price * 2: 6\n"
        "        price: 3\n"
        "  row 2: | 6 | 2 |: true\n"
        "    6: true\n"
        "      price * 2: 6"
    )


def test_lets_that_double_one_another_do_not_double_the_explanation():
    lets = "\n".join(f"let a{n} = a{n - 1} + a{n - 1}" for n in range(1, 100))
    tree = explain_rule(f"let a0 = x\n{lets}\nwhen a99 > 1.0", {"x": 1.0}, FACT)
    assert tree.size < 1_000
    assert depth(tree) <= EXPLAINED_DEPTH_MAX + 1
    assert omitted(tree) > 0


def test_a_rule_of_many_parts_is_shown_from_the_outside_in_and_says_what_is_left_out():
    tree = explain_rule(" && ".join(f"x > {n}" for n in range(-1_500, 0)), {"x": 1}, FACT)
    assert (tree.status, tree.size, len(tree.children)) == ("true", EXPLAINED_PARTS_MAX, 1_500)
    assert omitted(tree) == 1_500 * 2 + 1 - EXPLAINED_PARTS_MAX
    assert tree.children[-1].to_json()["omitted"] == 1
    assert tree.render().endswith("x > -1: true\n    … 1 more part")


@pytest.mark.parametrize(
    ("parts", "kept"), [(1, ["a"]), (2, ["a", "b"]), (4, ["a", "b", "c", "d"]), (9, list("abcde"))]
)
def test_a_tree_is_cut_to_so_many_parts(parts, kept):
    def part(text: str, *children: Explained) -> Explained:
        return Explained(text, 1, 1, "true", children=children)

    def texts(tree: Explained) -> list[str]:
        return [tree.text, *(text for child in tree.children for text in texts(child))]

    tree = part("a", part("b", part("d")), part("c", part("e")))
    found = tree.within(parts)
    assert sorted(texts(found)) == kept
    assert found.size == len(kept)
    assert found.within(parts) == found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
        ([[[1]] * 50] * 50, "list of 50"),
        ({"a": ["x" * 100] * 3}, "map of 1"),
        ([1, "a", None], [1, "a", None]),
    ],
)
def test_a_value_is_shown_whole_or_by_its_size(value, shown):
    tree = explain_rule("size(v) > 0", {"v": value}, FACT)
    assert tree.children[0].children[0].value == shown


def test_a_large_value_in_many_parts_is_not_written_out_for_each():
    """Each part's value would be half a megabyte of JSON; only a little of it is looked at."""
    fact = {"a": [{"k": "x" * 50} for _ in range(10_000)]}
    tree = explain_rule(" && ".join(f"size(payload) > {n}" for n in range(-900, 0)), fact, FACT)
    assert tree.children[0].children[0].children[0].value == "map of 1"
    assert len(json.dumps(tree.to_json())) < 400_000


def test_a_table_that_is_too_much_for_a_fact_ends_in_an_error():
    fact = {"a": list(range(1_000))}
    tree = explain_rule("table first\n| a.all(x, a.all(y, y == y)) | set x |\n| true | 1 |", fact, FACT)
    assert tree.status == "error"
    assert "steps" in tree.detail
