"""What the contract says that commands do, in plain Python: nothing of the project is imported.

The model is told each command with the answer that came, and says whether the contract allows that answer; it then
holds what must be there afterwards. Where several things are wrong with a command the contract does not say which is
told, so a refusal is compared with all that there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.governance import templates, vocabulary
from tests.governance.templates import ModelTemplate

LIVING = frozenset({"DRAFT", "UNDER_REVIEW", "APPROVED", "ACTIVE", "INACTIVE"})

# From which statuses a verb may start, and the event that it causes.
STARTS: dict[str, frozenset[str]] = {
    "update": LIVING,
    "submit": frozenset({"DRAFT"}),
    "approve": frozenset({"UNDER_REVIEW"}),
    "reject": frozenset({"UNDER_REVIEW"}),
    "activate": frozenset({"APPROVED", "INACTIVE"}),
    "deactivate": LIVING,
    "deprecate": LIVING,
    "rollback": LIVING,
    "delete": frozenset({"DRAFT"}),
}
EVENTS = {
    "create": "RuleCreated",
    "update": "RuleUpdated",
    "submit": "RuleSubmittedForApproval",
    "approve": "RuleApproved",
    "reject": "RuleRejected",
    "activate": "RuleActivated",
    "deactivate": "RuleDeactivated",
    "deprecate": "RuleDeprecated",
    "rollback": "RuleRolledBack",
    "delete": "RuleDeleted",
}

CONTENT = {
    "name": (str,),
    "dslContent": (str,),
    "priority": (str,),
    "description": (str, type(None)),
    "tags": (list, type(None)),
    "effectiveFrom": (str, type(None)),
    "effectiveUntil": (str, type(None)),
}
# The fields of each verb with their types, and which of them are required.
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "create": CONTENT,
    "update": {"ruleId": (str,), "expectedVersion": (int,), **CONTENT},
    "submit": {"ruleId": (str,), "expectedVersion": (int, type(None))},
    "approve": {"ruleId": (str,), "expectedVersion": (int,), "comment": (str, type(None))},
    "reject": {"ruleId": (str,), "reason": (str,)},
    "activate": {"ruleId": (str,)},
    "deactivate": {"ruleId": (str,)},
    "deprecate": {"ruleId": (str,)},
    "rollback": {"ruleId": (str,), "toVersion": (int,)},
    "delete": {"ruleId": (str,)},
    **templates.FIELDS,
}
REQUIRED = {
    **templates.REQUIRED,
    "create": ("name", "dslContent", "priority"),
    "update": ("ruleId", "expectedVersion"),
    "submit": ("ruleId",),
    "approve": ("ruleId", "expectedVersion"),
    "reject": ("ruleId", "reason"),
    "rollback": ("ruleId", "toVersion"),
}

# What each role may send; an admin may send everything.
VERBS = {
    "author": {"create", "update", "submit", "delete", *templates.FIELDS},
    "approver": {"approve", "reject"},
    "operator": {"activate", "deactivate", "deprecate", "rollback"},
}

Refusals = set[tuple[str, str | None]]  # codes, each with its message where users match on it
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was sent; ``payload`` is an object, or bytes that are none."""

    actor: str
    verb: str
    payload: Mapping[str, Any] | bytes
    command_id: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a rule: what is shown of its content, and who answers for it."""

    number: int
    shown: Found
    author: str
    approved_by: str | None = None
    restored_from: int | None = None
    template: tuple[str, int] | None = None  # of which template, and which version of it, it was made


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a rule's history."""

    name: str
    rule_name: str
    version: int
    status: str
    actor: str
    command_id: str
    occurred_at: str
    revision: int | None


@dataclass(slots=True)
class ModelRule:
    """A rule with all its versions and events; a deleted one is kept for its history."""

    rule_id: str
    versions: list[Version]
    created_by: str
    created_at: str
    updated_by: str
    status: str = "DRAFT"
    active: int | None = None
    was_submitted: bool = False
    was_active: bool = False
    is_deleted: bool = False
    events: list[Event] = field(default_factory=list)

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    @property
    def deciding(self) -> Version | None:
        return None if self.active is None else self.versions[self.active - 1]

    @property
    def names(self) -> set[str]:
        held = {self.latest.shown["name"]} if not self.is_deleted else set()
        return held | ({self.deciding.shown["name"]} if self.deciding else set())


