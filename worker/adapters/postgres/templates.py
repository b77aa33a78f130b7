"""Templates in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.errors import BusinessError, ConflictError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.ports import LaggingRule, LaggingRules, RecordedTemplateEvent, TemplateCriteria, TemplatePage
from domain.rules.status import RuleStatus
from domain.templates.events import TemplateEvent, TemplateEventName
from domain.templates.parameters import Parameter
from domain.templates.template import Template, TemplateContent
from worker.adapters.postgres.patterns import holds_nul, pattern_of
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("templates")
_COLUMNS: Final = {"name": "t.name", "createdAt": "t.created_at", "updatedAt": "t.updated_at"}
_NAME_KEY: Final = "template_name_key"


class PostgresTemplates:
    """TemplateRepository on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def save(self, template: Template) -> None:
        content = template.content
        values = (
            UUID(template.id.value),
            template.version,
            content.name,
            content.description,
            content.dsl_template,
            msgspec.json.encode([one.to_json() for one in content.parameters]),
        )
        updated = (template.updated_by.name, template.updated_at)
        try:
            if template.revision == 0:
                created = (template.created_by.name, template.created_at)
                await self._connection.execute(_SQL["insert_template"], *values, *created, *updated)
            elif await self._connection.fetchval(_SQL["update_template"], *values, *updated, template.revision) is None:
                raise ConflictError("the template was changed by someone else meanwhile", templateId=template.id.value)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != _NAME_KEY:
                raise ConflictError("the template exists already", templateId=template.id.value) from None
            raise BusinessError("template name already exists", name=content.name) from None
        template.revision += 1

    async def find_by_id(self, template_id: TemplateId) -> Template | None:
        row = await self._connection.fetchrow(_SQL["find_template"], UUID(template_id.value))
        return None if row is None else _template(row)

    async def find_by_name(self, name: str) -> Template | None:
        if holds_nul(name):
            return None
        row = await self._connection.fetchrow(_SQL["find_template_by_name"], name)
        return None if row is None else _template(row)

    async def list_by_criteria(self, criteria: TemplateCriteria) -> TemplatePage:
        if holds_nul(criteria.created_by, criteria.name_contains):
            return TemplatePage([], 0)
        filters = (criteria.created_by, pattern_of(criteria.name_contains))
        direction = "DESC" if criteria.descending else "ASC"
        order = f"{_COLUMNS[criteria.sort_by]} {direction}, t.template_id {direction}"
        total = await self._connection.fetchval(_SQL["count_templates"], *filters)
        rows = await self._connection.fetch(
            _SQL["list_templates"].format(template_order=order), *filters, criteria.page_size, criteria.page_offset
        )
        return TemplatePage([_template(row) for row in rows], total)

    async def delete(self, template: Template) -> None:
        gone = await self._connection.fetchval(_SQL["delete_template"], UUID(template.id.value), template.revision)
        if gone is None:
            raise ConflictError("the template was changed by someone else meanwhile", templateId=template.id.value)

    async def lagging(self, template: Template, most: int) -> LaggingRules:
        rows = await self._connection.fetch(
            _SQL["lagging_rules"], UUID(template.id.value), template.version, max(most, 1)
        )
        items = [
            LaggingRule(
                rule_id=RuleId(str(row["rule_id"])),
                name=row["name"],
                status=RuleStatus(row["status"]),
                version=row["version"],
                active_version=row["active_version"],
                template_version=row["template_version"],
            )
            for row in rows[:most]
        ]
        return LaggingRules(items, rows[0]["total"] if rows else 0)

    async def record(self, entry: RecordedTemplateEvent) -> None:
        event = entry.event
        await self._connection.execute(
            _SQL["add_template_event"],
            UUID(event.template_id.value),
            UUID(entry.event_id),
            event.name.value,
            event.template_name,
            event.version,
            event.actor.name,
            event.occurred_at,
            entry.command_id.value,
            event.content_digest,
            event.before_digest,
            msgspec.json.encode(event.data),
        )

    async def history_of(self, template_id: TemplateId) -> Sequence[RecordedTemplateEvent]:
        rows = await self._connection.fetch(_SQL["events_of_template"], UUID(template_id.value))
        return [
            RecordedTemplateEvent(
                event_id=str(row["event_id"]),
                event=TemplateEvent(
                    name=TemplateEventName(row["name"]),
                    template_id=template_id,
                    template_name=row["template_name"],
                    version=row["version"],
                    actor=Actor(row["actor"]),
                    occurred_at=row["occurred_at"],
                    content_digest=row["content_digest"],
                    before_digest=row["before_digest"],
                    data=msgspec.json.decode(row["data"]),
                ),
                command_id=CommandId(row["command_id"]),
            )
            for row in rows
        ]


def _template(row: asyncpg.Record) -> Template:
    parameters = tuple(Parameter(**one) for one in msgspec.json.decode(row["parameters"]))
    return Template(
        id=TemplateId(str(row["template_id"])),
        content=TemplateContent(row["name"], row["dsl_template"], parameters, row["description"]),
        version=row["version"],
        created_by=Actor(row["created_by"]),
        created_at=row["created_at"],
        updated_by=Actor(row["updated_by"]),
        updated_at=row["updated_at"],
        revision=row["revision"],
    )
