"""Which subjects each role of NATS identities needs: the one list that the server's configuration is made from.

Clients of the worker (people, publishers, subscribers) each have an account of their own. It imports services and feeds
of the two planes' accounts, and nothing else reaches it. A server answers a publish on whatever reply subject the
client names, without looking at its permissions: JetStream acknowledges, a consumer delivers, a direct get returns. In
an account of its own such an answer stays in it, where only that client's own imports lie. Workers and platform
engineers live in the planes' accounts and are trusted with them, within their subjects.

``requirements`` is also what a worker holds against what the server allows it, at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain import roles
from streams import subjects
from streams.topology import Plane, TopologySettings, topology

INBOX: Final = "_INBOX"
# Where a server has answers to services sent that another account asks for. It takes no such reply from a client.
SERVICE_REPLIES: Final = "_R_.>"
USER_INFO: Final = "$SYS.REQ.USER.INFO"
DISCOVERY: Final = "$SRV.>"
_API: Final = "$JS.API"


class Role(StrEnum):
    """What an identity may be at the server. The first five are actors' roles, which the worker enforces too."""

    VIEWER = "viewer"
    AUTHOR = "author"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"
    PUBLISHER = "publisher"
    SUBSCRIBER = "subscriber"
    WORKER_DATA = "worker-data"
    WORKER_CONTROL = "worker-control"
    ENGINEER_DATA = "engineer-data"
    ENGINEER_CONTROL = "engineer-control"
    SYSTEM = "system"


ACTORS: Final = frozenset({Role.VIEWER, Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN})
# Roles of identities that live in a plane's account; such an identity has one role only.
PLANES: Final[Mapping[Role, Plane]] = {
    Role.WORKER_DATA: "data",
    Role.ENGINEER_DATA: "data",
    Role.WORKER_CONTROL: "control",
    Role.ENGINEER_CONTROL: "control",
}


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a connection may publish to and subscribe to; everything else is refused."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """Subjects of a plane that a client publishes to."""

    plane: Plane
    subject: str


@dataclass(frozen=True, slots=True)
class Feed:
    """Subjects of a plane that a client hears."""

    plane: Plane
    subject: str


@dataclass(frozen=True, slots=True)
class Access:
    """All that a client's account imports."""

    services: tuple[Service, ...] = ()
    feeds: tuple[Feed, ...] = ()
    inbox: str = INBOX

    @property
    def permissions(self) -> Permissions:
        """What the account's users may do: what it imports, and to hear their own inbox."""
        name = self.inbox.removeprefix(f"{INBOX}_")
        heard = [f"{self.inbox}.>"]
        for feed in self.feeds:  # groups of a name are one over all accounts that import a feed: each has its own names
            heard += [feed.subject, f"{feed.subject} {name}", f"{feed.subject} {name}.>"]
        return Permissions(tuple(service.subject for service in self.services), tuple(heard))


def inbox_prefix(name: str) -> str:
    """Return the inbox prefix that an identity alone may hear."""
    return f"{INBOX}_{name}"


def client_access(
    name: str, held: Iterable[Role], settings: TopologySettings, fact_types: Sequence[str] = (">",)
) -> Access:
    """Say what an identity with these roles needs; ``fact_types`` are a publisher's, with wildcards."""
    services: list[Service] = []
    feeds: list[Feed] = []
    held = frozenset(held)
    if not held.isdisjoint(ACTORS):
        services.append(Service("control", subjects.query(name, "*")))
        services.extend(Service("control", subjects.command(name, verb)) for verb in _verbs(held))
        feeds += [Feed("control", f"rules.reply.{name}.>"), Feed("control", subjects.EVENTS)]
    if Role.PUBLISHER in held:
        services.extend(Service("data", subjects.fact(one)) for one in fact_types)
    if Role.SUBSCRIBER in held:
        for stream, subject in ((settings.decisions, subjects.DECISIONS), (settings.effects, subjects.EFFECTS)):
            feeds += [Feed("data", subject), Feed("data", subjects.deliver(subject, name))]
            services.extend(Service("data", one) for one in _acknowledgements(stream, name))
    return Access(tuple(services), tuple(feeds), inbox_prefix(name))


def _verbs(held: frozenset[Role]) -> list[str]:
    if Role.ADMIN in held:
        return ["*"]
    verbs = {verb for role in held & ACTORS if role is not Role.VIEWER for verb in roles.VERBS[roles.Role(role.value)]}
    return sorted(verbs)


@dataclass(frozen=True, slots=True)
class Sides:
    """What a worker does, which decides what it needs."""

    facts: bool = True
    commands: bool = True
    queries: bool = True
    relay: bool = True


ALL_SIDES: Final = Sides()


def requirements(plane: Plane, settings: TopologySettings, inbox: str = INBOX, sides: Sides = ALL_SIDES) -> Permissions:
    """Say what a worker cannot do without on a plane, when its streams and consumers are there."""
    publish: list[str] = _looking(plane, settings)
    subscribe = [f"{inbox}.>"]
    if plane == "data":
        publish.append(subjects.DEAD)
        if sides.facts:
            publish += [subjects.DECISIONS, subjects.EFFECTS]
            publish += _taking(settings.facts, settings.facts_consumer)
        if sides.queries:
            publish.append(f"{_API}.STREAM.MSG.GET.{settings.facts}")
        return Permissions(tuple(publish), tuple(subscribe))
    subscribe.append(subjects.EVENTS)
    if sides.commands:
        publish += ["rules.reply.>", *_taking(settings.commands, settings.commands_consumer)]
    if sides.queries:
        subscribe.append(subjects.QUERIES)
    if sides.relay:
        publish += [subjects.EVENTS, f"{_API}.STREAM.MSG.GET.{settings.events}"]
    return Permissions(tuple(publish), tuple(subscribe))


