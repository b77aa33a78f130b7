"""What can be found, each by a stable code, with its severity and why it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """An error keeps facts or commands from being decided, or lets them be lost or decided twice; a warning may yet."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Code(StrEnum):
    """The codes of findings: they stay as they are, for programs."""

    CHECK_FAILED = "check-failed"

    NATS_AWAY = "nats-away"
    NATS_OLD = "nats-old"
    NATS_WITHOUT_JETSTREAM = "nats-without-jetstream"
    NATS_OPEN = "nats-open"
    NATS_UNENCRYPTED = "nats-unencrypted"
    PLANES_SHARED = "planes-shared"
    WORKER_UNRESTRICTED = "worker-unrestricted"
    PERMISSIONS_UNKNOWN = "permissions-unknown"
    PERMISSION_MISSING = "permission-missing"
    ROLES_NOT_ENFORCED = "roles-not-enforced"

    POSTGRES_AWAY = "postgres-away"
    POSTGRES_OLD = "postgres-old"
    POSTGRES_READ_ONLY = "postgres-read-only"
    POSTGRES_ENCODING = "postgres-encoding"
    POSTGRES_NOT_DURABLE = "postgres-not-durable"
    POSTGRES_RIGHTS = "postgres-rights"
    POSTGRES_UNENCRYPTED = "postgres-unencrypted"

    SCHEMA_UNUSABLE = "schema-unusable"
    SCHEMA_AHEAD = "schema-ahead"
    MIGRATIONS_PENDING = "migrations-pending"

    REDIS_AWAY = "redis-away"
    REDIS_NEVER_EVICTS = "redis-never-evicts"

    TOPOLOGY_MISSING = "topology-missing"
    TOPOLOGY_DIFFERS = "topology-differs"
    RETENTION_TOO_SHORT = "retention-too-short"
    FACTS_DISCARDED = "facts-discarded"
    STREAM_NEARLY_FULL = "stream-nearly-full"
    STREAM_REPLICAS_MISSING = "stream-replicas-missing"

    CONSUMER_GIVES_UP = "consumer-gives-up"
    CONSUMER_PAUSED = "consumer-paused"
    CONSUMER_UNATTENDED = "consumer-unattended"
    CONSUMER_BEHIND = "consumer-behind"
    CONSUMER_SATURATED = "consumer-saturated"
    DELIVERIES_REPEATED = "deliveries-repeated"
    SUBSCRIBER_BEHIND = "subscriber-behind"
    DEAD_LETTERS = "dead-letters"

    CLOCK_OFF = "clock-off"

    WORKERS_NONE = "workers-none"
    WORKERS_UNKNOWN = "workers-unknown"
    ROLE_UNSERVED = "role-unserved"
    WORKERS_RELEASES_DIFFER = "workers-releases-differ"
    WORKERS_LANGUAGES_DIFFER = "workers-languages-differ"
    WORKERS_POLICIES_DIFFER = "workers-policies-differ"
    WORKERS_RULESETS_DIFFER = "workers-rulesets-differ"

    OUTBOX_WAITING = "outbox-waiting"
    PARTITIONS_MISSING = "partitions-missing"
    DECISIONS_OUTSIDE_PARTITIONS = "decisions-outside-partitions"
    HOUSEKEEPING_BEHIND = "housekeeping-behind"
    FACTS_SUSPECTED = "facts-suspected"


@dataclass(frozen=True, slots=True)
class Kind:
    """What every finding of a code has in common."""

    severity: Severity
    why: str


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

