"""Merging: the first ``set`` wins, ``add`` sums, ``append`` keeps the order."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions.merge import Merge, fields_of, joined, nested, output_of
from domain.language import Contribution, MergeKind, Timestamp
from domain.language.limits import OUTPUT_ITEMS_MAX
from domain.language.values import Uint
from tests.fakes.handmade import path


def merged(*contributions: tuple[str, str, Any]) -> Merge:
    merge = Merge()
    for number, (kind, at, value) in enumerate(contributions):
        merge.take([(MergeKind(kind), path(at), value)], number)
    return merge


CASES: list[tuple[str, list[tuple[str, str, Any]], dict[str, Any]]] = [
    ("nothing", [], {}),
    ("the first to set a path wins", [("set", "a", 1), ("set", "a", 2)], {"a": 1}),
    ("null is a value", [("set", "a", None), ("set", "a", 2)], {"a": None}),
    ("paths nest", [("set", "a.b", 1), ("set", "a.c.d", 2), ("set", "e", 3)], {"a": {"b": 1, "c": {"d": 2}}, "e": 3}),
    ("add sums", [("add", "a", 1), ("add", "a", 2), ("add", "a", 0.5)], {"a": 3.5}),
    ("one term is its own sum", [("add", "a", -7)], {"a": -7}),
    (
        "append keeps the order",
        [("append", "a", "x"), ("append", "a", "y"), ("append", "a", "x")],
        {"a": ["x", "y", "x"]},
    ),
    ("append nests lists", [("append", "a", [1]), ("append", "a", [2])], {"a": [[1], [2]]}),
    ("another kind on a path is ignored", [("set", "a", 1), ("add", "a", 2), ("append", "a", 3)], {"a": 1}),
    ("a set after an add is ignored", [("add", "a", 1), ("set", "a", 9), ("add", "a", 2)], {"a": 3}),
    ("a path below a value is ignored", [("set", "a", 1), ("set", "a.b", 2)], {"a": 1}),
    ("a path below a map value is ignored too", [("set", "a", {"x": 1}), ("set", "a.b", 2)], {"a": {"x": 1}}),
    ("a path above a value is ignored", [("set", "a.b", 2), ("set", "a", 1)], {"a": {"b": 2}}),
    ("a path below null is ignored", [("set", "a", None), ("set", "a.b", 2)], {"a": None}),
]


@pytest.mark.parametrize(("contributions", "output"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_contributions_merge(contributions: list[tuple[str, str, Any]], output: dict[str, Any]) -> None:
    assert merged(*contributions).output() == output


def test_a_term_that_does_not_add_is_left_out_and_its_contributor_named_and_the_others_count() -> None:
    merge = merged(("add", "a", 1), ("add", "a", "text"), ("add", "a", 2), ("add", "a", True))
    assert merge.output() == {"a": 3}
    assert [one.contributor for one in merge.left_out] == [1, 3]
    assert all(one.code and one.message for one in merge.left_out)


def test_merging_does_not_write_into_a_rules_own_value() -> None:
    value = {"x": 1}
    merge = merged(("set", "a", value), ("set", "a.b", 2))
    merge.nested()
    merge.output()
    assert value == {"x": 1}


def test_rules_see_values_as_they_are_and_the_output_has_their_json_forms() -> None:
    moment = Timestamp(0)
    merge = merged(("set", "at", moment), ("append", "all.at", moment))
    assert merge.nested() == {"at": moment, "all": {"at": [moment]}}
    assert merge.output() == {"at": "1970-01-01T00:00:00Z", "all": {"at": ["1970-01-01T00:00:00Z"]}}


def test_a_value_without_a_json_form_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        merged(("set", "a", float("nan"))).output()


TERMS = st.sampled_from([7, 0.5, -2.25, Uint(3), 2**62, -(2**63), 1e308, Decimal("1.10")])
CONTRIBUTIONS = st.tuples(
    st.sampled_from(list(MergeKind)),
    st.sampled_from([("a",), ("b",), ("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("c", "x", "z"), ("d",)]),
    st.sampled_from([1, 2.5, None, [1], [], {"x": 1}, Timestamp(0)]),
).flatmap(lambda one: TERMS.map(lambda term: (one[0], one[1], term)) if one[0] is MergeKind.ADD else st.just(one))
RULES = st.lists(st.lists(CONTRIBUTIONS, max_size=3), max_size=5)


@given(RULES)
def test_what_is_joined_without_a_merge_is_what_a_merge_gives(rules: list[list[Contribution]]) -> None:
    merge = Merge()
    for contributions in rules:
        merge.take(contributions)
    fields = [fields_of(contributions) for contributions in rules]
    for one, contributions in zip(fields, rules, strict=True):
        assert one is None or repr(nested(one)) == repr(output_of(contributions))
    whole = [one for one in fields if one is not None]
    before = repr(whole)
    output = joined([*chain.from_iterable(whole)]) if len(whole) == len(fields) else None
    assert output is None or repr(output) == repr(merge.output())
    assert repr(whole) == before


@pytest.mark.parametrize(
    ("rules", "output"),
    [
        ([[("set", "a.x", 1)], [("set", "a.y", 2)], [("add", "b", 3)]], {"a": {"x": 1, "y": 2}, "b": 3}),
        ([[("append", "a", 1)], [("append", "a", 2)], [("append", "b.c", 3)]], {"a": [1, 2], "b": {"c": [3]}}),
        ([[("set", "a", None)], [("set", "a.x", 2)]], None),
        ([[("set", "a", {"x": 1})], [("set", "a.y", 2)]], None),
        ([[("set", "a.x", 2)], [("set", "a", 1)]], None),
        ([[("set", "a", 1)], [("set", "a", 2)]], {"a": 1}),
        ([[("set", "a.x", 1)], [("add", "a.x", 2)]], {"a": {"x": 1}}),
        ([[("append", "a", 1)], [("set", "a", 2)]], {"a": [1]}),
        ([[("set", "a", [1])], [("append", "a", 2)]], None),
        ([[("set", "a.b.c", 1)]], None),
        ([[("set", "a.x", 1)], [("set", "a.x", 2)], [("set", "a.y", 3)]], {"a": {"x": 1, "y": 3}}),
        ([[("add", "a", 1)], [("set", "a", 2)]], {"a": 1}),
        ([[("add", "a", 1)], [("add", "a", 2.5)], [("add", "b.c", 1)], [("add", "b.c", 2)]], {"a": 3.5, "b": {"c": 3}}),
        ([[("set", "a", 1)], [("add", "a", 2)], [("add", "a", 4)]], {"a": 1}),
        ([[("add", "a", 2**53 - 1)], [("add", "a", 1)]], None),
        ([[("add", "a", Decimal("0.1"))], [("add", "a", Decimal("0.2"))]], None),
        ([], {}),
    ],
)
def test_outputs_are_joined_where_only_small_numbers_are_added_up_and_no_path_is_below_another(
    rules: list[list[tuple[str, str, Any]]], output: dict[str, Any] | None
) -> None:
    fields = [fields_of([(MergeKind(kind), path(at), value) for kind, at, value in rule]) for rule in rules]
    assert joined([*chain.from_iterable(one for one in fields if one is not None)]) == output


def test_a_rule_that_writes_a_path_twice_is_merged() -> None:
    assert fields_of([(MergeKind.ADD, ("a",), 1), (MergeKind.ADD, ("a",), 2)]) is None


def test_lists_of_several_rules_may_be_longer_together_than_one_rules_may_be() -> None:
    half = list(range(OUTPUT_ITEMS_MAX * 2 // 3))
    fields = fields_of([(MergeKind.APPEND, ("a",), half)])
    assert fields is not None
    assert joined([*fields, *fields]) == {"a": [half, half]}
