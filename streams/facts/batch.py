"""A batch of deliveries, and where each is on a fact's way.

    TAKEN ──read and decide──▶ DECIDED ──store──▶ STANDING ──publish──▶ PUBLISHED ──▶ acknowledged
      │                           │                  ▲  └─▶ UNSEEN ────────────────▶ comes again after a second
      │                           └─the store refuses the data─┐
      ├──no fact, or can never be decided──▶ REFUSED ◀─────────┘──publish its dead letter──▶ terminated
      │                                         ▲    │
      └──no decision came of it──▶ UNDECIDED ──look up──▶ STANDING, or POSTPONED ──▶ comes again

A decision *stands* when it is the first that was stored for its fact's key, be it this batch's or an earlier one's:
only what stands is published, from its stored bytes. UNSEEN are facts whose first decision another worker is storing at
this moment. UNDECIDED are facts that came to no decision now, and may have come to one before; then that one stands.
Acknowledging, terminating and asking for another delivery come last of all, when everything that they depend on is
durable. Wherever a worker dies on this way, the next delivery ends in the same decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from domain.decisions.decision import Fault
from domain.ports import StoredDecision, StoreResult
from streams.facts.intake import DeadReason, Delivery, Refused
from streams.facts.observing import FactSpan, RuleFaults, TracedFact
from streams.facts.outgoing import dead_fact_publication, decision_publications
from streams.settling import HANDLED, Poison, Retry, Settlement
from streams.wire import Publication

DEFECT_RETRY_S: Final = 30.0
UNSEEN_RETRY_S: Final = 1.0
# Of a batch's facts the first, every so many, and the last are looked at for their latency; of a few all.
SAMPLED_EVERY: Final = 128
FEW: Final = 4


class Batch:
    """Deliveries that go together. Its methods are the transitions of the module's picture; nothing else changes it.

    ``decisions`` are by key; several deliveries may be of one key, and the first of them decided it.
    """

    __slots__ = (
        "_decided",
        "_faults",
        "_known",
        "_postponed",
        "_refused",
        "_traced",
        "_unseen",
        "decisions",
        "deliveries",
        "started",
        "undecided",
    )

    def __init__(self, deliveries: Sequence[Delivery], started: float) -> None:
        self.deliveries: Final = deliveries
        self.started: Final = started
        self.decisions: dict[bytes, StoredDecision] = {}
        self.undecided: list[tuple[Delivery, bytes, Refused | None]] = []
        self._decided: list[tuple[Delivery, bytes]] = []
        self._refused: list[tuple[Delivery, Refused]] = []
        self._postponed: list[Delivery] = []
        self._unseen: frozenset[bytes] = frozenset()
        self._traced: list[tuple[Delivery, bytes | None, FactSpan]] = []
        self._faults: dict[bytes, Sequence[Fault]] = {}  # of what this batch decided
        self._known: set[bytes] = set()  # keys whose decision was stored before

    def join(self, delivery: Delivery, key: bytes) -> bool:
        """TAKEN to DECIDED where the batch holds a decision for the key already; says whether it does."""
        if key in self.decisions:
            self._decided.append((delivery, key))
            return True
        return False

    def decide(self, delivery: Delivery, decision: StoredDecision, faults: Sequence[Fault] = ()) -> None:
        """TAKEN to DECIDED."""
        self.decisions[decision.key] = decision
        self._decided.append((delivery, decision.key))
        if faults:
            self._faults[decision.key] = faults

    def refuse(self, delivery: Delivery, refused: Refused) -> None:
        """TAKEN to REFUSED."""
        self._refused.append((delivery, refused))

    def leave_undecided(self, delivery: Delivery, key: bytes, refused: Refused | None) -> None:
        """TAKEN to UNDECIDED, with the reason to refuse it should none have come before (None: a defect of ours)."""
        self.undecided.append((delivery, key, refused))

    def look_up(self, first: StoredDecision | None) -> None:
        """Take the last UNDECIDED to where it belongs, given what is stored or decided for its key."""
        delivery, key, refused = self.undecided.pop()
        if self.join(delivery, key):
            return
        if first is not None:
            self.decisions[key] = first
            self._known.add(key)
            self._decided.append((delivery, key))
        elif refused is not None:
            self._refused.append((delivery, refused))
        else:
            self._postponed.append(delivery)

    def refuse_stored(self, key: bytes, message: str) -> None:
        """DECIDED to REFUSED for every delivery of a key: the store refuses the decision for its data."""
        del self.decisions[key]
        refused = Refused(DeadReason.STORE_REFUSED, message)
        self._refused.extend((delivery, refused) for delivery, of in self._decided if of == key)
        self._decided = [(delivery, of) for delivery, of in self._decided if of != key]

    def stand(self, result: StoreResult) -> None:
        """DECIDED to STANDING, or to UNSEEN; where an earlier decision was first, it takes this batch's place."""
        self.decisions.update(result.first)
        self._known.update(result.first)
        if result.unsettled:
            self._unseen |= result.unsettled
            for key in result.unsettled:
                del self.decisions[key]

    def publications(self, payload_bytes_max: int) -> tuple[list[Publication], list[Publication]]:
        """Return what is to be published: what was never sent before, and what may have been.

        Nothing is sent that was not stored before, so a decision that this batch stored first was never sent.
        """
        known = self._known
        first: list[Publication] = []
        again: list[Publication] = []
        for key, decision in self.decisions.items():
            (again if key in known else first).extend(decision_publications(decision))
        again.extend(dead_fact_publication(delivery, refused, payload_bytes_max) for delivery, refused in self._refused)
        return first, again

    def settlements(self) -> list[tuple[Delivery, Settlement]]:
        """Return what becomes of every delivery, once all is published."""
        unseen = self._unseen
        if unseen:
            again = Retry(UNSEEN_RETRY_S)
            found: list[tuple[Delivery, Settlement]] = [
                (delivery, again if key in unseen else HANDLED) for delivery, key in self._decided
            ]
        else:
            found = [(delivery, HANDLED) for delivery, _ in self._decided]
        found.extend((delivery, Poison(refused.reason)) for delivery, refused in self._refused)
        found.extend((delivery, Retry(DEFECT_RETRY_S)) for delivery in self._postponed)
        return found

    @property
    def dead(self) -> Mapping[DeadReason, int]:
        """How many deliveries become dead letters, by reason."""
        return Counter(refused.reason for _, refused in self._refused) if self._refused else {}

    @property
    def faults(self) -> Mapping[tuple[str, str], RuleFaults]:
        """What failed, by rule and code, in the decisions that stand and that this batch made."""
        found: dict[tuple[str, str], RuleFaults] = {}
        for key, faults in self._faults.items():
            if key not in self.decisions or key in self._known:
                continue
            for fault in faults:
                one = found.get((fault.rule_id, fault.code))
                if one is None:
                    one = found[fault.rule_id, fault.code] = RuleFaults(key.hex())
                one.count += 1
        return found

    def trace(self, delivery: Delivery, key: bytes | None, span: FactSpan) -> None:
        """Follow a delivery, with the fact's key where it is one."""
        self._traced.append((delivery, key, span))

    @property
    def spans(self) -> Sequence[FactSpan]:
        """The steps of traces that are followed here."""
        return [span for _, _, span in self._traced]

    @property
    def traced(self) -> Sequence[TracedFact]:
        """What became of the deliveries that are followed."""
        if not self._traced:
            return ()
        reasons = {delivery.sequence: refused.reason for delivery, refused in self._refused}
        return [
            TracedFact(
                span=span,
                delivery=delivery,
                decision=None if key is None else self.decisions.get(key),
                is_repeated=key in self._known,
                faults=0 if key is None else len(self._faults.get(key, ())),
                refused=reasons.get(delivery.sequence),
            )
            for delivery, key, span in self._traced
        ]

    def sampled_stored_at_ns(self) -> Iterator[int]:
        """Give of some of the facts whose decisions stand when their stream stored them."""
        last = len(self._decided) - 1
        step = SAMPLED_EVERY if last >= FEW else 1
        for number in range(0, last + 1, step):
            yield from self._stored_at_ns(number)
        if last % step:
            yield from self._stored_at_ns(last)

    def _stored_at_ns(self, number: int) -> Iterator[int]:
        delivery, key = self._decided[number]
        if key in self.decisions:
            yield delivery.stored_at_ns

    @property
    def repeated(self) -> int:
        """How many of the decisions were stored before."""
        return len(self._known)

    @property
    def matched(self) -> int:
        """How many of the decisions matched."""
        return sum([decision.matched for decision in self.decisions.values()])

    @property
    def effects(self) -> int:
        """How many effects the decisions have."""
        return sum([len(decision.effects) for decision in self.decisions.values() if decision.effects])