KINDS: Final[Mapping[Code, Kind]] = {
    Code.CHECK_FAILED: Kind(_ERROR, "What it would have found is not known; the other checks were made."),
    Code.NATS_AWAY: Kind(_ERROR, "A worker does not start without both planes, and decides nothing."),
    Code.NATS_OLD: Kind(_ERROR, "Workers use what servers have from 2.12 on; nothing is tested with older ones."),
    Code.NATS_WITHOUT_JETSTREAM: Kind(_ERROR, "Facts and commands are kept in streams; there are none without it."),
    Code.NATS_OPEN: Kind(_WARNING, "Whoever reaches the server can send commands as any actor, and decisions."),
    Code.NATS_UNENCRYPTED: Kind(_WARNING, "Whoever is on the way can read and change facts and commands."),
    Code.PLANES_SHARED: Kind(
        _WARNING,
        "Who may use $JS.API there can have the server publish to any subject, as events or decisions; one account is"
        " for development only.",
    ),
    Code.WORKER_UNRESTRICTED: Kind(_WARNING, "Whoever gets hold of the worker's key can do everything in its account."),
    Code.PERMISSIONS_UNKNOWN: Kind(
        _NOTE, "Whether the worker is allowed what it needs shows only when it tries, and then stands in its log."
    ),
    Code.PERMISSION_MISSING: Kind(_ERROR, "NATS refuses it to the worker, which then waits for what never comes."),
    Code.ROLES_NOT_ENFORCED: Kind(_WARNING, "Every actor may do everything that the server lets it publish."),
    Code.POSTGRES_AWAY: Kind(_ERROR, "Nothing is decided without Postgres; facts and commands wait in their streams."),
    Code.POSTGRES_OLD: Kind(_ERROR, "Statements use what Postgres has from 17 on."),
    Code.POSTGRES_READ_ONLY: Kind(_ERROR, "A server that only reads, as a standby does, stores no decision."),
    Code.POSTGRES_ENCODING: Kind(
        _ERROR, "Texts of facts and rules are Unicode; another encoding refuses some of them."
    ),
    Code.POSTGRES_NOT_DURABLE: Kind(
        _ERROR,
        "A power cut can lose decisions that were published: their facts would be decided again, perhaps otherwise.",
    ),
    Code.POSTGRES_RIGHTS: Kind(
        _ERROR, "The worker's statements are refused; partitions are made and dropped by the tables' owner alone."
    ),
    Code.POSTGRES_UNENCRYPTED: Kind(_WARNING, "Whoever is on the way can read and change rules and decisions."),
    Code.SCHEMA_UNUSABLE: Kind(_ERROR, "Workers of this release do not start on it, and those that run end."),
    Code.SCHEMA_AHEAD: Kind(_NOTE, "A newer release is being rolled out, or was rolled back; this one runs on it."),
    Code.MIGRATIONS_PENDING: Kind(
        _NOTE, "What the release before needs is still there; removals are for when none of its workers runs."
    ),
    Code.REDIS_AWAY: Kind(_WARNING, "Workers go on and read rules from Postgres; they start and change rules slower."),
    Code.REDIS_NEVER_EVICTS: Kind(_WARNING, "A full cache refuses new rules, which then come from Postgres each time."),
    Code.TOPOLOGY_MISSING: Kind(_ERROR, "What is published to it is refused or lost until a worker declares it."),
    Code.TOPOLOGY_DIFFERS: Kind(
        _WARNING, "What exists is never altered by a worker: it goes on with settings that nobody wished for."
    ),
    Code.RETENTION_TOO_SHORT: Kind(
        _ERROR, "A fact could outlive its decision and be decided twice; workers do not start."
    ),
    Code.FACTS_DISCARDED: Kind(
        _ERROR, "A full stream silently drops its oldest messages, decided or not, instead of refusing new ones."
    ),
    Code.STREAM_NEARLY_FULL: Kind(
        _WARNING, "When it is full new messages are refused or old ones dropped; workers wait for room to publish."
    ),
    Code.STREAM_REPLICAS_MISSING: Kind(
        _WARNING, "One more server that fails may stop the stream, or lose what it holds."
    ),
    Code.CONSUMER_GIVES_UP: Kind(_ERROR, "After so many deliveries a message is left undecided, and nobody is told."),
    Code.CONSUMER_PAUSED: Kind(_ERROR, "Nothing is delivered until the pause ends."),
    Code.CONSUMER_UNATTENDED: Kind(_ERROR, "Messages wait, and no worker asks for them."),
    Code.CONSUMER_BEHIND: Kind(_WARNING, "Decisions come late; facts older than their stream's age limit are lost."),
    Code.CONSUMER_SATURATED: Kind(_WARNING, "Nothing more is delivered until some are acknowledged."),
    Code.DELIVERIES_REPEATED: Kind(
        _WARNING,
        "Workers die with them, or do not finish them in time; from the third delivery on each is decided alone.",
    ),
    Code.SUBSCRIBER_BEHIND: Kind(
        _NOTE, "What it does not take within the stream's age limit it never gets; workers do not mind."
    ),
    Code.DEAD_LETTERS: Kind(_WARNING, "These facts and commands were not decided, and wait for somebody to look."),
    Code.CLOCK_OFF: Kind(
        _WARNING, "Times of decisions and of approvals are wrong, and partitions are made for the wrong days."
    ),
    Code.WORKERS_NONE: Kind(_ERROR, "Nobody decides: facts and commands wait in their streams."),
    Code.WORKERS_UNKNOWN: Kind(_NOTE, "Which workers run, and whether they agree, could not be asked."),
    Code.ROLE_UNSERVED: Kind(_ERROR, "No worker does this part of the work; it waits."),
    Code.WORKERS_RELEASES_DIFFER: Kind(
        _NOTE, "A rolling upgrade is under way, or was left half done; whichever release takes a fact decides it."
    ),
    Code.WORKERS_LANGUAGES_DIFFER: Kind(
        _WARNING,
        "The same fact may be decided otherwise by the one or the other, and which one did is not recorded; each keeps"
        " cached rules of its own.",
    ),
    Code.WORKERS_POLICIES_DIFFER: Kind(_ERROR, "Whether a command is forbidden depends on which worker takes it."),
    Code.WORKERS_RULESETS_DIFFER: Kind(
        _WARNING, "Facts are decided under rules that are no longer, or not yet, in force."
    ),
    Code.OUTBOX_WAITING: Kind(_WARNING, "Whoever follows lifecycle events does not know of changes that are in force."),
    Code.PARTITIONS_MISSING: Kind(
        _WARNING, "Decisions go to the default partition, from which they must be moved; dropping them takes longer."
    ),
    Code.DECISIONS_OUTSIDE_PARTITIONS: Kind(
        _NOTE, "Their facts' stored times are far off: a server's clock was wrong."
    ),
    Code.HOUSEKEEPING_BEHIND: Kind(_WARNING, "Decisions whose time is over fill the disk and slow down looking up."),
    Code.FACTS_SUSPECTED: Kind(_NOTE, "They may be what killed a worker; a second death makes each a dead letter."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what was found, and what to do about it."""

    code: Code
    found: str
    advice: str

    @property
    def severity(self) -> Severity:
        return KINDS[self.code].severity

    @property
    def why(self) -> str:
        return KINDS[self.code].why


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 event``, ``2 events``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
