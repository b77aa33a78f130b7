"""The comparison of the ledger with what is there: nothing lost, nothing twice, every decision as it had to be.

Nothing of the project is imported: what a fact is (``identity``), what a rule decides (``rulebook``) and what was
published (``ledger``) are the suite's own.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults import rulebook
from tests.faults.evidence import FACTS, Evidence, Row
from tests.faults.identity import Identity, StoredMessage, identity_of, nanoseconds, payload_of
from tests.faults.ledger import Ledger

SHOWN = 5


@dataclass(slots=True)
class Audit:
    """What the comparison found. Each problem is a line under its kind; there must be none.

    ``lost``: something that had to be there is not. ``twice``: something was decided, stored or published more than
    once with different bytes, or has more than one row. ``differing``: a decision, an effect or a dead letter that does
    not say what it must. ``other``: what nobody sent, or what was left unfinished.
    """

    published: int = 0
    decided: int = 0
    dead: int = 0
    published_again: int = 0
    redelivered: int = 0
    faults_decided: int = 0
    effects: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.twice or self.differing or self.other)

    def __str__(self) -> str:
        summary = (
            f"{self.published} publishes acknowledged, {self.decided} facts decided, {self.dead} dead letters, "
            f"{self.published_again} copies published again, {self.redelivered} redelivered"
        )
        lines = [summary]
        for kind in ("lost", "twice", "differing", "other"):
            problems = getattr(self, kind)
            lines += [f"{kind}: {problem}" for problem in problems[:SHOWN]]
            if len(problems) > SHOWN:
                lines.append(f"{kind}: … and {len(problems) - SHOWN} more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A fact of the stream: the message, and who it is."""

    message: StoredMessage
    identity: Identity


def audit(ledger: Ledger, evidence: Evidence) -> Audit:
    """Compare; nothing is raised for what is found."""
    found = Audit(published=ledger.acknowledged)
    accepted = _accepted(ledger, evidence, found)
    rows = _rows(accepted, evidence, found)
    _published("decision", {key.hex(): row.body for key, row in rows.items()}, evidence.decisions, found)
    effects: dict[str, bytes] = {}
    for row in rows.values():
        for name, effect_id, payload in row.effects:
            if effect_id in effects:
                found.twice.append(f"effect id {effect_id} belongs to two effects")
            effects[effect_id] = payload
            if not name:
                found.differing.append(f"effect {effect_id} has no name")
    _published("effect", effects, evidence.effects, found)
    _places(rows, evidence, found)
    for key, row in rows.items():
        if key in accepted:
            found.differing.extend(_differences(ledger, accepted[key], row))
    if evidence.waiting != (0, 0):
        pending, unacknowledged = evidence.waiting
        found.other.append(f"{pending} facts wait for their delivery, {unacknowledged} for their acknowledgement")
    found.decided = len(rows)
    found.effects = len(effects)
    found.redelivered = max(0, evidence.deliveries - len(evidence.facts))
    found.faults_decided = sum(json.loads(row.body)["faultCount"] > 0 for row in rows.values())
    return found


def _accepted(ledger: Ledger, evidence: Evidence, found: Audit) -> dict[bytes, list[_Accepted]]:
    """Give the facts of the stream by key, after the ledger's acknowledgements and the dead letters were compared."""
    there = {message.sequence: message for message in evidence.facts}
    accepted: dict[bytes, list[_Accepted]] = defaultdict(list)
    doomed: dict[int, tuple[StoredMessage, str]] = {}
    for message in evidence.facts:
        entry = ledger.find(message.data)
        if entry is None or entry.subject != message.subject:
            found.other.append(f"nobody sent message {message.sequence} of {FACTS}, on {message.subject}")
        elif entry.dead is None:
            identity = identity_of(FACTS, message)
            accepted[identity.key].append(_Accepted(message, identity))
        else:
            doomed[message.sequence] = (message, entry.dead)
    for entry in ledger.entries:
        for sequence, is_duplicate in entry.acknowledged:
            message = there.get(sequence)
            if message is None or (message.data != entry.data and not is_duplicate):
                found.lost.append(f"the acknowledged publish {sequence} is not in {FACTS}: {entry.data[:80]!r}")
            elif is_duplicate and message.headers.get("Nats-Msg-Id") != (entry.headers or {}).get("Nats-Msg-Id"):
                found.other.append(f"publish {sequence} was called a duplicate of another id")
    _dead_letters(doomed, evidence, found)
    return accepted


def _dead_letters(doomed: Mapping[int, tuple[StoredMessage, str]], evidence: Evidence, found: Audit) -> None:
    """Each message that can be no decision has its dead letter, with its bytes and the reason; nothing else has one."""
    letters: dict[int, list[StoredMessage]] = defaultdict(list)
    for letter in evidence.dead_letters:
        letters[int(letter.headers["Rulestream-Sequence"])].append(letter)
    for sequence, of in letters.items():
        if sequence not in doomed:
            reason = of[0].headers.get("Rulestream-Reason")
            found.other.append(f"fact {sequence} is good and has a dead letter: {reason}")
    for sequence, (message, reason) in doomed.items():
        of = letters.get(sequence, [])
        if not of:
            found.lost.append(f"message {sequence} has no dead letter for {reason}: {message.data[:60]!r}")
            continue
        for letter in of:
            if letter.headers.get("Rulestream-Reason") != reason:
                said = letter.headers.get("Rulestream-Reason")
                found.differing.append(f"dead letter of message {sequence} says {said}, not {reason}")
            if letter.data != message.data and letter.headers.get("Rulestream-Truncated") != "data":
                found.differing.append(f"dead letter of message {sequence} has other bytes")
            kept = {
                name.removeprefix("Original-"): value for name, value in letter.headers.items() if "Original-" in name
            }
            if kept != message.headers and "Rulestream-Truncated" not in letter.headers:
                found.differing.append(f"dead letter of message {sequence} has other headers: {kept}")
        if len({letter.data for letter in of}) > 1:
            found.twice.append(f"message {sequence} has dead letters that differ")
        found.published_again += len(of) - 1
    found.dead = len(doomed)


