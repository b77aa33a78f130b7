"""Everything outside the domain, as small Protocols.

Each has one contract suite in ``tests/contracts`` that its in-memory fake and its real adapter both pass.

Every method may raise UnavailableError when the service behind it is away; nothing else is expected of them but what
they say themselves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from domain.decisions.fact import Fact
from domain.decisions.ruleset import ActiveRule, Ruleset, RulesetState
from domain.errors import RulestreamError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.language import CompiledRule, Problem, StoredPlan
from domain.rules.content import Priority
from domain.rules.events import RuleEvent
from domain.rules.rule import Rule, RuleVersion
from domain.rules.status import RuleStatus
from domain.templates.events import TemplateEvent
from domain.templates.template import Template

SortField = Literal["name", "createdAt", "updatedAt", "priority", "status"]
TemplateSortField = Literal["name", "createdAt", "updatedAt"]


class Clock(Protocol):
    """The time of day, for what is recorded about commands and decisions; no decision depends on it."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class RuleCriteria:
    """Which rules to list and how: every given criterion must hold. ``name_contains`` ignores case."""

    status: RuleStatus | None = None
    priority: Priority | None = None
    created_by: str | None = None
    name_contains: str | None = None
    tag: str | None = None
    page_size: int = 50
    page_offset: int = 0
    sort_by: SortField = "name"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class RulePage:
    """One page of a listing and how many rules there are in all."""

    items: Sequence[Rule]
    total: int


