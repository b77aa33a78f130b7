"""Streams and consumers: what is missing or otherwise, what is full, who is behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from domain.decisions.retention import RETENTION_SETTING, RetentionError, require_retention
from domain.errors import UnavailableError
from streams import jetstream
from streams import topology as declared
from streams.connection import LenientClient
from streams.denials import PermissionDeniedError
from streams.jetstream import JetStreamRefusedError
from streams.topology import ConsumerSpec, Difference, StreamSpec, Topology
from worker.doctor.findings import Code, Finding, counted
from worker.settings import Settings

ANSWER_TIMEOUT_S: Final = 4.0
FULL_SHARE: Final = 0.8
# What is delivered again now and then is a worker that was ended; this share of what is unacknowledged is more.
REPEATED_MIN: Final = 10
SATURATED_SHARE: Final = 0.95
# Facts are decided within moments where workers keep up.
WAITED_MAX_S: Final = 60.0
_SECOND_NS: Final = 1_000_000_000
_NOT_FOUND: Final = frozenset({10059, 10014})

Description = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamsSeen:
    """The descriptions that the servers gave, by name, None for what is not there; and what could not be asked.

    ``oldest_waiting_s`` is how long the oldest undelivered message of a consumer has waited, where that could be read.
    """

    wanted: Topology
    streams: Mapping[str, Description | None]
    consumers: Mapping[str, Description | None]
    failed: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    oldest_waiting_s: Mapping[str, float] = field(default_factory=dict)


async def look(wanted: Topology, control: LenientClient | None, data: LenientClient | None) -> StreamsSeen:
    """Ask for every stream and consumer that the settings name, on the planes that answer."""
    clients = {"control": control, "data": data}
    streams: dict[str, Description | None] = {}
    consumers: dict[str, Description | None] = {}
    failed: dict[str, str] = {}
    differences: list[Difference] = []
    for spec in wanted.streams:
        client = clients[spec.plane]
        await _describe(client, f"STREAM.INFO.{spec.name}", spec.name, streams, failed)
        if client is not None and streams.get(spec.name) is not None:
            differences += await declared.diff(Topology((spec,), ()), client, client)
    for one in wanted.consumers:
        client = clients[one.plane]
        await _describe(client, f"CONSUMER.INFO.{one.stream}.{one.name}", place(one), consumers, failed)
        if client is not None and consumers.get(place(one)) is not None:
            differences += await declared.diff(Topology((), (one,)), client, client)
    waited: dict[str, float] = {}
    for one in wanted.consumers:
        client, found = clients[one.plane], consumers.get(place(one))
        if client is not None and found is not None and found.get("num_pending"):
            waited_s = await _oldest_waiting_s(client, one, found)
            if waited_s is not None:
                waited[place(one)] = waited_s
    return StreamsSeen(wanted, streams, consumers, failed, tuple(differences), waited)


async def _describe(
    client: LenientClient | None, call: str, name: str, found: dict[str, Description | None], failed: dict[str, str]
) -> None:
    if client is None:
        return  # that its plane is away is said elsewhere
    try:
        async with client.denials.raised():
            found[name] = await jetstream.ask(client, call, tries_s=(ANSWER_TIMEOUT_S,))
    except JetStreamRefusedError as error:
        if error.number in _NOT_FOUND:
            found[name] = None
        else:
            failed[name] = error.message
    except (UnavailableError, PermissionDeniedError) as error:
        failed[name] = error.message


async def _oldest_waiting_s(client: LenientClient, spec: ConsumerSpec, found: Description) -> float | None:
    """Read when the first message that was not delivered yet was stored; None where that may not be read."""
    body = {"seq": found["delivered"]["stream_seq"] + 1, "next_by_subj": spec.config["filter_subject"]}
    try:
        async with client.denials.raised():
            answer = await jetstream.ask(client, f"STREAM.MSG.GET.{spec.stream}", body, tries_s=(ANSWER_TIMEOUT_S,))
    except (JetStreamRefusedError, UnavailableError, PermissionDeniedError):
        return None
    stored, asked = answer["message"]["time"], found["ts"]  # both by the server's clock
    return max(0.0, moment_s(asked) - moment_s(stored))


def moment_s(text: str) -> float:
    """Read a server's time, which has up to nine digits after the second, in seconds since 1970."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def place(spec: ConsumerSpec) -> str:
    """Return a consumer's name with its stream's."""
    return f"{spec.stream}/{spec.name}"


