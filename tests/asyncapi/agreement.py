"""Payloads of every command and query at the bounds of their schemas, and the comparison of two words on each.

Values are drawn from the schemas' own bounds, at them and on both sides of them. What JSON Schema cannot say is listed
by the code of its problem.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from domain.language import PARAMETER_TYPES
from domain.rules.content import Priority
from domain.rules.status import RuleStatus
from streams.asyncapi import document
from tests.asyncapi.judge import Judge

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
JUDGE = Judge(DOCUMENT)
DSL = "on order.placed when total > 1 then set seen = true"
CREATE = {
    "name": "gold",
    "dslContent": DSL,
    "priority": "LOW",
    "description": "d",
    "tags": ["a"],
    "effectiveFrom": "2026-01-01T00:00:00Z",
    "effectiveUntil": "2027-01-01T00:00:00+01:00",
}
TEMPLATE = {
    "name": "tier",
    "dslTemplate": "when tier == ${tier} then set discount = ${percent}",
    "parameters": [
        {"name": "tier", "type": "string"},
        {"name": "percent", "type": "int", "default": 1, "description": "p"},
    ],
    "description": "d",
}
# What only the payload's form decides; the other codes are about what is stored.
OF_THE_FORM = {"INVALID_REQUEST", "MISSING_PARAMETER", "VALIDATION_ERROR"}
# Problems of what JSON Schema cannot say: calendars, order of times, Unicode's categories, values by their declared
# types, names that differ, texts of the rule language (which have a line), values of a template's rows.
UNSAYABLE = {
    "not-a-time",
    "empty-period",
    "name-not-printable",
    "default-type",
    "duplicate-parameter",
    "unknown-parameter",
    "missing-parameter",
    "parameter-type",
    "values-too-large",
}
TEXTS = ["", " ", "a", "gold", "a b", " a", "a ", "a\nb", "a\u0000b", "\u200bab", "é" * 3, "日本語", "\U0001f600abc"]
UUID = "5cdb9537-9ff2-525e-b538-50cf40b26e31"
SHAPED = [
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    "{" + UUID + "}",
    "urn:uuid:" + UUID,
    UUID + "0",
    UUID[:-1] + "g",
    UUID.replace("-", "_"),
    "e5c1b3dbe301b9add8e1d2ea41723050",
    "e5c1b3dbe301b9add8e1d2ea4172305",
    "e5 c1b3dbe301b9add8e1d2ea41723050",
    "0123456789abcdef",
    "0123456789abcde",
    "x" * 64,
    "x" * 65,
    "order.placed",
    "order.*",
    "order.>",
    ">.order",
    "a..b",
    ".".join("a" * 16),
    ".".join("a" * 17),
    "2026-01-01T00:00:00Z",
    "2026-01-01t00:00:00.123456z",
    "2026-01-01T00:00:00.1234567Z",
    "2026-01-01T00:00:00.123456789+05:30",
    "2026-01-01T00:00:00.1234567891Z",
    "2026-01-01T00:00:00",
    "2026-02-30T00:00:00Z",
    "2026-01-01",
    "low",
    "float",
    *(one.value for one in Priority),
    *(one.value for one in RuleStatus),
    *PARAMETER_TYPES,
]
NUMBERS = [-1, 0, 1, 2, 500, 501, 2**31 - 1, 2**31, 2**63, 2**64, 10**30]
ANYTHING: list[Any] = [None, True, 1.5, [], {}, [None], {"a": 1}]


# Payloads that a worker answers, each with other fields: together they have every field.
QUERIES: dict[str, list[dict[str, Any]]] = {
    "get": [{"ruleId": "RULE", "name": "held"}],
    "list": [
        {
            "status": "DRAFT",
            "priority": "LOW",
            "createdBy": "ann",
            "nameContains": "e",
            "tag": "a",
            "pageSize": 1,
            "pageOffset": 0,
            "sortBy": "createdAt",
            "sortOrder": "desc",
        }
    ],
    "versions": [{"ruleId": "RULE", "pageSize": 1, "pageOffset": 0}],
    "history": [{"ruleId": "RULE", "pageSize": 1}, {"templateId": "TEMPLATE", "pageOffset": 0}],
    "template": [{"templateId": "TEMPLATE", "name": "tier"}],
    "templates": [
        {
            "createdBy": "ann",
            "nameContains": "e",
            "pageSize": 1,
            "pageOffset": 0,
            "sortBy": "createdAt",
            "sortOrder": "desc",
        }
    ],
    "ruleset": [{"pageSize": 1, "pageOffset": 0}],
    "validate": [{"dslContent": DSL}],
    "command": [{"commandId": "command-000000000001"}],
    "decision": [{"decisionId": "KEY"}, {"factId": "f-1"}],
    "decisions": [
        {
            "factType": "order.*",
            "factId": "f-1",
            "outcome": "matched",
            "since": "2026-01-01T00:00:00Z",
            "until": "2027-01-01T00:00:00Z",
            "pageSize": 1,
            "pageOffset": 0,
        }
    ],
    "explain": [
        {
            "ruleId": "RULE",
            "version": 1,
            "fact": {"total": 2},
            "factType": "order.placed",
            "factId": "f-1",
            "factTime": "2026-06-01T00:00:00Z",
            "decision": {},
            "pageSize": 1,
            "pageOffset": 0,
        },
        {"name": "held", "fact": {}},
        {"dslContent": DSL, "fact": {}},
    ],
    "simulate": [
        {"dslContent": DSL, "name": "new", "priority": "LOW", "facts": [{"total": 2}], "factType": "order.placed"},
        {"ruleIds": ["RULE"], "facts": [], "withActive": True, "pageSize": 1, "pageOffset": 0},
    ],
}


def encoded(payload: Any) -> bytes:
    """Write a payload in UTF-8."""
    return json.dumps(payload, ensure_ascii=False).encode()


def filled(value: Any, ids: dict[str, str]) -> Any:
    """Put ids into a payload."""
    if isinstance(value, dict):
        return {key: filled(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, ids) for one in value]
    return ids.get(value, value) if isinstance(value, str) else value


# --- values at the bounds ---------------------------------------------------------------------------------------------


def values(schema: dict[str, Any]) -> list[Any]:
    """Give values at a schema's bounds, beyond them, and of other types."""
    return [*_typed(schema), *ANYTHING, 1, "x"]