class RuleRepository(Protocol):
    """The rules, as aggregates."""

    async def save(self, rule: Rule) -> None:
        """Store a rule, new or changed. Its ``revision`` rises by one.

        Raises ConflictError when someone else saved it since it was loaded, BusinessError when another rule holds one
        of its names.
        """
        ...

    async def find_by_id(self, rule_id: RuleId) -> Rule | None: ...

    async def lock(self, rule_id: RuleId) -> None:
        """Wait for whoever is changing a rule, and keep others from saving it until this transaction ends."""
        ...

    async def find_by_name(self, name: str) -> Rule | None:
        """Find the rule that holds a name, as its latest version's or its deciding version's."""
        ...

    async def find_version(self, rule_id: RuleId, number: int) -> RuleVersion | None: ...

    async def versions_of(self, rule_id: RuleId) -> Sequence[RuleVersion]:
        """Return every version of a rule, the newest first; none for a rule that does not exist."""
        ...

    async def list_by_criteria(self, criteria: RuleCriteria) -> RulePage: ...

    async def delete(self, rule: Rule) -> None:
        """Remove a rule and all its versions; its name is free again. Raises ConflictError as ``save`` does."""
        ...

    async def exists_by_name(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class TemplateCriteria:
    """Which templates to list and how: every given criterion must hold. ``name_contains`` ignores case."""

    created_by: str | None = None
    name_contains: str | None = None
    page_size: int = 50
    page_offset: int = 0
    sort_by: TemplateSortField = "name"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """One page of a listing and how many templates there are in all."""

    items: Sequence[Template]
    total: int


@dataclass(frozen=True, slots=True)
class LaggingRule:
    """A rule whose latest or deciding version was made of an earlier version of a template than its present one.

    ``template_version`` is the earliest version of the template that one of the two was made of.
    """

    rule_id: RuleId
    name: str
    status: RuleStatus
    version: int
    active_version: int | None
    template_version: int


@dataclass(frozen=True, slots=True)
class LaggingRules:
    """The first rules that lag behind a template, by name, and how many there are in all."""

    items: Sequence[LaggingRule]
    total: int


@dataclass(frozen=True, slots=True)
class RecordedTemplateEvent:
    """An entry of a template's history: the event, and the command that caused it."""

    event_id: str
    event: TemplateEvent
    command_id: CommandId


class TemplateRepository(Protocol):
    """The templates, as aggregates, the rules that lag behind them, and what has happened to them."""

    async def save(self, template: Template) -> None:
        """Store a template, new or changed. Its ``revision`` rises by one.

        Raises ConflictError when someone else saved it since it was loaded, BusinessError when another template holds
        its name; nothing more can then be done in the transaction.
        """
        ...

    async def find_by_id(self, template_id: TemplateId) -> Template | None: ...

    async def find_by_name(self, name: str) -> Template | None: ...

    async def list_by_criteria(self, criteria: TemplateCriteria) -> TemplatePage: ...

    async def delete(self, template: Template) -> None:
        """Remove a template; its name is free again, rules made of it stay. Raises ConflictError as ``save`` does."""
        ...

    async def lagging(self, template: Template, most: int) -> LaggingRules:
        """Return the rules, but deprecated ones, that lag behind a template as it is; at most so many of them."""
        ...

    async def record(self, entry: RecordedTemplateEvent) -> None:
        """Add to the history, which nothing is ever taken from."""
        ...

    async def history_of(self, template_id: TemplateId) -> Sequence[RecordedTemplateEvent]:
        """Return what has happened to a template, oldest first, also when it is deleted."""
        ...


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """A command that was decided: what it was, and the bytes that were answered."""

    verb: str
    payload_digest: bytes
    answer: bytes


class CommandLog(Protocol):
    """Which commands were decided, for ever, under (actor, command id)."""

    async def find(self, actor: Actor, command_id: CommandId) -> LoggedCommand | None: ...

    async def add(self, actor: Actor, command_id: CommandId, command: LoggedCommand, decided_at: datetime) -> bool:
        """Log a command; False when one was logged under that id already, which then stands."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A lifecycle event on its way out: already in its final bytes. ``position`` is set by the outbox."""

    event_id: str
    rule_id: RuleId
    subject: str
    headers: Mapping[str, str]
    payload: bytes
    position: int = 0


class Outbox(Protocol):
    """The events written with the change that caused them, to be published afterwards."""

    async def add(self, messages: Sequence[OutboxMessage]) -> None: ...


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An entry of a rule's history: the event, the command that caused it and the revision it made, if any."""

    event_id: str
    event: RuleEvent
    command_id: CommandId
    revision: int | None


class History(Protocol):
    """What has happened to rules; entries are only ever added."""

    async def add(self, entry: RecordedEvent) -> None: ...

    async def of_rule(self, rule_id: RuleId) -> Sequence[RecordedEvent]: ...


@dataclass(frozen=True, slots=True)
class RulesetChanges:
    """The ruleset's state, and what is different from an earlier revision: content digests that are gone, new rules.

    Where too much changed ``is_partial`` says that they are not all of it.
    """

    state: RulesetState
    ended: Sequence[bytes]
    begun: Sequence[ActiveRule]
    is_partial: bool = False


class ActiveRules(Protocol):
    """The ruleset as Postgres, the truth, has it."""

    async def state(self) -> RulesetState: ...

    async def lock(self) -> RulesetState:
        """Return the state and keep every other transaction from changing the ruleset until this one ends."""
        ...

    async def change(self, rule: Rule, at: datetime) -> RulesetState:
        """Put a rule's active version in place of its earlier one, or take it out; the revision rises by one.

        To be called in a transaction that holds the lock, after the rule was saved.
        """
        ...

    async def members(self, revision: int | None = None) -> Sequence[tuple[RuleId, int, bytes]]:
        """Return rule id, version and content digest of every rule that decides at a revision (now, if None)."""
        ...

    async def changes(self, since: int, most: int) -> RulesetChanges:
        """Return what is different from a revision, by one look: of the state that is returned, whatever changes next.

        Of more than ``most`` members that came or went some are left out. What it costs grows with the changes, not
        with the members.
        """
        ...

    async def load(self, versions: Sequence[tuple[RuleId, int]]) -> Sequence[ActiveRule]:
        """Return the content of versions; those that do not exist are left out."""
        ...


class Transaction(Protocol):
    """One transaction: what is done through it is stored as a whole, or not at all."""

    @property
    def rules(self) -> RuleRepository: ...

    @property
    def commands(self) -> CommandLog: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def history(self) -> History: ...

    @property
    def active_rules(self) -> ActiveRules: ...

    @property
    def templates(self) -> TemplateRepository: ...


class Transactions(Protocol):
    """Where transactions begin. Leaving the context commits; leaving it by an exception rolls back."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]: ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """Give the repositories to read by without a transaction: each call sees what was committed before it."""
        ...


class ActiveRulesCache(Protocol):
    """The active rules near at hand. Never the truth: entries are addressed by digest and checked against it.

    Its failures are its own: a cache that is away finds nothing and stores nothing, and says so in its log.
    """

    async def members(self, digest: bytes) -> Sequence[tuple[RuleId, int, bytes]] | None:
        """Return the membership list of the ruleset with a digest, or None. A list that fails its digest is None."""
        ...

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, ActiveRule]:
        """Return those rules that are cached and whose content passes its digest, by content digest."""
        ...

    async def store_members(self, digest: bytes, members: Sequence[tuple[RuleId, int, bytes]]) -> None: ...

    async def store_rules(self, rules: Sequence[ActiveRule]) -> None: ...


class PlanCache(Protocol):
    """What was made of active rules' texts, near at hand, by content digest. Its failures are its own, as above.

    Whoever can write to the cache alone can't make it give a plan that this worker's code did not store.
    """

    async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, StoredPlan]:
        """Return those plans that are cached and were stored by this release with this database."""
        ...

    async def store(self, plans: Mapping[bytes, StoredPlan]) -> None: ...


class StoredDecision(msgspec.Struct, frozen=True, gc=False):
    """A decision and its effects as the bytes that are published: first stored, first and for ever right.

    ``stored_at_ns`` is the time at which the stream stored the fact, in nanoseconds since 1970 UTC. ``fact`` is the
    fact as it came, where facts are stored with their decisions.
    """

    key: bytes
    stored_at_ns: int
    fact_id: str
    fact_type: str
    sequence: int
    time_ns: int
    matched: bool
    revision: int
    body: bytes
    effects: tuple[tuple[str, str, bytes], ...] = ()  # name, effect id, payload
    traceparent: str | None = None
    fact: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a store found. ``first`` has, by key, the decision that was there already and therefore stands.

    ``unsettled`` are keys whose first decision was neither stored nor can be seen yet: their facts must come again.
    """

    first: Mapping[bytes, StoredDecision]
    unsettled: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class DecisionCriteria:
    """Which decisions to list: every given criterion must hold.

    ``fact_type`` may have NATS wildcards. ``since_ns`` and ``until_ns`` bound the times at which the stream stored the
    facts, the latter exclusively. ``offset`` counts decisions between them, newest first, whatever else is asked for.
    """

    fact_type: str | None = None
    fact_id: str | None = None
    matched: bool | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    size: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ListedDecision:
    """A decision of a listing; ``next_offset`` is where the listing goes on behind it."""

    decision: StoredDecision
    next_offset: int


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some of a listing, newest first. ``next_offset`` is where it goes on, None at its end.

    ``until_ns`` is the bound that was asked for, else one behind the newest decision: with it the next page continues
    this one, whatever was decided meanwhile. It is None where there is no decision at all.
    """

    items: Sequence[ListedDecision]
    next_offset: int | None
    until_ns: int | None


class DecisionsRefusedError(RulestreamError):
    """The store refused a batch for the data in it; it may take the rest without the decision at fault."""


class DecisionStore(Protocol):
    """The decisions, one a fact key."""

    async def store(self, decisions: Sequence[StoredDecision]) -> StoreResult:
        """Store the decisions whose keys are new; durable on return. Keys must be distinct within a call.

        Raises DecisionsRefusedError when the data itself is refused; nothing is then stored.
        """
        ...

    async def find(self, key: bytes) -> StoredDecision | None:
        """Return the decision under a key, with its fact where that was stored with it."""
        ...

    async def find_by_fact_id(self, fact_id: str) -> Sequence[StoredDecision]:
        """Return the decisions of facts with an id, newest first; sources may share ids, so there may be several."""
        ...

    async def list_by_criteria(self, criteria: DecisionCriteria) -> DecisionPage:
        """Return a page of decisions. It looks at a bounded number of them, and ends early for size.

        A page may therefore hold fewer decisions than asked for, even none, while ``next_offset`` says that the listing
        goes on; one that holds none went past that many which do not meet the criteria.
        """
        ...


@dataclass(frozen=True, slots=True)
class DecisionRange:
    """Which decisions to go through: those of facts that the stream stored from a time on, and before another.

    Without ``until_ns`` the range ends behind the decision that is the newest when it is begun: one that is made
    meanwhile does not prolong it. ``fact_type`` may have NATS wildcards.
    """

    since_ns: int
    until_ns: int | None = None
    fact_type: str | None = None


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A stored decision that cannot be read, and why: its bytes were changed."""

    key: bytes
    reason: str


class DecisionScan(Protocol):
    """Any number of decisions with their facts, where these are stored with them: one page after the other."""

    def pages(self, wanted: DecisionRange) -> AsyncGenerator[Sequence[StoredDecision | BrokenRecord], None]:
        """Give the decisions of a range, oldest first by the time at which the stream stored their facts, then by key.

        The next page is fetched when it is asked for, and each is bounded in decisions and in bytes. A decision that is
        stored meanwhile in front of the page that was fetched last is not seen.
        """
        ...

    async def count(self, wanted: DecisionRange, most: int) -> int:
        """Return how many decisions there are between the times of a range, of whatever type; ``most`` at most."""
        ...


class FactReader(Protocol):
    """The facts as their stream keeps them, for as long as it does."""

    async def find(self, sequence: int, stored_at_ns: int) -> Fact | None:
        """Return the fact that the stream stored at a sequence at that moment, in nanoseconds since 1970 UTC.

        None when it is not there any more, when another message is (the stream was made anew), or when it is no fact.
        """
        ...


@dataclass(frozen=True, slots=True, order=True)
class FactPlace:
    """Where and when a stream stored a message: what is known of it before it is decoded.

    ``stored_at_ns`` is in nanoseconds since 1970 UTC: a stream that was made anew counts from one again.
    """

    stream: str
    sequence: int
    stored_at_ns: int


class FactTrials(Protocol):
    """Which facts are being decided alone, because they may be what kills workers.

    What is recorded outlives the worker that dies while it decides, though perhaps not a crash of the store.
    """

    async def begin(self, fact: FactPlace, ended: Sequence[FactPlace] = ()) -> int:
        """Begin a trial of a message, and return how many trials of it began and never ended, this one included.

        Trials of ``ended`` are taken back in the same statement, the message's own too, before it is counted. A call
        that failed and is made again counts once: a store that answers too late must not make a dead letter.
        """
        ...

    async def end(self, facts: Sequence[FactPlace]) -> None:
        """Take back every trial of messages that came to a decision; of those that have none it does nothing.

        What a call that failed did not take back, the next call of any kind does.
        """
        ...

    async def expire(self, before_ns: int) -> int:
        """Remove the trials of messages stored before a time, which no stream holds any more; return how many."""
        ...


class RulesetSource(Protocol):
    """Gives use cases the compiled ruleset of a state, from the worker's own snapshot where that is current."""

    async def snapshot(self, state: RulesetState, active_rules: ActiveRules) -> Ruleset: ...


class DslCompiler(Protocol):
    """Checks and compiles rules' texts away from where facts are decided."""

    async def check(self, source: str) -> None:
        """Return for a text that is a rule; raises InvalidRuleError with every problem otherwise."""
        ...

    async def problems(self, source: str) -> Sequence[Problem]:
        """Return every problem of a text, errors and warnings, by position."""
        ...

    async def compile(self, sources: Sequence[str]) -> Sequence[CompiledRule]:
        """Return the rules of texts, in order; raises InvalidRuleError for the first that is none."""
        ...

    async def check_template(
        self, source: str, types: Mapping[str, str], defaults: Mapping[str, str] | None = None
    ) -> None:
        """Return for a text that is a template whose parameters have these types.

        With ``defaults``, literals of all of them, the text filled with these must be a rule too. Raises
        InvalidRuleError with every problem, at its place in the template.
        """
        ...

    async def fill(self, source: str, rows: Sequence[Mapping[str, str]]) -> Sequence[str | Sequence[Problem]]:
        """Return the rule that a template becomes with each row's literals, in order.

        Where that is no rule: every problem of it, errors and warnings, at its place in the template.
        """
        ...
