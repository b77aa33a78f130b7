"""Every row of the contract's tables of commands, queries and events has scenarios: which ones, by name.

A verb, code, query or event that is added without a scenario fails here; so does a scenario that was renamed, or does
not speak of its row.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.errors import ErrorCode
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams.messages import commands, queries

SCENARIO = re.compile(r"^  Scenario(?: Outline)?: (?P<name>.+)$", re.MULTILINE)

# Section 2: what each verb does; what keeps it from that is in the codes and the laws.
VERBS = {
    "create": ("A new rule is a draft, and everybody hears of it", "Text in any script is taken as it is"),
    "update": ("An update begins a new draft", "A deciding version goes on beside a newer draft"),
    "submit": ("A draft is submitted for approval", "Each verb starts from its statuses only"),
    "approve": ("Somebody else approves", "An approval is for the version that was read"),
    "reject": ("A rejection sends the rule back, with a reason", "A rejection without a reason is none"),
    "activate": ("An activated rule decides", "A newer version takes over when it is activated"),
    "deactivate": ("The emergency stop", "The emergency stop beside a newer draft leaves the draft alone"),
    "deprecate": ("A retired rule decides no more, and nothing brings it back",),
    "rollback": (
        "An approved version decides again at once, as a new version",
        "A version that nobody approved does not come back",
    ),
    "delete": ("A draft is deleted, and its name is free", "A rule that decided is kept"),
    "create-template": ("A new template is told to everybody", "Two templates cannot have one name"),
    "update-template": ("An update is a version, and tells the rules that lag behind it",),
    "delete-template": ("A deleted template's rules stay, and its name is free",),
    "instantiate-template": (
        "One row becomes a draft",
        "Many rows become as many drafts",
        "All rows become rules or none, and every row's mistakes are shown",
    ),
}
WORDS = {
    "deactivate": "deactivat",
    "rollback": "roll",
    **{verb: "template" for verb in VERBS if verb.endswith("-template")},
}

# Codes of deciding a stored decision again, which is no command and no query.
OF_NO_ANSWER = {ErrorCode.FACT_EXPIRED, ErrorCode.RULESET_LOST, ErrorCode.RECORD_BROKEN}

# Section 2: when each code is the answer.
CODES = {
    ErrorCode.INVALID_REQUEST: (
        "A payload that is no request",
        "A payload that is no request, whatever the verb",
        "A field that a verb does not know",
        "A value that is too long",
        "A question that is none",
    ),
    ErrorCode.MISSING_PARAMETER: ("A required field is absent", "A rule is found by its id and by its name"),
    ErrorCode.VALIDATION_ERROR: (
        "A field of the wrong type",
        "A value that a field cannot have",
        "Nothing where something must be",
        "Text that is none",
        "A mistake in the DSL is shown where it is",
        "Every mistake of a rule's fields is shown at once",
        "A period must have a length",
    ),
    ErrorCode.NOT_FOUND: (
        "A rule that is not there",
        "There is no going back to that",
        "A verb that is not there",
        "A field that is wrong",
        "A decision is found by its id and by its fact",
    ),
    ErrorCode.BUSINESS_ERROR: (
        "Each verb starts from its statuses only",
        "Two rules cannot have one name",
        "The author cannot approve",
        "Whoever changed the rule last cannot approve it either",
        "Rules that wait for each other cannot both decide",
        "Rules that write one path in two ways cannot both decide",
        "A rule's steps in the wrong order are refused, and the right order then works",
    ),
    ErrorCode.CONFLICT: (
        "An update names the version that it was written against",
        "A version that is not the current one",
        "An id cannot be used for another command",
        "Of many who change one version at once, one does",
    ),
    ErrorCode.FORBIDDEN: ("A verb of another role is refused and changes nothing",),
    ErrorCode.UNAVAILABLE: ("A command waits while Postgres is away",),
    ErrorCode.INTERNAL_ERROR: ("A defect of ours is told as one, and no more of it",),
}

# Section 2: the messages that users match on.
MESSAGES = {
    "rule name cannot be empty": ("Nothing where something must be",),
    "rule name cannot exceed 100 characters": ("A name has at most 100 characters", "A value that is too long"),
    "DSL content cannot be empty": ("A rule needs DSL", "Nothing where something must be"),
    "rule name already exists": (
        "Two rules cannot have one name",
        "The name of a deciding version stays taken although a newer draft has another",
        "Of many who create one name at once, one does",
    ),
}

# Sections 2 and 3: what holds of all commands and queries; each with a word that its scenarios have.
LAWS = {
    "decided once, and answered alike for ever": (
        "again",
        (
            "The same command again, later, gets the same answer",
            "The keys of a repeated payload may come in another order",
            "A refusal is an answer for ever too",
            "A command that came too early stays refused",
            "A repeat of what was undone since changes nothing",
        ),
    ),
    "a repeat within the duplicate window is read by a query": (
        "duplicate",
        ("Inside the duplicate window the first answer is read by a query",),
    ),
    "an id is one actor's": ("same id", ("Another actor may use the same id",)),
    "durable once acknowledged": ("no worker runs", ("Commands wait while no worker runs",)),
    "an answer comes though the worker died": ("dies", ("A worker dies between its decision and its answer",)),
    "a command waits while a service is away": ("waits", ("A command waits while Postgres is away",)),
    "without an id, forged or without an actor: a dead letter": (
        "dead letter",
        ("A command that nobody can be answered for is a dead letter", "An actor token of other characters is nobody"),
    ),
    "an actor token has 64 characters": ("Ann_9", ("An actor token may have 64 characters of each kind",)),
    "a rule decides by the fact's time, within its dates": (
        "decides from",
        (
            "A rule decides from its first moment on and until before its last",
            "Dates of a draft change nothing until it is activated",
        ),
    ),
    "an answer goes to an inbox of its actor alone": ("inbox", ("A question that is none",)),
    "a page ends early at 512 KiB": ("512 KiB", ("A page ends early at 512 KiB, and says where the next one begins",)),
}

# Section 3.
QUERIES = {
    "get": ("A rule is found by its id and by its name",),
    "list": ("Rules are listed by every criterion, in any order",),
    "versions": ("Every version of a rule is kept",),
    "history": ("A rule's whole life is told, each change once and in order", "The history of a deleted rule stays"),
    "template": ("A new template is told to everybody",),
    "templates": ("A new template is told to everybody",),
    "ruleset": ("The ruleset is told in pages",),
    "validate": ("A text is checked without being stored",),
    "command": ("What an actor was answered is told to that actor alone",),
    "decision": ("A decision is found by its id and by its fact",),
    "decisions": ("Matched decisions are found", "Decisions that matched nothing are told apart"),
    "explain": ("A customer asks why there was no discount", "A question that is none"),
    "simulate": ("A reviewer tries a draft beside the active rules", "An author tries a text that is no rule yet"),
}
QUERY_WORDS = {"explain": "expla", "list": "list", "simulate": "tr"}

# Section 6.
EVENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (name for name in EventName if name is not EventName.DELETED),
        ("A rule's whole life is told, each change once and in order",),
    ),
    EventName.DELETED: ("The history of a deleted rule stays",),
    TemplateEventName.CREATED: ("A new template is told to everybody",),
    TemplateEventName.UPDATED: ("An update is a version, and tells the rules that lag behind it",),
    TemplateEventName.DELETED: ("A deleted template's rules stay, and its name is free",),
}


@pytest.fixture(scope="module")
def scenarios() -> dict[str, str]:
    """Give the text of every scenario by its name, under its feature's background."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.rglob("*.feature")):
        head, *parts = SCENARIO.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            found[name] = f"{found.get(name, '')}{head}{name}{text}"
    return found


