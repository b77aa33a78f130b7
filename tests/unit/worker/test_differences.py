"""Where two forms of one decision differ."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from domain.ports import StoredDecision
from worker.differences import Difference, differences

BODY: dict[str, Any] = {
    "decisionId": "00",
    "output": {"discount": {"percent": 15}, "odd name": [1, 2.0, None, True, "é"], "": {}},
    "matches": [{"name": "vip", "rows": [1]}, {"name": "large"}],
    "effects": [{"name": "points", "effectId": "00-1"}],
}
EFFECT = ("points", "00-1", b'{"points":25}')
DECISION = StoredDecision(
    b"\0" * 16, 1, "order-1", "order.placed", 1, 1, True, 3, json.dumps(BODY).encode(), (EFFECT,), "00-aa", b"fact"
)


def body(change: str, value: Any) -> StoredDecision:
    """Give the decision with something at a path changed; ``...`` takes it away."""
    changed: Any = json.loads(json.dumps(BODY))
    at = changed
    *inner, last = [int(part) if part.isdigit() else part for part in change.split("/")]
    for part in inner:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return replace(DECISION, body=json.dumps(changed).encode())


def told(stored: StoredDecision) -> list[Any]:
    return msgspec.json.decode(msgspec.json.encode(differences(stored, DECISION)))


def test_equal_bytes_have_no_difference() -> None:
    assert differences(DECISION, replace(DECISION, traceparent=None, fact=None)) == []


@pytest.mark.parametrize(
    ("change", "value", "expected"),
    [
        ("output/discount/percent", 16, {"path": "$.output.discount.percent", "stored": 16, "again": 15}),
        ("output/discount/percent", 15.0, {"path": "$.output.discount.percent", "stored": 15.0, "again": 15}),
        ("output/discount/percent", "15", {"path": "$.output.discount.percent", "stored": "15", "again": 15}),
        ("output/discount/percent", {"a": 1}, {"path": "$.output.discount.percent", "stored": {"a": 1}, "again": 15}),
        ("output/discount/percent", 10**30, {"path": "$.output.discount.percent", "stored": 10**30, "again": 15}),
        ("output/discount", ..., {"path": "$.output.discount", "again": {"percent": 15}}),
        ("output/discount/more", None, {"path": "$.output.discount.more", "stored": None}),
        ("output/odd name/3", 1, {"path": '$.output["odd name"][3]', "stored": 1, "again": True}),
        ("output/odd name/1", 2, {"path": '$.output["odd name"][1]', "stored": 2, "again": 2.0}),
        ("output/odd name/2", False, {"path": '$.output["odd name"][2]', "stored": False, "again": None}),
        ("output//x", 1, {"path": '$.output[""].x', "stored": 1}),
        ("matches/1", ..., {"path": "$.matches[1]", "again": {"name": "large"}}),
        ("matches/0/rows/0", 2, {"path": "$.matches[0].rows[0]", "stored": 2, "again": 1}),
        ("effects/0/effectId", "00-2", {"path": "$.effects[0].effectId", "stored": "00-2", "again": "00-1"}),
    ],
)
def test_a_place_in_the_body_is_told_with_both_values(change: str, value: Any, expected: dict[str, Any]) -> None:
    assert told(body(change, value)) == [expected]


def test_every_place_is_told() -> None:
    stored = replace(body("output", {"discount": {"percent": 1}}), matched=False)
    assert [one["path"] for one in told(stored)] == [
        "$.output.discount.percent",
        '$.output["odd name"]',
        '$.output[""]',
        "row.matched",
    ]


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ((("points", "00-1", b'{"points":26}'),), [{"path": "$.effects[0].payload.points", "stored": 26, "again": 25}]),
        ((("other", "00-1", b'{"points":25}'),), [{"path": "$.effects[0].name", "stored": "other", "again": "points"}]),
        ((("points", "x", b'{"points":25}'),), [{"path": "$.effects[0].effectId", "stored": "x", "again": "00-1"}]),
        (
            (),
            [{"path": "$.effects[0]", "again": {"name": "points", "effectId": "00-1", "payload": {"points": 25}}}],
        ),
        (
            (EFFECT, ("b", "00-2", b"\xff{")),
            [{"path": "$.effects[1]", "stored": {"name": "b", "effectId": "00-2", "payload": "\ufffd{"}}],
        ),
        (
            (("points", "00-1", b'{"points": 25}'),),
            [{"path": "$.effects[0].payload (byte 10)", "stored": '{"points": 25}', "again": '{"points":25}'}],
        ),
    ],
)
def test_an_effects_name_id_and_payload_are_compared(
    effects: tuple[tuple[str, str, bytes], ...], expected: list[Any]
) -> None:
    assert told(replace(DECISION, effects=effects)) == expected


def test_what_body_and_effect_say_alike_is_told_once() -> None:
    stored = replace(body("effects/0/name", "other"), effects=(("other", "00-1", EFFECT[2]),))
    assert told(stored) == [{"path": "$.effects[0].name", "stored": "other", "again": "points"}]


@pytest.mark.parametrize(
    ("change", "name"),
    [({"fact_id": "order-2"}, "factId"), ({"fact_type": "order.paid"}, "factType"), ({"matched": False}, "matched")],
)
def test_columns_that_decide_how_a_decision_is_published_are_compared(change: dict[str, Any], name: str) -> None:
    (attribute, value) = next(iter(change.items()))
    again = getattr(DECISION, attribute)
    assert told(replace(DECISION, **change)) == [{"path": f"row.{name}", "stored": value, "again": again}]


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        (b'"decisionId": "00"', b'"decisionId":  "00"', 15),
        (b"2.0", b"2.00", None),
        (b'{"decisionId"', b'["decisionId"', 0),
        (b'"decisionId"', b"", 1),
        (b"\xc3\xa9", b"\xff", None),
    ],
)
def test_bytes_that_are_other_with_the_same_data_or_none_are_shown(old: bytes, new: bytes, at: int | None) -> None:
    again = replace(DECISION, body=json.dumps(BODY, ensure_ascii=False).encode())
    assert old in again.body
    stored = replace(again, body=again.body.replace(old, new, 1))
    (found,) = differences(stored, again)
    if at is not None:
        assert found.path == f"$ (byte {at})"
    assert found.stored != found.again


def test_the_order_of_keys_is_a_difference() -> None:
    stored = replace(DECISION, body=json.dumps(dict(reversed(BODY.items()))).encode())
    (found,) = differences(stored, DECISION)
    assert found.path == "$ (byte 2)"


def test_zero_is_not_minus_zero() -> None:
    again = replace(DECISION, body=b'{"a":0.0}')
    assert differences(replace(again, body=b'{"a":-0.0}'), again) == [Difference("$.a", -0.0, 0.0)]


def test_bytes_cut_off_are_a_difference() -> None:
    stored = replace(DECISION, body=DECISION.body[:-1])
    (found,) = differences(stored, DECISION)
    assert found.path == f"$ (byte {len(DECISION.body) - 1})"


def test_any_byte_changed_is_a_difference() -> None:
    for position in range(len(DECISION.body)):
        changed = DECISION.body[:position] + bytes([DECISION.body[position] ^ 1]) + DECISION.body[position + 1 :]
        assert differences(replace(DECISION, body=changed), DECISION), position


def test_what_is_nested_without_end_is_told_as_bytes() -> None:
    stored = replace(DECISION, body=b"[" * 100_000 + b"]" * 100_000)
    (found,) = differences(stored, DECISION)
    assert found.path == "$ (byte 0)"
