"""The whole document."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from streams import subjects
from streams.asyncapi.channels import channels
from streams.asyncapi.heads import head_schemas
from streams.asyncapi.messages import JSON, correlations, messages
from streams.asyncapi.operations import operations
from streams.asyncapi.schemas import schemas
from streams.asyncapi.servers import security_schemes, servers
from streams.asyncapi.texts import CODES, COMMAND_REASONS, FACT_REASONS
from streams.codec import DEPTH_MAX, REQUEST_BYTES_MAX
from streams.discovery import SERVICE
from streams.facts.intake import FACT_BYTES_MAX
from streams.messages.bounds import PAGE_BYTES_MAX, PAGE_SIZE_MAX

Data = dict[str, Any]

TAGS: Final = {
    "commands": "Changing rules and templates.",
    "queries": "Asking about rules, templates, rulesets, commands and decisions.",
    "events": "What happens to rules and templates.",
    "facts": "What is to be decided.",
    "decisions": "What was decided, and what rules emit.",
    "dead letters": "What could not be decided.",
    "errors": "What is refused, and why.",
}

_DESCRIPTION: Final = f"""\
A rules worker on event streams. There is no HTTP API: facts and commands are published to NATS subjects, decisions \
and events are subscribed to.

**Point of view.** This document describes you, a user of the worker: `send` is what you publish, `receive` is what \
you subscribe to.

**Payloads** are JSON in UTF-8. A command or a query is at most {REQUEST_BYTES_MAX:,} bytes and nested at most \
{DEPTH_MAX} deep; unknown fields in it are an error, and an empty payload is `{{}}`. A fact is at most \
{FACT_BYTES_MAX:,} bytes, by default, and nested at most {DEPTH_MAX} deep; the NATS server's `max_payload` bounds \
everything. Integers are written without a fraction and without an exponent. Ignore fields that you do not know in \
what you receive.

**Answers** are envelopes: `status` is `ok` and there is a `result`, or it is `error` and there is an `error` with a \
`code`, a `message` and `details`. Pages have at most {PAGE_SIZE_MAX} items and end early at {PAGE_BYTES_MAX:,} \
bytes.

**Delivery.** What JetStream has acknowledged is not lost. A fact is decided exactly once, by its id; a command once, \
by its actor and id. What workers publish is published at least once: act once for each `decisionId`, effect id and \
`eventId`. Stream names, limits and ages are the defaults; an operator may choose others.

**Discovery.** Workers answer NATS's own `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` as the service `{SERVICE}`, so that \
`nats micro ls` lists them; those messages are NATS's, and not described here.

**Extensions.** `x-pattern` is the pattern of a parameter's whole text; it may span several tokens of a subject. \
`x-parameters` are the parameters' values that a message goes with. `x-stream` is the channel's JetStream stream. \
`x-error-codes` and `x-dead-letter-reasons` are what codes and reasons mean."""


def document() -> Data:
    """Return the AsyncAPI 3.0 document as plain data: the same whenever it is made of the same code."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:rulestream",
        "info": {
            "title": "rulestream",
            "version": version("rulestream"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        },
        "defaultContentType": JSON,
        "servers": servers(),
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": messages(),
            "schemas": {**head_schemas(), **schemas()},
            "securitySchemes": security_schemes(),
            "correlationIds": correlations(),
        },
        "x-error-codes": {code.value: meaning for code, meaning in CODES.items()},
        "x-dead-letter-reasons": {
            subjects.DEAD_FACT_PREFIX.rstrip("."): {one.value: meaning for one, meaning in FACT_REASONS.items()},
            subjects.DEAD_COMMAND_PREFIX.rstrip("."): {one.value: meaning for one, meaning in COMMAND_REASONS.items()},
        },
    }