@dataclass(slots=True)
class Model:
    """Every rule and template of one sequence, by its id in the order of creation, and the ruleset's revision."""

    revision: int = 0
    rules: dict[str, ModelRule] = field(default_factory=dict)
    templates: dict[str, ModelTemplate] = field(default_factory=dict)

    def copy(self) -> Model:
        """Give a model that goes its own way."""
        rules = {
            rule_id: replace(rule, versions=list(rule.versions), events=list(rule.events))
            for rule_id, rule in self.rules.items()
        }
        return replace(
            self, rules=rules, templates={name: template.copy() for name, template in self.templates.items()}
        )

    @property
    def histories(self) -> dict[str, list[Found]]:
        """Every history that there must be, by the id of its rule or template."""
        of_rules = {rule.rule_id: [event_view(rule, event) for event in rule.events] for rule in self.rules.values()}
        of_templates = {
            template.template_id: [templates.event_view(template, event) for event in template.events]
            for template in self.templates.values()
        }
        return of_rules | of_templates

    def accept(self, command: Command, answer: Found, *, may_have_lost: bool = False) -> str | None:
        """Take a command and its answer; give what the contract does not allow about it, else None."""
        refusals = self.refusals(command)
        if answer["status"] == "error":
            return self._accept_error(refusals, answer, may_have_lost=may_have_lost)
        if refusals:
            return f"answered with ok, must be refused with one of {sorted(map(str, refusals))}"
        if answer["error"] is not None:
            return f"ok with the error {answer['error']}"
        if command.verb in templates.FIELDS:
            return self._apply_to_template(command, answer["result"])
        rule = self._apply(command, answer["result"])
        if rule is None:
            return f"the new rule's id is not new: {answer['result']['ruleId']}"
        return difference(view(rule), answer["result"])

    @staticmethod
    def _accept_error(refusals: Refusals, answer: Found, *, may_have_lost: bool) -> str | None:
        error = answer["error"]
        if answer["result"] is not None:
            return f"an error with the result {answer['result']}"
        if may_have_lost and error["code"] == "CONFLICT":
            return None
        for code, message in refusals:
            if code == error["code"] and (message is None or message == error["message"] or len(refusals) > 1):
                return None
        return f"refused with {error['code']} {error['message']!r}, expected {sorted(map(str, refusals)) or 'ok'}"

    # --- what is wrong with a command ---------------------------------------------------------------------------------

    def refusals(self, command: Command) -> Refusals:
        """Give everything that is wrong with a command, as things stand."""
        fields = FIELDS.get(command.verb)
        if fields is None:
            return {("NOT_FOUND", None)}
        if not may(command.actor, command.verb):
            return {("FORBIDDEN", None)}
        if isinstance(command.payload, bytes):
            return {("INVALID_REQUEST", None)}
        found = _misfits(command.verb, fields, command.payload)
        if found:
            return found
        if command.verb == "create":
            return self._content_refusals(command.payload, None)
        if command.verb in templates.FIELDS:
            return self._template_refusals(command.verb, command.payload)
        return self._rule_refusals(command, command.payload)

    def _template_refusals(self, verb: str, payload: Mapping[str, Any]) -> Refusals:
        if verb == "create-template":
            return templates.content_refusals(payload, self._template_names_but(None))
        try:
            template = self.templates.get(str(uuid.UUID(payload["templateId"])))
        except ValueError:
            return {("VALIDATION_ERROR", None)}
        if template is None or template.is_deleted:
            return {("NOT_FOUND", None)}
        if verb == "instantiate-template":
            return templates.row_refusals(template, payload, self._names_but(None))
        found: Refusals = set()
        if payload.get("expectedVersion") not in {None, template.version}:
            found.add(("CONFLICT", None))
        if verb == "update-template":
            changes = {name: value for name, value in payload.items() if name in templates.CONTENT}
            if not changes:
                found.add(("VALIDATION_ERROR", None))
            found |= templates.content_refusals({**template.shown, **changes}, self._template_names_but(template))
        return found

    def _template_names_but(self, template: ModelTemplate | None) -> set[str]:
        return {
            other.shown["name"] for other in self.templates.values() if other is not template and not other.is_deleted
        }

    def _rule_refusals(self, command: Command, payload: Mapping[str, Any]) -> Refusals:
        found = _text_refusals(payload)
        try:
            rule = self.rules.get(str(uuid.UUID(payload["ruleId"])))
        except ValueError:
            return {*found, ("VALIDATION_ERROR", None)}
        if rule is None or rule.is_deleted:
            return {*found, ("NOT_FOUND", None)}
        if rule.status not in STARTS[command.verb]:
            found.add(("BUSINESS_ERROR", None))
        expected = payload.get("expectedVersion")
        if expected is not None and expected != rule.latest.number:
            found.add(("CONFLICT", None))
        match command.verb:
            case "update":
                changes = {name: value for name, value in payload.items() if name in CONTENT}
                if not changes:
                    found.add(("VALIDATION_ERROR", None))
                found |= self._content_refusals({**rule.latest.shown, **changes}, rule)
            case "approve" if command.actor == rule.latest.author:
                found.add(("BUSINESS_ERROR", None))
            case "activate":
                found |= self._company_refusals(rule, rule.latest.shown["dslContent"])
            case "deactivate" if rule.active is None:
                found.add(("BUSINESS_ERROR", None))
            case "deprecate" if not rule.was_submitted:
                found.add(("BUSINESS_ERROR", None))
            case "delete" if rule.was_active:
                found.add(("BUSINESS_ERROR", None))
            case "rollback":
                found |= self._rollback_refusals(rule, payload["toVersion"])
        return found

    def _rollback_refusals(self, rule: ModelRule, number: int) -> Refusals:
        if not 0 < number < rule.latest.number:
            return {("NOT_FOUND", None)}
        earlier = rule.versions[number - 1]
        found: Refusals = set()
        if earlier.approved_by is None:
            found.add(("BUSINESS_ERROR", None))
        if earlier.shown["name"] in self._names_but(rule):
            found.add(("BUSINESS_ERROR", None))
        return found | self._company_refusals(rule, earlier.shown["dslContent"])

    def _content_refusals(self, content: Mapping[str, Any], rule: ModelRule | None) -> Refusals:
        found: Refusals = set()
        name = content["name"]
        if not _is_good_name(name):
            found.add(("VALIDATION_ERROR", vocabulary.NAME_MESSAGES.get(name)))
        elif name in self._names_but(rule):
            found.add(("BUSINESS_ERROR", "rule name already exists"))
        text = vocabulary.TEXT_OF[content["dslContent"]]
        if not text.is_valid:
            found.add(("VALIDATION_ERROR", text.message))
        description = content.get("description") or ""
        if content["priority"] not in vocabulary.PRIORITIES or len(description) > 500 or "\0" in description:
            found.add(("VALIDATION_ERROR", None))
        if content.get("tags") in vocabulary.BAD_TAGS:
            found.add(("VALIDATION_ERROR", None))
        moments = [content.get(name) for name in ("effectiveFrom", "effectiveUntil")]
        known = {**vocabulary.TIMES, **{shown: shown for shown in vocabulary.TIMES.values()}}
        if any(moment not in known for moment in moments):
            found.add(("VALIDATION_ERROR", None))
        else:
            start, end = (known[moment] for moment in moments)  # as they are shown they sort as times do
            if start is not None and end is not None and start >= end:
                found.add(("VALIDATION_ERROR", None))
        return found

    def _names_but(self, rule: ModelRule | None) -> set[str]:
        return {name for other in self.rules.values() if other is not rule for name in other.names}

    def _company_refusals(self, rule: ModelRule, source: str) -> Refusals:
        """Say whether a text may decide beside the rules that do."""
        company = [
            vocabulary.TEXT_OF[other.deciding.shown["dslContent"]]
            for other in self.rules.values()
            if other is not rule and other.deciding is not None
        ]
        newcomer = vocabulary.TEXT_OF[source]
        if any(_clash(newcomer, other) for other in company) or _has_cycle([*company, newcomer]):
            return {("BUSINESS_ERROR", None)}
        return set()

    # --- what a command on templates does -----------------------------------------------------------------------------

    def _apply_to_template(self, command: Command, result: Found) -> str | None:
        payload, actor = command.payload, command.actor
        assert isinstance(payload, Mapping)
        if command.verb == "instantiate-template":
            return self._instantiate(command, payload, result)
        if command.verb == "create-template":
            template = ModelTemplate(result["templateId"], {}, actor, result["createdAt"], actor)
            if template.template_id in self.templates:
                return f"the new template's id is not new: {template.template_id}"
            self.templates[template.template_id] = template
        else:
            template = self.templates[str(uuid.UUID(payload["templateId"]))]
        if command.verb == "delete-template":
            template.is_deleted = True
        else:
            template.version += command.verb == "update-template"
            template.shown |= {name: payload[name] for name in templates.CONTENT if name in payload}
            template.shown["description"] = template.shown.get("description") or ""
        template.record(command.verb, actor, command.command_id, result)
        if command.verb == "update-template":
            lagging = [(rule.latest.shown["name"], rule.rule_id) for rule in self.lagging(template)]
            found = [(item["name"], item["ruleId"]) for item in result["lagging"]["items"]]
            if found != sorted(lagging) or result["lagging"]["total"] != len(lagging):
                return f"the rules that lag are {found}, must be {sorted(lagging)}"
        return difference(templates.view(template), result)

    def lagging(self, template: ModelTemplate) -> list[ModelRule]:
        """Give the rules whose latest or deciding version was made of an earlier version of a template."""
        return [
            rule
            for rule in self.rules.values()
            if rule.status != "DEPRECATED"
            and not rule.is_deleted
            and any(
                version is not None
                and version.template is not None
                and version.template[0] == template.template_id
                and version.template[1] < template.version
                for version in (rule.latest, rule.deciding)
            )
        ]

    def _instantiate(self, command: Command, payload: Mapping[str, Any], result: Found) -> str | None:
        template = self.templates[str(uuid.UUID(payload["templateId"]))]
        rows = templates.rows_of(payload)
        if len(result["items"]) != len(rows) or result["total"] != len(rows):
            return f"{len(rows)} rows became {result}"
        for row, item in zip(rows, result["items"], strict=True):
            values = templates.row_values(template, row)
            assert values is not None
            content = {
                "name": templates.filled(payload["name"], values),
                "dslContent": templates.rule_text(template, values),
                "priority": payload["priority"],
            }
            as_created = Command(command.actor, "create", content, command.command_id)
            rule = self._apply(as_created, item)
            if rule is None:
                return f"the new rule's id is not new: {item['ruleId']}"
            rule.versions[0] = replace(rule.latest, template=(template.template_id, template.version))
            summary = {name: value for name, value in view(rule).items() if name != "dslContent"}
            if reason := difference(summary, item):
                return reason
        return None

    # --- what a command on rules does ---------------------------------------------------------------------------------

    def _apply(self, command: Command, result: Found) -> ModelRule | None:
        payload = command.payload
        assert isinstance(payload, Mapping)
        actor = command.actor
        if command.verb == "create":
            rule_id = result["ruleId"]
            if rule_id in self.rules or str(uuid.UUID(rule_id)) != rule_id:
                return None
            rule = ModelRule(rule_id, [Version(1, _shown(payload), actor)], actor, result["createdAt"], actor)
            self.rules[rule_id] = rule
        else:
            rule = self.rules[str(uuid.UUID(payload["ruleId"]))]
        before = rule.active
        latest = rule.latest
        match command.verb:
            case "update":
                shown = _shown({**latest.shown, **{name: payload[name] for name in CONTENT if name in payload}})
                rule.versions.append(Version(latest.number + 1, shown, actor))
                rule.status = "DRAFT"
            case "submit":
                rule.status, rule.was_submitted = "UNDER_REVIEW", True
            case "approve":
                rule.status = "APPROVED"
                rule.versions[-1] = replace(latest, approved_by=actor)
            case "reject":
                rule.status = "DRAFT"
            case "activate":
                rule.status, rule.active = "ACTIVE", latest.number
            case "deactivate":
                rule.active = None
                rule.status = "INACTIVE" if rule.status == "ACTIVE" else rule.status
            case "deprecate":
                rule.status, rule.active = "DEPRECATED", None
            case "rollback":
                earlier = rule.versions[payload["toVersion"] - 1]
                number = latest.number + 1
                rule.versions.append(replace(earlier, number=number, author=actor, restored_from=earlier.number))
                rule.status, rule.active = "ACTIVE", number
            case "delete":
                rule.is_deleted = True
        rule.was_active |= rule.active is not None
        rule.updated_by = actor
        revision = None
        if rule.active != before or command.verb == "activate":
            self.revision += 1
            revision = self.revision
        rule.events.append(
            Event(
                name=EVENTS[command.verb],
                rule_name=rule.latest.shown["name"],
                version=rule.latest.number,
                status=rule.status,
                actor=actor,
                command_id=command.command_id,
                occurred_at=result["updatedAt"],
                revision=revision,
            )
        )
        return rule


