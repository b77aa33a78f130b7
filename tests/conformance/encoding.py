"""The suite's JSON encoding of values and types, to and from the language's own (ENCODING.md beside the cases)."""

from __future__ import annotations

import base64
import math
from functools import cache
from itertools import count
from typing import Any

from domain.language import parse_timestamp
from domain.language.faults import Fault
from domain.language.library.function import Function
from domain.language.library.times import to_duration
from domain.language.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    Signature,
    Type,
    list_of,
    map_of,
)
from domain.language.values import (
    BoolKey,
    Duration,
    KeyedMap,
    Timestamp,
    TypeValue,
    Uint,
    duration_to_text,
    stored_key,
    timestamp_to_text,
    type_name,
)

_TYPES = {
    "bool": BOOL, "int": INT, "uint": UINT, "double": DOUBLE, "string": STRING, "bytes": BYTES, "null_type": NULL,
    "dyn": DYN, "timestamp": TIMESTAMP, "duration": DURATION,
}  # fmt: skip


def decode(encoded: dict[str, Any]) -> Any:
    """Return the value that an encoded one stands for."""
    ((kind, body),) = encoded.items()
    match kind:
        case "null" | "bool" | "string":
            return body
        case "int":
            return int(body)
        case "uint":
            return Uint(int(body))
        case "double":
            return float(body)
        case "bytes":
            return base64.b64decode(body)
        case "list":
            return [decode(item) for item in body]
        case "map":
            entries = {stored_key(decode(key)): decode(value) for key, value in body}
            return entries if all(isinstance(key, str) for key in entries) else KeyedMap(entries)
        case "timestamp":
            return parse_timestamp(body)
        case "duration":
            return to_duration(body)
        case "type":
            return TypeValue(body)
    raise ValueError(f"no such kind: {kind}")


def encode(value: Any) -> dict[str, Any]:
    """Return a value of the language in the suite's encoding."""
    match value:
        case None:
            return {"null": None}
        case bool():
            return {"bool": value}
        case int():
            return {"uint" if type_name(value) == "uint" else "int": str(int(value))}
        case float():
            return {"double": _double(value)}
        case str():
            return {"string": value}
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case list():
            return {"list": [encode(item) for item in value]}
        case dict():
            keys = [key.value if isinstance(key, BoolKey) else key for key in value]
            return {"map": [[encode(key), encode(item)] for key, item in zip(keys, value.values(), strict=True)]}
        case Timestamp():
            return {"timestamp": timestamp_to_text(value)}
        case Duration():
            return {"duration": duration_to_text(value)}
        case TypeValue():
            return {"type": value.name}
    return {"other": repr(value)}


def _double(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two encoded values are one: exact types, NaN is NaN, zeros are equal, maps are sets."""
    ((kind, body),) = one.items()
    ((other_kind, other_body),) = other.items()
    if kind != other_kind:
        return False
    if kind == "double":
        left, right = float(body), float(other_body)
        return left == right or (math.isnan(left) and math.isnan(right))
    if kind == "list":
        return len(body) == len(other_body) and all(map(same, body, other_body))
    if kind == "map":
        rest = list(other_body)
        for key, value in body:
            found = next((e for e in rest if same(key, e[0]) and same(value, e[1])), None)
            if found is None:
                return False
            rest.remove(found)
        return not rest
    return bool(body == other_body)


@cache
def _variable(name: str) -> Type:
    """Return a type variable, which our signatures write by one character."""
    return Type(name if len(name) == 1 else chr(0xE000 + next(_numbers)))


_numbers = count()


def decode_type(encoded: Any) -> Type:
    """Return the static type that an encoded one stands for; what we have no type for is dyn."""
    if isinstance(encoded, str):
        return _TYPES.get(encoded, DYN)
    kind, body = next(iter(encoded.items()))
    match kind:
        case "list":
            return list_of(decode_type(body))
        case "map":
            return map_of(decode_type(body[0]), decode_type(body[1]))
        case "abstract":
            name = "optional" if body == "optional_type" else body
            return Type(name, tuple(decode_type(part) for part in encoded.get("params", [])))
        case "type_param":
            return _variable(body)
        case "type":
            return Type("type", (decode_type(body),))
    return DYN


def encode_type(type_: Type) -> Any:
    """Return a static type in the suite's encoding."""
    if type_.kind == "null":
        return "null_type"
    if type_.kind == "list":
        return {"list": encode_type(type_.parameters[0])}
    if type_.kind == "map":
        return {"map": [encode_type(part) for part in type_.parameters]}
    if type_.kind == "type":
        return {"type": encode_type(type_.parameters[0]) if type_.parameters else "dyn"}
    if type_.kind == "optional":
        return {"abstract": "optional_type", "params": [encode_type(part) for part in type_.parameters]}
    if type_.kind == "dyn" and type_.parameters:
        return encode_type(type_.parameters[0])
    if type_.kind in {"json", "free", "number"}:
        return "dyn"
    if type_.kind in _TYPES or not type_.parameters:
        return type_.kind
    return {"abstract": type_.kind, "params": [encode_type(part) for part in type_.parameters]}


def decode_function(declared: dict[str, Any]) -> Function:
    """Return a function that a case declares; it has types and no meaning."""
    name = declared["function"]

    def call(*_values: Any) -> Any:
        raise Fault("unbound", f"`{name}` has no implementation")

    signatures = tuple(
        Signature(
            name,
            bool(overload.get("instance")),
            tuple(decode_type(part) for part in overload.get("params", [])),
            decode_type(overload["result"]),
        )
        for overload in declared["overloads"]
    )
    return Function(name, call, signatures)
