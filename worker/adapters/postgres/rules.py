"""Rules in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.errors import BusinessError, ConflictError
from domain.identifiers import Actor, RuleId, TemplateId
from domain.ports import RuleCriteria, RulePage
from domain.rules.content import Priority, RuleContent
from domain.rules.rule import Rule, RuleVersion, TemplateOrigin
from domain.rules.status import RuleStatus
from worker.adapters.postgres.patterns import holds_nul, pattern_of
from worker.adapters.postgres.statements import statements

_SQL: Final = statements("rules")
_COLUMNS: Final = {
    "name": "r.name",
    "createdAt": "r.created_at",
    "updatedAt": "r.updated_at",
    "priority": "r.priority_rank",
    "status": "r.status",
}
# In the order in which their values are given. Planned for its value, a pattern is folded once, and not for each name.
_CRITERIA: Final = (
    "r.status = ${}::text",
    "r.priority_rank = ${}::smallint",
    "r.created_by = ${}::text",
    'r.name_folded LIKE lower(${}::text COLLATE pg_c_utf8) COLLATE "C"',
    "r.tags @> ARRAY[${}::text]",
)


class PostgresRules:
    """RuleRepository on one connection, inside its transaction."""

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record]) -> None:
        self._connection = connection

    async def save(self, rule: Rule) -> None:
        values = (
            UUID(rule.id.value),
            rule.status.value,
            rule.version,
            rule.active_version,
            rule.was_submitted,
            rule.was_active,
            rule.content.name,
            rule.content.priority.rank,
            list(rule.content.tags),
        )
        if rule.revision == 0:
            await self._insert(rule, values)
        else:
            saved = await self._connection.fetchval(
                _SQL["update_rule"], *values, rule.updated_by.name, rule.updated_at, rule.revision
            )
            if saved is None:
                raise ConflictError("the rule was changed by someone else meanwhile", ruleId=rule.id.value)
            await self._connection.execute(
                _SQL["put_version"], UUID(rule.id.value), *_version_values(rule.id, rule.latest)
            )
            await self._hold_names(rule)
        rule.revision += 1

    async def find_by_id(self, rule_id: RuleId) -> Rule | None:
        row = await self._connection.fetchrow(_SQL["find_rule"], UUID(rule_id.value))
        return None if row is None else _rule(row)

    async def lock(self, rule_id: RuleId) -> None:
        await self._connection.execute(_SQL["lock_rule"], UUID(rule_id.value))

    async def find_by_name(self, name: str) -> Rule | None:
        found = await self._holder(name)
        return None if found is None else await self.find_by_id(RuleId(str(found)))

    async def find_version(self, rule_id: RuleId, number: int) -> RuleVersion | None:
        if not 0 < number < 2**31:
            return None
        row = await self._connection.fetchrow(_SQL["find_version"], UUID(rule_id.value), number)
        return None if row is None else _version(row, row["version"], "")

    async def versions_of(self, rule_id: RuleId) -> Sequence[RuleVersion]:
        rows = await self._connection.fetch(_SQL["versions_of_rule"], UUID(rule_id.value))
        return [_version(row, row["version"], "") for row in rows]

    async def list_by_criteria(self, criteria: RuleCriteria) -> RulePage:
        if holds_nul(criteria.created_by, criteria.name_contains, criteria.tag):
            return RulePage([], 0)
        filters = (
            criteria.status and criteria.status.value,
            None if criteria.priority is None else criteria.priority.rank,
            criteria.created_by,
            pattern_of(criteria.name_contains),
            criteria.tag,
        )
        direction = "DESC" if criteria.descending else "ASC"
        order = f"{_COLUMNS[criteria.sort_by]} {direction}, r.rule_id {direction}"
        offset, size = criteria.page_offset, criteria.page_size
        total: int | None = None
        await self._connection.execute(_SQL["plan_for_values"])
        if offset > 0:
            total = await self._count(filters)
            if total <= offset:
                return RulePage([], total)
        where, values = _where(filters, 3)
        statement = _SQL["list_rules"].format(criteria=where, order=order)
        rows = await self._connection.fetch(statement, size, offset, *values)
        if total is None:  # a first page that is not full has them all: looking through every name again is spared
            total = len(rows) if len(rows) < size else await self._count(filters)
        return RulePage([_rule(row) for row in rows], total)

    async def _count(self, filters: Sequence[object]) -> int:
        where, values = _where(filters, 1)
        return int(await self._connection.fetchval(_SQL["count_rules"].format(criteria=where), *values))

    async def delete(self, rule: Rule) -> None:
        gone = await self._connection.fetchval(_SQL["delete_rule"], UUID(rule.id.value), rule.revision)
        if gone is None:
            raise ConflictError("the rule was changed by someone else meanwhile", ruleId=rule.id.value)

    async def exists_by_name(self, name: str) -> bool:
        return await self._holder(name) is not None

    async def _holder(self, name: str) -> UUID | None:
        if holds_nul(name):
            return None
        found: UUID | None = await self._connection.fetchval(_SQL["find_rule_id_by_name"], name)
        return found

    async def _insert(self, rule: Rule, values: tuple[object, ...]) -> None:
        """Store a new rule by one statement; what it had stored is undone with the transaction when it raises."""
        names = sorted(rule.names)
        try:
            taken = await self._connection.fetchval(
                _SQL["insert_rule"],
                *values,
                rule.created_by.name,
                rule.created_at,
                rule.updated_by.name,
                rule.updated_at,
                names,
                *_version_values(rule.id, rule.latest),
            )
        except asyncpg.UniqueViolationError:
            raise ConflictError("the rule exists already", ruleId=rule.id.value) from None
        if taken != len(names):
            raise BusinessError("rule name already exists", name=rule.content.name)

    async def _hold_names(self, rule: Rule) -> None:
        names = sorted(rule.names)
        await self._connection.execute(_SQL["release_names"], UUID(rule.id.value), names)
        taken = await self._connection.fetchval(_SQL["hold_names"], UUID(rule.id.value), names)
        if taken != len(names):
            raise BusinessError("rule name already exists", name=rule.content.name)


def _where(filters: Sequence[object], first: int) -> tuple[str, list[object]]:
    """Return the condition of the criteria that are given, with parameters from a number on, and their values."""
    given = [(text, value) for text, value in zip(_CRITERIA, filters, strict=True) if value is not None]
    return " AND ".join(text.format(number) for number, (text, _) in enumerate(given, first)) or "true", [
        value for _, value in given
    ]


def content_of(row: asyncpg.Record, prefix: str = "") -> RuleContent:
    """Read a version's content from a row."""
    return RuleContent(
        name=row[f"{prefix}name"],
        dsl_content=row[f"{prefix}dsl_content"],
        priority=Priority(row[f"{prefix}priority"]),
        description=row[f"{prefix}description"],
        tags=tuple(row[f"{prefix}tags"]),
        effective_from=row[f"{prefix}effective_from"],
        effective_until=row[f"{prefix}effective_until"],
    )


