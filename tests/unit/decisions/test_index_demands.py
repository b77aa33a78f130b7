"""The index against the meaning of demands: whatever trees of them rules have, who may concern a fact is found."""

from __future__ import annotations

import math
import os
import random
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

EXAMPLES = int(os.environ.get("RULESTREAM_INDEX_EXAMPLES", "1000"))
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


LIMITS: list[dict[str, Any]] = [
    *({}, {"places": 0}, {"saved": 0.0}, {"saved": 0.0, "entries": 1}, {"segments": 0}, {"text": 2, "places": 0}),
]


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
    limits=st.sampled_from(LIMITS),
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


def some_demand(chance: random.Random) -> Demand:
    """Make up a demand, mostly for what facts have."""
    path = chance.choice(PATHS[:5] + PATHS[7:9] if chance.random() < 0.7 else PATHS)
    absent = chance.random() < 0.1
    view = chance.choice((View.AS_IS, View.AS_IS, *View))
    texts = frozenset(chance.sample([*filter(None, TEXTS)], chance.choice((1, 1, 2))))
    match chance.randrange(5):
        case 0:
            return Demand(path, Values(texts=texts, all_texts_but=chance.random() < 0.2), absent, view)
        case 1:
            low, high = sorted((chance.choice(NUMBERS), chance.choice(NUMBERS)), key=float)
            ends = (low, low == high or chance.random() < 0.5, high, low == high or chance.random() < 0.5)
            return Demand(path, Values((ends,) if not math.isinf(low) or low < high else ()), absent)
        case _:
            return Demand(path, TextParts(chance.choice(list(PartKind)), texts), absent, view)


def some_tree(chance: random.Random, depth: int = 0) -> Asked:
    if depth < 2 and chance.random() < 0.4:
        items = tuple(some_tree(chance, depth + 1) for _ in range(chance.randint(1, 3)))
        return chance.choice((AllOf, AllOf, AnyOf))(items)
    return some_demand(chance)


def some_fact(chance: random.Random) -> dict[str, Any]:
    def scalar() -> Any:
        if chance.random() < 0.7:
            return "".join(chance.choice(TEXTS) for _ in range(chance.randint(1, 3)))
        return chance.choice([one for one in NUMBERS if not math.isinf(one)] + [True, False, None])

    elements = [scalar() if chance.random() < 0.5 else {"k": scalar()} for _ in range(chance.randint(0, 3))]
    return {"a": scalar(), "b": scalar(), "o": {"x": scalar(), "y": scalar()}, "xs": elements}


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_facts_that_have_what_rules_ask_for_lead_to_them(limits: dict[str, Any]) -> None:
    """As above, by random rules that facts meet often: of every kind of demand some are met, and some are not."""
    chance = random.Random(str(limits))
    met = dict.fromkeys([*PartKind, *View, "numbers", "many"], 0)
    for _ in range(max(200, EXAMPLES // 10)):
        rules = [some_tree(chance) for _ in range(24)]
        with bounds(limits):
            index = make_index(dict(enumerate(rules)))
        assert index is not None
        for payload in [some_fact(chance) for _ in range(10)]:
            found = index.candidates(payload)
            assert found == sorted(set(found))
            for label, asked in enumerate(rules):
                if met_by(asked, payload):
                    assert label in found, (asked, payload)
                    for kind in _kinds(asked):
                        met[kind] += 1
    assert min(met.values()) > 50


def _kinds(asked: Asked) -> list[Any]:
    if not isinstance(asked, Demand):
        return ["many"]
    return [asked.test.kind if isinstance(asked.test, TextParts) else "numbers", asked.view]
