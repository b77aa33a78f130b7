"""The steps of random sequences, as data that hypothesis draws and shrinks; each becomes a command in its turn."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from hypothesis import strategies as st

from tests.governance import vocabulary
from tests.governance.model import REQUIRED, Command, Model, ModelRule, may

STEPS_MIN, STEPS_MAX = 12, 30
ONE_DISRUPTED_IN = 14  # sequences; starting a worker takes as long as many commands
SENSIBLE_VALUES = 40  # to one that is not

Fault = Literal[
    "unknown field",
    "missing field",
    "wrong type",
    "not JSON",
    "no object",
    "unknown rule",
    "no rule id",
    "unknown verb",
]
TEMPLATE_VERBS = ("create-template", "update-template", "delete-template", "instantiate-template")
SENSIBLE = {
    "DRAFT": ("submit",),
    "UNDER_REVIEW": ("approve", "approve", "reject"),
    "APPROVED": ("activate",),
    "ACTIVE": ("update", "deactivate", "rollback"),
    "INACTIVE": ("activate", "update", "rollback"),
    "DEPRECATED": ("create",),
}
WRONG: dict[str, tuple[Any, ...]] = {
    "name": (7, None),
    "dslContent": (None, ["then set a = 1"]),
    "priority": (1, None),
    "description": (1,),
    "tags": ("gold", [1], {}),
    "effectiveFrom": (0,),
    "effectiveUntil": (True,),
    "ruleId": (None, 7),
    "expectedVersion": ("1", 1.5, True),
    "toVersion": ("1", None, False),
    "reason": (None, 3),
    "comment": (3,),
    "templateId": (None, 7),
    "dslTemplate": (1, None),
    "parameters": ("none", 7),
    "rows": ({}, [1]),
}


@dataclass(frozen=True, slots=True)
class Do:
    """One actor sends one command; ``rule`` counts through the rules that there are, ``version`` from the current."""

    actor: int = 0
    verb: str = "go on"
    rule: int = 0
    version: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    choice: int = 0
    fault: Fault | None = None

    def command(self, model: Model, token: str) -> Command:
        """Make a command of it, as things stand in the model."""
        rules = list(model.rules.values())
        rule = rules[self.rule % len(rules)] if rules else None
        actor, verb = vocabulary.ACTORS[self.actor], self.verb
        if verb == "go on":
            verb = self._sensible_verb(rule)
            actor = self._sensible_actor(verb, rule)
        payload = self._template_payload(verb, model, token) if verb in TEMPLATE_VERBS else None
        payload = self._payload(verb, rule, token) if payload is None else payload
        body: dict[str, Any] | bytes = payload
        command_id = str(uuid.uuid4())
        match self.fault:
            case "unknown field":
                payload["colour"] = "gold"
            case "missing field":
                required = REQUIRED.get(verb, ("ruleId",))
                payload.pop(required[self.choice % len(required)], None)
            case "wrong type":
                name = sorted(payload)[self.choice % len(payload)]
                payload[name] = WRONG[name][self.choice % len(WRONG[name])]
            case "unknown rule" | "no rule id":
                for name in ("ruleId", "templateId"):
                    if name in payload:
                        odd = (str(uuid.uuid4()), "", "gold", f"{payload[name]}0")
                        payload[name] = odd[0 if self.fault == "unknown rule" else 1 + self.choice % 3]
            case "unknown verb":
                verb = ("promote", "Create", "create2")[self.choice % 3]
            case "not JSON":
                body = (b"{", b"\xff\xfe", b"{} {}", b"nul")[self.choice % 4]
            case "no object":
                body = (b"[]", b'"create"', b"null", b"1")[self.choice % 4]
        return Command(actor, verb, body, command_id)

    def _sensible_verb(self, rule: ModelRule | None) -> str:
        """Give a verb that takes a rule on its way, or begins another."""
        if rule is None or rule.is_deleted:
            return "create"
        verbs = SENSIBLE[rule.status]
        return verbs[self.choice % len(verbs)]

    def _sensible_actor(self, verb: str, rule: ModelRule | None) -> str:
        """Give the drawn actor, or the next one who may send a verb."""
        actors = (*vocabulary.ACTORS[self.actor :], *vocabulary.ACTORS)
        return next(
            actor
            for actor in actors
            if may(actor, verb) and not (verb == "approve" and rule is not None and actor == rule.latest.author)
        )

    def _payload(self, verb: str, rule: ModelRule | None, token: str) -> dict[str, Any]:
        content = {
            name: value.replace(vocabulary.TOKEN, token) if isinstance(value, str) else value
            for name, value in self.fields.items()
            if name in CONTENT_VALUES
        }
        if verb == "create":
            defaults = {"name": vocabulary.GOOD_NAMES[0].replace(vocabulary.TOKEN, token)}
            return {**defaults, "dslContent": vocabulary.TEXTS[0].source, "priority": "MEDIUM", **content}
        payload: dict[str, Any] = {"ruleId": str(uuid.uuid4()) if rule is None else rule.rule_id}
        version = 1 if rule is None else rule.latest.number
        match verb:
            case "update":
                payload |= {"expectedVersion": version + self.version, **content}
            case "approve":
                payload |= {"expectedVersion": version + self.version}
                payload |= {name: self.fields[name] for name in ("comment",) if name in self.fields}
            case "submit" if self.choice % 2:
                payload["expectedVersion"] = version + self.version
            case "reject":
                payload["reason"] = self.fields.get("reason", vocabulary.REASONS[0])
            case "rollback":
                payload["toVersion"] = self._to_version(rule)
        return payload

    def _template_payload(self, verb: str, model: Model, token: str) -> dict[str, Any]:
        known = list(model.templates.values())
        template = known[self.rule % len(known)] if known else None
        text, parameters = self.fields.get("template", vocabulary.TEMPLATES[1])
        content = {"dslTemplate": text, "parameters": parameters} if "template" in self.fields else {}
        if "name" in self.fields:
            content["name"] = self.fields["name"].replace(vocabulary.TOKEN, token)
        if "description" in self.fields:
            content["description"] = self.fields["description"]
        if verb == "create-template":
            name = vocabulary.GOOD_NAMES[0].replace(vocabulary.TOKEN, token)
            return {"name": name, "dslTemplate": text, "parameters": parameters, **content}
        named: dict[str, Any] = {"templateId": str(uuid.uuid4()) if template is None else template.template_id}
        if verb == "instantiate-template":
            rows = self.fields.get("rows", [{"tier": vocabulary.TIERS[0]}])
            made = self.fields.get("made", vocabulary.MADE_NAMES[0]).replace(vocabulary.TOKEN, token)
            given = {"parameters": rows[0]} if len(rows) == 1 and self.choice % 2 else {"rows": rows}
            return {**named, "name": made, "priority": self.fields.get("priority", "LOW"), **given}
        if self.choice % 2:
            named["expectedVersion"] = (1 if template is None else template.version) + self.version
        return {**named, **(content if verb == "update-template" else {})}

    def _to_version(self, rule: ModelRule | None) -> int:
        if rule is None or self.choice % 4 == 3:
            return (0, -1, 1, 99, 2**31)[self.choice % 5]
        return 1 + self.choice % rule.latest.number


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Together:
    """Commands at once, each of them about the first one's rule where ``on_one_rule``."""

    commands: tuple[Do, ...]
    on_one_rule: bool = True

    def drawn(self) -> tuple[Do, ...]:
        """Give the commands as they are meant."""
        if not self.on_one_rule:
            return self.commands
        first = self.commands[0].rule
        return tuple(replace(one, rule=first) for one in self.commands)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A command that was decided is published again under its id, perhaps with its keys in another order."""

    which: int
    is_reordered: bool = False


@dataclass(frozen=True, slots=True)
class Misuse:
    """The id of a command that was decided is used for another payload."""

    which: int


@dataclass(frozen=True, slots=True)
class Flush:
    """The cache loses everything."""


@dataclass(frozen=True, slots=True)
class Disruption:
    """The worker goes and another comes, with commands on their way.

    ``stopped``: it ends in an orderly way, and the commands are sent while there is none. ``killed``: by SIGKILL, once
    so many of the commands are answered. ``dying``: it dies between its first decision and the answer.
    """

    kind: Literal["stopped", "killed", "dying"]
    commands: tuple[Do, ...]
    answered: int = 0


Step = Do | Pause | Together | Repeat | Misuse | Flush | Disruption


@dataclass(frozen=True, slots=True)
class Sequence:
    """One random sequence."""

    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        lines = "".join(f"  {step!r},\n" for step in self.steps if step != Pause())
        return f"Sequence((\n{lines}))"


def _weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Draw from strategies by their weights, which ``one_of`` does not know; the first is the simplest."""
    table = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(table) - 1).flatmap(table.__getitem__)


