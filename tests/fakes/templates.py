"""Templates in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from domain.errors import BusinessError, ConflictError
from domain.identifiers import RuleId, TemplateId
from domain.ports import LaggingRule, LaggingRules, RecordedTemplateEvent, TemplateCriteria, TemplatePage
from domain.rules.rule import Rule
from domain.rules.status import RuleStatus
from domain.templates.template import Template

_SORT_KEYS = {
    "name": lambda template: template.content.name,
    "createdAt": lambda template: template.created_at,
    "updatedAt": lambda template: template.updated_at,
}


class FakeTemplates:
    """TemplateRepository in memory; what it hands out and takes in are copies."""

    def __init__(
        self,
        templates: dict[TemplateId, Template],
        history: list[RecordedTemplateEvent],
        rules: Mapping[RuleId, Rule],
    ) -> None:
        self._templates = templates
        self._history = history
        self._rules = rules

    async def save(self, template: Template) -> None:
        stored = self._templates.get(template.id)
        if (stored.revision if stored else 0) != template.revision:
            raise ConflictError("the template was changed by someone else meanwhile", templateId=template.id.value)
        holder = await self.find_by_name(template.content.name)
        if holder is not None and holder.id != template.id:
            raise BusinessError("template name already exists", name=template.content.name)
        template.revision += 1
        kept = copy.deepcopy(template)
        kept.pull_events()
        self._templates[template.id] = kept

    async def find_by_id(self, template_id: TemplateId) -> Template | None:
        return copy.deepcopy(self._templates.get(template_id))

    async def find_by_name(self, name: str) -> Template | None:
        found = (template for template in self._templates.values() if template.content.name == name)
        return copy.deepcopy(next(found, None))

    async def list_by_criteria(self, criteria: TemplateCriteria) -> TemplatePage:
        found = [
            template
            for template in self._templates.values()
            if criteria.created_by in (None, template.created_by.name)
            and (criteria.name_contains or "").lower() in template.content.name.lower()
        ]
        key = _SORT_KEYS[criteria.sort_by]
        found.sort(key=lambda template: (key(template), template.id.value), reverse=criteria.descending)
        page = found[criteria.page_offset : criteria.page_offset + criteria.page_size]
        return TemplatePage(copy.deepcopy(page), len(found))

    async def delete(self, template: Template) -> None:
        stored = self._templates.get(template.id)
        if stored is None or stored.revision != template.revision:
            raise ConflictError("the template was changed by someone else meanwhile", templateId=template.id.value)
        del self._templates[template.id]

    async def lagging(self, template: Template, most: int) -> LaggingRules:
        found: list[LaggingRule] = []
        for rule in self._rules.values():
            origins = [version.template for version in (rule.latest, rule.active) if version is not None]
            earlier = [
                origin.version
                for origin in origins
                if origin is not None and origin.template_id == template.id and origin.version < template.version
            ]
            if earlier and rule.status is not RuleStatus.DEPRECATED:
                name, number = rule.content.name, rule.version
                found.append(LaggingRule(rule.id, name, rule.status, number, rule.active_version, min(earlier)))
        found.sort(key=lambda one: (one.name, one.rule_id))
        return LaggingRules(found[:most], len(found))

    async def record(self, entry: RecordedTemplateEvent) -> None:
        self._history.append(entry)

    async def history_of(self, template_id: TemplateId) -> Sequence[RecordedTemplateEvent]:
        return [entry for entry in self._history if entry.event.template_id == template_id]
