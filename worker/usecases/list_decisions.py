"""The query decisions: what was decided, newest first."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.errors import ValidationError
from domain.identifiers import is_dotted_pattern
from domain.language import parse_timestamp
from domain.ports import DecisionCriteria, DecisionStore
from streams.messages.bounds import DECISIONS_OFFSET_MAX, PAGE_BYTES_MAX
from streams.messages.decisions import time_text
from streams.messages.queries import ListDecisions
from worker.usecases.paging import require_page


async def list_decisions(decisions: DecisionStore, query: ListDecisions) -> dict[str, Any]:
    """Answer the query; raises ValidationError, UnavailableError."""
    require_page(query.page_size, query.page_offset)
    if query.page_offset > DECISIONS_OFFSET_MAX:
        message = f"pageOffset must be 0 to {DECISIONS_OFFSET_MAX} here: go on with until, at the last decision's time"
        raise ValidationError(message, field="pageOffset")
    if query.fact_type is not None and not is_dotted_pattern(query.fact_type):
        message = "factType is 1 to 16 tokens of A-Z a-z 0-9 _ -, joined by dots; * stands for one, > for those left"
        raise ValidationError(message, field="factType")
    found = await decisions.list_by_criteria(
        DecisionCriteria(
            fact_type=query.fact_type,
            fact_id=query.fact_id,
            matched=None if query.outcome is None else query.outcome == "matched",
            since_ns=_nanoseconds("since", query.since),
            until_ns=_nanoseconds("until", query.until),
            size=query.page_size,
            offset=query.page_offset,
        )
    )
    items: list[msgspec.Raw] = []
    size, next_offset = 0, found.next_offset
    for listed in found.items:
        size += len(listed.decision.body) + 1
        if items and size > PAGE_BYTES_MAX:
            next_offset = found.items[len(items) - 1].next_offset
            break
        items.append(msgspec.Raw(listed.decision.body))
    until = query.until if found.until_ns is None or query.until is not None else time_text(found.until_ns)
    page: dict[str, Any] = {"items": items, "until": until}
    if next_offset is not None:
        page["nextOffset"] = next_offset
    return page


def _nanoseconds(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_timestamp(text).ns
    except ValueError as error:
        raise ValidationError(f"{field}: {error}", field=field) from None