def _rows(accepted: Mapping[bytes, Sequence[_Accepted]], evidence: Evidence, found: Audit) -> dict[bytes, Row]:
    counts = Counter(row.key for row in evidence.rows)
    rows = {row.key: row for row in evidence.rows}
    for key, of in accepted.items():
        if key not in rows:
            found.lost.append(f"no row for fact {of[0].identity.fact_id!r}, sequence {of[0].message.sequence}")
    found.twice.extend(f"{count} rows for decision {key.hex()}" for key, count in counts.items() if count > 1)
    found.other.extend(f"a row {key.hex()} that no fact has" for key in rows.keys() - accepted.keys())
    claimed = Counter(evidence.keys)
    found.lost.extend(f"row {key.hex()} has no key" for key in rows.keys() - claimed.keys())
    found.other.extend(f"key {key.hex()} has no row" for key in claimed.keys() - rows.keys())
    return rows


def _published(what: str, wanted: Mapping[str, bytes], messages: Sequence[StoredMessage], found: Audit) -> None:
    """Every decision, or effect, is on its stream, each copy of it byte for byte what Postgres holds."""
    copies: dict[str, list[StoredMessage]] = defaultdict(list)
    for message in messages:
        copies[message.headers.get("Nats-Msg-Id", "")].append(message)
    found.lost.extend(f"{what} {missing} is not on the stream" for missing in wanted.keys() - copies.keys())
    for identifier, of in copies.items():
        if identifier not in wanted:
            found.twice.append(f"{what} {identifier!r} is on the stream and not in Postgres: {of[0].data[:80]!r}")
            continue
        variants = {(message.subject, message.data, tuple(sorted(message.headers.items()))) for message in of}
        if len(variants) > 1:
            found.twice.append(f"{what} {identifier} was published {len(of)} times, in {len(variants)} forms")
        if any(message.data != wanted[identifier] for message in of):
            found.differing.append(f"{what} {identifier} on the stream is not the one in Postgres")
        found.published_again += len(of) - 1


def _places(rows: Mapping[bytes, Row], evidence: Evidence, found: Audit) -> None:
    """Decisions and effects are on the subjects that the contract names, and say who they are."""
    names = {effect_id: name for row in rows.values() for name, effect_id, _ in row.effects}
    for message in evidence.decisions:
        body = json.loads(message.data)
        if message.subject != f"decisions.{body['outcome']}.{body['factType']}":
            found.differing.append(f"decision {body['decisionId']} is on {message.subject}")
        if message.headers.get("Nats-Msg-Id") != body["decisionId"]:
            found.differing.append(f"decision {body['decisionId']} goes by another id in its headers")
    for message in evidence.effects:
        name = names.get(message.headers.get("Nats-Msg-Id", ""))
        if name is not None and message.subject != f"effects.{name}":
            found.differing.append(f"effect {name} is on {message.subject}")


def _differences(ledger: Ledger, accepted: Sequence[_Accepted], row: Row) -> list[str]:
    """Compare a decision with what the suite's own rules say under the revision that it names."""
    body = json.loads(row.body)
    where = f"decision {row.key.hex()}"
    chosen = next((one for one in accepted if one.message.sequence == body["factSeq"]), None)
    if chosen is None:
        return [f"{where} is of sequence {body['factSeq']}, which is another fact's"]
    active = ledger.revisions.get(body["ruleset"]["revision"])
    if active is None:
        return [f"{where} was made under revision {body['ruleset']['revision']}, which never was"]
    fact_type = chosen.message.subject.removeprefix("facts.")
    wanted: dict[str, Any] = {
        "decisionId": row.key.hex(),
        "factId": chosen.identity.fact_id,
        "factType": fact_type,
        "factTimeNs": chosen.identity.time_ns,
        **rulebook.expected(fact_type, payload_of(chosen.message), active),
    }
    payloads = {effect_id: (name, json.loads(payload)) for name, effect_id, payload in row.effects}
    said: dict[str, Any] = {
        **{name: body[name] for name in ("decisionId", "factId", "factType", "outcome", "output", "matches")},
        "factTimeNs": nanoseconds(body["factTime"]),
        "effects": [
            {"name": one["name"], "payload": payloads.get(one["effectId"], (None, None))[1]} for one in body["effects"]
        ],
        "faults": [{key: fault[key] for key in ("ruleId", "code", "line", "column")} for fault in body["faults"]],
        "faultCount": body["faultCount"],
    }
    problems = [
        f"{where}, revision {body['ruleset']['revision']}: {name} is {_text(said[name])}, must be {_text(wanted[name])}"
        for name in wanted
        if _text(said[name]) != _text(wanted[name])
    ]
    if [(one["name"], one["effectId"]) for one in body["effects"]] != [(name, of) for name, of, _ in row.effects]:
        problems.append(f"{where} names other effects than those stored with it")
    columns = (row.fact_id, row.fact_type, "matched" if row.matched else "unmatched")
    if columns != (body["factId"], body["factType"], body["outcome"]):
        problems.append(f"{where}: its row's columns say otherwise than its body")
    nanoseconds(body["decidedAt"])
    return problems


def _text(value: Any) -> str:
    """Write JSON in which 1, 1.0 and true differ, and the order of keys does not matter."""
    return json.dumps(value, sort_keys=True)
