"""The index against the meaning of demands: whatever trees of them rules have, who may concern a fact is found."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.decisions import index as index_module
from domain.decisions.index import filing, make_index, numbers, pairs, parts, table
from domain.language.demands import (
    EACH,
    EACH_MAX,
    EACH_TEXT_MAX,
    AllOf,
    AnyOf,
    Asked,
    Demand,
    PartKind,
    TextParts,
    View,
    met_by,
)
from domain.language.ranges import EVERYTHING, Values

EXAMPLES = int(os.environ.get("RULESTREAM_INDEX_EXAMPLES", "2000"))
TEXTS = ("a", "A", "ab", "Ab", "abc", "b", "bab", "", "ä", "Ä", "\udc80", "\0", "İ")
NUMBERS = (-math.inf, -1, -0.0, 0, 0.5, 1, 1.0, 2, 2.5, 3, 2**53, 2**53 + 1, 2**64, 1e300, math.inf)
PATHS: list[tuple[str | None, ...]] = [
    *(("a",), ("b",), ("o", "x"), ("o", "y"), ("o",), ("o", "x", "z"), ("d", "e", "f")),
    *(("xs", EACH), ("xs", EACH, "k"), ("xs",), ("xs", EACH, "k", EACH), ("a", EACH), ("o", EACH), ("o", "x", EACH)),
]


@st.composite
def intervals(draw: st.DrawFn) -> tuple[tuple[float, bool, float, bool], ...]:
    ends = sorted(draw(st.lists(st.sampled_from(NUMBERS), max_size=4, unique_by=float)), key=float)
    found: list[tuple[float, bool, float, bool]] = []
    for low, high in zip(ends[::2], ends[1::2], strict=False):
        found.append((low, draw(st.booleans()), high, draw(st.booleans())))
    if ends and not found and not math.isinf(ends[0]):
        found.append((ends[0], True, ends[0], True))
    return tuple(found)


values = st.one_of(
    st.builds(
        Values,
        intervals(),
        st.frozensets(st.sampled_from(TEXTS), max_size=3),
        st.booleans(),
        st.frozensets(st.booleans()),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda text: Values(texts=frozenset({text})), st.sampled_from(TEXTS)),
    st.builds(Values, intervals()),
    st.just(EVERYTHING),
    st.just(Values()),
)
some_parts = st.builds(
    TextParts, st.sampled_from(PartKind), st.frozensets(st.sampled_from([*filter(None, TEXTS)]), min_size=1, max_size=3)
)
demands = st.builds(
    Demand,
    st.sampled_from(PATHS),
    st.one_of(values, values, some_parts),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([View.AS_IS, View.AS_IS, *View]),
)
trees: st.SearchStrategy[Asked] = st.recursive(
    demands,
    lambda inner: st.builds(
        lambda kind, items: kind(tuple(items)), st.sampled_from([AllOf, AnyOf]), st.lists(inner, max_size=3)
    ),
    max_leaves=5,
)
scalars = st.one_of(
    st.sampled_from([text * times for text in TEXTS for times in (1, 3)]),
    st.sampled_from([one for one in NUMBERS if not math.isinf(one)]),
    st.sampled_from([True, False, None, "x" * (EACH_TEXT_MAX + 1)]),
)
elements = st.one_of(
    scalars,
    st.dictionaries(st.sampled_from(["k", "x"]), st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=2),
)
lists = st.one_of(
    st.lists(elements, max_size=3),
    elements,
    st.just([0] * (EACH_MAX + 1)),
    st.just({str(n): 1 for n in range(EACH_MAX + 1)}),
)
facts = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(scalars, scalars, lists),
        "b": scalars,
        "o": st.one_of(
            scalars,
            lists,
            st.fixed_dictionaries({}, optional={"x": st.one_of(elements, lists), "y": scalars}),
        ),
        "d": st.one_of(scalars, st.just({"e": {"f": "ab"}}), st.just({"e": 1})),
        "xs": lists,
    },
)


@contextmanager
def bounds(limits: dict[str, Any]) -> Iterator[None]:
    """Let whatever can be filed be filed, within some other limits."""
    places = limits.get("places", 64)
    with (
        patch.object(index_module, "RULES_MIN", 1),
        patch.object(filing, "PLACE_RULES_MIN", 1),
        patch.object(filing, "SLOW_PLACE_RULES_MIN", 1),
        patch.object(filing, "_SHARE_MAX", math.inf),
        patch.object(filing, "PLACES_MAX", places),
        patch.object(index_module, "PLACES_MAX", places),
        patch.object(filing, "SAVED_MIN", limits.get("saved", 1.0)),
        patch.object(table, "ENTRIES_PER_RULE_MAX", limits.get("entries", 64)),
        patch.object(pairs, "ENTRIES_PER_RULE_MAX", limits.get("entries", 64)),
        patch.object(numbers, "SEGMENTS_PER_RULE_MAX", limits.get("segments", 16)),
        patch.object(parts, "TEXT_MAX", limits.get("text", 64)),
    ):
        yield


@pytest.mark.timeout(120 + EXAMPLES // 20)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rules=st.lists(st.one_of(trees, demands, st.none()), min_size=1, max_size=12),
    payloads=st.lists(facts, min_size=1, max_size=6),
    limits=st.sampled_from(
        [{}, {"places": 0}, {"saved": 0.0}, {"saved": 0.0, "entries": 1}, {"segments": 0}, {"text": 2, "places": 0}]
    ),
)
def test_whatever_rules_demand_those_that_a_fact_can_concern_are_found_once_and_in_order(
    rules: list[Asked | None], payloads: list[dict[str, Any]], limits: dict[str, Any]
) -> None:
    with bounds(limits):
        index = make_index(dict(enumerate(rules)))
    if index is None:
        return
    for payload in payloads:
        found = index.candidates(payload)
        assert found == sorted(set(found))
        assert set(found) >= set(index.tried)
        for label, asked in enumerate(rules):
            if asked is None or met_by(asked, payload):
                assert label in found, (asked, payload)
            elif isinstance(asked, Demand) and label not in index.tried and "text" not in limits:
                assert label not in found or _may_be_found(asked), (asked, payload)


def _may_be_found(demand: Demand) -> bool:
    """Say whether a rule may be found for a value that it does not demand: for a text that it is against."""
    return isinstance(demand.test, Values) and demand.test.all_texts_but
