"""The channels: where messages go, what stands in their subjects, and which stream keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from domain.identifiers import (
    ACTOR_PATTERN,
    COMMAND_ID_PATTERN,
    DOTTED_NAME_BYTES_MAX,
    DOTTED_NAME_PATTERN,
    Actor,
    CommandId,
    RuleId,
)
from domain.rules.events import EventName
from streams import subjects
from streams.asyncapi.schemas import command_answer, event_schema, query_answer
from streams.messages import commands, queries
from streams.messages.answers import COMMAND_RESULTS, QUERY_RESULTS
from streams.messages.event_data import EVENT_DATA
from streams.messages.fields import whole
from streams.topology import StreamSpec, TopologySettings, topology

Data = dict[str, Any]

_DAY_S: Final = 24 * 3600
_SECOND_NS: Final = 1_000_000_000
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKENS: Final = f"1 to 16 tokens of `[A-Za-z0-9_-]`, joined by dots, {DOTTED_NAME_BYTES_MAX} bytes at most"

_DURABLY: Final = (
    "A subscriber named in `RULESTREAM_DECISION_SUBSCRIBERS` has a durable consumer of its own: it subscribes to "
    f"`{subjects.deliver(subjects.DECISIONS, '<name>')}` and `{subjects.deliver(subjects.EFFECTS, '<name>')}` in the "
    "queue group `<name>`, gets the same messages, acknowledges each on its reply subject, and misses none while it is "
    "away."
)

ACTOR: Final[Data] = {
    "description": "Who sends: one token. It is the identity: the NATS server's permissions decide who may publish "
    "under which actor, and nothing in a payload can change it.",
    "examples": ["alice"],
    "x-pattern": whole(ACTOR_PATTERN),
}


def channels() -> dict[str, Data]:
    """Return every channel by its name."""
    streams = {spec.config["subjects"][0]: spec for spec in topology(TopologySettings()).streams}
    return {
        "commands": _channel(
            subjects.command("{actor}", "{verb}"),
            "Commands",
            "Changes of rules and templates. Subscribe to the answer, then publish the command to JetStream, with a "
            "reply subject of your own for the acknowledgement (channel `acknowledgements`): it is then durable, "
            "with every worker down too. A command is decided once, for ever, under its actor and id. The same id "
            "again is a duplicate for the server within the stream's duplicate window, and gets the first answer "
            "later; with another payload it is a `CONFLICT`. Each worker decides an actor's commands in their "
            "order. While a backing service is away a command waits. One without a valid id, or that the server "
            "published, is a dead letter.",
            {verb: one.__name__ for verb, one in commands.PAYLOADS.items()},
            stream=streams[subjects.COMMANDS],
            parameters={"actor": ACTOR, "verb": _one_of("What to do.", commands.PAYLOADS)},
        ),
        "replies": _channel(
            subjects.reply(cast("Actor", "{actor}"), cast("CommandId", "{commandId}")),
            "Answers to commands",
            "The answer of each command, once it is decided and durable. Core NATS: whoever does not listen misses it, "
            "and reads it with the query `command`, where it stays for ever.",
            [*map(command_answer, dict.fromkeys(COMMAND_RESULTS.values())), "CommandRefusal"],
            plane="control",
            parameters={
                "actor": ACTOR,
                "commandId": {
                    "description": "The command's id.",
                    "examples": ["0b0f4d7e-6f0c-4c57-9d0e-1d6a1c2f3b4a"],
                    "location": "$message.payload#/commandId",
                    "x-pattern": whole(COMMAND_ID_PATTERN),
                },
            },
        ),
        "queries": _channel(
            subjects.query("{actor}", "{verb}"),
            "Queries",
            "Questions, by request and reply on core NATS. They change nothing. The workers share them as one queue "
            "group. A question is answered only to a reply subject under `_INBOX.`, or `_INBOX_<actor>.` where the "
            "server's permissions keep inboxes apart.",
            {verb: one.__name__ for verb, one in queries.PAYLOADS.items()},
            plane="control",
            parameters={"actor": ACTOR, "verb": _one_of("What to ask.", queries.PAYLOADS)},
        ),
        "answers": _channel(
            None,
            "Answers to queries",
            "The answer to a question, on the reply subject (inbox) that it named. A page ends early at 512 KiB, with "
            "`nextOffset`.",
            [*map(query_answer, QUERY_RESULTS), "QueryRefusal"],
            plane="control",
        ),
        "events": _channel(
            subjects.event(cast("RuleId", "{ruleId}"), cast("EventName", "{eventName}")),
            "Lifecycle events",
            "What happened to rules and templates, written in the transaction of the change and published at least "
            "once, in order for each rule: act once for each `eventId`.",
            {name.value: event_schema(name) for name in EVENT_DATA},
            stream=streams[subjects.EVENTS],
            parameters={
                "ruleId": {
                    "description": "The id of the rule, or of the template, that it happened to.",
                    "examples": ["5cdb9537-9ff2-525e-b538-50cf40b26e31"],
                    "location": "$message.payload#/ruleId",
                    "x-pattern": whole(_UUID),
                },
                "eventName": {
                    **_one_of("What happened.", [name.value for name in EVENT_DATA]),
                    "location": "$message.payload#/eventType",
                },
            },
        ),
        "facts": _channel(
            subjects.fact("{factType}"),
            "Facts",
            "What is to be decided: JSON objects, plain or as CloudEvents in either mode. Each is decided exactly "
            "once, by its id, whatever is delivered or published again. The stream refuses new facts when it is full. "
            "What is no fact is a dead letter; the facts beside it are decided as usual.",
            ["Fact", "CloudEvent"],
            stream=streams[subjects.FACTS],
            parameters={"factType": _dotted("The fact's type, always.", "order.placed")},
        ),
        "acknowledgements": _channel(
            None,
            "Publish acknowledgements",
            "JetStream's own answer to a message that was published to a stream with a reply subject (inbox): without "
            "it nobody knows that the message is stored.",
            ["PublishAcknowledgement"],
        ),
        "matchedDecisions": _decisions("matched", streams[subjects.DECISIONS]),
        "unmatchedDecisions": _decisions("unmatched", streams[subjects.DECISIONS]),
        "effects": _channel(
            subjects.effect("{effectName}"),
            "Effects",
            "What rules `emit`, beside the decision: published after it is stored, at least once. Act once for each "
            f"effect id (`Nats-Msg-Id`). {_DURABLY}",
            ["Effect"],
            stream=streams[subjects.EFFECTS],
            parameters={"effectName": _dotted("The effect's name, of the rule's `emit`.", "loyalty.points")},
        ),
        "deadFacts": _channel(
            subjects.dead_fact("{factType}"),
            "Dead letters of facts",
            "Messages that can never become a decision, with their bytes, their headers and the reason. A dead letter "
            "claims no fact id; `rulestream dead redrive` sends it again.",
            ["DeadFact"],
            stream=streams[subjects.DEAD],
            parameters={
                "factType": _dotted(f"The fact's type, `{subjects.INVALID}` where it had none.", "order.placed")
            },
        ),
        "deadCommands": _channel(
            subjects.DEAD_COMMAND_PREFIX + "{command}",
            "Dead letters of commands",
            "Commands that nobody can be answered for, with their bytes, their headers and the reason.",
            ["DeadCommand"],
            stream=streams[subjects.DEAD],
            parameters={
                "command": _dotted(
                    "The rest of the command's subject, `<actor>.<verb>` where it was one; "
                    f"`{subjects.INVALID}` where it could not be published on again.",
                    "alice.create",
                )
            },
        ),
    }


def _decisions(outcome: str, stream: StreamSpec) -> Data:
    told = {
        "matched": "Decisions in which some rule took its `then` (bare conditions and tables count).",
        "unmatched": "Decisions in which no rule took its `then`.",
    }
    return _channel(
        subjects.decision("{factType}", matched=outcome == "matched"),
        f"{outcome.title()} decisions",
        f"{told[outcome]} A decision is stored before it is published, and stands for ever, byte for byte. A crash may "
        f"repeat a message beyond the stream's duplicate window: act once for each `decisionId`. {_DURABLY}",
        [f"{outcome.title()}Decision"],
        stream=stream,
        parameters={
            "factType": {**_dotted("The fact's type.", "order.placed"), "location": "$message.payload#/factType"}
        },
    )


def _channel(
    address: str | None,
    title: str,
    description: str,
    messages: Mapping[str, str] | Iterable[str],
    *,
    stream: StreamSpec | None = None,
    plane: str | None = None,
    parameters: Mapping[str, Data] | None = None,
) -> Data:
    named = messages if isinstance(messages, Mapping) else {name: name for name in messages}
    planes = [stream.plane] if stream is not None else ["control", "data"] if plane is None else [plane]
    found: Data = {
        "address": address,
        "title": title,
        "description": description if stream is None else f"{description}\n\n{_kept(stream)}",
        "servers": [{"$ref": f"#/servers/{one}"} for one in planes],
        "messages": {key: {"$ref": f"#/components/messages/{name}"} for key, name in named.items()},
    }
    if parameters:
        found["parameters"] = dict(parameters)
    if stream is not None:
        found["x-stream"] = stream.name
    return found


def _kept(stream: StreamSpec) -> str:
    """Tell of a stream what its publishers and readers rely on; an operator may set it otherwise."""
    config = stream.config
    age_s = config["max_age"] // _SECOND_NS
    kept = f"{age_s // _DAY_S} days" if age_s else "without an age limit"
    if config["retention"] == "workqueue":
        kept = "until they are decided"
    full = "refuses new messages when it is full" if config["discard"] == "new" else "drops the oldest when it is full"
    window_s = config["duplicate_window"] // _SECOND_NS
    return (
        f"JetStream stream `{stream.name}`, by default: messages are kept {kept}, repeats of a `Nats-Msg-Id` are "
        f"dropped for {window_s} s, and the stream {full}."
    )


def _one_of(description: str, values: Iterable[str]) -> Data:
    return {"description": description, "enum": list(values)}


def _dotted(description: str, example: str) -> Data:
    return {
        "description": f"{description} {_TOKENS[0].upper()}{_TOKENS[1:]}.",
        "examples": [example],
        "x-pattern": whole(DOTTED_NAME_PATTERN),
    }