def working(plane: Plane, settings: TopologySettings, inbox: str, asking: Sequence[str] = ()) -> Permissions:
    """Say what a worker gets on a plane: its requirements, and to declare, to answer and to be discovered.

    ``asking`` are the inbox prefixes of those in the control plane's own account who ask who is there.
    """
    needed = requirements(plane, settings, inbox)
    publish = (USER_INFO, *needed.publish, *_declaring(plane, settings))
    if plane == "data":
        return Permissions(publish, needed.subscribe)
    answers = (SERVICE_REPLIES, *(f"{prefix}.>" for prefix in (inbox, *asking)))
    return Permissions((*publish, *answers, DISCOVERY), (*needed.subscribe, DISCOVERY))


def engineering(plane: Plane, settings: TopologySettings, inbox: str) -> Permissions:
    """Say what a platform engineer needs on a plane: to declare and to look, and on data to read and redrive."""
    publish = [
        USER_INFO,
        f"{_API}.INFO",
        f"{_API}.STREAM.NAMES",
        f"{_API}.STREAM.LIST",
        f"{_API}.CONSUMER.NAMES.*",
        f"{_API}.CONSUMER.LIST.*",
        f"{_API}.STREAM.INFO.*",
        f"{_API}.CONSUMER.INFO.*.*",
        *_declaring(plane, settings),
    ]
    if plane == "control":
        return Permissions((*publish, DISCOVERY), (f"{inbox}.>",))
    letters = settings.dead_letters
    publish += [
        f"{_API}.STREAM.MSG.GET.{settings.facts}",
        f"{_API}.STREAM.MSG.GET.{letters}",
        f"{_API}.STREAM.MSG.DELETE.{letters}",
        f"{_API}.CONSUMER.CREATE.{letters}.*",
        f"{_API}.CONSUMER.CREATE.{letters}.*.>",
        f"{_API}.CONSUMER.DELETE.{letters}.*",
        f"{_API}.CONSUMER.MSG.NEXT.{letters}.*",
        subjects.FACTS,
    ]
    return Permissions(tuple(publish), (f"{inbox}.>",))


def administering(inbox: str) -> Permissions:
    """Say what an administrator of the servers gets in the system account."""
    return Permissions(("$SYS.REQ.>", f"{_API}.META.>", f"{_API}.SERVER.>"), (f"{inbox}.>", "$SYS.>"))


def _looking(plane: Plane, settings: TopologySettings) -> list[str]:
    wanted = topology(settings)
    streams = [f"{_API}.STREAM.INFO.{one.name}" for one in wanted.streams if one.plane == plane]
    return streams + [f"{_API}.CONSUMER.INFO.{one.stream}.{one.name}" for one in wanted.consumers if one.plane == plane]


def _declaring(plane: Plane, settings: TopologySettings) -> list[str]:
    wanted = topology(settings)
    streams = [f"{_API}.STREAM.CREATE.{one.name}" for one in wanted.streams if one.plane == plane]
    return streams + [
        f"{_API}.CONSUMER.DURABLE.CREATE.{one.stream}.{one.name}" for one in wanted.consumers if one.plane == plane
    ]


def _taking(stream: str, consumer: str) -> list[str]:
    return [f"{_API}.CONSUMER.MSG.NEXT.{stream}.{consumer}", *_acknowledgements(stream, consumer)]


def _acknowledgements(stream: str, consumer: str) -> tuple[str, str]:
    # The second form has a domain and an account's hash before the stream, as newer servers can be told to send.
    # By their numbers of tokens, nine and eleven or more, neither can be read as the other form of another consumer's.
    return f"$JS.ACK.{stream}.{consumer}.*.*.*.*.*", f"$JS.ACK.*.*.{stream}.{consumer}.*.*.*.*.>"


@dataclass(frozen=True, slots=True)
class Granted:
    """What a server says that a connection may publish to, or subscribe to; None: everything that is not denied."""

    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()

    def covers(self, subject: str) -> bool:
        """Say whether every subject that this one stands for is allowed, and none of them denied."""
        if any(overlap(subject, one) for one in self.denied):
            return False
        return self.allowed is None or any(covers(one, subject) for one in self.allowed)


def missing(needed: Permissions, publish: Granted, subscribe: Granted) -> list[str]:
    """Say what is needed and not granted, in words: ``publish to decisions.>``."""
    return [
        *(f"publish to {subject}" for subject in needed.publish if not publish.covers(subject)),
        *(f"subscribe to {subject}" for subject in needed.subscribe if not subscribe.covers(subject)),
    ]


def covers(pattern: str, subject: str) -> bool:
    """Say whether a pattern stands for everything that another one, or a subject, stands for."""
    wide, narrow = pattern.split("."), subject.split(".")
    for at, part in enumerate(wide):
        if part == ">":
            return len(narrow) > at
        if at >= len(narrow) or narrow[at] == ">" or part not in {"*", narrow[at]}:
            return False
    return len(wide) == len(narrow)


def overlap(one: str, other: str) -> bool:
    """Say whether some subject is meant by both patterns."""
    first, second = one.split("."), other.split(".")
    for left, right in zip(first, second, strict=False):
        if ">" in {left, right}:
            return True
        if left != right and "*" not in {left, right}:
            return False
    return len(first) == len(second)
