"""Streams and durable consumers as data: declared when missing, never altered when they exist otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from nats.aio.client import Client

from domain.errors import RulestreamError
from streams import jetstream, subjects
from streams.jetstream import JetStreamRefusedError

# A call is made again while nothing comes: a stream whose leader has died answers nothing until there is another one,
# which takes a cluster up to nine seconds, and what was asked before is forgotten.
_API_TRIES_S: Final = (2.5, 5.0, 7.5)
_SECOND_NS: Final = 1_000_000_000
# JetStream's codes for "there is no such thing" and "it exists already".
_NOT_FOUND: Final = frozenset({10059, 10014})
_UNKNOWN_FIELD: Final = 10025
_EXISTS: Final = frozenset({10058, 10148, 10105})

# Settings of streams that ours never have: headers that delete (roll-up, TTL), publish later (schedules) or count,
# whole batches, reading past the streams' API, copies to other subjects, and messages from elsewhere.
_HARMFUL: Final = frozenset(
    {
        "allow_rollup_hdrs",
        "allow_msg_ttl",
        "allow_msg_schedules",
        "allow_msg_counter",
        "allow_atomic",
        "allow_batched",
        "allow_direct",
        "mirror_direct",
        "republish",
        "subject_transform",
        "mirror",
        "sources",
    }
)

# How many messages a subscriber may have and not have acknowledged: the server then waits.
UNACKNOWLEDGED_MAX: Final = 1_000

Plane = Literal["control", "data"]


class TopologyError(RulestreamError):
    """The server refused to declare or to describe a stream or a consumer."""


@dataclass(frozen=True, slots=True)
class TopologySettings:
    """What an operator may choose: names, replicas, storage and limits. Sizes in bytes, 0 for no limit."""

    commands: str = "RULES_COMMANDS"
    events: str = "RULES_EVENTS"
    facts: str = "FACTS"
    decisions: str = "DECISIONS"
    effects: str = "EFFECTS"
    dead_letters: str = "DEAD_LETTERS"
    facts_consumer: str = "rulestream-facts"
    commands_consumer: str = "rulestream-commands"
    replicas: int = 1
    storage: Literal["file", "memory"] = "file"
    facts_max_age_s: int = 7 * 24 * 3600
    decisions_max_age_s: int = 7 * 24 * 3600
    events_max_age_s: int = 0
    dead_letters_max_age_s: int = 30 * 24 * 3600
    stream_max_bytes: int = 0
    duplicate_window_s: int = 120
    ack_wait_s: int = 60
    max_ack_pending: int = 50_000
    # Who has a durable consumer, named so, on decisions and on effects.
    subscribers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: its name, the plane that it lives in and the configuration that is sent to the server."""

    name: str
    plane: Plane
    config: Mapping[str, Any]
    # Asked for as well where the server knows it; a stream without it serves as well, and is no difference.
    wish: Mapping[str, Any] = field(default_factory=dict)
    # What is off where nobody asked for it, and a difference where it is on: it would let whoever may publish to the
    # stream, or read it, have the server delete, change or publish messages.
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long a stream keeps a message (0: for ever) and knows its id, in seconds."""

    max_age_s: float
    duplicate_window_s: float


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """One durable pull consumer."""

    stream: str
    name: str
    plane: Plane
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that must exist on the servers before a worker can run."""

    streams: tuple[StreamSpec, ...]
    consumers: tuple[ConsumerSpec, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is missing (``found`` None, ``setting`` empty) or is set otherwise than the worker wants."""

    kind: Literal["stream", "consumer"]
    name: str
    setting: str = ""
    wanted: Any = None
    found: Any = None

    @property
    def is_missing(self) -> bool:
        return not self.setting

    def __str__(self) -> str:
        if self.is_missing:
            return f"{self.kind} {self.name} is missing"
        return f"{self.kind} {self.name}: {self.setting} is {self.found!r}, wanted {self.wanted!r}"


@dataclass(slots=True)
class Applied:
    """What ``apply`` did: what it made, and what it found to be different and left alone."""

    created: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


def topology(settings: TopologySettings) -> Topology:
    """Describe the contract's streams and the worker's consumers under an operator's settings."""
    s = settings

    def stream(name: str, plane: Plane, subject: str, *, max_age_s: int = 0, **more: Any) -> StreamSpec:
        config = {
            "name": name,
            "subjects": [subject],
            "retention": "limits",
            "storage": s.storage,
            "discard": "old",
            "num_replicas": s.replicas,
            "max_age": max_age_s * _SECOND_NS,
            "max_bytes": s.stream_max_bytes or -1,
            "duplicate_window": min(s.duplicate_window_s, max_age_s or s.duplicate_window_s) * _SECOND_NS,
            **more,
        }
        # Whole batches acknowledged at once, nats-server 2.14 and newer (streams.wire).
        wish = {"allow_batched": True} if plane == "data" and subject != subjects.FACTS else {}
        return StreamSpec(name, plane, config, wish, _HARMFUL - set(wish))

    def consumer(stream: str, name: str, plane: Plane, subject: str) -> ConsumerSpec:
        config = {
            "durable_name": name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": s.ack_wait_s * _SECOND_NS,
            "max_deliver": -1,
            "max_ack_pending": s.max_ack_pending,
            "filter_subject": subject,
            "replay_policy": "instant",
            "max_waiting": 2048,
        }
        return ConsumerSpec(stream, name, plane, config)

    def delivering(stream: str, name: str, subject: str) -> ConsumerSpec:
        found = consumer(stream, name, "data", subject)
        config = {
            **{setting: value for setting, value in found.config.items() if setting != "max_waiting"},
            "deliver_subject": subjects.deliver(subject, name),
            "deliver_group": name,  # the subscriber's processes share the messages
            "max_ack_pending": UNACKNOWLEDGED_MAX,
        }
        return replace(found, config=config)

    refused = {"allow_msg_ttl": False, "allow_msg_schedules": False, "allow_atomic": False, "deny_purge": False}
    return Topology(
        streams=(
            stream(s.commands, "control", subjects.COMMANDS, retention="workqueue", **refused),
            stream(s.events, "control", subjects.EVENTS, max_age_s=s.events_max_age_s),
            stream(s.facts, "data", subjects.FACTS, max_age_s=s.facts_max_age_s, discard="new"),
            stream(s.decisions, "data", subjects.DECISIONS, max_age_s=s.decisions_max_age_s, discard="new"),
            stream(s.effects, "data", subjects.EFFECTS, max_age_s=s.decisions_max_age_s, discard="new"),
            stream(s.dead_letters, "data", subjects.DEAD, max_age_s=s.dead_letters_max_age_s),
        ),
        consumers=(
            consumer(s.commands, s.commands_consumer, "control", subjects.COMMANDS),
            consumer(s.facts, s.facts_consumer, "data", subjects.FACTS),
            *(delivering(s.decisions, name, subjects.DECISIONS) for name in s.subscribers),
            *(delivering(s.effects, name, subjects.EFFECTS) for name in s.subscribers),
        ),
    )


async def apply(wanted: Topology, control: Client, data: Client) -> Applied:
    """Declare what is missing. What exists otherwise is reported, and left as it is; raises TopologyError."""
    done = Applied()
    for spec in wanted.streams:
        client = control if spec.plane == "control" else data
        found = await _describe_stream(client, spec)
        if found is None:
            await _create_stream(client, spec)
            done.created.append(spec.name)
        else:
            done.differences.extend(_compare_stream(spec, found))
    for consumer in wanted.consumers:
        client = control if consumer.plane == "control" else data
        found = await _describe_consumer(client, consumer)
        if found is None:
            body = {"stream_name": consumer.stream, "config": consumer.config, "action": "create"}
            await _request(
                client, f"CONSUMER.DURABLE.CREATE.{consumer.stream}.{consumer.name}", body, tolerated=_EXISTS
            )
            done.created.append(f"{consumer.stream}/{consumer.name}")
        else:
            done.differences.extend(compare("consumer", f"{consumer.stream}/{consumer.name}", consumer.config, found))
    return done


async def limits(client: Client, stream: str) -> StreamLimits:
    """Return the limits that a stream has, whatever was wished for; raises TopologyError when it is not there."""
    answer = await _request(client, f"STREAM.INFO.{stream}", None, tolerated=frozenset())
    assert answer is not None
    config = answer["config"]
    return StreamLimits(config.get("max_age", 0) / _SECOND_NS, config.get("duplicate_window", 0) / _SECOND_NS)


async def batched(client: Client, settings: TopologySettings) -> frozenset[str]:
    """Return the first tokens of the subjects whose stream allows fast batches (``streams.wire``)."""
    found: set[str] = set()
    for spec in topology(settings).streams:
        if spec.wish:
            config = await _describe_stream(client, spec)
            if config is not None and config.get("allow_batched"):
                found.update(subject.partition(".")[0] for subject in spec.config["subjects"])
    return frozenset(found)


async def _create_stream(client: Client, spec: StreamSpec) -> None:
    call = f"STREAM.CREATE.{spec.name}"
    if spec.wish:
        try:
            await _request(client, call, {**spec.config, **spec.wish}, tolerated=_EXISTS)
        except TopologyError as error:
            if error.details.get("errCode") != _UNKNOWN_FIELD:
                raise
        else:
            return
    await _request(client, call, spec.config, tolerated=_EXISTS)


async def diff(wanted: Topology, control: Client, data: Client) -> list[Difference]:
    """Report what is missing or set otherwise; changes nothing. Raises TopologyError."""
    found: list[Difference] = []
    for spec in wanted.streams:
        config = await _describe_stream(control if spec.plane == "control" else data, spec)
        if config is None:
            found.append(Difference("stream", spec.name))
        else:
            found.extend(_compare_stream(spec, config))
    for consumer in wanted.consumers:
        name = f"{consumer.stream}/{consumer.name}"
        config = await _describe_consumer(control if consumer.plane == "control" else data, consumer)
        if config is None:
            found.append(Difference("consumer", name))
        else:
            found.extend(compare("consumer", name, consumer.config, config))
    return found


def _compare_stream(spec: StreamSpec, found: Mapping[str, Any]) -> Iterable[Difference]:
    yield from compare("stream", spec.name, spec.config, found)
    yield from (
        Difference("stream", spec.name, setting, wanted=False, found=found[setting])
        for setting in sorted(spec.off - set(spec.config))
        if found.get(setting)
    )


def compare(
    kind: Literal["stream", "consumer"], name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterable[Difference]:
    """Give each setting that is otherwise than wanted; what the server leaves out is false, zero or empty."""
    for setting, value in wanted.items():
        present = found.get(setting)
        if present != value and (present or value):  # the server leaves out what is false, zero or empty
            yield Difference(kind, name, setting, value, present)


async def _describe_stream(client: Client, spec: StreamSpec) -> Mapping[str, Any] | None:
    answer = await _request(client, f"STREAM.INFO.{spec.name}", None, tolerated=_NOT_FOUND)
    return None if answer is None else answer["config"]


async def _describe_consumer(client: Client, spec: ConsumerSpec) -> Mapping[str, Any] | None:
    answer = await _request(client, f"CONSUMER.INFO.{spec.stream}.{spec.name}", None, tolerated=_NOT_FOUND)
    return None if answer is None else answer["config"]


async def _request(
    client: Client, call: str, body: Mapping[str, Any] | None, tolerated: frozenset[int]
) -> dict[str, Any] | None:
    """Call the JetStream API; None when it answers with one of the tolerated error codes.

    Raises UnavailableError when no answer comes within 15 s, or at once where nobody listens; TopologyError for another
    refusal.
    """
    try:
        return await jetstream.ask(client, call, body, tries_s=_API_TRIES_S)
    except JetStreamRefusedError as error:
        if error.number in tolerated:
            return None
        raise TopologyError(error.message, **error.details) from error
