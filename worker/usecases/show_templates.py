"""The queries on templates: template, templates, and the history of one."""

from __future__ import annotations

from typing import Any

from domain.errors import MissingParameterError, NotFoundError
from domain.identifiers import TemplateId
from domain.ports import TemplateCriteria, Transactions
from streams.messages.queries import GetTemplate, ListHistory, ListTemplates
from streams.messages.templates import asked_template_view, template_history_entry, template_summary
from worker.usecases.paging import filled_page, require_page


async def get_template(transactions: Transactions, query: GetTemplate) -> Any:
    """Show a template, whole, with the number of rules that lag behind it."""
    if query.template_id is None and query.name is None:
        raise MissingParameterError("templateId or name is required", field="templateId")
    async with transactions.begin() as tx:
        if query.template_id is not None:
            template = await tx.templates.find_by_id(TemplateId.parse(query.template_id))
        else:
            template = await tx.templates.find_by_name(query.name or "")
        if template is None:
            named = {"name": query.name} if query.template_id is None else {"templateId": query.template_id}
            raise NotFoundError("no such template", **named)
        lagging = await tx.templates.lagging(template, 0)
    return asked_template_view(template, lagging)


async def list_templates(transactions: Transactions, query: ListTemplates) -> Any:
    """Show a page of templates, without their DSL."""
    require_page(query.page_size, query.page_offset)
    criteria = TemplateCriteria(
        created_by=query.created_by,
        name_contains=query.name_contains,
        page_size=query.page_size,
        page_offset=query.page_offset,
        sort_by=query.sort_by,
        descending=query.sort_order == "desc",
    )
    async with transactions.begin() as tx:
        page = await tx.templates.list_by_criteria(criteria)
    return filled_page(map(template_summary, page.items), page.total, query.page_offset)


async def list_template_history(transactions: Transactions, query: ListHistory) -> Any:
    """Show a page of what has happened to a template, also to a deleted one; oldest first."""
    if query.template_id is None:
        raise MissingParameterError("ruleId or templateId is required", field="ruleId")
    async with transactions.begin() as tx:
        entries = await tx.templates.history_of(TemplateId.parse(query.template_id))
    if not entries:
        raise NotFoundError("no such template", templateId=query.template_id)
    chosen = entries[query.page_offset : query.page_offset + query.page_size]
    return filled_page(map(template_history_entry, chosen), len(entries), query.page_offset)