def judge(seen: StreamsSeen, settings: Settings) -> Iterator[Finding]:
    """Say what is wrong with streams and consumers."""
    for name, reason in seen.failed.items():
        yield Finding(
            Code.CHECK_FAILED, f"{name} could not be looked at: {reason}", "see the findings of permissions and of NATS"
        )
    for spec in seen.wanted.streams:
        if spec.name in seen.streams:
            yield from _judge_stream(spec, seen.streams[spec.name], settings)
    ours = {
        f"{settings.facts_stream}/{settings.facts_consumer}",
        f"{settings.commands_stream}/{settings.commands_consumer}",
    }
    for one in seen.wanted.consumers:
        if place(one) in seen.consumers:
            is_ours = place(one) in ours
            waited_s = seen.oldest_waiting_s.get(place(one))
            yield from _judge_consumer(one, seen.consumers[place(one)], waited_s, is_ours=is_ours)
    yield from _judge_differences(seen)


def _judge_differences(seen: StreamsSeen) -> Iterator[Finding]:
    """Say what is set otherwise than wanted, but for what has a finding of its own."""
    kept = {spec.name for spec in seen.wanted.streams if spec.config["discard"] == "new"}
    for one in seen.differences:
        if one.setting == "max_deliver" or (one.setting == "discard" and one.name in kept):
            continue
        what = f"{one.kind} edit {one.name.replace('/', ' ')} --{one.setting.replace('_', '-')}"
        yield Finding(
            Code.TOPOLOGY_DIFFERS,
            str(one),
            f"change it (nats {what} …), or the setting that wants it",
        )


def _judge_stream(spec: StreamSpec, found: Description | None, settings: Settings) -> Iterator[Finding]:
    if found is None:
        yield _missing("stream", spec.name)
        return
    config, state = found["config"], found["state"]
    is_new = spec.config["discard"] == "new"
    if is_new and config.get("discard", "old") != "new":
        yield Finding(
            Code.FACTS_DISCARDED,
            f"stream {spec.name}: discard is 'old', wanted 'new'",
            f"nats stream edit {spec.name} --discard new",
        )
    if spec.name == settings.facts_stream:
        try:
            require_retention(
                settings.decision_retention_s,
                spec.name,
                config.get("max_age", 0) / _SECOND_NS,
                config.get("duplicate_window", 0) / _SECOND_NS,
            )
        except RetentionError as error:
            found_text, _, advice = error.message.replace(
                "raise it above", f"raise {RETENTION_SETTING} above"
            ).rpartition(": ")
            yield Finding(Code.RETENTION_TOO_SHORT, found_text, advice)
    for what, option, limit, used in (
        ("bytes", "max-bytes", config.get("max_bytes", -1), state["bytes"]),
        ("messages", "max-msgs", config.get("max_msgs", -1), state["messages"]),
    ):
        if limit > 0 and used >= FULL_SHARE * limit:
            yield Finding(
                Code.STREAM_NEARLY_FULL,
                f"stream {spec.name} holds {used} of {limit} {what}",
                f"raise its limit (nats stream edit {spec.name} --{option} N), or see why it is not"
                " emptied: its age limit, workers that are behind",
            )
    if spec.name == settings.dead_letters_stream and state["messages"]:
        yield Finding(
            Code.DEAD_LETTERS,
            f"{counted(state['messages'], 'dead letter')} waiting",
            "rulestream dead list; then rulestream dead redrive, or rulestream dead delete (docs/dead_letters.md)",
        )
    yield from _judge_replicas(f"stream {spec.name}", found, spec.config["num_replicas"])


