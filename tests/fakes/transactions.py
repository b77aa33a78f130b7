"""Transactions in memory: the rules, commands, outbox, history and ruleset of one fake database.

A transaction works on the shared data and restores a copy of it when it ends by an exception. Copies are made and
restored without waiting in between, and a transaction begins when the one before it has ended: they are serial, which
is the strongest promise a database could make, so a use case must not need the fake to be weaker than Postgres.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.decisions.ruleset import ActiveRule, RulesetState, ruleset_digest
from domain.errors import BusinessError, ConflictError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.ports import (
    LoggedCommand,
    OutboxMessage,
    RecordedEvent,
    RecordedTemplateEvent,
    RuleCriteria,
    RulePage,
    RulesetChanges,
)
from domain.rules.rule import Rule, RuleVersion
from domain.templates.template import Template
from tests.fakes.templates import FakeTemplates

_SORT_KEYS = {
    "name": lambda rule: rule.content.name,
    "createdAt": lambda rule: rule.created_at,
    "updatedAt": lambda rule: rule.updated_at,
    "priority": lambda rule: rule.content.priority.rank,
    "status": lambda rule: rule.status.value,
}


@dataclass(slots=True)
class Membership:
    """A version that decides from one revision on and until before another."""

    rule_id: RuleId
    version: int
    digest: bytes
    from_revision: int
    until_revision: int | None = None


@dataclass(slots=True)
class Database:
    """Everything that is stored."""

    rules: dict[RuleId, Rule] = field(default_factory=dict)
    versions: dict[tuple[RuleId, int], RuleVersion] = field(default_factory=dict)
    commands: dict[tuple[Actor, CommandId], LoggedCommand] = field(default_factory=dict)
    outbox: list[OutboxMessage] = field(default_factory=list)
    history: list[RecordedEvent] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    templates: dict[TemplateId, Template] = field(default_factory=dict)
    template_history: list[RecordedTemplateEvent] = field(default_factory=list)
    state: RulesetState = field(default_factory=lambda: RulesetState(0, ruleset_digest([])))


class FakeRules:
    """RuleRepository in memory; what it hands out and takes in are copies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, rule: Rule) -> None:
        stored = self._database.rules.get(rule.id)
        if (stored.revision if stored else 0) != rule.revision:
            raise ConflictError("the rule was changed by someone else meanwhile", ruleId=rule.id.value)
        if any(other.id != rule.id and other.names & rule.names for other in self._database.rules.values()):
            raise BusinessError("rule name already exists", name=rule.content.name)
        rule.revision += 1
        self._database.rules[rule.id] = _stored_form(rule)
        self._database.versions[rule.id, rule.version] = rule.latest

    async def find_by_id(self, rule_id: RuleId) -> Rule | None:
        return copy.deepcopy(self._database.rules.get(rule_id))

    async def lock(self, rule_id: RuleId) -> None:
        """Do nothing: transactions are serial here."""

    async def find_by_name(self, name: str) -> Rule | None:
        return next((copy.deepcopy(rule) for rule in self._database.rules.values() if name in rule.names), None)

    async def find_version(self, rule_id: RuleId, number: int) -> RuleVersion | None:
        return self._database.versions.get((rule_id, number))

    async def versions_of(self, rule_id: RuleId) -> list[RuleVersion]:
        found = [version for (owner, _), version in self._database.versions.items() if owner == rule_id]
        return sorted(found, key=lambda version: version.number, reverse=True)

    async def list_by_criteria(self, criteria: RuleCriteria) -> RulePage:
        found = [rule for rule in self._database.rules.values() if _meets(rule, criteria)]
        key = _SORT_KEYS[criteria.sort_by]
        found.sort(key=lambda rule: (key(rule), rule.id.value), reverse=criteria.descending)
        page = found[criteria.page_offset : criteria.page_offset + criteria.page_size]
        return RulePage(copy.deepcopy(page), len(found))

    async def delete(self, rule: Rule) -> None:
        stored = self._database.rules.get(rule.id)
        if stored is None or stored.revision != rule.revision:
            raise ConflictError("the rule was changed by someone else meanwhile", ruleId=rule.id.value)
        del self._database.rules[rule.id]
        for key in [key for key in self._database.versions if key[0] == rule.id]:
            del self._database.versions[key]

    async def exists_by_name(self, name: str) -> bool:
        return await self.find_by_name(name) is not None


