"""What is compared: the facts are as large as said, the conditions decide them as said, in every engine."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from worker.bench.cases import CASES, SAMPLE, Case, later_fact, near_miss_of, new_fact, read_fact
from worker.bench.evaluation import agreeing_sweeps, by_hand, ours
from worker.bench.peers import PEERS, Peer

BY_NAME = {case.name: case for case in CASES}
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_peer = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)


def test_the_facts_have_the_sizes_that_the_floors_are_for() -> None:
    assert len(read_fact("order")) == 1_024
    assert len(read_fact("small_order")) == 100


def test_each_case_has_a_name_of_its_own_and_there_are_enough_of_them() -> None:
    assert len(BY_NAME) == len(CASES)
    by_fact = Counter(case.fact for case in CASES)
    assert by_fact["order"] >= 8
    assert by_fact["small_order"] >= 3


def test_the_floors_are_ten_for_the_sample_two_for_the_regex_and_the_small_fact_and_five_for_all_else() -> None:
    assert BY_NAME["sample"].condition == BY_NAME["small-sample"].condition == SAMPLE
    floors = {case.name: case.floor for case in CASES}
    assert floors.pop("sample") == 10
    assert floors.pop("regex") == 2
    assert {floors[case.name] for case in CASES if case.fact == "small_order"} == {2}
    assert {floors[case.name] for case in CASES if case.fact == "order" and case.name in floors} == {5}


@by_case
def test_a_condition_holds_for_its_fact_and_fails_for_the_near_miss(case: Case) -> None:
    decide = ours(case.condition)
    assert decide([new_fact(case.fact)]) is True
    assert decide([near_miss_of(case)]) is False


@by_case
@by_peer
def test_every_engine_gives_the_same_however_it_is_given_the_fact_or_says_why_it_cannot(case: Case, peer: Peer) -> None:
    agreeing, notes = agreeing_sweeps(case, peer)
    if peer.name in case.inexpressible:
        assert agreeing == {}
        assert notes == [f"{peer.name}: {case.inexpressible[peer.name]}"]
        return
    text = case.text_for(peer.name)
    assert text is not None
    assert agreeing.keys() == peer.prepare(text, list(new_fact(case.fact))).keys()
    assert notes == []


@by_peer
def test_a_sweep_decides_every_fact_and_gives_what_the_last_one_came_to(peer: Peer) -> None:
    case = BY_NAME["sample"]
    matching, missing = new_fact(case.fact), near_miss_of(case)
    agreeing, _ = agreeing_sweeps(case, peer)
    for sweep in [*agreeing.values(), ours(case.condition)]:
        assert sweep([missing, matching]) == True  # noqa: E712 - one engine has a bool of its own
        assert sweep([matching, missing]) == False  # noqa: E712 - as above


def test_the_function_written_by_hand_decides_the_sample() -> None:
    for name in ("sample", "small-sample"):
        assert by_hand(new_fact(BY_NAME[name].fact)) is True
        assert by_hand(near_miss_of(BY_NAME[name])) is False


def test_facts_with_times_of_their_own_are_else_the_same_and_decided_the_same() -> None:
    case = BY_NAME["new-times"]
    decide = ours(case.condition)
    fact, later = new_fact(case.fact), later_fact(case, 3_600)
    assert (fact["order"]["placedAt"], later["order"]["placedAt"]) == ("2024-05-17T09:31:07Z", "2024-05-17T10:31:07Z")
    assert decide([later]) is True
    for holder in (fact, later):
        del holder["order"]["placedAt"], holder["order"]["promisedAt"]
    assert fact == later


def test_facts_of_any_other_case_are_equal() -> None:
    for case in CASES:
        if not case.times:
            assert later_fact(case, 3_600) == new_fact(case.fact)


def test_a_near_miss_leaves_the_next_new_fact_as_it_was() -> None:
    case = BY_NAME["presence"]
    assert "dispute" in near_miss_of(case)["payment"]
    assert "dispute" not in new_fact(case.fact)["payment"]


def test_an_engine_that_writes_cel_is_given_our_text_unless_it_has_its_own() -> None:
    case = BY_NAME["presence"]
    assert case.text_for("common-expression-language") == case.condition
    assert case.text_for("cel-python") != case.condition
    assert BY_NAME["sum"].text_for("cel-expr-python") is None
    assert re.search(r"\bsome\(", BY_NAME["exists"].text_for("zen-engine") or "")