def may(actor: str, verb: str) -> bool:
    """Say whether an actor has a role for a verb."""
    roles = vocabulary.ROLES[actor]
    return "admin" in roles or any(verb in VERBS[role] for role in roles)


def view(rule: ModelRule) -> Found:
    """Give what a rule is shown as, but for ``updatedAt``, which only the worker knows."""
    return {
        "ruleId": rule.rule_id,
        **rule.latest.shown,
        "status": rule.status,
        "version": rule.latest.number,
        "activeVersion": rule.active,
        "createdBy": rule.created_by,
        "createdAt": rule.created_at,
        "updatedBy": rule.updated_by,
        "approvedBy": rule.latest.approved_by,
        "templateId": None if rule.latest.template is None else rule.latest.template[0],
    }


def version_view(version: Version) -> Found:
    """Give what a version is shown as, but for its times."""
    return {
        "version": version.number,
        **version.shown,
        "author": version.author,
        "approvedBy": version.approved_by,
        "restoredFrom": version.restored_from,
    }


def event_view(rule: ModelRule, event: Event) -> Found:
    """Give an event's payload, but for its id, its digests and its data."""
    shown = {
        "eventType": event.name,
        "ruleId": rule.rule_id,
        "name": event.rule_name,
        "version": event.version,
        "status": event.status,
        "actor": event.actor,
        "occurredAt": event.occurred_at,
        "commandId": event.command_id,
    }
    return shown if event.revision is None else {**shown, "revision": event.revision}