class FakeCommandLog:
    """CommandLog in memory."""

    def __init__(self, database: Database) -> None:
        self._commands = database.commands

    async def find(self, actor: Actor, command_id: CommandId) -> LoggedCommand | None:
        return self._commands.get((actor, command_id))

    async def add(
        self,
        actor: Actor,
        command_id: CommandId,
        command: LoggedCommand,
        decided_at: datetime,  # noqa: ARG002  # kept for people who look, read by nothing
    ) -> bool:
        if (actor, command_id) in self._commands:
            return False
        self._commands[actor, command_id] = command
        return True


class FakeOutbox:
    """Outbox in memory."""

    def __init__(self, database: Database) -> None:
        self._outbox = database.outbox

    async def add(self, messages: Sequence[OutboxMessage]) -> None:
        first = len(self._outbox) + 1
        self._outbox.extend(replace(message, position=first + index) for index, message in enumerate(messages))


class FakeHistory:
    """History in memory."""

    def __init__(self, database: Database) -> None:
        self._history = database.history

    async def add(self, entry: RecordedEvent) -> None:
        self._history.append(entry)

    async def of_rule(self, rule_id: RuleId) -> Sequence[RecordedEvent]:
        return [entry for entry in self._history if entry.event.rule_id == rule_id]


class FakeActiveRules:
    """ActiveRules in memory. Transactions being serial, every one of them holds the lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self) -> RulesetState:
        return self._database.state

    async def lock(self) -> RulesetState:
        return self._database.state

    async def change(self, rule: Rule, at: datetime) -> RulesetState:  # noqa: ARG002  # as decided_at above
        revision = self._database.state.revision + 1
        for membership in self._database.memberships:
            if membership.rule_id == rule.id and membership.until_revision is None:
                membership.until_revision = revision
        if rule.active is not None:
            digest = rule.active.content.digest(rule.id, rule.active.number)
            self._database.memberships.append(Membership(rule.id, rule.active.number, digest, revision))
        members = await self.members(revision)
        self._database.state = RulesetState(revision, ruleset_digest(digest for _, _, digest in members))
        return self._database.state

    async def members(self, revision: int | None = None) -> Sequence[tuple[RuleId, int, bytes]]:
        at = self._database.state.revision if revision is None else revision
        return [
            (one.rule_id, one.version, one.digest)
            for one in self._database.memberships
            if one.from_revision <= at and (one.until_revision is None or one.until_revision > at)
        ]

    async def changes(self, since: int, most: int) -> RulesetChanges:
        before, after = await self.members(since), await self.members()
        ended = [digest for _, _, digest in (one for one in before if one not in after)]
        begun = [(rule_id, version) for rule_id, version, _ in (one for one in after if one not in before)]
        is_partial = len(ended) + len(begun) > most
        return RulesetChanges(self._database.state, ended[:most], await self.load(begun[:most]), is_partial)

    async def load(self, versions: Sequence[tuple[RuleId, int]]) -> Sequence[ActiveRule]:
        stored = self._database.versions
        return [ActiveRule(key[0], key[1], stored[key].content) for key in versions if key in stored]


class FakeTransaction:
    """One transaction's repositories."""

    def __init__(self, database: Database) -> None:
        self.rules = FakeRules(database)
        self.commands = FakeCommandLog(database)
        self.outbox = FakeOutbox(database)
        self.history = FakeHistory(database)
        self.active_rules = FakeActiveRules(database)
        self.templates = FakeTemplates(database.templates, database.template_history, database.rules)


class FakeTransactions:
    """Transactions on one database in memory; ``database`` is there for tests to look into.

    While ``failure`` is set, a transaction raises it instead of beginning.
    """

    def __init__(self) -> None:
        self.database = Database()
        self.failure: Exception | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[FakeTransaction]:
        if self.failure is not None:
            raise self.failure
        async with self._turn:
            yield FakeTransaction(self.database)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[FakeTransaction]:
        if self.failure is not None:
            raise self.failure
        async with self._turn:
            before = copy.deepcopy(self.database)
            try:
                yield FakeTransaction(self.database)
            except BaseException:
                self.database = before
                raise


def _stored_form(rule: Rule) -> Rule:
    """Copy a rule as loading it again would give it: without the events that were not pulled."""
    kept = copy.deepcopy(rule)
    kept.pull_events()
    return kept


def _meets(rule: Rule, criteria: RuleCriteria) -> bool:
    return (
        criteria.status in (None, rule.status)
        and criteria.priority in (None, rule.content.priority)
        and criteria.created_by in (None, rule.created_by.name)
        and (criteria.name_contains or "").lower() in rule.content.name.lower()
        and (criteria.tag is None or criteria.tag in rule.content.tags)
    )
