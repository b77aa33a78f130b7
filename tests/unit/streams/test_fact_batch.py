"""A batch's states: what is published and how each delivery is settled, for every way through the picture."""

from __future__ import annotations

from typing import Any

import pytest

from domain.ports import StoredDecision, StoreResult
from streams.facts.batch import DEFECT_RETRY_S, UNSEEN_RETRY_S, Batch
from streams.facts.intake import DeadReason, Delivery, Refused
from streams.settling import HANDLED, Poison, Retry, Settlement

PAYLOAD_MAX = 1024 * 1024
REFUSED = Refused(DeadReason.NOT_JSON, "no JSON")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def delivery(number: int, deliveries: int = 1) -> Delivery:
    return Delivery("facts.a", f"ack.{number}.{deliveries}", b"{}", None, "FACTS", number, number * 1000, deliveries)


def decision(number: int, body: bytes = b"own", **more: Any) -> StoredDecision:
    return StoredDecision(
        key=key(number),
        stored_at_ns=number * 1000,
        fact_id=f"f{number}",
        fact_type="a",
        sequence=number,
        time_ns=number * 1000,
        matched=True,
        revision=1,
        body=body,
        **more,
    )


def batch_of(*deliveries: Delivery) -> Batch:
    return Batch(deliveries, started=0.0)


def settled(batch: Batch) -> dict[int, Settlement]:
    return {one.sequence: outcome for one, outcome in batch.settlements()}


def bodies(batch: Batch) -> tuple[list[bytes], list[bytes]]:
    """Give the payloads of what was never sent, and of what may have been."""
    first, again = batch.publications(PAYLOAD_MAX)
    return [one.payload for one in first], [one.payload for one in again]


def test_what_stands_for_the_first_time_is_published_as_such_and_acknowledged() -> None:
    one = delivery(1)
    batch = batch_of(one)
    batch.decide(one, decision(1, effects=(("alert", "e1", b"effect"),)))
    batch.stand(StoreResult({}))
    assert bodies(batch) == ([b"own", b"effect"], [])
    assert settled(batch) == {1: HANDLED}
    assert batch.repeated == 0


def test_the_decision_that_was_stored_before_is_what_is_published_and_may_have_been_sent() -> None:
    one = delivery(1)
    batch = batch_of(one)
    batch.decide(one, decision(1))
    batch.stand(StoreResult({key(1): decision(1, b"first")}))
    assert bodies(batch) == ([], [b"first"])
    assert settled(batch) == {1: HANDLED}
    assert batch.repeated == 1


def test_deliveries_of_one_key_share_the_first_ones_decision_and_each_is_acknowledged() -> None:
    one, two = delivery(1), delivery(2)
    batch = batch_of(one, two)
    assert not batch.join(one, key(7))
    batch.decide(one, decision(7))
    assert batch.join(two, key(7))
    batch.stand(StoreResult({}))
    assert bodies(batch) == ([b"own"], [])
    assert settled(batch) == {1: HANDLED, 2: HANDLED}


def test_what_another_worker_is_storing_is_not_published_and_comes_again_soon() -> None:
    one, two = delivery(1), delivery(2)
    batch = batch_of(one, two)
    batch.decide(one, decision(1))
    batch.decide(two, decision(2, b"two"))
    batch.stand(StoreResult({}, frozenset({key(1)})))
    assert bodies(batch) == ([b"two"], [])
    assert settled(batch) == {1: Retry(UNSEEN_RETRY_S), 2: HANDLED}


def test_what_is_refused_becomes_a_dead_letter_and_is_terminated() -> None:
    one, two = delivery(1), delivery(2)
    batch = batch_of(one, two)
    batch.refuse(one, REFUSED)
    batch.decide(two, decision(2))
    batch.stand(StoreResult({}))
    first, again = batch.publications(PAYLOAD_MAX)
    assert [publication.subject for publication in first] == ["decisions.matched.a"]
    assert [publication.subject for publication in again] == ["dead.facts.a"]
    assert settled(batch) == {1: Poison("NOT_JSON"), 2: HANDLED}


def test_what_the_store_refuses_for_its_data_takes_every_delivery_of_its_key_and_no_other_with_it() -> None:
    one, two, three = delivery(1), delivery(2), delivery(3)
    batch = batch_of(one, two, three)
    batch.decide(one, decision(7))
    assert batch.join(two, key(7))
    batch.decide(three, decision(3, b"three"))
    batch.refuse_stored(key(7), "bad data")
    batch.stand(StoreResult({}))
    assert bodies(batch)[0] == [b"three"]
    assert settled(batch) == {1: Poison("STORE_REFUSED"), 2: Poison("STORE_REFUSED"), 3: HANDLED}


@pytest.mark.parametrize(
    ("refused", "first", "published", "outcome"),
    [
        pytest.param(REFUSED, None, [], Poison("NOT_JSON"), id="never decided, and never can be"),
        pytest.param(None, None, [], Retry(DEFECT_RETRY_S), id="never decided, for a defect of ours"),
        pytest.param(REFUSED, decision(1, b"first"), [b"first"], HANDLED, id="decided before"),
        pytest.param(None, decision(1, b"first"), [b"first"], HANDLED, id="decided before, a defect since"),
    ],
)
def test_what_came_to_no_decision_goes_by_what_was_stored_before(
    refused: Refused | None, first: StoredDecision | None, published: list[bytes], outcome: Settlement
) -> None:
    one = delivery(1)
    batch = batch_of(one)
    batch.leave_undecided(one, key(1), refused)
    batch.look_up(first)
    assert not batch.undecided
    if first is not None:
        batch.stand(StoreResult({key(1): first}))
    again = [one.payload for one in batch.publications(PAYLOAD_MAX)[1] if one.subject.startswith("decisions")]
    assert again == published
    assert settled(batch) == {1: outcome}


def test_what_came_to_no_decision_joins_one_of_its_own_batch() -> None:
    one, two = delivery(1), delivery(2)
    batch = batch_of(one, two)
    batch.leave_undecided(one, key(7), None)
    batch.decide(two, decision(7))
    batch.look_up(None)
    batch.stand(StoreResult({}))
    assert bodies(batch) == ([b"own"], [])
    assert settled(batch) == {1: HANDLED, 2: HANDLED}


def test_every_delivery_is_settled_exactly_once() -> None:
    deliveries = [delivery(number) for number in range(1, 7)]
    batch = batch_of(*deliveries)
    batch.decide(deliveries[0], decision(1))
    batch.decide(deliveries[1], decision(2))
    batch.decide(deliveries[2], decision(3))
    batch.refuse(deliveries[3], REFUSED)
    batch.leave_undecided(deliveries[4], key(5), None)
    batch.leave_undecided(deliveries[5], key(6), REFUSED)
    batch.look_up(None)
    batch.look_up(None)
    batch.refuse_stored(key(3), "bad data")
    batch.stand(StoreResult({key(1): decision(1, b"first")}, frozenset({key(2)})))
    assert sorted(one.sequence for one, _ in batch.settlements()) == [1, 2, 3, 4, 5, 6]
    assert (batch.matched, sum(batch.dead.values())) == (1, 3)
