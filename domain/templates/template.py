"""The Template aggregate: a rule's text with typed parameters, over its versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import ConflictError, ValidationError
from domain.identifiers import Actor, TemplateId
from domain.rules.content import DESCRIPTION_LENGTH_MAX, FieldProblem, is_storable, name_problems
from domain.templates.events import TemplateEvent, TemplateEventName
from domain.templates.parameters import Parameter, declaration_problems, default_literals


@dataclass(frozen=True, slots=True)
class TemplateContent:
    """Everything of a template's version that its author vouches for; see ``checked`` for the bounds."""

    name: str
    dsl_template: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""

    @classmethod
    def checked(
        cls, *, name: str, dsl_template: str, parameters: Iterable[Parameter], description: str | None = None
    ) -> TemplateContent:
        """Make content of a sender's fields; raises ValidationError with every field's problem.

        The DSL is only checked for being there: checking it is the language's part (``domain.language``).
        """
        declared, text = tuple(parameters), description or ""
        problems = name_problems(name, "template")
        if not dsl_template.strip():
            problems.append(FieldProblem("dsl-empty", "dslTemplate", "DSL template cannot be empty"))
        elif not is_storable(dsl_template):
            message = "DSL template cannot hold NUL or lone surrogates"
            problems.append(FieldProblem("dsl-not-text", "dslTemplate", message))
        if len(text) > DESCRIPTION_LENGTH_MAX:
            message = f"template description cannot exceed {DESCRIPTION_LENGTH_MAX} characters"
            problems.append(FieldProblem("description-too-long", "description", message))
        elif not is_storable(text):
            message = "template description cannot hold NUL or lone surrogates"
            problems.append(FieldProblem("description-not-text", "description", message))
        problems += declaration_problems(declared)
        if problems:
            raise ValidationError(problems[0].message, problems=[problem.to_json() for problem in problems])
        return cls(name, dsl_template, declared, text)

    @property
    def types(self) -> Mapping[str, str]:
        """The parameters' types by name."""
        return {one.name: one.type for one in self.parameters}

    @property
    def default_row(self) -> Mapping[str, str] | None:
        """The literals of a row that gives no value; None where some parameter has no default."""
        literals = default_literals(self.parameters)
        return literals if len(literals) == len(self.parameters) else None

    def digest(self, template_id: TemplateId, version: int) -> bytes:
        """Return the SHA-256 that stands for exactly this content of this version of this template.

        It goes over JSON of the id, the version and every field, without white space, its keys in order.
        """
        texts = [template_id.value, version, self.name, self.description, self.dsl_template]
        data = [*texts, [one.to_json() for one in self.parameters]]
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"rulestream.template.1" + canonical.encode()).digest()


@dataclass(slots=True)
class Template:
    """A template: its latest version and what has happened to it. There is no review: the rules made of it have theirs.

    ``revision`` counts saves; a store refuses to save over a revision that it has not given out (ConflictError), so
    of two concurrent changes one wins. ``pull_events`` hands out, once, the events of the changes made since loading.
    """

    id: TemplateId
    content: TemplateContent
    version: int
    created_by: Actor
    created_at: datetime
    updated_by: Actor
    updated_at: datetime
    revision: int = 0
    _events: list[TemplateEvent] = field(default_factory=list, repr=False)

    @classmethod
    def create(cls, template_id: TemplateId, content: TemplateContent, actor: Actor, now: datetime) -> Template:
        """Make a new template: version 1."""
        template = cls(template_id, content, 1, actor, now, actor, now)
        template._record(TemplateEventName.CREATED, None, {})
        return template

    def update(self, content: TemplateContent, expected_version: int | None, actor: Actor, now: datetime) -> None:
        """Begin a new version; rules keep what they were made of. Raises ConflictError for another version."""
        self._expect(expected_version)
        before = self._digest()
        self.content = content
        self.version += 1
        self.updated_by, self.updated_at = actor, now
        self._record(TemplateEventName.UPDATED, before, {"previousVersion": self.version - 1})

    def delete(self, expected_version: int | None, actor: Actor, now: datetime) -> None:
        """Say that the template is gone; rules made of it stay as they are. Raises ConflictError as ``update`` does."""
        self._expect(expected_version)
        self.updated_by, self.updated_at = actor, now
        self._record(TemplateEventName.DELETED, self._digest(), {})

    def pull_events(self) -> tuple[TemplateEvent, ...]:
        """Return the events not yet handed out, oldest first, and forget them."""
        events = tuple(self._events)
        self._events.clear()
        return events

    def _expect(self, version: int | None) -> None:
        if version is not None and version != self.version:
            raise ConflictError(
                f"the template is at version {self.version}, not {version}",
                currentVersion=self.version,
                expectedVersion=version,
            )

    def _digest(self) -> bytes:
        return self.content.digest(self.id, self.version)

    def _record(self, name: TemplateEventName, before: bytes | None, data: Mapping[str, Any]) -> None:
        event = TemplateEvent(
            name=name,
            template_id=self.id,
            template_name=self.content.name,
            version=self.version,
            actor=self.updated_by,
            occurred_at=self.updated_at,
            content_digest=self._digest(),
            before_digest=before,
            data=data,
        )
        self._events.append(event)
