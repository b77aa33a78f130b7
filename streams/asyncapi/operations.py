"""The operations, from the user's point of view: what a user sends, and what a user receives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from domain.roles import OPEN_VERBS, Role, roles_for
from streams.asyncapi.schemas import command_answer, query_answer
from streams.asyncapi.texts import COMMANDS, QUERIES
from streams.control import QUEUE_GROUP
from streams.messages.answers import COMMAND_RESULTS
from streams.messages.event_data import EVENT_DATA

Data = dict[str, Any]

BINDING_VERSION: Final = "0.1.0"
_REPLY_SUBJECT: Final[Data] = {
    "description": "The reply subject of the NATS message, which your client makes: a field of the protocol, no "
    "header.",
    "location": "$message.header#/replyTo",
}
_RECEIVED: Final = {
    "events": ("receiveEvents", "Hear what happens to rules and templates.", "events"),
    "matchedDecisions": ("receiveMatchedDecisions", "Receive decisions in which some rule matched.", "decisions"),
    "unmatchedDecisions": ("receiveUnmatchedDecisions", "Receive decisions in which no rule matched.", "decisions"),
    "effects": ("receiveEffects", "Receive what rules emit.", "decisions"),
    "deadFacts": ("receiveDeadFacts", "Look after facts that could not be decided.", "dead letters"),
    "deadCommands": ("receiveDeadCommands", "Look after commands that nobody can be answered for.", "dead letters"),
}


def operations() -> dict[str, Data]:
    """Return every operation by its name."""
    return {**_commands(), **_queries(), **_facts(), **_received()}


def _commands() -> dict[str, Data]:
    found: dict[str, Data] = {}
    for verb, (does, event) in COMMANDS.items():
        found[operation_of(verb)] = {
            "action": "send",
            "channel": _channel("commands"),
            "title": verb,
            "summary": does,
            "description": f"Role: {_roles(verb)}. Event: `{event.value}`.",
            "tags": [{"name": "commands"}],
            "messages": [_message("commands", verb)],
            "reply": {
                "channel": _channel("replies"),
                "messages": [
                    _message("replies", command_answer(COMMAND_RESULTS[verb])),
                    _message("replies", "CommandRefusal"),
                ],
            },
        }
    found["receiveReplies"] = {
        "action": "receive",
        "channel": _channel("replies"),
        "title": "answers to commands",
        "summary": "Hear the answers to your own commands: `rules.reply.<actor>.>`.",
        "tags": [{"name": "commands"}],
        "messages": [
            *(_message("replies", command_answer(one)) for one in dict.fromkeys(COMMAND_RESULTS.values())),
            _message("replies", "CommandRefusal"),
        ],
    }
    return found


def _queries() -> dict[str, Data]:
    return {
        operation_of(verb, is_query=True): {
            "action": "send",
            "channel": _channel("queries"),
            "title": verb,
            "summary": does,
            "description": f"Role: {_roles(verb)}.",
            "tags": [{"name": "queries"}],
            "bindings": {"nats": {"queue": QUEUE_GROUP, "bindingVersion": BINDING_VERSION}},
            "messages": [_message("queries", verb)],
            "reply": {
                "address": _REPLY_SUBJECT,
                "channel": _channel("answers"),
                "messages": [_message("answers", query_answer(verb)), _message("answers", "QueryRefusal")],
            },
        }
        for verb, does in QUERIES.items()
    }


def _facts() -> dict[str, Data]:
    return {
        "sendFact": {
            "action": "send",
            "channel": _channel("facts"),
            "title": "send a fact",
            "summary": "Have a fact decided: publish it to JetStream, with an id, and wait for the acknowledgement.",
            "tags": [{"name": "facts"}],
            "messages": [_message("facts", "Fact"), _message("facts", "CloudEvent")],
            "reply": {
                "address": _REPLY_SUBJECT,
                "channel": _channel("acknowledgements"),
                "messages": [_message("acknowledgements", "PublishAcknowledgement")],
            },
        }
    }


def _received() -> dict[str, Data]:
    messages: dict[str, Iterable[str]] = {
        "events": [name.value for name in EVENT_DATA],
        "matchedDecisions": ["MatchedDecision"],
        "unmatchedDecisions": ["UnmatchedDecision"],
        "effects": ["Effect"],
        "deadFacts": ["DeadFact"],
        "deadCommands": ["DeadCommand"],
    }
    return {
        name: {
            "action": "receive",
            "channel": _channel(channel),
            "title": channel,
            "summary": summary,
            "tags": [{"name": tag}],
            "messages": [_message(channel, message) for message in messages[channel]],
        }
        for channel, (name, summary, tag) in _RECEIVED.items()
    }


def operation_of(verb: str, *, is_query: bool = False) -> str:
    """Name the operation of a command's or a query's verb."""
    first, *rest = verb.split("-")
    name = first + "".join(part.title() for part in rest)
    return f"query{name[0].upper()}{name[1:]}" if is_query else name


def _roles(verb: str) -> str:
    if verb in OPEN_VERBS:
        return "none, an actor may always read what its own commands were answered"
    return " or ".join(sorted(role.value for role in roles_for(verb) if role is not Role.ADMIN)) + " (or admin)"


def _channel(name: str) -> Data:
    return {"$ref": f"#/channels/{name}"}


def _message(channel: str, name: str) -> Data:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}