def _known(good: Iterable[Any], bad: Iterable[Any]) -> st.SearchStrategy[Any]:
    """Draw a value of which it is known what comes of it, one in so many bad."""
    return _weighted((SENSIBLE_VALUES, st.sampled_from(list(good))), (1, st.sampled_from(list(bad))))


CONTENT_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": _known((*vocabulary.GOOD_NAMES[:2] * 3, *vocabulary.GOOD_NAMES), vocabulary.BAD_NAMES),
    "dslContent": _known(
        [text.source for text in vocabulary.TEXTS if text.is_valid],
        [text.source for text in vocabulary.TEXTS if not text.is_valid],
    ),
    "priority": _known(vocabulary.PRIORITIES, vocabulary.BAD_PRIORITIES),
    "description": _known(vocabulary.DESCRIPTIONS, vocabulary.BAD_DESCRIPTIONS),
    "tags": _known([tags for tags, _ in vocabulary.TAGS], vocabulary.BAD_TAGS),
    "effectiveFrom": _known(list(vocabulary.TIMES)[:3], vocabulary.BAD_TIMES),
    "effectiveUntil": _known(list(vocabulary.TIMES)[2:], vocabulary.BAD_TIMES),
}
_actors = st.integers(0, len(vocabulary.ACTORS) - 1)
_rules = _weighted((4, st.just(0)), (2, st.just(1)), (1, st.integers(2, 4)))  # a few rules live long lives
_versions = _weighted((6, st.just(0)), (1, st.just(-1)), (1, st.just(1)))
_choices = st.integers(0, 11)
_content = st.fixed_dictionaries({}, optional=CONTENT_VALUES)
_words = st.fixed_dictionaries(
    {},
    optional={
        "reason": _known(vocabulary.REASONS, vocabulary.BAD_REASONS),
        "comment": _known(vocabulary.COMMENTS, vocabulary.BAD_COMMENTS),
    },
)
_creations = st.builds(Do, _actors, st.just("create"), fields=_content)
_going_on = st.builds(Do, _actors, st.just("go on"), _rules, fields=_content, choice=_choices)
# What ends a rule for good is seldom, or there would be little to go on with.
_verbs = _weighted(
    (3, st.sampled_from(("update", "submit", "approve", "reject", "activate", "deactivate", "rollback"))),
    (1, st.sampled_from(("deprecate", "delete"))),
)
_any_command = st.builds(
    Do, _actors, _verbs, _rules, _versions, st.builds(lambda a, b: a | b, _content, _words), _choices
)
_faulty = st.builds(
    Do,
    _actors,
    _weighted((3, _verbs), (1, st.just("create"))),
    _rules,
    fields=_content,
    choice=_choices,
    fault=st.sampled_from(get_args(Fault)),
)
_template_content = st.fixed_dictionaries(
    {},
    optional={
        "name": CONTENT_VALUES["name"],
        "description": CONTENT_VALUES["description"],
        "template": _known(vocabulary.TEMPLATES, vocabulary.BAD_TEMPLATES),
        "rows": st.lists(_known(vocabulary.ROWS, vocabulary.BAD_ROWS), min_size=1, max_size=3),
        "made": _known(vocabulary.MADE_NAMES, vocabulary.BAD_MADE_NAMES),
        "priority": CONTENT_VALUES["priority"],
    },
)
_template_verbs = _weighted(
    (3, st.just("instantiate-template")),
    (3, st.just("create-template")),
    (3, st.just("update-template")),
    (1, st.just("delete-template")),
)
_on_templates = st.builds(
    Do, _actors, _template_verbs, st.integers(0, 1), _versions, _template_content, _choices,
    st.none() | st.sampled_from(("unknown field", "missing field", "wrong type", "unknown rule", "no rule id")),
)  # fmt: skip
_commands = _weighted((8, _going_on), (6, _any_command), (2, _creations), (3, _on_templates))
_steps = _weighted(
    (1, st.builds(Pause)),
    (1, _creations),
    (10, _going_on),
    (4, _any_command),
    (3, _on_templates),
    (4, st.builds(Together, st.lists(_commands, min_size=2, max_size=3).map(tuple), st.booleans())),
    (1, _faulty),
    (1, st.builds(Repeat, _choices, st.booleans())),
    (1, st.builds(Misuse, _choices)),
    (1, st.builds(Flush)),
)
_disruptions = st.builds(
    Disruption,
    _weighted((1, st.just("stopped")), (3, st.just("killed")), (2, st.just("dying"))),
    st.lists(_commands, min_size=1, max_size=3).map(tuple),
    st.integers(0, 3),
)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Draw a sequence; some of them, where their steps lead, with a disruption of the worker."""
    steps: list[Step] = draw(st.lists(_steps, min_size=STEPS_MIN, max_size=STEPS_MAX))
    if draw(st.integers(1, ONE_DISRUPTED_IN)) == ONE_DISRUPTED_IN:
        steps.insert(draw(st.integers(1, len(steps))), draw(_disruptions))
    return Sequence(tuple(steps))


_LIFE = tuple(Do(actor, "go on") for actor in (0, 0, 1, 1))  # from nothing to a rule that decides
# What every run has, the short one too: each kind of disruption and a race, over a rule's whole life.
EVERY_DISRUPTION = Sequence(
    (
        *_LIFE,
        Do(0, "update", fields={"dslContent": vocabulary.TEXTS[1].source}),
        Disruption("stopped", (Do(0, "submit"), Do(1, "create", fields={"name": vocabulary.GOOD_NAMES[1]}))),
        Flush(),
        Disruption("killed", (Do(2, "approve"), Do(3, "update", fields={"priority": "HIGH"}), Do(0, "deactivate")), 1),
        Repeat(1),
        Do(1, "go on"),
        Disruption("dying", (Do(0, "go on"), Do(2, "deprecate"))),
        Repeat(0, is_reordered=True),
        Misuse(2),
        Together((Do(0, "update", fields={"priority": "LOW"}), Do(1, "delete"), Do(2, "submit"))),
        Do(0, "create-template"),
        Do(0, "instantiate-template", fields={"made": vocabulary.MADE_NAMES[2], "rows": list(vocabulary.ROWS[2:5])}),
        Do(1, "update-template", fields={"template": vocabulary.TEMPLATES[0]}),
    )
)
