"""Fact types against the patterns of ``on``."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions.patterns import can_meet, matches

# pattern, types that fall under it, and near misses
CASES = [
    ("order", ["order"], ["orders", "order.placed", "orde"]),
    ("order.placed", ["order.placed"], ["order", "order.placed.late", "order.amended", "order.place"]),
    ("*", ["order", "x"], ["order.placed"]),
    ("order.*", ["order.placed", "order.x"], ["order", "order.placed.late", "orders.placed"]),
    ("*.placed", ["order.placed"], ["placed", "order.amended", "a.order.placed"]),
    ("*.*", ["a.b"], ["a", "a.b.c"]),
    ("order.*.late", ["order.placed.late"], ["order.late", "order.placed.early", "order.a.b.late"]),
    (">", ["order", "order.placed", "a.b.c"], []),
    ("order.>", ["order.placed", "order.placed.late"], ["order", "orders.placed", "x.order.placed"]),
    ("*.>", ["order.placed", "a.b.c"], ["order"]),
    ("order.*.>", ["order.placed.late", "order.a.b.c"], ["order.placed"]),
]


@pytest.mark.parametrize(("pattern", "fact_type"), [(pattern, one) for pattern, yes, _ in CASES for one in yes])
def test_a_type_falls_under_its_pattern(pattern: str, fact_type: str) -> None:
    assert matches(pattern, fact_type)


@pytest.mark.parametrize(("pattern", "fact_type"), [(pattern, one) for pattern, _, no in CASES for one in no])
def test_a_near_miss_does_not(pattern: str, fact_type: str) -> None:
    assert not matches(pattern, fact_type)


TOKEN = st.sampled_from(["a", "b", "*"])
PATTERN = st.builds(
    lambda tokens, rest: ".".join([*tokens, *rest]),
    st.lists(TOKEN, min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
) | st.just(">")
# Every type that could tell two such patterns apart: up to five tokens, "c" standing for all that is neither a nor b.
TYPES = [".".join(tokens) for length in range(1, 6) for tokens in itertools.product("abc", repeat=length)]


@given(PATTERN, PATTERN)
def test_two_patterns_can_meet_exactly_when_some_type_falls_under_both(left: str, right: str) -> None:
    together = any(matches(left, one) and matches(right, one) for one in TYPES)
    assert can_meet([left], [right]) is together


@given(PATTERN, st.sampled_from(TYPES))
def test_a_type_as_a_pattern_meets_what_it_falls_under(pattern: str, fact_type: str) -> None:
    assert can_meet([pattern], [fact_type]) is matches(pattern, fact_type)


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ([], [], True),
        ([], ["a"], True),
        (["a"], [], True),
        (["a", "b"], ["c", "b"], True),
        (["a", "b"], ["c", "d"], False),
        (["a.*", "x"], ["b.*", "*.y"], True),
    ],
)
def test_lists_meet_when_any_two_of_their_patterns_do_and_no_list_takes_every_fact(
    left: list[str], right: list[str], meet: bool
) -> None:
    assert can_meet(left, right) is meet
