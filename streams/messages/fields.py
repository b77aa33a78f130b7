"""What the fields of messages may hold, as JSON Schema says it: for the API document, beside the types on the wire.

The checks themselves are the domain's and the use cases', which answer with the contract's errors; the bounds and
patterns here are theirs, and tests hold each field's schema to what a worker accepts. What JSON Schema cannot say is in
the descriptions. Patterns are in what the regular expressions of Python and of ECMA-262 have in common.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from domain.errors import ErrorCode
from domain.identifiers import (
    ACTOR_PATTERN,
    COMMAND_ID_PATTERN,
    DECISION_ID_PATTERN,
    DOTTED_NAME_BYTES_MAX,
    DOTTED_NAME_PATTERN,
    FACT_ID_BYTES_MAX,
    UUID_PATTERN,
)
from domain.language import PARAMETER_TYPES
from domain.language.limits import PARAMETER_NAME_LENGTH_MAX, SOURCE_CODE_POINTS_MAX
from domain.rules.content import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NAME_LENGTH_MIN,
    TAG_LENGTH_MAX,
    TAGS_MAX,
    Priority,
)
from domain.rules.status import RuleStatus
from domain.templates.parameters import NAME_PATTERN_LENGTH_MAX, PARAMETERS_MAX
from streams.messages.bounds import (
    DECISIONS_OFFSET_MAX,
    PAGE_OFFSET_MAX,
    PAGE_SIZE_MAX,
    REASON_LENGTH_MAX,
    ROWS_MAX,
    SIMULATED_FACTS_MAX,
    SIMULATED_RULES_MAX,
    VERSION_MAX,
)

TEMPLATE_STATUS: Final = "TEMPLATE"
SCHEMAS: Final = "#/components/schemas/"

# Of a decision stored before that is decided again: no command and no query is answered with these.
UNANSWERED_CODES: Final = frozenset({ErrorCode.FACT_EXPIRED, ErrorCode.RULESET_LOST, ErrorCode.RECORD_BROKEN})

_INVISIBLE: Final = r"[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"
_NO_NUL: Final = {"not": {"pattern": r"\u0000"}}
_SECONDS: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
_OFFSET: Final = "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_DOTTED_FILTER: Final = r"(?:(?:[A-Za-z0-9_-]+|\*)\.){0,15}(?:[A-Za-z0-9_-]+|\*|>)"


def whole(pattern: str) -> str:
    """Make a pattern one of a whole text."""
    return f"^(?:{pattern})$"


def time_pattern(digits_max: int) -> str:
    """Return the pattern of an RFC 3339 time with an offset and at most so many digits of a second's fraction."""
    return whole(rf"{_SECONDS}(?:\.[0-9]{{1,{digits_max}}})?{_OFFSET}")


def reference(name: str) -> dict[str, str]:
    """Refer to a schema of the document."""
    return {"$ref": SCHEMAS + name}


