"""Every metric of a worker, described once. No label has values from an open set: what is not listed is ``other``.

Durations are in seconds. In Prometheus's form dots are underscores, a unit is added, and counters end in ``_total``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from domain.decisions.fault_codes import FAULT_CODES
from domain.errors import ErrorCode
from streams.facts.intake import DeadReason
from streams.messages import commands, queries
from worker.breakers import STATES

OK: Final = "ok"
OTHER: Final = "other"
_SECOND: Final = "s"


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric: its name as OpenTelemetry has it, what it says, and each label's values.

    A label that may be given others than its values shows these as ``other``. Of a label in ``from_start`` only those
    values are shown before they were counted.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    description: str
    unit: Literal["", "s"] = ""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = ()
    from_start: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def prometheus_name(self) -> str:
        """The name under which Prometheus knows it, a histogram's without ``_bucket``."""
        unit = "_seconds" if self.unit == _SECOND else ""
        return self.name.replace(".", "_") + unit + ("_total" if self.kind == "counter" else "")

    def closed(self, values: Sequence[str]) -> tuple[str, ...]:
        """Return label values, in the order of the labels, with ``other`` for those that are not among the known."""
        return tuple(self.known(label, value) for label, value in zip(self.labels, values, strict=True))

    def known(self, label: str, value: str) -> str:
        """Return a label's value, or ``other``."""
        return value if value in self.labels[label] else OTHER

    def zeros(self) -> Iterator[tuple[str, ...]]:
        """Give the label values of a counter that are shown before anything was counted.

        What first appears with a 1 has not risen for Prometheus: the first of what alerts look for must be here.
        """
        return product(*(self.from_start.get(label, values) for label, values in self.labels.items()))


_SHORT_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCH_S: Final = _SHORT_S[1:]
_LATENCY_S: Final = (*_SHORT_S, 60.0, 300.0, 1800.0, 3600.0)
_BATCH_FACTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_LOAD_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

_SERVICES: Final = ("nats", "postgres", "redis")
_RESULTS: Final = (OK, *(code.value for code in ErrorCode))
_COMMAND_DEAD: Final = (
    DeadReason.COMMAND_WITHOUT_ID.value, DeadReason.COMMAND_FORGED.value, DeadReason.INVALID_ACTOR.value,
)  # fmt: skip
_FACT_DEAD: Final = tuple(reason.value for reason in DeadReason if reason.value not in _COMMAND_DEAD)
_CONSUMERS: Final = ("facts", "commands")

FACTS_DECIDED: Final = Instrument("counter", "rulestream.facts.decided", "Facts decided and published.")
FACTS_MATCHED: Final = Instrument("counter", "rulestream.facts.matched", "Of these, matched by some rule.")
FACTS_REPEATED: Final = Instrument(
    "counter", "rulestream.facts.repeated", "Of these, whose decision was stored before."
)
FACTS_REDELIVERED: Final = Instrument("counter", "rulestream.facts.redelivered", "Deliveries after a first.")
FACTS_DEAD: Final = Instrument(
    "counter", "rulestream.facts.dead", "Facts that became dead letters.", labels={"reason": _FACT_DEAD}
)
EFFECTS_PUBLISHED: Final = Instrument("counter", "rulestream.effects.published", "Effects published with decisions.")
FAULTS: Final = Instrument(
    "counter",
    "rulestream.faults",
    "Faults of rules told in decisions, of which each tells 100 at most.",
    labels={"code": tuple(sorted(FAULT_CODES))},
)
BATCH_DURATION: Final = Instrument(
    "histogram", "rulestream.batch.duration", "From taking a batch to acknowledging it.", "s", buckets=_BATCH_S
)
BATCH_FACTS: Final = Instrument("histogram", "rulestream.batch.facts", "Decisions of a batch.", buckets=_BATCH_FACTS)
BATCH_STAGE_DURATION: Final = Instrument(
    "histogram",
    "rulestream.batch.stage.duration",
    "What a batch spends in each stage.",
    "s",
    {"stage": ("decide", "store", "publish")},
    _SHORT_S,
)
DECISION_LATENCY: Final = Instrument(
    "histogram",
    "rulestream.decision.latency",
    "From the storing of a fact in its stream to the acknowledgement of its decision; of some facts of each batch.",
    "s",
    buckets=_LATENCY_S,
)
BATCHES_IN_FLIGHT: Final = Instrument("gauge", "rulestream.batches.in.flight", "Batches being worked on.")
FACTS_WAITING: Final = Instrument("gauge", "rulestream.facts.waiting", "Facts that were fetched and are not begun.")