def difference(wanted: Found, found: Found) -> str | None:
    """Tell what of the wanted fields is otherwise, or not there; None where nothing is."""
    differences = [
        f"{name} is {found.get(name, 'absent')!r}, must be {value!r}"
        for name, value in wanted.items()
        if name not in found or found[name] != value
    ]
    return "; ".join(differences) or None


def _misfits(verb: str, fields: Mapping[str, tuple[type, ...]], payload: Mapping[str, Any]) -> Refusals:
    """Give what is wrong with a payload's form."""
    found: Refusals = set()
    if any(name not in fields for name in payload):
        found.add(("INVALID_REQUEST", None))
    if any(name not in payload for name in REQUIRED.get(verb, ("ruleId",))):
        found.add(("MISSING_PARAMETER", None))
    for name, value in payload.items():
        wrong = name in fields and (type(value) not in fields[name])
        if wrong or (name == "tags" and isinstance(value, list) and any(type(tag) is not str for tag in value)):
            found.add(("VALIDATION_ERROR", None))
    return found


def _text_refusals(payload: Mapping[str, Any]) -> Refusals:
    reason, comment = payload.get("reason", "a reason"), payload.get("comment") or ""
    if not reason.strip() or len(reason) > 500 or len(comment) > 500 or "\0" in reason + comment:
        return {("VALIDATION_ERROR", None)}
    return set()


