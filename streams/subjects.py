"""Subject names of the contract (section 1): written and read in this module alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from domain.identifiers import Actor, CommandId, RuleId, TemplateId, is_dotted_name
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName

COMMANDS: Final = "rules.command.>"
COMMAND_PREFIX: Final = "rules.command."
QUERIES: Final = "rules.query.*.*"
EVENTS: Final = "rules.event.>"
FACTS: Final = "facts.>"
FACT_PREFIX: Final = "facts."
DECISIONS: Final = "decisions.>"
EFFECTS: Final = "effects.>"
DEAD: Final = "dead.>"
DEAD_FACT_PREFIX: Final = "dead.facts."
DEAD_COMMAND_PREFIX: Final = "dead.commands."
INVALID: Final = "_invalid"


class Address(NamedTuple):
    """Who asks for what: the two tokens that end a command's or a query's subject."""

    actor: str
    verb: str


def command(actor: str, verb: str) -> str:
    return f"{COMMAND_PREFIX}{actor}.{verb}"


def query(actor: str, verb: str) -> str:
    return f"rules.query.{actor}.{verb}"


def address(subject: str) -> Address | None:
    """Read the actor and the verb of a command's or query's subject; None for another number of tokens."""
    tokens = subject.split(".")
    return Address(tokens[2], tokens[3]) if len(tokens) == 4 else None


def reply(actor: Actor, command_id: CommandId) -> str:
    return f"rules.reply.{actor}.{command_id}"


def event(owner: RuleId | TemplateId, name: EventName | TemplateEventName) -> str:
    return f"rules.event.{owner}.{name}"


def events_of(rule_id: RuleId) -> str:
    """Return the filter for every event of one rule."""
    return f"rules.event.{rule_id}.>"


@lru_cache(maxsize=4096)
def fact_type(subject: str) -> str | None:
    """Return a fact's type, which is the rest of its subject; None when that is no fact type."""
    rest = subject.removeprefix(FACT_PREFIX)
    return rest if rest is not subject and is_dotted_name(rest) else None


def fact(type_: str) -> str:
    return FACT_PREFIX + type_


@lru_cache(maxsize=4096)
def decision(type_: str, *, matched: bool) -> str:
    return f"decisions.matched.{type_}" if matched else f"decisions.unmatched.{type_}"


def effect(name: str) -> str:
    return f"effects.{name}"


def deliver(of: str, subscriber: str) -> str:
    """Return where a subscriber's durable consumer delivers what is published on ``decisions.>`` or ``effects.>``."""
    return f"deliver.{of.removesuffix('.>')}.{subscriber}"


def dead_fact(type_: str | None) -> str:
    return DEAD_FACT_PREFIX + (type_ or INVALID)


def dead_command(subject: str) -> str:
    """Name the dead letter of a command; one whose subject could not be published on again is ``_invalid``."""
    rest = subject.removeprefix(COMMAND_PREFIX)
    return DEAD_COMMAND_PREFIX + (rest if is_dotted_name(rest) else INVALID)
