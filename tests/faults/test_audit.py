"""The oracle can fail: what is lost, twice, changed or left over is reported, each under its kind.

A small world is made by hand, in which everything is as it must be; each case spoils one thing of it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.faults import rulebook
from tests.faults.audit import Audit, audit
from tests.faults.evidence import Evidence, Row
from tests.faults.identity import StoredMessage, identity_of, key_of, nanoseconds
from tests.faults.ledger import Ledger
from tests.faults.rulebook import CANCELLED, PLACED, Active

STORED_AT_NS = 1_780_000_000_000_000_000
ACTIVE = {name: Active(f"id-of-{name}", 1, 0) for name in ("big-order", "vip", "closing", "unit-price")}
ORDER = {"number": 1, "total": 640, "parts": 4, "customer": {"tier": "VIP"}, "region": "EU"}
FAILING = {"number": 2, "total": 10, "parts": 0, "customer": {"tier": "STANDARD"}, "region": "US"}
CLOSED = {"number": 3, "total": 10}


def test_a_world_in_which_everything_is_as_it_must_be_is_clean() -> None:
    """Nothing is found, and what is there is counted."""
    found = audit(*small_world())
    assert found.is_clean, str(found)
    assert (found.published, found.decided, found.effects, found.dead) == (5, 3, 2, 1)
    assert (found.published_again, found.redelivered, found.faults_decided) == (1, 2, 1)


Spoil = Callable[[Evidence], Evidence]


def _without(name: str, index: int) -> Spoil:
    def spoil(evidence: Evidence) -> Evidence:
        items = list(getattr(evidence, name))
        del items[index]
        return dataclasses.replace(evidence, **{name: items})

    return spoil


def _with(name: str, index: int, change: Callable[[Any], Any], *, beside: bool = False) -> Spoil:
    """Change one item, or put the changed one beside it."""

    def spoil(evidence: Evidence) -> Evidence:
        items = list(getattr(evidence, name))
        changed = change(items[index])
        if beside:
            items.append(changed)
        else:
            items[index] = changed
        return dataclasses.replace(evidence, **{name: items})

    return spoil


def _body(**changes: Any) -> Callable[[Any], Any]:
    """Change fields of a decision's body, in a row or in a message."""

    def change(one: Any) -> Any:
        name = "body" if isinstance(one, Row) else "data"
        body = {**json.loads(getattr(one, name)), **changes}
        return dataclasses.replace(one, **{name: msgspec.json.encode(body)})

    return change


def _both(*spoils: Spoil) -> Spoil:
    def spoil(evidence: Evidence) -> Evidence:
        for one in spoils:
            evidence = one(evidence)
        return evidence

    return spoil


def _decided_otherwise(**changes: Any) -> Spoil:
    """Change a decision wherever it is: only the rules can tell."""
    change = _body(**changes)
    return _both(_with("rows", 0, change), _with("decisions", 0, change), _with("decisions", 3, change))


