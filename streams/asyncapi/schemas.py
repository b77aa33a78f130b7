"""The JSON Schemas of payloads, made from the Structs of the wire (draft 7, which is what AsyncAPI 3.0 speaks)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from domain.errors import ErrorCode
from domain.identifiers import FACT_ID_BYTES_MAX
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams.asyncapi.texts import EVENTS
from streams.codec import DEPTH_MAX
from streams.facts.intake import FACT_BYTES_MAX
from streams.messages import commands, queries
from streams.messages.answers import COMMAND_RESULTS, QUERY_RESULTS, ProblemBody
from streams.messages.commands import CommandAnswer, ErrorBody, ParameterBody
from streams.messages.decisions import DecisionBody, EffectBody, FaultBody, MatchBody
from streams.messages.event_data import EVENT_DATA
from streams.messages.events import LifecycleEvent
from streams.messages.explanations import ExplanationBody
from streams.messages.fields import SCHEMAS, TEMPLATE_STATUS, reference, time_pattern
from streams.messages.queries import QueryAnswer
from streams.messages.simulations import SimulatedDecision

Schema = dict[str, Any]

_TYPES: Final[tuple[type[msgspec.Struct], ...]] = (
    *commands.PAYLOADS.values(),
    *queries.PAYLOADS.values(),
    *COMMAND_RESULTS.values(),
    *QUERY_RESULTS.values(),
    *EVENT_DATA.values(),
    CommandAnswer,
    QueryAnswer,
    ErrorBody,
    ProblemBody,
    ParameterBody,
    LifecycleEvent,
    DecisionBody,
    MatchBody,
    EffectBody,
    FaultBody,
    SimulatedDecision,
    ExplanationBody,
)
# Events that always tell the ruleset's revision, and the one that tells it where it changed the ruleset.
_WITH_REVISION: Final = frozenset({EventName.ACTIVATED, EventName.DEACTIVATED, EventName.ROLLED_BACK})
_MAYBE_REVISION: Final = frozenset({EventName.DEPRECATED})

_CONTROL: Final = r"[\u0000-\u001f\u007f-\u009f]"
_LITERAL: Final = re.compile(r"``([^`]*)``")
_SNAKE: Final = re.compile(r"_([a-z])")


def schemas() -> dict[str, Schema]:
    """Return every schema of the document by its name."""
    _, made = msgspec.json.schema_components(list(dict.fromkeys(_TYPES)), ref_template=SCHEMAS + "{name}")
    conditions = {one.__name__: getattr(one, "conditions", {}) for one in _TYPES}
    found = {name: {**_told(schema), **conditions.get(name, {})} for name, schema in made.items()}
    found |= {event_schema(name): _event(found["LifecycleEvent"], name) for name in EVENT_DATA}
    for outcome in ("matched", "unmatched"):
        found[f"{outcome.title()}Decision"] = _narrowed(found["DecisionBody"], {"outcome": {"const": outcome}})
    for result in dict.fromkeys(COMMAND_RESULTS.values()):
        found[command_answer(result)] = _answer(found["CommandAnswer"], reference(result.__name__))
    for verb, result in QUERY_RESULTS.items():
        found[query_answer(verb)] = _answer(found["QueryAnswer"], reference(result.__name__))
    found["CommandRefusal"] = _refusal(found["CommandAnswer"], found["ErrorBody"], without=ErrorCode.UNAVAILABLE)
    found["QueryRefusal"] = _refusal(found["QueryAnswer"], found["ErrorBody"])
    found["CommandAnswer"] = {
        "title": "CommandAnswer",
        "description": "What a command was answered.",
        "oneOf": [
            *(reference(command_answer(one)) for one in dict.fromkeys(COMMAND_RESULTS.values())),
            reference("CommandRefusal"),
        ],
    }
    for name in ("QueryAnswer", "LifecycleEvent", "ErrorBody"):
        del found[name]
    found |= _plain()
    return {name: {"title": name, **found[name]} for name in sorted(found)}


def event_schema(name: EventName | TemplateEventName) -> str:
    """Name the schema of an event."""
    return f"{name.value}Event"


def command_answer(result: type[msgspec.Struct]) -> str:
    """Name the schema of a command's answer with a result."""
    return f"{result.__name__}CommandAnswer"


def query_answer(verb: str) -> str:
    """Name the schema of a query's answer with a result."""
    return f"{verb.title()}QueryAnswer"


def text_of(documented: type) -> str:
    """Return what a class's docstring says, with its fields as they are on the wire; empty where it says nothing."""
    return _fields_named(inspect.cleandoc(documented.__doc__ or "")) if "__doc__" in vars(documented) else ""


