"""What rule files would change of the rules that the worker has: a plan, made without asking or sending anything.

A file says everything of its rule: a field that it leaves out is empty, or MEDIUM for the priority. It is compared with
the rule's latest version. Rules that no file names are told, and never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from enum import StrEnum
from typing import Any

from domain.identifiers import RuleId
from domain.rules.content import RuleContent
from domain.rules.status import ALLOWED, RuleStatus, Transition
from streams.messages.queries import RuleSummary
from worker.files.content import content_changes, create_payload, same_dsl
from worker.files.rules import RuleSource


class Action(StrEnum):
    """What a file means for its rule."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as the worker has it: its latest version, and the number of the one that decides."""

    rule_id: RuleId
    version: int
    active_version: int | None
    status: RuleStatus
    content: RuleContent


@dataclass(frozen=True, slots=True)
class KnownRules:
    """What the worker has of what files name.

    ``rules`` are those that a file names, by id or by name; ``holders`` tells which of them holds a file's name, as its
    latest version's or its deciding version's; ``listed`` is every rule there is.
    """

    rules: Mapping[RuleId, StoredRule]
    holders: Mapping[str, RuleId]
    listed: Sequence[RuleSummary] = ()


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """One file's rule, and what is to be done: ``changes`` has each field's value before and after, by wire name."""

    source: RuleSource
    action: Action
    stored: StoredRule | None = None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    problem: str | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The payload of the command that does it; an update carries the changed fields alone."""
        if self.action is Action.CREATE:
            return create_payload(self.source.content)
        assert self.action is Action.UPDATE
        assert self.stored is not None
        target = {"ruleId": self.stored.rule_id.value, "expectedVersion": self.stored.version}
        return target | {key: after for key, (_, after) in self.changes.items()}

    @property
    def consequence(self) -> str:
        """What the update means for the version that is latest now, and for the one that decides."""
        if self.stored is None or self.action is not Action.UPDATE:
            return ""
        version, active = self.stored.version, self.stored.active_version
        said = [f"version {version + 1} in DRAFT"]
        if self.stored.status is RuleStatus.UNDER_REVIEW:
            said.append(f"version {version} leaves review")
        elif self.stored.status is RuleStatus.APPROVED:
            said.append(f"version {version}, approved, is not activated")
        if active is not None:
            said.append(f"version {active} goes on deciding")
        return "; ".join(said)

    def dsl_diff(self) -> list[str]:
        """Return the lines of a unified diff of the DSL, without line feeds; none where it stays."""
        if self.stored is None or "dslContent" not in self.changes:
            return []
        before, after = (same_dsl(text).split("\n") for text in self.changes["dslContent"])
        name = f"{self.stored.content.name} version {self.stored.version}"
        return list(unified_diff(before, after, name, self.source.origin, lineterm=""))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for each file, in the order of the files, and the rules that no file names, by name."""

    rules: tuple[PlannedRule, ...]
    not_in_folder: tuple[RuleSummary, ...]

    @property
    def changes(self) -> list[PlannedRule]:
        return [rule for rule in self.rules if rule.action in {Action.CREATE, Action.UPDATE}]

    @property
    def problems(self) -> list[PlannedRule]:
        return [rule for rule in self.rules if rule.action is Action.PROBLEM]

    def counts(self) -> dict[str, int]:
        """Return how many files there are for each action."""
        found = Counter(rule.action for rule in self.rules)
        return {action.value: found[action] for action in Action}


def plan_changes(sources: Sequence[RuleSource], known: KnownRules) -> Plan:
    """Compare each file's rule with the worker's: by its id where the file has one, else by its name.

    An id that the worker does not have is a problem and not a new rule: ids are the worker's to give. So is a second
    file for one rule, a name that another rule holds, and a change of a rule whose status allows none.
    """
    claims: dict[RuleId, str] = {}
    planned = tuple(_planned(source, known, claims) for source in sources)
    others = (rule for rule in known.listed if RuleId(rule.rule_id) not in claims)
    return Plan(planned, tuple(sorted(others, key=lambda rule: (rule.name, rule.rule_id))))


def _planned(source: RuleSource, known: KnownRules, claims: dict[RuleId, str]) -> PlannedRule:
    holder = known.holders.get(source.content.name)
    rule_id = source.rule_id or holder
    if rule_id is None:
        return PlannedRule(source, Action.CREATE)
    stored = known.rules.get(rule_id)
    if stored is None:
        message = f"the worker has no rule {rule_id}; a file without ruleId goes by its name"
        return PlannedRule(source, Action.PROBLEM, problem=message)
    earlier = claims.setdefault(rule_id, source.origin)
    if earlier != source.origin:
        message = f"{earlier} is for the same rule, {rule_id}"
        return PlannedRule(source, Action.PROBLEM, stored, problem=message)
    if holder not in {None, rule_id}:
        message = f"rule name already exists: rule {holder} holds it"
        return PlannedRule(source, Action.PROBLEM, stored, problem=message)
    changes = content_changes(stored.content, source.content)
    if not changes:
        return PlannedRule(source, Action.NOTHING, stored)
    if stored.status not in ALLOWED[Transition.UPDATE]:
        message = f"a rule in status {stored.status} cannot be {Transition.UPDATE.value}"
        return PlannedRule(source, Action.PROBLEM, stored, changes, message)
    return PlannedRule(source, Action.UPDATE, stored, changes)