def test_every_verb_query_code_and_event_has_a_row() -> None:
    assert set(VERBS) == set(commands.PAYLOADS)
    assert set(QUERIES) == set(queries.PAYLOADS)
    assert set(CODES) == set(ErrorCode) - OF_NO_ANSWER
    assert set(EVENTS) == set(EventName) | set(TemplateEventName)


ROWS = [
    *((f"verb {verb}", WORDS.get(verb, verb[:6]), names) for verb, names in VERBS.items()),
    *((f"code {code}", str(code), names) for code, names in CODES.items()),
    *((f"message {message}", message, names) for message, names in MESSAGES.items()),
    *((f"law {law}", word, names) for law, (word, names) in LAWS.items()),
    *((f"query {verb}", QUERY_WORDS.get(verb, verb), names) for verb, names in QUERIES.items()),
    *((f"event {name}", str(name), names) for name, names in EVENTS.items()),
]


@pytest.mark.parametrize(("word", "names"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_row_of_the_contract_is_told_by_its_scenarios(
    word: str, names: tuple[str, ...], scenarios: dict[str, str]
) -> None:
    assert names
    for name in names:
        assert name in scenarios, f"there is no scenario {name!r}"
        assert word.lower() in scenarios[name].lower(), f"{name!r} does not speak of {word!r}"