def _fields_named(text: str) -> str:
    """Join the lines of each paragraph, and write the fields that it names as they are on the wire."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(_LITERAL.sub(lambda found: f"`{_camel(found[1])}`", one) for one in paragraphs)


def _camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name) if name.islower() and name.isidentifier() else name


def _told(schema: Mapping[str, Any]) -> Schema:
    """Put the parts of a schema into one form: descriptions in lines of people, and nothing beside a reference."""
    told = {key: _part(key, value) for key, value in schema.items()}
    if told.get("required") == []:
        del told["required"]
    if told.get("default", ...) is None:
        del told["default"]
    if "$ref" in told and len(told) > 1:
        told = {"allOf": [{"$ref": told.pop("$ref")}], **told}
    return told


def _part(key: str, value: Any) -> Any:
    if key == "description" and isinstance(value, str):
        return _fields_named(inspect.cleandoc(value))
    if key in {"enum", "const", "default", "examples", "required"}:
        return (
            [one.value if isinstance(one, Enum) else one for one in value] if isinstance(value, list | tuple) else value
        )
    if key in {"properties", "patternProperties"}:
        return {name: _told(one) for name, one in value.items()}
    if isinstance(value, Mapping):
        return _told(value)
    if isinstance(value, list | tuple):
        return [_told(one) if isinstance(one, Mapping) else one for one in value]
    return value


def _narrowed(schema: Schema, properties: Mapping[str, Schema]) -> Schema:
    """Return a schema in which some properties are narrower."""
    found = {name: {**schema["properties"][name], **properties.get(name, {})} for name in schema["properties"]}
    for name, narrower in properties.items():
        if "const" in narrower:
            found[name].pop("enum", None)
    return {key: value for key, value in schema.items() if key != "title"} | {"properties": found}


def _event(base: Schema, name: EventName | TemplateEventName) -> Schema:
    of_template = isinstance(name, TemplateEventName)
    statuses = base["properties"]["status"]["enum"]
    found = _narrowed(
        base,
        {
            "eventType": {"const": name.value},
            "status": {"description": "A template has no status of its own.", "enum": [TEMPLATE_STATUS]}
            if of_template
            else {
                "description": "The rule's status after it.",
                "enum": [one for one in statuses if one != TEMPLATE_STATUS],
            },
        },
    )
    found["description"] = EVENTS[name]
    data = EVENT_DATA[name]
    found["properties"]["data"] = reference(data.__name__)
    if name in _WITH_REVISION:
        found["required"] = [*found["required"], "revision"]
    elif name not in _MAYBE_REVISION:
        del found["properties"]["revision"]
    return found


def _answer(base: Schema, result: Schema) -> Schema:
    """Return the envelope of an answer that has a result."""
    properties = {**base["properties"], "status": {"const": "ok"}, "result": result, "error": {"type": "null"}}
    return {
        "description": "What was asked for was done." if "commandId" in properties else "The answer.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _refusal(base: Schema, error: Schema, without: ErrorCode | None = None) -> Schema:
    """Return the envelope of an answer that has an error."""
    code = error["properties"]["code"]
    narrowed = _narrowed(error, {"code": {"enum": [one for one in code["enum"] if one != without]}})
    narrowed["required"] = ["code", "message", "details"]
    properties = {**base["properties"], "status": {"const": "error"}, "result": {"type": "null"}, "error": narrowed}
    return {
        "description": "Nothing was changed: why, in `error`.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _plain() -> dict[str, Schema]:
    """Return the schemas of payloads that have no Struct: senders' own data, and what JetStream writes."""
    identity = {"type": "string", "minLength": 1, "maxLength": FACT_ID_BYTES_MAX, "not": {"pattern": _CONTROL}}
    return {
        "Fact": {
            "description": f"Any JSON object of at most {FACT_BYTES_MAX} bytes (by default), nested at most "
            f"{DEPTH_MAX} deep, with numbers within a double's range.",
            "type": "object",
            "additionalProperties": True,
        },
        "CloudEvent": {
            "description": "A CloudEvent in structured mode; its `data` is the fact. `specversion`, `type` and other "
            "attributes are not looked at.",
            "type": "object",
            "properties": {
                "id": {**identity, "description": "The fact's id, of its source."},
                "source": {"type": "string", "description": "Who gave the id."},
                "time": {
                    "description": "The fact's time; without it, the time at which the stream stored the fact.",
                    "anyOf": [{"type": "string", "format": "date-time", "pattern": time_pattern(9)}, {"type": "null"}],
                },
                "data": {"type": "object", "description": "The fact.", "additionalProperties": True},
            },
            "required": ["id", "source", "data"],
            "additionalProperties": True,
        },
        "Effect": {
            "description": "The map of the rule's `emit`.",
            "type": "object",
            "additionalProperties": True,
        },
        "OriginalBytes": {"description": "The message's bytes, as they were."},
        "PublishAcknowledgement": {
            "description": "JetStream's answer: where the message is stored, or why it is not.",
            "type": "object",
            "properties": {
                "stream": {"type": "string", "description": "The stream that stored it."},
                "seq": {"type": "integer", "description": "Its sequence there.", "minimum": 0},
                "duplicate": {"type": "boolean", "description": "The id was known: nothing new was stored."},
                "domain": {"type": "string", "description": "JetStream's domain, where it has one."},
                "error": {
                    "type": "object",
                    "description": "Why it was not stored; send it again later.",
                    "additionalProperties": True,
                },
            },
        },
    }