def _judge_replicas(what: str, found: Description, wanted: int) -> Iterator[Finding]:
    cluster = found.get("cluster") or {}
    peers = cluster.get("replicas") or []
    bad = [str(one.get("name")) for one in peers if one.get("offline") or one.get("current") is False]
    if wanted > 1 and not cluster.get("leader"):
        yield Finding(Code.STREAM_REPLICAS_MISSING, f"{what} has no leader", "see that a majority of its servers runs")
    elif bad:
        yield Finding(
            Code.STREAM_REPLICAS_MISSING,
            f"{what}: the replicas on {', '.join(bad)} are offline or behind",
            "see those servers: nats server report jetstream",
        )


def _judge_consumer(
    spec: ConsumerSpec, found: Description | None, waited_s: float | None, *, is_ours: bool
) -> Iterator[Finding]:
    name = place(spec)
    if found is None:
        yield _missing("consumer", name)
        return
    config = found["config"]
    edit = f"nats consumer edit {spec.stream} {spec.name}"
    if config.get("max_deliver", -1) not in {-1, 0}:
        yield Finding(
            Code.CONSUMER_GIVES_UP,
            f"consumer {name}: max_deliver is {config['max_deliver']}",
            f"{edit} --max-deliver -1",
        )
    if found.get("paused"):
        yield Finding(
            Code.CONSUMER_PAUSED, f"consumer {name} is paused", f"nats consumer resume {spec.stream} {spec.name}"
        )
    if is_ours:
        yield from _judge_work(spec, found, waited_s)
    elif (waited_s or 0.0) > WAITED_MAX_S:
        yield Finding(
            Code.SUBSCRIBER_BEHIND,
            f"{counted(found.get('num_pending', 0), 'message')} waiting for the subscriber {name}, the oldest for"
            f" {waited_s:.0f} s",
            "see whether it runs; one that is gone for good: out of RULESTREAM_DECISION_SUBSCRIBERS, and"
            f" nats consumer rm {spec.stream} {spec.name}",
        )


def _judge_work(spec: ConsumerSpec, found: Description, waited_s: float | None) -> Iterator[Finding]:
    """Say whether workers keep up with what they are to take."""
    name, config = place(spec), found["config"]
    pending, unacknowledged = found.get("num_pending", 0), found.get("num_ack_pending", 0)
    if pending and not found.get("num_waiting", 0) and not unacknowledged:
        role = "facts" if spec.plane == "data" else "commands"
        yield Finding(
            Code.CONSUMER_UNATTENDED,
            f"{counted(pending, 'message')} waiting for consumer {name}, and nobody asks for more",
            f"start a worker with the role {role}",
        )
    most = config.get("max_ack_pending", -1)
    if most > 0 and unacknowledged >= SATURATED_SHARE * most:
        yield Finding(
            Code.CONSUMER_SATURATED,
            f"consumer {name}: {unacknowledged} messages are unacknowledged, of max_ack_pending {most}",
            "see why workers do not finish them (their log, Postgres, full streams); then raise"
            " RULESTREAM_MAX_ACK_PENDING, and the consumer's by nats consumer edit",
        )
    repeated = found.get("num_redelivered", 0)
    if repeated >= REPEATED_MIN:
        yield Finding(
            Code.DELIVERIES_REPEATED,
            f"consumer {name}: {repeated} unacknowledged messages were delivered more than once",
            "see the workers' logs and exit codes; where batches take longer than ack_wait, see what is slow",
        )
    if (waited_s or 0.0) > WAITED_MAX_S:
        yield Finding(
            Code.CONSUMER_BEHIND,
            f"{counted(pending, 'message')} waiting for consumer {name}, the oldest for {waited_s:.0f} s",
            "start more workers, or see in their log and rulestream_batch_stage_duration_seconds what they wait for",
        )


def _missing(kind: str, name: str) -> Finding:
    return Finding(Code.TOPOLOGY_MISSING, f"{kind} {name} is missing", "rulestream topology apply")
