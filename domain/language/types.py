"""Static types: what is known of a value before a fact is seen.

``json`` is fact data of a kind not yet known: null, bool, int, uint, double, string, list or map. ``dyn`` is anything;
with a parameter it is declared to be of that type, and may be null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Type:
    """A kind, with the types of a list's elements, of a map's keys and values, or of what a type or optional holds.

    A map may have known ``fields`` (from a schema), and be ``closed`` to others.
    """

    kind: str
    parameters: tuple[Type, ...] = ()
    fields: tuple[tuple[str, Type], ...] = ()
    closed: bool = False

    def field(self, name: str) -> Type | None:
        """Return the type of a map's field; None for one that can't be there."""
        for known, type_ in self.fields:
            if known == name:
                return type_
        return None if self.closed else self.parameters[1]

    def __str__(self) -> str:
        if (
            not self.parameters
            or self.kind == "type"
            or all(parameter.kind in {"dyn", "free"} for parameter in self.parameters)
        ):
            return self.kind
        return f"{self.kind}<{', '.join(map(str, self.parameters))}>"

    @property
    def item(self) -> Type:
        """The type of a list's elements or an optional's value."""
        if self.kind in {"list", "optional"} and self.parameters:
            return self.parameters[0]
        return JSON if self.kind == "json" else DYN


DYN: Final = Type("dyn")
JSON: Final = Type("json")
NULL: Final = Type("null")
BOOL: Final = Type("bool")
INT: Final = Type("int")
UINT: Final = Type("uint")
DOUBLE: Final = Type("double")
NUMBER: Final = Type("number")  # an int, uint or double
FREE: Final = Type("free")  # of what an empty list or optional holds: it becomes what it is joined with
STRING: Final = Type("string")
BYTES: Final = Type("bytes")
TIMESTAMP: Final = Type("timestamp")
DURATION: Final = Type("duration")
TYPE: Final = Type("type")
DECIMAL: Final = Type("decimal")
MONEY: Final = Type("money")
EMAIL: Final = Type("email")
LIST: Final = Type("list", (DYN,))
MAP: Final = Type("map", (DYN, DYN))
OPTIONAL: Final = Type("optional", (DYN,))

JSON_KINDS: Final = frozenset({"null", "bool", "int", "uint", "double", "string", "list", "map"})
NUMBERS: Final = frozenset({"int", "uint", "double"})
UNKNOWN: Final = frozenset({"dyn", "json", "free"})


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type("map", (key, value))


def may_be(actual: Type, kind: str) -> bool:
    """Return whether a value of a static type can turn out to be of a kind."""
    if actual.kind in {kind, "dyn", "free"} or kind == "dyn":
        return True
    if actual.kind == "number":
        return kind in NUMBERS
    return actual.kind == "json" and kind in JSON_KINDS


def accepts(parameter: Type, actual: Type) -> bool:
    """Return whether a parameter can take a value of a static type; a type of one capital letter takes anything."""
    if len(parameter.kind) == 1:
        return True
    if parameter.kind == "number":
        return any(may_be(actual, kind) for kind in NUMBERS)
    if not may_be(actual, parameter.kind):
        return False
    if actual.kind == parameter.kind and len(actual.parameters) == len(parameter.parameters):
        return all(accepts(p, a) for p, a in zip(parameter.parameters, actual.parameters, strict=True))
    return True


def join(types: list[Type]) -> Type:
    """Return the one type of all; json when all are what fact data can be, else dyn."""
    types = [type_ for type_ in types if type_ != FREE]
    if not types:
        return FREE
    first = types[0]
    if all(other == first for other in types):
        return first
    if all(other.kind == first.kind for other in types) and first.parameters:
        return Type(
            first.kind,
            tuple(join([other.parameters[n] for other in types]) for n in range(len(first.parameters))),
        )
    return JSON if all(map(is_fact_data, types)) else DYN


def unify(types: list[Type]) -> Type:
    """Return the type of a list's elements, a map's values or a conditional's branches, by CEL's checking rules.

    Lists, maps and optionals of types that differ make no list or map of anything, but json or dyn. A timestamp, a
    duration, an optional or another opaque type beside null is a dyn that has that type as its parameter.
    """
    result = FREE
    for type_ in types:
        merged = _merge(result, type_)
        if merged is None:
            return JSON if all(map(is_fact_data, types)) else DYN
        result = merged
    return result


_NOT_NULLABLE: Final = JSON_KINDS | {"json", "type", "number", "decimal", "money", "email"}


def _merge(one: Type, other: Type) -> Type | None:
    if one == other or other.kind == "free":
        return one
    if one.kind == "free":
        return other
    for here, there in ((one, other), (other, one)):
        if here.kind == "dyn":
            return here if there == NULL or (there,) == here.parameters else DYN
        if here.kind == "json":
            return JSON if is_fact_data(there) else DYN
        if here.kind == "null" and there.kind not in _NOT_NULLABLE:
            return there if there.kind == "dyn" else Type("dyn", (there,))
    if one.kind != other.kind:
        return None
    if one.kind == "type":
        return one
    if not one.parameters or len(one.parameters) != len(other.parameters):
        return None
    merged = tuple(map(_merge, one.parameters, other.parameters))
    if None in merged:
        return None
    return Type(one.kind, tuple(part for part in merged if part is not None))


def is_fact_data(type_: Type) -> bool:
    """Return whether every value of a type could have come from JSON."""
    if type_.kind == "map":
        return type_.parameters[0].kind == "string" and is_fact_data(type_.parameters[1])
    if type_.kind == "list":
        return is_fact_data(type_.parameters[0])
    return type_.kind in {"json", "free"} or type_.kind in JSON_KINDS


@dataclass(frozen=True, slots=True)
class Signature:
    """One overload: ``method`` when its first parameter stands before the dot; the last may be there repeatedly."""

    name: str
    method: bool
    parameters: tuple[Type, ...]
    result: Type
    repeated: bool = False

    def of_arity(self, arity: int) -> tuple[Type, ...] | None:
        """Return the parameters for a number of arguments, None when the signature does not take so many."""
        if self.repeated and arity:
            return self.parameters * arity
        return self.parameters if len(self.parameters) == arity else None


_SIGNATURE: Final = re.compile(r"(?:(?P<target>[\w<>, ]+)\.)?(?P<name>[\w.]+)\((?P<parameters>.*)\) (?P<result>.+)")


@cache
def parse_type(text: str) -> Type:
    """Read a type as signatures write it: ``string``, ``list<int>``, ``map<string, A>``."""
    text = text.strip()
    kind, _, rest = text.partition("<")
    if not rest:
        return {"list": LIST, "map": MAP, "optional": OPTIONAL}.get(kind, Type(kind))
    return Type(kind, tuple(parse_type(part) for part in _split(rest[:-1])))


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for offset, sign in enumerate(text):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            parts.append(text[start:offset])
            start = offset + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def parse_signature(name: str, text: str) -> Signature:
    """Read ``string.contains(string) bool`` or ``size(list) int``; ``name`` is the function's (it may have dots)."""
    head, _, result = text.rpartition(") ")
    before, _, inside = head.partition("(")
    repeated = inside.endswith("...")
    parameters = tuple(parse_type(part) for part in _split(inside.removesuffix("...")))
    method = before != name
    if method:
        target = before[: -len(name) - 1]
        parameters = (parse_type(target), *parameters)
    return Signature(name, method, parameters, parse_type(result), repeated)


