"""How long decisions are kept at least, and which spans of time are missing between those that are there."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions.retention import RetentionError, Span, missing_spans, require_retention

DAY_S = 86_400


@pytest.mark.parametrize(("max_age_s", "window_s"), [(DAY_S, 120), (DAY_S - 1, 121), (1, 1), (200 * DAY_S, 0)])
def test_decisions_that_end_with_their_fact_or_before_it_are_refused(max_age_s: int, window_s: int) -> None:
    """One second more than the fact and the memory of its duplicates is enough."""
    needed = max_age_s + window_s
    with pytest.raises(RetentionError) as refused:
        require_retention(needed, "ORDERS", max_age_s, window_s)
    for part in ("RULESTREAM_DECISION_RETENTION_S", "ORDERS", str(needed), "decided twice"):
        assert part in refused.value.message
    require_retention(needed + 1, "ORDERS", max_age_s, window_s)


def test_for_a_stream_that_keeps_facts_for_ever_no_retention_is_enough() -> None:
    with pytest.raises(RetentionError, match="ORDERS has no age limit") as refused:
        require_retention(10**9, "ORDERS", 0, 120)
    assert "max_age below RULESTREAM_DECISION_RETENTION_S" in refused.value.message


@pytest.mark.parametrize(
    ("taken", "wanted", "missing"),
    [
        ([], (0, 10), [(0, 10)]),
        ([], (9, 11), [(0, 10), (10, 20)]),
        ([], (10, 20), [(10, 20)]),
        ([], (-1, 1), [(-10, 0), (0, 10)]),
        ([], (5, 5), []),
        ([(0, 10)], (0, 10), []),
        ([(0, 10)], (0, 11), [(10, 20)]),
        ([(3, 5)], (0, 10), [(0, 3), (5, 10)]),
        ([(3, 5)], (3, 5), []),
        ([(3, 5)], (4, 6), [(5, 10)]),
        ([(5, 25)], (0, 40), [(0, 5), (25, 30), (30, 40)]),
        ([(-100, 100)], (0, 40), []),
        ([(15, 17), (2, 4)], (0, 20), [(0, 2), (4, 10), (10, 15), (17, 20)]),
    ],
)
def test_what_is_missing_is_cut_where_others_are(
    taken: list[tuple[int, int]], wanted: tuple[int, int], missing: list[tuple[int, int]]
) -> None:
    found = missing_spans([Span(*one) for one in taken], Span(*wanted), 10)
    assert found == [Span(*one) for one in missing]


@given(
    st.lists(st.integers(-50, 50), unique=True, max_size=12),
    st.integers(-60, 60),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_with_what_is_missing_each_wanted_moment_is_in_one_span(
    edges: list[int], since: int, length: int, span_length: int
) -> None:
    """Spans that were taken never overlap; neither do those that are added, with them or with each other."""
    points = sorted(edges)
    taken = [Span(*pair) for pair in itertools.pairwise(points)][::2]
    wanted = Span(since, since + length)
    missing = missing_spans(taken, wanted, span_length)
    together = [*taken, *missing]
    for moment in range(wanted.since_ns, wanted.until_ns):
        assert sum(one.since_ns <= moment < one.until_ns for one in together) == 1
    for moment in range(-200, 200):
        assert sum(one.since_ns <= moment < one.until_ns for one in together) <= 1
    for one in missing:
        assert 0 < one.until_ns - one.since_ns <= span_length
        assert one.since_ns < wanted.until_ns
        assert one.until_ns > wanted.since_ns
