"""What a JSON Schema says, in words: its type and its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]


def reference_name(reference: Data) -> str:
    """Return the last part of a ``$ref``."""
    return str(reference["$ref"]).rpartition("/")[2]


def kind(schema: Data, link: Callable[[str], str]) -> str:
    """Tell a schema's type; ``link`` writes the name of another schema."""
    if "$ref" in schema:
        return link(reference_name(schema))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "allOf" in schema:
        return kind(schema["allOf"][0], link)
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(kind(one, link) for one in schema["anyOf"])
    if schema.get("type") == "array":
        items = kind(schema["items"], link) if "items" in schema else "anything"
        return f"list of {items}"
    return str(schema.get("type", "anything"))


def bounds(schema: Data) -> str:
    """Tell a schema's bounds; empty where it has none that are not its type."""
    if "anyOf" in schema and "type" not in schema and not _are_conditions(schema["anyOf"]):
        return "; ".join(found for one in schema["anyOf"] if (found := bounds(one)))
    told = [
        _between(schema, "minLength", "maxLength", "characters"),
        _between(schema, "minimum", "maximum", ""),
        _between(schema, "minItems", "maxItems", "items"),
        f"at least {schema['minProperties']} fields" if "minProperties" in schema else "",
        "all different" if schema.get("uniqueItems") else "",
        _pattern(schema),
        f"by default `{schema['default']}`" if schema.get("default") not in (None, [], {}) else "",
        *_conditions(schema),
    ]
    return ", ".join(one for one in told if one)


def _pattern(schema: Data) -> str:
    """Tell a pattern, but not of what has a name, such as a time of RFC 3339."""
    if "pattern" not in schema or "format" in schema:
        return ""
    return "not blank" if schema["pattern"] == r"\S" else f"`{schema['pattern']}`"


def _are_conditions(schemas: list[Data]) -> bool:
    return all("type" not in one and "$ref" not in one for one in schemas)


def _conditions(schema: Data) -> list[str]:
    """Tell which fields go together, where a schema says so."""
    told: list[str] = []
    for key, word in (("anyOf", "at least one of"), ("oneOf", "exactly one of")):
        found = [text for one in schema.get(key, ()) if (text := _fields_of(one))]
        if found:
            told.append(f"{word} {'; '.join(found)}")
    if "not" in schema and (text := _fields_of(schema["not"])):
        told.append(f"and not both {text}" if told else f"not {text}")
    return told


def _fields_of(condition: Data) -> str:
    given = [f"`{one}`" for one in condition.get("required", ())]
    absent = [f"`{name}`" for name, one in condition.get("properties", {}).items() if one == {"type": "null"}]
    parts = [" and ".join(given)] if given else []
    if absent:
        parts.append(f"without {', '.join(absent)}")
    parts.extend(text for one in condition.get("allOf", ()) if (text := _fields_of(one)))
    if either := [text for one in condition.get("anyOf", ()) if (text := _fields_of(one))]:
        parts.append(" or ".join(either))
    return _joined(parts)


def _joined(parts: list[str]) -> str:
    """Join what is there and what is not: fields with "and", absences behind them."""
    there = [one for one in parts if not one.startswith("without ")]
    return " ".join([" and ".join(there), *(one for one in parts if one.startswith("without "))]).strip()


def _between(schema: Data, least: str, most: str, unit: str) -> str:
    if least in schema and most in schema:
        text = f"{schema[least]:,} to {schema[most]:,}"
    elif least in schema:
        text = f"at least {schema[least]:,}"
    elif most in schema:
        text = f"at most {schema[most]:,}"
    else:
        return ""
    return f"{text} {unit}".strip()