def bind(signature: Signature, arguments: list[Type]) -> Type:
    """Return a signature's result for argument types; type variables take the type they meet first."""
    if not any(len(part.kind) == 1 for part in _parts(signature.result)):
        return signature.result
    variables: dict[str, Type] = {}

    def meet(parameter: Type, actual: Type) -> None:
        if len(parameter.kind) == 1:
            variables[parameter.kind] = unify([variables.get(parameter.kind, FREE), actual])
        elif parameter.kind == actual.kind:
            for one, other in zip(parameter.parameters, actual.parameters, strict=False):
                meet(one, other)
        elif actual.kind == "json":
            for one in parameter.parameters:
                meet(one, JSON)

    for parameter, actual in zip(signature.parameters, arguments, strict=False):
        meet(parameter, actual)

    def replace(part: Type) -> Type:
        if len(part.kind) == 1:
            return variables.get(part.kind, DYN)
        return Type(part.kind, tuple(map(replace, part.parameters)))

    return replace(signature.result)


def _parts(part: Type) -> list[Type]:
    return [part, *(inner for parameter in part.parameters for inner in _parts(parameter))]


_NAMED: Final = {
    "list": LIST, "map": MAP, "null_type": NULL, "optional_type": OPTIONAL, "type": TYPE, "net.IP": Type("ip"),
    "net.CIDR": Type("cidr"), "google.protobuf.Timestamp": TIMESTAMP, "google.protobuf.Duration": DURATION,
}  # fmt: skip


def type_named(name: str) -> Type:
    """Return the static type of a type's name, such as ``int``: that of a type, of ints."""
    return Type("type", (_NAMED.get(name) or Type(name),))


def type_of_constant(value: Any) -> Type:
    """Return the static type of a literal's value."""
    name = type(value).__name__
    return {
        "NoneType": NULL, "bool": BOOL, "int": INT, "Uint": UINT, "float": DOUBLE, "str": STRING, "bytes": BYTES,
        "Decimal": DECIMAL, "Timestamp": TIMESTAMP, "Duration": DURATION, "TypeValue": TYPE,
    }.get(name, DYN)  # fmt: skip