OTHER = {"ruleset": {"revision": 9, "digest": ""}}
SPOILED: dict[str, tuple[str, Spoil]] = {
    "a row is gone": ("lost", _both(_without("rows", 1), _without("keys", 1))),
    "a key is gone": ("lost", _without("keys", 1)),
    "a decision is not on the stream": ("lost", _without("decisions", 1)),
    "an effect is not on the stream": ("lost", _without("effects", 0)),
    "a dead letter is gone": ("lost", _without("dead_letters", 0)),
    "an acknowledged fact is not in its stream": ("lost", _without("facts", 1)),
    "a row is there twice": ("twice", _with("rows", 1, lambda row: row, beside=True)),
    "a fact was decided twice, and both are out": ("twice", _with("decisions", 1, _body(output={}), beside=True)),
    "an effect was made twice, and both are out": (
        "twice",
        _with("effects", 0, lambda one: dataclasses.replace(one, data=b"{}"), beside=True),
    ),
    "an effect that no decision has is out": (
        "twice",
        _with("effects", 0, lambda one: dataclasses.replace(one, headers={"Nats-Msg-Id": "new"}), beside=True),
    ),
    "a copy has other headers": (
        "twice",
        _with("decisions", 3, lambda one: dataclasses.replace(one, headers={**one.headers, "traceparent": "00"})),
    ),
    "what is out is not what is stored": ("differing", _with("decisions", 1, _body(decidedAt="2026-01-02T00:00:00Z"))),
    "an effect's bytes differ": ("differing", _with("effects", 0, lambda one: dataclasses.replace(one, data=b"{}"))),
    "the outcome is another": ("differing", _decided_otherwise(outcome="unmatched")),
    "the output is another": ("differing", _decided_otherwise(output={"discount": {"percent": 11}})),
    "an integer became a double": (
        "differing",
        _decided_otherwise(
            output={"discount": {"percent": 10.0}, "risk": {"score": 7}, "reasons": ["big", "vip", "dear"]}
        ),
    ),
    "a match is missing": ("differing", _decided_otherwise(matches=[])),
    "an effect is missing from the decision": ("differing", _decided_otherwise(effects=[])),
    "a fault is missing": (
        "differing",
        _both(_with("rows", 1, _body(faults=[])), _with("decisions", 1, _body(faults=[]))),
    ),
    "the fact's time is the worker's": ("differing", _decided_otherwise(factTime="2026-06-01T00:00:00Z")),
    "a revision that never was": ("differing", _decided_otherwise(**OTHER)),
    "another revision's decision": ("differing", _decided_otherwise(ruleset={"revision": 1, "digest": ""})),
    "another fact's sequence": ("differing", _decided_otherwise(factSeq=2)),
    "a dead letter for another reason": (
        "differing",
        _with(
            "dead_letters", 0, lambda one: dataclasses.replace(one, headers={**one.headers, "Rulestream-Reason": "X"})
        ),
    ),
    "a dead letter with other bytes": (
        "differing",
        _with("dead_letters", 0, lambda one: dataclasses.replace(one, data=b"")),
    ),
    "a dead letter for a good fact": (
        "other",
        _with(
            "dead_letters",
            0,
            lambda one: dataclasses.replace(one, headers={**one.headers, "Rulestream-Sequence": "1"}),
            beside=True,
        ),
    ),
    "a message that nobody sent": ("other", _with("facts", 1, lambda one: dataclasses.replace(one, data=b"{}"))),
    "a key without a row": ("other", _with("keys", 0, lambda _: b"x" * 16, beside=True)),
    "facts are left unacknowledged": ("other", lambda evidence: dataclasses.replace(evidence, waiting=(0, 3))),
    "facts are left undelivered": ("other", lambda evidence: dataclasses.replace(evidence, waiting=(2, 0))),
}


@pytest.mark.parametrize(("kind", "spoil"), SPOILED.values(), ids=SPOILED)
def test_what_is_wrong_is_found(kind: str, spoil: Spoil) -> None:
    """Each of these is one defect that a worker could have, and the audit says so."""
    ledger, evidence = small_world()
    found = audit(ledger, spoil(evidence))
    assert getattr(found, kind), f"nothing {kind} was found: {found}"


def test_keys_and_times_are_those_of_the_contract() -> None:
    """The key is over length-prefixed texts, so that no two triples share one; times are read to the nanosecond."""
    # printf '\0\0\0\3msg\0\0\0\0\0\0\0\2ab' | sha256sum | cut -c1-32
    assert key_of("msg", "", "ab").hex() == "552e6d7514fb91e2cd608b788e183847"
    assert key_of("ce", "ab", "c") != key_of("ce", "a", "bc")
    assert nanoseconds("1970-01-01T01:00:00.000000007+01:00") == 7
    assert nanoseconds("2001-09-09T01:46:40Z") == 1_000_000_000 * 10**9


# --- the small world --------------------------------------------------------------------------------------------------