CONSUMER_PENDING: Final = Instrument(
    "gauge", "rulestream.consumer.pending", "Messages that no worker got yet.", labels={"consumer": _CONSUMERS}
)
CONSUMER_ACK_PENDING: Final = Instrument(
    "gauge",
    "rulestream.consumer.ack.pending",
    "Messages that workers got and did not acknowledge yet.",
    labels={"consumer": _CONSUMERS},
)
CONSUMER_REDELIVERED: Final = Instrument(
    "gauge",
    "rulestream.consumer.redelivered",
    "Of these, delivered more than once.",
    labels={"consumer": _CONSUMERS},
)

COMMANDS_DECIDED: Final = Instrument(
    "counter",
    "rulestream.commands.decided",
    "Commands answered, those that were decided before too; by the result ok or the error's code.",
    labels={"verb": tuple(commands.PAYLOADS), "result": _RESULTS},
    from_start={"result": (OK, ErrorCode.INTERNAL_ERROR.value)},
)
COMMAND_DURATION: Final = Instrument(
    "histogram", "rulestream.command.duration", "From taking a command to its answer.", "s", buckets=_SHORT_S
)
COMMANDS_DEAD: Final = Instrument(
    "counter", "rulestream.commands.dead", "Commands that became dead letters.", labels={"reason": _COMMAND_DEAD}
)
QUERIES_ANSWERED: Final = Instrument(
    "counter",
    "rulestream.queries.answered",
    "Queries answered, by the result ok or the error's code.",
    labels={"verb": tuple(queries.PAYLOADS), "result": _RESULTS},
    from_start={"result": (OK, ErrorCode.INTERNAL_ERROR.value, ErrorCode.UNAVAILABLE.value)},
)
QUERY_DURATION: Final = Instrument(
    "histogram", "rulestream.query.duration", "From taking a query to its answer.", "s", buckets=_SHORT_S
)
EVENTS_RELAYED: Final = Instrument("counter", "rulestream.events.relayed", "Lifecycle events published.")
OUTBOX_PENDING: Final = Instrument("gauge", "rulestream.outbox.pending", "Lifecycle events not published yet.")
OUTBOX_OLDEST_AGE: Final = Instrument(
    "gauge", "rulestream.outbox.oldest.age", "Since when the oldest of these waits; 0 where none does.", "s"
)

CACHE_READS: Final = Instrument(
    "counter",
    "rulestream.cache.reads",
    "Entries looked for in the cache: found, not found, found and refused, or not to be asked for.",
    labels={"cache": ("rules", "plans"), "result": ("hit", "miss", "refused", "away")},
)
DEPENDENCY_UP: Final = Instrument(
    "gauge", "rulestream.dependency.up", "1 while a backing service answers.", labels={"service": _SERVICES}
)
DEPENDENCY_WAITS: Final = Instrument(
    "counter",
    "rulestream.dependency.waits",
    "Times that work began to wait for a service that was away.",
    labels={"service": _SERVICES},
)
BREAKER_STATE: Final = Instrument(
    "gauge",
    "rulestream.breaker.state",
    "1 for the state that a backing service's circuit breaker is in.",
    labels={"service": ("postgres", "redis"), "state": STATES},
)

RULESET_REVISION: Final = Instrument("gauge", "rulestream.ruleset.revision", "Revision of the ruleset in force here.")
RULESET_RULES: Final = Instrument("gauge", "rulestream.ruleset.rules", "Rules of the ruleset in force here.")
RULESET_LOADS: Final = Instrument(
    "counter", "rulestream.ruleset.loads", "Rulesets loaded, or not.", labels={"result": ("ok", "failed")}
)
RULESET_LOAD_DURATION: Final = Instrument(
    "histogram",
    "rulestream.ruleset.load.duration",
    "From noticing a change of the ruleset to having it in force.",
    "s",
    buckets=_LOAD_S,
)

PARTITIONS_MADE: Final = Instrument("counter", "rulestream.partitions.made", "Partitions of decisions made.")
PARTITIONS_DROPPED: Final = Instrument(
    "counter", "rulestream.partitions.dropped", "Partitions dropped when their decisions' time was over."
)
DECISIONS_MOVED: Final = Instrument(
    "counter", "rulestream.decisions.moved", "Decisions moved from the default partition to their own."
)
KEYS_EXPIRED: Final = Instrument("counter", "rulestream.keys.expired", "Keys of facts removed for age.")
HOUSEKEEPING_FAILED: Final = Instrument("counter", "rulestream.housekeeping.failed", "Housekeeping that failed.")

BUILD_INFO_NAME: Final = "rulestream.build.info"


def build_info(version: str) -> Instrument:
    """Return the metric that says which release runs; its one value is this process's."""
    return Instrument("gauge", BUILD_INFO_NAME, "1, with the release that runs.", labels={"version": (version,)})


def instruments(version: str) -> Sequence[Instrument]:
    """Return every metric, in the order in which people read of them."""
    return [*(one for one in globals().values() if isinstance(one, Instrument)), build_info(version)]
