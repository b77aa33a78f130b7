"""The messages: headers, payload, what they correlate by, and examples."""

from __future__ import annotations

from typing import Any, Final

from streams import headers
from streams.asyncapi.examples import examples
from streams.asyncapi.schemas import command_answer, event_schema, query_answer, text_of
from streams.asyncapi.texts import COMMANDS, EVENTS, QUERIES
from streams.messages import commands, queries
from streams.messages.answers import COMMAND_RESULTS, QUERY_RESULTS
from streams.messages.event_data import EVENT_DATA
from streams.messages.fields import reference

Data = dict[str, Any]

JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"


def messages() -> dict[str, Data]:
    """Return every message by its name, which is that of its payload's schema."""
    found = {**_commands(), **_queries(), **_events(), **_of_facts()}
    shown = examples()
    for name, message in found.items():
        message["examples"] = shown[name]
    return found


def correlations() -> dict[str, Data]:
    """Return what messages correlate by."""
    return {
        "command": {
            "description": "The command's id, which its answer has too.",
            "location": f"$message.header#/{headers.MESSAGE_ID}",
        },
        "answeredCommand": {
            "description": "The id of the command that is answered, or that caused the event.",
            "location": "$message.payload#/commandId",
        },
        "fact": {"description": "The id of the fact that was decided.", "location": "$message.payload#/factId"},
        "effect": {
            "description": "The effect's id, which the decision lists among its effects.",
            "location": f"$message.header#/{headers.MESSAGE_ID}",
        },
    }


def _commands() -> dict[str, Data]:
    found = {
        payload.__name__: _message(
            verb,
            COMMANDS[verb][0],
            payload.__name__,
            description=text_of(payload),
            head="CommandHeaders",
            correlation="command",
            when={"verb": verb},
            tags=["commands"],
        )
        for verb, payload in commands.PAYLOADS.items()
    }
    for result in dict.fromkeys(COMMAND_RESULTS.values()):
        name = command_answer(result)
        verbs = [verb for verb, one in COMMAND_RESULTS.items() if one is result]
        found[name] = _message(
            f"done: {result.__name__}",
            f"A command was done: {', '.join(verbs)}.",
            name,
            head="CommandAnswerHeaders",
            correlation="answeredCommand",
            tags=["commands"],
        )
    found["CommandRefusal"] = _message(
        "command refused",
        "A command was refused, and changed nothing.",
        "CommandRefusal",
        head="CommandAnswerHeaders",
        correlation="answeredCommand",
        tags=["commands", "errors"],
    )
    return found


def _queries() -> dict[str, Data]:
    found: dict[str, Data] = {}
    for verb, payload in queries.PAYLOADS.items():
        found[payload.__name__] = _message(
            verb,
            QUERIES[verb],
            payload.__name__,
            description=text_of(payload),
            when={"verb": verb},
            tags=["queries"],
        )
    for verb, result in QUERY_RESULTS.items():
        name = query_answer(verb)
        summary = f"The answer to `{verb}`."
        found[name] = _message(
            f"answer to {verb}", summary, name, description=text_of(result), head="QueryAnswerHeaders", tags=["queries"]
        )
    found["QueryRefusal"] = _message(
        "question refused",
        "A question was refused.",
        "QueryRefusal",
        head="QueryAnswerHeaders",
        tags=["queries", "errors"],
    )
    return found


def _events() -> dict[str, Data]:
    return {
        event_schema(name): _message(
            name.value,
            EVENTS[name],
            event_schema(name),
            head="EventHeaders",
            correlation="answeredCommand",
            when={"eventName": name.value},
            tags=["events"],
        )
        for name in EVENT_DATA
    }


def _of_facts() -> dict[str, Data]:
    return {
        "Fact": _message(
            "fact",
            "A fact: plain, or a CloudEvent in binary mode.",
            "Fact",
            head="FactHeaders",
            tags=["facts"],
        ),
        "CloudEvent": _message(
            "CloudEvent",
            "A CloudEvent in structured mode; its data is the fact.",
            "CloudEvent",
            head="CloudEventHeaders",
            content_type=headers.STRUCTURED_CLOUD_EVENT,
            tags=["facts"],
        ),
        "PublishAcknowledgement": _message(
            "acknowledgement",
            "A published message is stored, or it is not.",
            "PublishAcknowledgement",
            tags=["facts", "commands"],
        ),
        "MatchedDecision": _decision("Matched"),
        "UnmatchedDecision": _decision("Unmatched"),
        "Effect": _message(
            "effect", "What a rule emits.", "Effect", head="EffectHeaders", correlation="effect", tags=["decisions"]
        ),
        "DeadFact": _message(
            "dead fact",
            "A message that is no fact, or that cannot be decided.",
            "OriginalBytes",
            head="DeadFactHeaders",
            content_type=_BYTES,
            tags=["dead letters"],
        ),
        "DeadCommand": _message(
            "dead command",
            "A command that nobody can be answered for.",
            "OriginalBytes",
            head="DeadCommandHeaders",
            content_type=_BYTES,
            tags=["dead letters"],
        ),
    }


def _decision(outcome: str) -> Data:
    name = f"{outcome}Decision"
    return _message(
        f"{outcome.lower()} decision",
        "A decision.",
        name,
        head="DecisionHeaders",
        correlation="fact",
        tags=["decisions"],
    )


def _message(
    title: str,
    summary: str,
    payload: str,
    *,
    description: str = "",
    head: str | None = None,
    correlation: str | None = None,
    content_type: str = JSON,
    when: dict[str, str] | None = None,
    tags: list[str],
) -> Data:
    """Return a message; ``when`` are the values of the channel's parameters that it goes with."""
    found: Data = {"title": title, "summary": summary}
    if description:
        found["description"] = description
    found["contentType"] = content_type
    if head is not None:
        found["headers"] = reference(head)
    found["payload"] = reference(payload)
    if correlation is not None:
        found["correlationId"] = {"$ref": f"#/components/correlationIds/{correlation}"}
    found["tags"] = [{"name": tag} for tag in tags]
    if when is not None:
        found["x-parameters"] = when
    return found
