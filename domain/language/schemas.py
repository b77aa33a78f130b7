"""JSON Schemas of fact types, as static types: they turn on the checking of paths for rules ``on`` such a type.

A schema is a promise that facts are not held to, so it serves checking alone: what is compiled stays safe for any fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.language.types import (
    BOOL,
    DOUBLE,
    INT,
    JSON,
    NULL,
    NUMBER,
    STRING,
    Type,
    join,
    list_of,
)

_DEPTH_MAX: Final = 32
_SCALARS: Final = {"string": STRING, "integer": INT, "number": NUMBER, "boolean": BOOL, "null": NULL}
_OF_VALUES: Final = {str: STRING, bool: BOOL, int: INT, float: DOUBLE, type(None): NULL}


def type_of_schema(schema: Mapping[str, Any] | bool) -> Type:
    """Return the static type that a JSON Schema describes; json where it says nothing that is understood here.

    Understood are ``type``, ``properties``, ``additionalProperties``, ``items``, ``enum``, ``const`` and local
    ``$ref``; a type beside null counts alone, as null is missing wherever that type is needed.
    """
    return _type_of(schema, schema, 0)


def _type_of(schema: Any, root: Any, depth: int) -> Type:
    if not isinstance(schema, Mapping) or depth > _DEPTH_MAX:
        return JSON
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _type_of(_resolved(reference, root), root, depth + 1)
    if "const" in schema:
        return _of_values([schema["const"]])
    if isinstance(schema.get("enum"), list):
        return _of_values(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind is None and "properties" in schema:
        kind = "object"
    if kind == "array":
        return list_of(_type_of(schema.get("items"), root, depth + 1))
    if kind == "object":
        return _object(schema, root, depth)
    return _SCALARS.get(kind, JSON) if isinstance(kind, str) else JSON


def _object(schema: Mapping[str, Any], root: Any, depth: int) -> Type:
    properties = schema.get("properties")
    others = schema.get("additionalProperties", True)
    fields = tuple(
        (name, _type_of(inner, root, depth + 1))
        for name, inner in (properties.items() if isinstance(properties, Mapping) else ())
        if isinstance(name, str)
    )
    value = _type_of(others, root, depth + 1)
    return Type("map", (STRING, value if not fields else JSON), fields, others is False)


def _of_values(values: list[Any]) -> Type:
    types = [_OF_VALUES.get(type(value), JSON) for value in values if value is not None]
    return join(types) if types else NULL


def _resolved(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        return None
    found = root
    for step in reference[1:].split("/")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step.replace("~1", "/").replace("~0", "~"))
    return found
