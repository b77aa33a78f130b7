"""The schemas of message headers, from the names and patterns that the code writes and reads them by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from domain.identifiers import COMMAND_ID_PATTERN, FACT_ID_BYTES_MAX
from streams import headers
from streams.asyncapi.texts import COMMAND_REASONS, FACT_REASONS
from streams.facts.intake import DeadReason
from streams.facts.origin import ORIGIN_PATTERN
from streams.messages.fields import time_pattern, whole
from streams.traceparent import _FORM

Schema = dict[str, Any]

CORRELATION_ID: Final = "correlation_id"
EXPECTED_STREAM: Final = "Nats-Expected-Stream"

_NEVER: Final[Schema] = {"not": {}}
_TEXT: Final[Schema] = {"type": "string"}
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NOT_UTF8: Final = r"\ufffd"
_CONTROL: Final = r"[\u0000-\u001f\u007f-\u009f]"
_TRACEPARENT: Final[Schema] = {
    "type": "string",
    "description": "The fact's W3C trace context, or one that goes on from it.",
    "pattern": whole(_FORM.pattern.removesuffix(r"\Z")),
}
_UTC: Final = whole(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")


def head_schemas() -> dict[str, Schema]:
    """Return the schemas of headers by their names."""
    return {
        "CommandHeaders": _command(),
        "FactHeaders": _fact(),
        "CloudEventHeaders": _cloud_event(),
        "CommandAnswerHeaders": _answer("The command's id."),
        "QueryAnswerHeaders": _answer("A random id: an answer comes on the inbox of its question."),
        "DecisionHeaders": _published(
            "[0-9a-f]{32}", "The decision's id.", headers.DECISION_TYPE, "The fact's time.", traceparent=_TRACEPARENT
        ),
        "EffectHeaders": _published(
            "[0-9a-f]{32}-[1-9][0-9]*",
            "The effect's id: the decision's, and the effect's number in it. Act once for each.",
            headers.EFFECT_TYPE,
            "The fact's time.",
            traceparent=_TRACEPARENT,
        ),
        "EventHeaders": _event(),
        "DeadFactHeaders": _dead_fact(),
        "DeadCommandHeaders": _dead_command(),
    }


def _schema(description: str, properties: dict[str, Schema], required: Iterable[str] = (), **more: Any) -> Schema:
    found: Schema = {"description": description, "type": "object", "properties": properties, **more}
    if needed := list(required):
        found["required"] = needed
    return found


def _command() -> Schema:
    forged = {f"^{_any_case(prefix)}": _NEVER for prefix in headers.FORGED}
    return _schema(
        "Headers that say that the server published it are refused: those of republishing, direct gets and schedules.",
        {
            headers.MESSAGE_ID: {
                "type": "string",
                "description": "The command's id, under which its actor has it decided once, for ever: unguessable, "
                "such as a UUID.",
                "pattern": whole(COMMAND_ID_PATTERN),
            }
        },
        [headers.MESSAGE_ID],
        patternProperties=forged,
        additionalProperties=_TEXT,
    )


def _fact() -> Schema:
    identity = {
        "type": "string",
        "minLength": 1,
        "maxLength": FACT_ID_BYTES_MAX,
        "not": {"pattern": rf"{_CONTROL}|{_NOT_UTF8}"},
    }
    return _schema(
        "A fact's id is `ce-id` (with its source), else `Nats-Msg-Id`, else `<stream>:<sequence>`; 1 to 256 bytes of "
        "UTF-8 without control characters. Names are read in any case, but `Nats-Msg-Id`.",
        {
            headers.MESSAGE_ID: {
                "type": "string",
                "description": "The fact's id where there is no `ce-id`; the server drops repeats of it within the "
                "stream's duplicate window.",
                "not": {"pattern": _NOT_UTF8},
            },
            headers.CE_ID: {**identity, "description": "The fact's id, of its source."},
            headers.CE_SOURCE: {
                "type": "string",
                "description": "Who gave the id.",
                "not": {"pattern": _NOT_UTF8},
            },
            headers.CE_TIME: {
                "type": "string",
                "description": "The fact's time; without it, the time at which the stream stored the fact.",
                "format": "date-time",
                "pattern": time_pattern(9),
            },
            headers.CONTENT_TYPE: {
                "type": "string",
                "description": "`application/json`, or what you like: the payload is JSON.",
                "not": {"pattern": f"^{_any_case(headers.STRUCTURED_CLOUD_EVENT)}"},
            },
            headers.TRACEPARENT: {
                "type": "string",
                "description": "The W3C trace context, which goes on to the decision and its effects.",
            },
            headers.ORIGIN: _origin(),
        },
        dependencies={headers.CE_ID: [headers.CE_SOURCE]},
        anyOf=[{"required": [headers.CE_ID]}, {"properties": {headers.MESSAGE_ID: identity}}],
        additionalProperties=_TEXT,
    )


def _cloud_event() -> Schema:
    return _schema(
        "Of a CloudEvent in structured mode: id, source and time are in the payload.",
        {
            headers.CONTENT_TYPE: {
                "type": "string",
                "description": f"`{headers.STRUCTURED_CLOUD_EVENT}`, in any case.",
                "pattern": f"^{_any_case(headers.STRUCTURED_CLOUD_EVENT)}",
            },
            headers.MESSAGE_ID: {
                "type": "string",
                "description": "What the server drops repeats by; the fact's id is the CloudEvent's.",
                "not": {"pattern": _NOT_UTF8},
            },
            headers.TRACEPARENT: {"type": "string", "description": "The W3C trace context."},
            headers.ORIGIN: _origin(),
        },
        [headers.CONTENT_TYPE],
        additionalProperties=_TEXT,
    )


def _origin() -> Schema:
    return {
        "type": "string",
        "description": "Of a fact that is sent again from its dead letter: where it was stored first.",
        "pattern": whole(ORIGIN_PATTERN),
    }


def _answer(correlation: str) -> Schema:
    return _schema(
        "What comes with an answer.",
        {
            headers.CONTENT_TYPE: {"type": "string", "const": "application/json"},
            CORRELATION_ID: {"type": "string", "description": correlation},
        },
        [headers.CONTENT_TYPE, CORRELATION_ID],
    )


def _published(identity: str, described: str, event_type: str, time: str, **more: Schema) -> Schema:
    """Return the schema of ``streams.headers.cloud_event``."""
    texts = {"type": "string", "description": described, "pattern": whole(identity)}
    properties: dict[str, Schema] = {
        headers.MESSAGE_ID: texts,
        "ce-specversion": {"type": "string", "const": "1.0"},
        headers.CE_ID: texts,
        "ce-type": {"type": "string", "const": event_type},
        headers.CE_SOURCE: {"type": "string", "const": headers.SOURCE},
        headers.CE_TIME: {"type": "string", "description": time, "format": "date-time", "pattern": _UTC},
        headers.CONTENT_TYPE: {"type": "string", "const": "application/json"},
    }
    return _schema("A CloudEvent in binary mode.", {**properties, **more}, properties)


def _event() -> Schema:
    found = _published(_UUID, "The event's id: act once for each.", "", "When it happened.")
    found["properties"]["ce-type"] = {
        "type": "string",
        "description": "`rulestream.event.` and the event's name.",
        "pattern": r"^rulestream\.event\.[A-Za-z]+$",
    }
    found["properties"] |= {
        CORRELATION_ID: {"type": "string", "description": "A random id."},
        EXPECTED_STREAM: {"type": "string", "description": "The stream that it is for."},
        headers.EXPECTED_LAST_SEQUENCE: {
            "type": "string",
            "description": "The sequence of the rule's last event before: what keeps a rule's events in order.",
            "pattern": "^[0-9]+$",
        },
        headers.EXPECTED_LAST_SEQUENCE_SUBJECT: {
            "type": "string",
            "description": "The subjects of the rule's events.",
            "pattern": rf"^rules\.event\.{_UUID}\.>$",
        },
    }
    return found


def _dead(reasons: dict[DeadReason, str], identity: str, *, truncated: list[str], more: dict[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {
        headers.MESSAGE_ID: {"type": "string", "description": "The letter's id.", "pattern": whole(identity)},
        headers.DEAD_REASON: {
            "type": "string",
            "description": "Why it could not be decided.",
            "enum": [reason.value for reason in reasons],
        },
        headers.DEAD_MESSAGE: {"type": "string", "description": "The same in words."},
        headers.DEAD_SUBJECT: {"type": "string", "description": "The subject that it was published on."},
        **more,
    }
    return _schema(
        "The letter's own headers, and the message's as `Original-<name>`.",
        {
            **properties,
            headers.DEAD_TRUNCATED: {
                "type": "string",
                "description": "What did not fit: the original headers, or those and the end of the payload.",
                "enum": truncated,
            },
        },
        properties,
        patternProperties={f"^{headers.ORIGINAL_PREFIX}": _TEXT},
    )


def _dead_fact() -> Schema:
    place: dict[str, Schema] = {
        headers.DEAD_STREAM: {"type": "string", "description": "The stream that stored it."},
        headers.DEAD_SEQUENCE: {"type": "string", "description": "Its sequence there.", "pattern": "^[1-9][0-9]*$"},
        headers.DEAD_STORED_AT: {
            "type": "string",
            "description": "When it was stored.",
            "format": "date-time",
            "pattern": _UTC,
        },
    }
    return _dead(FACT_REASONS, "dead-.+-[1-9][0-9]*-[0-9]+", truncated=["headers", "data"], more=place)


def _dead_command() -> Schema:
    return _dead(COMMAND_REASONS, "dead-command-[0-9a-f]{32}", truncated=["headers"], more={})


def _any_case(text: str) -> str:
    """Write a pattern of a text in any case, without flags."""
    return "".join(
        f"[{one.upper()}{one.lower()}]" if one.isalpha() else f"[{one}]" if one in ".+" else one for one in text
    )