def small_world() -> tuple[Ledger, Evidence]:
    """Three facts, one of them published twice and decided once, one of them failing a rule, and a dead letter."""
    ledger = Ledger()
    ledger.changed(1, {})
    ledger.changed(2, ACTIVE)
    facts = [
        _sent(ledger, 1, PLACED, ORDER, {"Nats-Msg-Id": "one"}),
        _sent(ledger, 2, PLACED, FAILING, {"ce-id": "two", "ce-source": "shop", "ce-time": "2026-01-01T00:00:00Z"}),
        _sent(ledger, 3, CANCELLED, CLOSED, None),
        _sent(ledger, 4, PLACED, b"[]", {"Nats-Msg-Id": "four"}, dead="NOT_AN_OBJECT"),
    ]
    facts.append(dataclasses.replace(facts[0], sequence=5, stored_at_ns=STORED_AT_NS + 5))
    ledger.entries[0].acknowledged.append((5, False))
    rows = [_row(message) for message in facts[:3]]
    decisions = [_decision(row) for row in [*rows, rows[0]]]
    effects = [
        StoredMessage(f"effects.{name}", number, STORED_AT_NS, {"Nats-Msg-Id": effect_id}, payload)
        for number, (name, effect_id, payload) in enumerate((one for row in rows for one in row.effects), start=1)
    ]
    letter = {
        "Nats-Msg-Id": "dead",
        "Rulestream-Reason": "NOT_AN_OBJECT",
        "Rulestream-Sequence": "4",
        "Original-Nats-Msg-Id": "four",
    }
    letters = [StoredMessage(f"dead.facts.{PLACED}", 1, STORED_AT_NS, letter, b"[]")]
    return ledger, Evidence(facts, decisions, effects, letters, [row.key for row in rows], rows, (0, 0), 7)


def _sent(
    ledger: Ledger, sequence: int, fact_type: str, data: Any, headers: dict[str, str] | None, dead: str | None = None
) -> StoredMessage:
    payload = data if isinstance(data, bytes) else json.dumps(data).encode()
    entry = ledger.enter(f"facts.{fact_type}", headers, payload, dead)
    entry.acknowledged.append((sequence, False))
    return StoredMessage(entry.subject, sequence, STORED_AT_NS + sequence, headers or {}, payload)


def _row(message: StoredMessage) -> Row:
    identity = identity_of("FACTS", message)
    fact_type = message.subject.removeprefix("facts.")
    wanted = rulebook.expected(fact_type, json.loads(message.data), ACTIVE)
    effects = tuple(
        (one["name"], f"{identity.key.hex()}-{number}", msgspec.json.encode(one["payload"]))
        for number, one in enumerate(wanted["effects"])
    )
    body = {
        "decisionId": identity.key.hex(),
        "factId": identity.fact_id,
        "factType": fact_type,
        "factSeq": message.sequence,
        "factTime": _time_text(identity.time_ns),
        "decidedAt": "2026-06-01T00:00:00Z",
        "ruleset": {"revision": 2, "digest": ""},
        **{name: wanted[name] for name in ("outcome", "output", "matches", "faultCount")},
        "effects": [{"name": name, "effectId": effect_id} for name, effect_id, _ in effects],
        "faults": [{**fault, "message": "what went wrong"} for fault in wanted["faults"]],
    }
    matched = wanted["outcome"] == "matched"
    return Row(identity.key, identity.fact_id, fact_type, matched, msgspec.json.encode(body), effects)


def _decision(row: Row) -> StoredMessage:
    body = json.loads(row.body)
    subject = f"decisions.{body['outcome']}.{body['factType']}"
    return StoredMessage(subject, 0, STORED_AT_NS, {"Nats-Msg-Id": body["decisionId"]}, row.body)


def _time_text(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def test_an_audit_says_what_it_found_and_how_much_more() -> None:
    """The text of a failure names the first problems of each kind and counts the rest."""
    text = str(Audit(lost=[f"fact {number}" for number in range(8)]))
    assert "lost: fact 4" in text
    assert "lost: … and 3 more" in text
    assert "fact 5" not in text