def _typed(schema: dict[str, Any]) -> Iterator[Any]:
    if "$ref" in schema:
        yield from _typed(SCHEMAS[schema["$ref"].rpartition("/")[2]])
        return
    if "type" not in schema:
        for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
            yield from _typed(one)
    yield from schema.get("enum", ())
    match schema.get("type"):
        case "string":
            yield from TEXTS
            yield from SHAPED
            for length in _around(schema, "minLength", "maxLength"):
                yield "x" * length
                yield "\U0001f600" * length if length < 2_000 else "é" * length
            if schema.get("maxLength", 0) > 10_000:  # a rule's text, at its longest
                yield DSL + " " * (schema["maxLength"] - len(DSL))
                yield DSL + " " * (schema["maxLength"] + 1 - len(DSL))
        case "integer":
            yield from NUMBERS
            yield from _around(schema, "minimum", "maximum")
        case "boolean":
            yield from (True, False)
        case "array":
            items = list(_typed(schema["items"]))
            first = next((one for one in items if isinstance(one, str | dict) and one not in ("", " ", {})), {})
            yield from ([first], [first, first], [1])
            yield from ([one] for one in items[:60])
            least = [*_around(schema, "minItems", "maxItems"), 19, 20, 21]
            yield from ([first] * length for length in least)
            yield from ([f"t{number}" for number in range(length)] for length in least)
            names = ["tier", "percent", *(f"t{number}" for number in range(max(least)))]
            yield from ([{"name": name, "type": "string"} for name in names[:length]] for length in least)
        case "object":
            yield from ({}, {"a": 1}, {"tier": "VIP"})
            for name, inner in schema.get("properties", {}).items():
                base = {"name": "tier", "type": "string"} if name in {"name", "type", "default", "description"} else {}
                yield from ({**base, name: one} for one in itertools.islice(_typed(inner), 40))
                yield {key: one for key, one in base.items() if key != name}
            yield {"name": "tier", "type": "string", "other": 1}
        case _:
            pass


def _around(schema: dict[str, Any], least: str, most: str) -> Iterator[int]:
    for bound in (schema.get(least), schema.get(most)):
        if bound is not None:
            yield from (one for one in (bound - 1, bound, bound + 1) if one >= 0 or least == "minimum")


def changed(payload: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a payload with each of its fields in turn left out, or holding each value."""
    yield payload
    yield {**payload, "unknown": 1}
    needed = {name: one for name, one in payload.items() if name in schema.get("required", ())}
    yield needed
    yield from ({**needed, name: one} for name, one in payload.items())
    for name, field in schema["properties"].items():
        yield {key: one for key, one in payload.items() if key != name}
        yield from ({**payload, name: one} for one in values(field))


# --- what both say ----------------------------------------------------------------------------------------------------


def is_unsayable(error: dict[str, Any]) -> bool:
    """Say whether a worker refuses a payload for what JSON Schema cannot say."""
    problems = error["details"].get("problems")
    if problems is None:  # a single error, told without a problem: facts, and ids spelled in two ways
        return error["details"].get("field", "").startswith(("fact", "since", "until", "ruleIds"))
    return all("line" in one or "row" in one or one["code"] in UNSAYABLE for one in problems)


def compare(name: str, payload: Any, answer: dict[str, Any]) -> None:
    """Hold the schema's word on a payload against the worker's."""
    told = JUDGE.schema_problems(name, payload)
    shown = json.dumps(payload)[:500]
    if told:
        assert answer["status"] == "error", f"the worker accepts what {name} refuses: {shown} {told}"
        return
    if answer["status"] == "error" and answer["error"]["code"] in OF_THE_FORM:
        assert answer["error"]["code"] == "VALIDATION_ERROR", (
            f"{name} accepts what the worker refuses: {shown} {answer}"
        )
        assert is_unsayable(answer["error"]), f"{name} accepts what the worker refuses: {shown} {answer}"