def _version_values(rule_id: RuleId, version: RuleVersion) -> tuple[object, ...]:
    content, template = version.content, version.template
    return (
        version.number,
        content.name,
        content.description,
        content.dsl_content,
        content.priority.value,
        list(content.tags),
        content.effective_from,
        content.effective_until,
        version.author.name,
        version.created_at,
        None if version.approved_by is None else version.approved_by.name,
        version.approved_at,
        version.restored_from,
        content.digest(rule_id, version.number),
        None if template is None else UUID(template.template_id.value),
        None if template is None else template.version,
        None if template is None else msgspec.json.encode(template.parameters),
    )


def _version(row: asyncpg.Record, number: int, prefix: str) -> RuleVersion:
    approver: str | None = row[f"{prefix}approved_by"]
    return RuleVersion(
        number=number,
        content=content_of(row, prefix),
        author=Actor(row[f"{prefix}author"]),
        created_at=row[f"{prefix}version_created_at"],
        approved_by=None if approver is None else Actor(approver),
        approved_at=row[f"{prefix}approved_at"],
        restored_from=row[f"{prefix}restored_from"],
        template=_template(row, prefix),
    )


def _template(row: asyncpg.Record, prefix: str) -> TemplateOrigin | None:
    template_id: UUID | None = row[f"{prefix}template_id"]
    if template_id is None:
        return None
    values = msgspec.json.decode(row[f"{prefix}template_parameters"])
    return TemplateOrigin(TemplateId(str(template_id)), row[f"{prefix}template_version"], values)


def _rule(row: asyncpg.Record) -> Rule:
    latest = _version(row, row["version"], "")
    active: RuleVersion | None = None
    if row["active_version"] == latest.number:
        active = latest
    elif row["active_version"] is not None:
        active = _version(row, row["active_version"], "a_")
    return Rule(
        id=RuleId(str(row["rule_id"])),
        latest=latest,
        status=RuleStatus(row["status"]),
        created_by=Actor(row["created_by"]),
        created_at=row["created_at"],
        updated_by=Actor(row["updated_by"]),
        updated_at=row["updated_at"],
        active=active,
        was_submitted=row["was_submitted"],
        was_active=row["was_active"],
        revision=row["revision"],
    )
