"""The codes that a fault of a rule can have: a closed set, documented in docs/language.md."""

from __future__ import annotations

from typing import Final

FAULT_CODES: Final = frozenset(
    {
        "add-currency", "add-kind", "add-overflow", "conversion", "currency", "division-by-zero", "empty", "error",
        "format", "inexact", "limit", "map-key", "missing-value", "no-json-form", "no-overload", "not-a-map",
        "not-a-number", "not-json", "overflow", "pattern", "range", "table-not-unique", "time-zone",
    }
)  # fmt: skip
