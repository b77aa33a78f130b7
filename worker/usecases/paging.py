"""Pages of a query's answer: bounds that are asked for, and bytes that an answer may have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from domain.errors import ValidationError
from streams.messages.bounds import PAGE_BYTES_MAX, PAGE_OFFSET_MAX, PAGE_SIZE_MAX

_ENCODER: Final = msgspec.json.Encoder()


def require_page(size: int, offset: int) -> None:
    """Refuse a page that nobody may ask for; raises ValidationError."""
    if not 1 <= size <= PAGE_SIZE_MAX:
        raise ValidationError(f"pageSize must be 1 to {PAGE_SIZE_MAX}", field="pageSize")
    if not 0 <= offset <= PAGE_OFFSET_MAX:
        raise ValidationError(f"pageOffset must be 0 to {PAGE_OFFSET_MAX}", field="pageOffset")


def filled_page(items: Iterable[Any], total: int, offset: int) -> dict[str, Any]:
    """Fill a page up to its bytes; ``nextOffset`` is there while there is more."""
    filled: list[msgspec.Raw] = []
    size = 0
    for item in items:
        data = _ENCODER.encode(item)
        size += len(data) + 1
        if filled and size > PAGE_BYTES_MAX:
            break
        filled.append(msgspec.Raw(data))
    page: dict[str, Any] = {"items": filled, "total": total}
    if filled and offset + len(filled) < total:
        page["nextOffset"] = offset + len(filled)
    return page