def given(*names: str) -> dict[str, Any]:
    """Say that fields are there, and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


def absent(*names: str) -> dict[str, Any]:
    """Say that fields are not there, or null."""
    return {"properties": {name: {"type": "null"} for name in names}}


def _text(description: str, **keywords: Any) -> Meta:
    return Meta(description=description, extra_json_schema=keywords)


_NAME: Final = {
    "minLength": NAME_LENGTH_MIN,
    "maxLength": NAME_LENGTH_MAX,
    "not": {"pattern": rf"^\s|\s$|{_INVISIBLE}"},
}
_PRINTABLE: Final = (
    "without control, format and other invisible characters (Unicode's Cc, Cf, Cs, Zl, Zp), nor white space at its ends"
)
_UUIDS: Final = "a UUID in any of its spellings"

# --- what senders write -----------------------------------------------------------------------------------------------

RuleIdText = Annotated[str, _text(f"The rule's id, {_UUIDS}.", pattern=whole(UUID_PATTERN))]
TemplateIdText = Annotated[str, _text(f"The template's id, {_UUIDS}.", pattern=whole(UUID_PATTERN))]
CommandIdText = Annotated[
    str, _text("The command's id, its `Nats-Msg-Id`: unguessable, such as a UUID.", pattern=whole(COMMAND_ID_PATTERN))
]
DecisionIdText = Annotated[
    str, _text("The decision's id: the fact's key, 32 hexadecimal digits.", pattern=whole(DECISION_ID_PATTERN))
]
ExpectedVersion = Annotated[
    int,
    _text("The latest version, as the sender knows it; `CONFLICT` where it is another one.", minimum=1),
]
RuleName = Annotated[str, _text(f"A name, unique among rules that are not deleted, {_PRINTABLE}.", **_NAME)]
TemplateName = Annotated[str, _text(f"A name, unique among templates that are not deleted, {_PRINTABLE}.", **_NAME)]
NamePattern = Annotated[
    str,
    _text(
        "The names of the rules, each as a rule's name is; `${parameter}` stands for the value's text.",
        minLength=1,
        maxLength=NAME_PATTERN_LENGTH_MAX,
    ),
]
Description = Annotated[
    str, _text("What people should know; text without NUL.", maxLength=DESCRIPTION_LENGTH_MAX, **_NO_NUL)
]
DslContent = Annotated[
    str,
    _text(
        "The rule in the rule language, without errors in it.",
        maxLength=SOURCE_CODE_POINTS_MAX,
        pattern=r"\S",
        **_NO_NUL,
    ),
]
DslTemplate = Annotated[
    str,
    _text(
        "A rule in the rule language, with `${parameter}` where values stand.",
        maxLength=SOURCE_CODE_POINTS_MAX,
        pattern=r"\S",
        **_NO_NUL,
    ),
]
AnyName = Annotated[
    str, Meta(description="The name that it has: of a rule, also the one that its deciding version has.")
]
NamePart = Annotated[str, Meta(description="A part of the name, in any case.")]
AnyTag = Annotated[str, Meta(description="A tag of the rule.")]
Creator = Annotated[str, Meta(description="The actor who made it.")]
AnyFactId = Annotated[str, Meta(description="The id of the fact.")]
DslText = Annotated[str, Meta(description="Text in the rule language, with or without errors.")]
PriorityText = Annotated[
    str, _text("The rule's class of importance: a higher one goes first.", enum=[one.value for one in Priority])
]
_Tag = Annotated[
    str,
    _text(
        "A tag, without control, format and other invisible characters.",
        minLength=1,
        maxLength=TAG_LENGTH_MAX,
        **{"not": {"pattern": _INVISIBLE}},
    ),
]
Tags = Annotated[
    list[_Tag],
    _text(
        f"At most {TAGS_MAX} different tags; a repeated one counts once.",
        anyOf=[{"maxItems": TAGS_MAX}, {"not": {"uniqueItems": True}}],
    ),
]
Moment = Annotated[
    str,
    _text(
        "An RFC 3339 time with an offset, to the microsecond. A rule decides where "
        "`effectiveFrom <= fact time < effectiveUntil`.",
        format="date-time",
        pattern=time_pattern(6),
    ),
]
Timestamp = Annotated[
    str, _text("An RFC 3339 time with an offset, to the nanosecond.", format="date-time", pattern=time_pattern(9))
]
Comment = Annotated[str, _text("What the approver has to say.", maxLength=REASON_LENGTH_MAX, **_NO_NUL)]
Reason = Annotated[str, _text("Why it is sent back.", maxLength=REASON_LENGTH_MAX, pattern=r"\S", **_NO_NUL)]
EarlierVersion = Annotated[
    int, _text("The version whose content decides again: an earlier one, that was approved.", minimum=1)
]
NumberedVersion = Annotated[int, _text("A version of the rule.", minimum=1, maximum=VERSION_MAX)]

ParameterName = Annotated[
    str,
    _text(
        "An identifier, once in a template.",
        maxLength=PARAMETER_NAME_LENGTH_MAX,
        pattern=whole("[A-Za-z_][A-Za-z0-9_]*"),
    ),
]
ParameterType = Annotated[str, _text("The type of its values.", enum=list(PARAMETER_TYPES))]
ParameterDefault = Annotated[Any, Meta(description="A value of the type; `null` is none.")]
PARAMETERS: Final = _text(f"At most {PARAMETERS_MAX} declared parameters.", maxItems=PARAMETERS_MAX)
Row = Annotated[
    dict[str, Any],
    Meta(description="A value for each parameter without a default, by its name: at most 64 KiB of JSON."),
]
Rows = Annotated[list[Row], _text("The values of one rule each.", minItems=1, maxItems=ROWS_MAX)]

PageSize = Annotated[int, _text("How many items at most.", minimum=1, maximum=PAGE_SIZE_MAX)]
PageOffset = Annotated[int, _text("How many items to pass by: `nextOffset`.", minimum=0, maximum=PAGE_OFFSET_MAX)]
DecisionsOffset = Annotated[
    int, _text("How many decisions to pass by: `nextOffset`.", minimum=0, maximum=DECISIONS_OFFSET_MAX)
]
FactTypeText = Annotated[
    str,
    _text(
        "A fact type: 1 to 16 tokens, joined by dots.",
        maxLength=DOTTED_NAME_BYTES_MAX,
        pattern=whole(DOTTED_NAME_PATTERN),
    ),
]
FactTypeFilter = Annotated[
    str,
    _text(
        "A fact type; `*` stands for a token, `>` for those that are left.",
        maxLength=DOTTED_NAME_BYTES_MAX,
        pattern=whole(_DOTTED_FILTER),
    ),
]
FactIdText = Annotated[
    str,
    _text(
        f"A fact's id: 1 to {FACT_ID_BYTES_MAX} bytes of UTF-8 without control characters.",
        minLength=1,
        maxLength=FACT_ID_BYTES_MAX,
        **{"not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"}},
    ),
]
FACTS: Final = _text(
    f"At most {SIMULATED_FACTS_MAX} facts, 512 KiB together: each bare, or in an envelope of no other keys than `id`, "
    "`type`, `time` and `data`.",
    maxItems=SIMULATED_FACTS_MAX,
)
RuleIds = Annotated[
    list[RuleIdText],
    _text("The rules under trial.", minItems=1, maxItems=SIMULATED_RULES_MAX, uniqueItems=True),
]

# --- what a worker writes ---------------------------------------------------------------------------------------------

Uuid = Annotated[
    str,
    _text(
        "A UUID in lower case.",
        format="uuid",
        pattern=whole("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ),
]
Key = Annotated[str, _text("A decision's id: 32 hexadecimal digits.", pattern=whole("[0-9a-f]{32}"))]
EffectId = Annotated[
    str,
    _text(
        "The decision's id and the effect's number in it: act once for each.",
        pattern=whole("[0-9a-f]{32}-[1-9][0-9]*"),
    ),
]
Digest = Annotated[str, _text("A SHA-256 in hexadecimal.", pattern=whole("[0-9a-f]{64}"))]
ActorName = Annotated[str, _text("An actor.", pattern=whole(ACTOR_PATTERN))]
StatusText = Annotated[str, _text("The status of the rule's latest version.", enum=[one.value for one in RuleStatus])]
EventStatus = Annotated[
    str,
    _text(
        "The rule's status after it; `TEMPLATE` of a template, which has none.",
        enum=[*(one.value for one in RuleStatus), TEMPLATE_STATUS],
    ),
]
Utc = Annotated[
    str,
    _text(
        "A time in UTC, RFC 3339.",
        format="date-time",
        pattern=whole(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z"),
    ),
]
Version = Annotated[int, _text("A version's number, counted from 1.", minimum=1)]
Revision = Annotated[int, _text("The ruleset's revision: it rises by one with each change of what decides.", minimum=0)]
Count = Annotated[int, _text("How many.", minimum=0)]
EffectName = Annotated[
    str,
    _text(
        "The effect's name: 1 to 16 tokens, joined by dots.",
        maxLength=DOTTED_NAME_BYTES_MAX,
        pattern=whole(DOTTED_NAME_PATTERN),
    ),
]
Declarations = Annotated[list[dict[str, Any]], _text("The declared parameters.", items=reference("ParameterBody"))]
PartStatus = Annotated[
    str, _text("What it came to.", enum=["true", "false", "value", "missing", "error", "not evaluated"])
]
ExplanationStatus = Annotated[
    str,
    _text(
        "How the rule stood to the fact.",
        enum=["then", "else", "not applied", "fault", "stopped", "not effective", "not concerned"],
    ),
]
Number = Annotated[int, _text("A version's number; 0 of a text that is no rule yet.", minimum=0)]
DECISION: Final = Meta(extra_json_schema=reference("SimulatedDecision"))
TRACE: Final = _text("How rules stood to the fact.", items=reference("ExplanationBody"))
FaultRuleId = Annotated[
    str,
    _text(
        "The rule's id; empty where a query gave the rule as text.",
        pattern=whole("(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?"),
    ),
]
TemplateOrRuleId = Annotated[
    str,
    _text(
        "The id of the rule, or of the template, that it happened to: a UUID in lower case.",
        format="uuid",
        pattern=whole("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ),
]
Sequence = Annotated[int, _text("The fact's sequence in its stream, of its first delivery.", minimum=1)]
Place = Annotated[int, _text("Where it is in the rule's text, counted from 1.", minimum=0)]
Outcome = Annotated[
    str,
    _text(
        "`matched` where some rule took its `then` (bare conditions and tables count).", enum=["matched", "unmatched"]
    ),
]
Branch = Annotated[str, _text("The branch that the rule took.", enum=["then", "else"])]
TableRows = Annotated[list[int], _text("The rows of a table that matched, counted from 1.", items={"type": "integer"})]
Output = Annotated[
    dict[str, Any],
    Meta(description="What rules wrote: of `set` the first writer of a path wins, `add` sums, `append` collects."),
]
Matches = Annotated[
    list[Any],
    _text("Rules that took a branch, by priority, highest first, then by name.", items=reference("MatchBody")),
]
FAULTS: Final = Meta(description="Rules that failed, by priority, then by name: the first 100. The others decided.")
FaultCode = Annotated[str, Meta(description="What kind of fault it is.")]
CodeText = Annotated[
    str,
    _text(
        "What kind of error it is.",
        enum=[code.value for code in ErrorCode if code not in UNANSWERED_CODES],
    ),
]
ErrorDetails = Annotated[
    dict[str, Any],
    _text(
        "Data of the error, by its kind: `field` names what is wrong, `problems` tell each mistake with its place, "
        "`currentVersion` and `expectedVersion` differ, `neededRoles` would do. There may be more.",
        properties={"problems": {"type": "array", "items": reference("ProblemBody")}},
        additionalProperties=True,
    ),
]
