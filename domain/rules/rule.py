"""The Rule aggregate: one rule over its versions, its lifecycle and its four-eyes law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from domain.errors import BusinessError, ConflictError, NotFoundError
from domain.identifiers import Actor, RuleId, TemplateId
from domain.rules.content import RuleContent
from domain.rules.events import EventName, RuleEvent
from domain.rules.status import ALLOWED, RuleStatus, Transition


@dataclass(frozen=True, slots=True)
class TemplateOrigin:
    """The template's version and the values (JSON data by parameter) of which a rule's version was made."""

    template_id: TemplateId
    version: int
    parameters: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the origin as the data of an event."""
        return {
            "templateId": self.template_id.value,
            "templateVersion": self.version,
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """One numbered state of a rule's content and who answers for it. Content never changes within a version.

    ``template`` is where the content came from, and no part of it: a version that is written by hand has none.
    """

    number: int
    content: RuleContent
    author: Actor
    created_at: datetime
    approved_by: Actor | None = None
    approved_at: datetime | None = None
    restored_from: int | None = None
    template: TemplateOrigin | None = None

    @property
    def is_approved(self) -> bool:
        return self.approved_by is not None


@dataclass(slots=True)
class Rule:
    """A rule: its latest version, the version that decides (if any), and what has happened to it.

    ``revision`` counts saves; a store refuses to save over a revision that it has not given out (ConflictError), so
    of two concurrent changes one wins. ``pull_events`` hands out, once, the events of the changes made since loading.
    """

    id: RuleId
    latest: RuleVersion
    status: RuleStatus
    created_by: Actor
    created_at: datetime
    updated_by: Actor
    updated_at: datetime
    active: RuleVersion | None = None
    was_submitted: bool = False
    was_active: bool = False
    revision: int = 0
    _events: list[RuleEvent] = field(default_factory=list, repr=False)

    @classmethod
    def create(
        cls,
        rule_id: RuleId,
        content: RuleContent,
        actor: Actor,
        now: datetime,
        template: TemplateOrigin | None = None,
    ) -> Rule:
        """Make a new rule: DRAFT, version 1."""
        version = RuleVersion(1, content, actor, now, template=template)
        rule = cls(rule_id, version, RuleStatus.DRAFT, actor, now, actor, now)
        rule._record(EventName.CREATED, actor, now, data=None if template is None else template.to_json())
        return rule

    @property
    def content(self) -> RuleContent:
        return self.latest.content

    @property
    def version(self) -> int:
        return self.latest.number

    @property
    def active_version(self) -> int | None:
        return None if self.active is None else self.active.number

    @property
    def names(self) -> frozenset[str]:
        """The names that this rule holds: the latest version's, and the deciding version's where it differs."""
        held = {self.content.name}
        if self.active is not None:
            held.add(self.active.content.name)
        return frozenset(held)

    def update(self, content: RuleContent, expected_version: int, actor: Actor, now: datetime) -> None:
        """Begin a new version in DRAFT; a version that is deciding goes on."""
        self._allow(Transition.UPDATE)
        self._expect(expected_version)
        before = self.latest
        self.latest = RuleVersion(before.number + 1, content, actor, now)
        self.status = RuleStatus.DRAFT
        self._record(EventName.UPDATED, actor, now, replaced=before, data={"previousVersion": before.number})

    def submit(self, expected_version: int | None, actor: Actor, now: datetime) -> None:
        """Ask for approval of the latest version."""
        self._expect(expected_version)
        self._allow(Transition.SUBMIT)
        self.status = RuleStatus.UNDER_REVIEW
        self.was_submitted = True
        self._record(EventName.SUBMITTED, actor, now)

    def approve(self, expected_version: int, comment: str | None, actor: Actor, now: datetime) -> None:
        """Approve exactly the latest version's content; its author cannot."""
        self._expect(expected_version)
        self._allow(Transition.APPROVE)
        if actor == self.latest.author:
            raise BusinessError(
                "whoever wrote or last changed a version cannot approve it", actor=str(actor), version=self.version
            )
        self.latest = replace(self.latest, approved_by=actor, approved_at=now)
        self.status = RuleStatus.APPROVED
        self._record(EventName.APPROVED, actor, now, data={"comment": comment} if comment else {})

    def reject(self, reason: str, actor: Actor, now: datetime) -> None:
        """Send the latest version back to its author."""
        self._allow(Transition.REJECT)
        self.status = RuleStatus.DRAFT
        self._record(EventName.REJECTED, actor, now, data={"reason": reason})

    def activate(self, actor: Actor, now: datetime) -> None:
        """Let the latest version decide, in place of any earlier one."""
        self._allow(Transition.ACTIVATE)
        previous = self.active_version
        self.active = self.latest
        self.status = RuleStatus.ACTIVE
        self.was_active = True
        data = {} if previous is None else {"previousActiveVersion": previous}
        self._record(EventName.ACTIVATED, actor, now, changes_ruleset=True, data=data)

    def deactivate(self, actor: Actor, now: datetime) -> None:
        """Stop deciding at once, whatever the status; a newer draft keeps its own."""
        self._allow(Transition.DEACTIVATE)
        if self.active is None:
            raise BusinessError("the rule has no active version to deactivate", status=self.status.value)
        stopped = self.active.number
        self.active = None
        if self.status is RuleStatus.ACTIVE:
            self.status = RuleStatus.INACTIVE
        self._record(EventName.DEACTIVATED, actor, now, changes_ruleset=True, data={"deactivatedVersion": stopped})

    def deprecate(self, actor: Actor, now: datetime) -> None:
        """Retire the rule for good."""
        self._allow(Transition.DEPRECATE)
        if not self.was_submitted:
            raise BusinessError("a rule that was never submitted cannot be deprecated", status=self.status.value)
        was_deciding = self.active is not None
        self.active = None
        self.status = RuleStatus.DEPRECATED
        self._record(EventName.DEPRECATED, actor, now, changes_ruleset=was_deciding)

    def roll_back(self, earlier: RuleVersion, actor: Actor, now: datetime) -> None:
        """Let an earlier, approved version's content decide again at once, as a new version."""
        self._allow(Transition.ROLL_BACK)
        if earlier.number >= self.version:
            raise NotFoundError("no such earlier version", version=earlier.number)
        if not earlier.is_approved:
            raise BusinessError("only a version that was approved can decide again", version=earlier.number)
        previous, before = self.active_version, self.latest
        self.latest = replace(
            earlier, number=self.version + 1, author=actor, created_at=now, restored_from=earlier.number
        )
        self.active = self.latest
        self.status = RuleStatus.ACTIVE
        self.was_active = True
        data = {"restoredVersion": earlier.number, "previousActiveVersion": previous}
        self._record(EventName.ROLLED_BACK, actor, now, replaced=before, changes_ruleset=True, data=data)

    def delete(self, actor: Actor, now: datetime) -> None:
        """Say that the rule is gone; only a DRAFT that never was active may go."""
        self._allow(Transition.DELETE)
        if self.was_active:
            raise BusinessError("a rule that was active cannot be deleted; deprecate it", status=self.status.value)
        self._record(EventName.DELETED, actor, now)

    def pull_events(self) -> tuple[RuleEvent, ...]:
        """Return the events not yet handed out, oldest first, and forget them."""
        events = tuple(self._events)
        self._events.clear()
        return events

    def _allow(self, transition: Transition) -> None:
        if self.status not in ALLOWED[transition]:
            allowed = sorted(status.value for status in ALLOWED[transition])
            raise BusinessError(
                f"a rule in status {self.status} cannot be {transition.value}",
                status=self.status.value,
                allowed=allowed,
            )

    def _expect(self, version: int | None) -> None:
        if version is not None and version != self.version:
            raise ConflictError(
                f"the rule is at version {self.version}, not {version}",
                currentVersion=self.version,
                expectedVersion=version,
            )

    def _record(
        self,
        name: EventName,
        actor: Actor,
        now: datetime,
        *,
        replaced: RuleVersion | None = None,
        changes_ruleset: bool = False,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Note an event; ``replaced`` is the version that was the latest before, where the event made a new one."""
        self.updated_by = actor
        self.updated_at = now
        before = None if name is EventName.CREATED else replaced or self.latest
        event = RuleEvent(
            name=name,
            rule_id=self.id,
            rule_name=self.content.name,
            version=self.version,
            status=self.status,
            actor=actor,
            occurred_at=now,
            content_digest=self._digest(self.latest),
            before_digest=None if before is None else self._digest(before),
            changes_ruleset=changes_ruleset,
            data=data or {},
        )
        self._events.append(event)

    def _digest(self, version: RuleVersion) -> bytes:
        return version.content.digest(self.id, version.number)
