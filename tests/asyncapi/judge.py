"""The API document as a judge: which channel a subject belongs to, and whether a message is as the document says.

It is written from AsyncAPI 3.0 and JSON Schema alone. What the document does not name is wrong: objects with named
properties are taken to have no others, so that a field that the document lost is found.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT7

URI = "urn:document"
OCTETS = "application/octet-stream"
MAY_BE_EMPTY = {"commands", "queries"}  # an empty payload is {} there, as the document says


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the document says of a message: its channel and messages where it is as it should be, else what is wrong."""

    channel: str | None
    messages: frozenset[str]
    problems: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.problems


class Judge:
    """A document, read once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._patterns = {
            name: _address_pattern(channel)
            for name, channel in document["channels"].items()
            if channel["address"] is not None
        }
        closed = {"components": {"schemas": _closed(document["components"]["schemas"])}}
        self._registry = Registry().with_resource(URI, DRAFT7.create_resource(closed))
        self._validators: dict[str, jsonschema.Draft7Validator] = {}

    def channels_of(self, subject: str) -> list[str]:
        """Name every channel that a subject belongs to."""
        return [name for name, pattern in self._patterns.items() if pattern.fullmatch(subject)]

    def judge(
        self, subject: str, headers: Mapping[str, str] | None, data: bytes, *, messages: Iterable[str] | None = None
    ) -> Verdict:
        """Judge a message by its subject; only ``messages`` are admitted where they are given."""
        channels = self.channels_of(subject)
        if len(channels) != 1:
            return Verdict(None, frozenset(), (f"{subject} belongs to {len(channels)} channels: {channels}",))
        found = self._patterns[channels[0]].fullmatch(subject)
        assert found is not None
        return self.judge_on(channels[0], headers, data, parameters=found.groupdict(), messages=messages)

    def judge_on(
        self,
        channel: str,
        headers: Mapping[str, str] | None,
        data: bytes,
        *,
        parameters: Mapping[str, str] | None = None,
        messages: Iterable[str] | None = None,
    ) -> Verdict:
        """Judge a message of a channel: it must be as some message that goes with the channel's parameters."""
        problems: list[str] = []
        good: set[str] = set()
        for name, message in self._admitted(channel, parameters or {}, messages):
            nothing = b"{}" if channel in MAY_BE_EMPTY else b""
            wrong = list(self._wrong(message, headers or {}, data or nothing))
            problems += [f"{name}: {one}" for one in wrong]
            if not wrong:
                good.add(name)
        if good:
            return Verdict(channel, frozenset(good), ())
        return Verdict(channel, frozenset(), tuple(problems) or (f"{channel} has no message for {parameters}",))

    def schema_problems(self, name: str, value: Any) -> list[str]:
        """Say what is wrong with a value by a schema of the document."""
        validator = self._validator({"$ref": f"#/components/schemas/{name}"})
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]

    def reply_of(self, operation: str) -> tuple[str, frozenset[str]]:
        """Give the channel and the messages of an operation's reply."""
        reply = self.document["operations"][operation]["reply"]
        channel = _last(reply["channel"])
        return channel, frozenset(self._component(channel, _last(one)) for one in reply["messages"])

    def _component(self, channel: str, key: str) -> str:
        return _last(self.document["channels"][channel]["messages"][key])

    def _admitted(
        self, channel: str, parameters: Mapping[str, str], only: Iterable[str] | None
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        admitted = None if only is None else set(only)
        for reference in self.document["channels"][channel]["messages"].values():
            name = _last(reference)
            message = self.document["components"]["messages"][name]
            goes = all(parameters.get(key) == value for key, value in message.get("x-parameters", {}).items())
            if goes and (admitted is None or name in admitted):
                yield name, message

    def _wrong(self, message: Mapping[str, Any], headers: Mapping[str, str], data: bytes) -> Iterator[str]:
        if "headers" in message:
            yield from (f"headers: {one}" for one in self._errors(message["headers"], dict(headers)))
        if message["contentType"] == OCTETS:
            return
        try:
            payload = json.loads(data)
        except ValueError:
            yield "payload: not JSON"
            return
        yield from (f"payload: {one}" for one in self._errors(message["payload"], payload))

    def _errors(self, reference: Mapping[str, Any], value: Any) -> list[str]:
        return [f"{one.json_path}: {one.message[:300]}" for one in self._validator(reference).iter_errors(value)]

    def _validator(self, reference: Mapping[str, Any]) -> jsonschema.Draft7Validator:
        name = _last(reference)
        if name not in self._validators:
            schema = {"$ref": f"{URI}#/components/schemas/{name}"}
            self._validators[name] = jsonschema.Draft7Validator(schema, registry=self._registry)
        return self._validators[name]


def without(document: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Give a copy of a document that lacks what a path leads to: a key, or an element of a list."""
    drifted: dict[str, Any] = copy.deepcopy(dict(document))
    at: Any = drifted
    for key in path[:-1]:
        at = at[key]
    if isinstance(at, list):
        at.remove(path[-1])
    else:
        del at[path[-1]]
    return drifted


def _last(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _address_pattern(channel: Mapping[str, Any]) -> re.Pattern[str]:
    """Read an address: each parameter takes one of its values, or what its pattern takes."""
    parts = re.split(r"\{(\w+)\}", channel["address"])
    pattern = ""
    for number, part in enumerate(parts):
        if number % 2 == 0:
            pattern += re.escape(part)
            continue
        parameter = channel["parameters"][part]
        values = parameter.get("enum")
        inner = (
            parameter["x-pattern"].removeprefix("^").removesuffix("$")
            if values is None
            else "|".join(map(re.escape, values))
        )
        pattern += f"(?P<{part}>{inner})"
    return re.compile(pattern)


def _closed(schema: Any) -> Any:
    """Close objects with named properties, and let ``$`` mean the very end of a text, as ECMA-262 does."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = re.sub(r"\$$", r"\\Z", found["pattern"])
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found
