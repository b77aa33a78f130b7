"""What the document says in words of verbs, events, error codes and reasons of dead letters; tests hold it complete."""

from __future__ import annotations

from typing import Final

from domain.errors import ErrorCode
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams.facts.intake import DeadReason

# By verb: what it does, and the event that tells of it.
COMMANDS: Final[dict[str, tuple[str, EventName | TemplateEventName]]] = {
    "create": ("Make a new rule: DRAFT, version 1.", EventName.CREATED),
    "update": (
        (
            "Begin a new version in DRAFT with the fields that are given. A version that decides goes on until a newer "
            "one is activated."
        ),
        EventName.UPDATED,
    ),
    "submit": ("Ask for approval: DRAFT to UNDER_REVIEW.", EventName.SUBMITTED),
    "approve": (
        "Approve exactly the expected version: UNDER_REVIEW to APPROVED. Whoever wrote or last changed it cannot.",
        EventName.APPROVED,
    ),
    "reject": ("Send a version back to its author: UNDER_REVIEW to DRAFT.", EventName.REJECTED),
    "activate": (
        "Let the latest version, APPROVED or INACTIVE, decide: ACTIVE. The ruleset's revision rises by one.",
        EventName.ACTIVATED,
    ),
    "deactivate": (
        (
            "The emergency stop: a rule with an active version stops deciding at once, whatever its status. The "
            "ruleset's revision rises by one."
        ),
        EventName.DEACTIVATED,
    ),
    "deprecate": ("Retire a rule that was ever submitted, for good: DEPRECATED.", EventName.DEPRECATED),
    "rollback": (
        (
            "Let the content of an earlier version, that was approved, decide again at once, as a new version. The "
            "ruleset's revision rises by one."
        ),
        EventName.ROLLED_BACK,
    ),
    "delete": ("Remove a DRAFT that never was active.", EventName.DELETED),
    "create-template": ("Make a new template, version 1.", TemplateEventName.CREATED),
    "update-template": ("Begin a new version of a template.", TemplateEventName.UPDATED),
    "delete-template": ("Remove a template; rules that were made of it stay.", TemplateEventName.DELETED),
    "instantiate-template": ("Make a rule in DRAFT of each row of values, all or none.", EventName.CREATED),
}

QUERIES: Final[dict[str, str]] = {
    "get": "A rule in its latest version, by id or by name.",
    "list": "Rules by criteria, a page at a time, without their DSL.",
    "versions": "Every version of a rule, the newest first.",
    "history": "Everything that happened to a rule or to a template, also to a deleted one, the oldest first.",
    "template": "A template, whole, with the number of rules that lag behind it.",
    "templates": "Templates by criteria, without their DSL.",
    "ruleset": "The rules that decide now, with the ruleset's revision and digest.",
    "validate": "What is wrong with a text in the rule language; nothing is stored.",
    "command": "What a command of this very actor was answered; `NOT_FOUND` while it is not decided.",
    "decision": "A decision as it was published, by its id or by its fact's.",
    "decisions": "Decisions by criteria, the newest first.",
    "explain": "Why rules applied to a fact, or did not: every part of a condition with the value that it saw.",
    "simulate": "What rules would decide of given facts; nothing is stored or published.",
}

EVENTS: Final[dict[EventName | TemplateEventName, str]] = {
    EventName.CREATED: "A new rule, in DRAFT.",
    EventName.UPDATED: "A new version, in DRAFT.",
    EventName.SUBMITTED: "A version is to be approved.",
    EventName.APPROVED: "A version was approved.",
    EventName.REJECTED: "A version was sent back to DRAFT.",
    EventName.ACTIVATED: "A version decides; `revision` is the ruleset's from then on.",
    EventName.DEACTIVATED: "A rule decides no more; `revision` is the ruleset's from then on.",
    EventName.DEPRECATED: "A rule is retired for good; `revision` is there where it was deciding.",
    EventName.ROLLED_BACK: "An earlier version's content decides again; `revision` is the ruleset's from then on.",
    EventName.DELETED: "A draft is gone.",
    TemplateEventName.CREATED: "A new template.",
    TemplateEventName.UPDATED: "A new version of a template.",
    TemplateEventName.DELETED: "A template is gone.",
}

CODES: Final[dict[ErrorCode, str]] = {
    ErrorCode.INVALID_REQUEST: "The payload is no JSON object, is too large or too deep, or has an unknown field.",
    ErrorCode.MISSING_PARAMETER: "A required field is absent.",
    ErrorCode.VALIDATION_ERROR: "A field or the DSL is not valid; `details.problems` tell each mistake.",
    ErrorCode.NOT_FOUND: "No such rule, template, version, decision or verb.",
    ErrorCode.BUSINESS_ERROR: "The rule's state, a taken name, four eyes, or a conflict with active rules forbids it.",
    ErrorCode.CONFLICT: "`expectedVersion` is not the current one, or the command id was used for something else.",
    ErrorCode.FORBIDDEN: "The actor lacks the role; `details.neededRoles` would do.",
    ErrorCode.UNAVAILABLE: "A backing service is away: ask again later. Queries only; a command waits.",
    ErrorCode.INTERNAL_ERROR: "A defect of the worker's; its log has the details.",
}

FACT_REASONS: Final[dict[DeadReason, str]] = {
    DeadReason.INVALID_SUBJECT: "The subject is `facts.` and no fact type.",
    DeadReason.INVALID_FACT_ID: "The id is empty, too long, no UTF-8, or has control characters.",
    DeadReason.INVALID_TIME: "`ce-time` is no RFC 3339 time with an offset.",
    DeadReason.INVALID_ORIGIN: "`Rulestream-Origin` names no message that was stored before: only a redrive sends it.",
    DeadReason.INVALID_CLOUD_EVENT: "A CloudEvent without an id or a source, or with one that is no string.",
    DeadReason.STORE_REFUSED: "Postgres cannot hold something in the decision.",
    DeadReason.NOT_JSON: "The payload is not JSON.",
    DeadReason.NOT_AN_OBJECT: "The payload, or the CloudEvent's `data`, is no JSON object.",
    DeadReason.NUMBER_OUT_OF_RANGE: "A number lies outside a double's range.",
    DeadReason.FACT_TOO_LARGE: "The payload is larger than facts may be.",
    DeadReason.FACT_TOO_DEEP: "The payload is nested deeper than facts may be.",
    DeadReason.DECISION_TOO_LARGE: "The decision, or an effect of it, does not fit a message.",
    DeadReason.KILLED_WORKER: "Workers died while they decided it alone.",
}

COMMAND_REASONS: Final[dict[DeadReason, str]] = {
    DeadReason.COMMAND_WITHOUT_ID: "`Nats-Msg-Id` is absent, or no command id.",
    DeadReason.COMMAND_FORGED: "It has a header of the server's republishing, direct gets or schedules.",
    DeadReason.INVALID_ACTOR: "The subject does not name an actor and a verb.",
}