def _is_good_name(name: str) -> bool:
    return 3 <= len(name) <= 100 and name == name.strip() and name.isprintable()


def _shown(content: Mapping[str, Any]) -> Found:
    """Give what is shown of a content: absent values as their defaults, times in UTC, each tag once."""
    moments = {**vocabulary.TIMES, **{shown: shown for shown in vocabulary.TIMES.values()}}
    return {
        "name": content["name"],
        "description": content.get("description") or "",
        "dslContent": content["dslContent"],
        "priority": content["priority"],
        "tags": list(dict.fromkeys(content.get("tags") or [])),
        "effectiveFrom": moments[content.get("effectiveFrom")],
        "effectiveUntil": moments[content.get("effectiveUntil")],
    }


def _touch(left: str, right: str) -> bool:
    shorter, longer = sorted((left.split("."), right.split(".")), key=len)
    return longer[: len(shorter)] == shorter


def _clash(one: vocabulary.Text, other: vocabulary.Text) -> bool:
    """Say whether two texts mix ways of writing one path, or write a path and one below it."""
    return any(
        mine != theirs and _touch(mine[0], theirs[0]) and not (mine[0] == theirs[0] and mine[1] == theirs[1])
        for mine in one.writes
        for theirs in other.writes
    )


def _has_cycle(texts: list[vocabulary.Text]) -> bool:
    """Say whether some texts wait for each other: whoever reads comes after whoever writes."""
    waits = {
        reader: {
            writer
            for writer, other in enumerate(texts)
            if any(_touch(read, path) for read in text.reads for path, _ in other.writes)
        }
        for reader, text in enumerate(texts)
    }
    left = set(waits)
    while free := {reader for reader in left if not waits[reader] & left}:
        left -= free
    return bool(left)
