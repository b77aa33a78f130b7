"""An example of every message, of one story: a discount for good customers, and an order that gets it.

Payloads are written as the Structs of the wire, so that no field can be misnamed; tests hold each to its schemas.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.errors import ErrorCode
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams import headers
from streams.asyncapi.heads import CORRELATION_ID
from streams.asyncapi.schemas import command_answer, event_schema, query_answer
from streams.facts.intake import DeadReason
from streams.messages import answers, commands, event_data, explanations, queries, simulations, templates
from streams.messages.decisions import DecisionBody, EffectBody, MatchBody, RulesetBody
from streams.messages.events import HistoryEntry, LifecycleEvent

Example = dict[str, Any]

RULE: Final = "5cdb9537-9ff2-525e-b538-50cf40b26e31"
TEMPLATE: Final = "0f2f9e63-3f6a-5d0a-8b55-1d3a6f1d2c44"
COMMAND: Final = "0b0f4d7e-6f0c-4c57-9d0e-1d6a1c2f3b4a"
EVENT: Final = "d18b4d8e-b937-5f28-ba8d-276a0974aba6"
KEY: Final = "e5c1b3dbe301b9add8e1d2ea41723050"
DIGEST: Final = "16b150e5544fc8b9b42cecdf0d9fec62226836f0a899c72cd88c8a45c11eaa5e"
CONTENT: Final = "471040ac4a61b7e0c5b0a2a1b54f5b0d3a1c9e8f7d6c5b4a39281706f5e4d3c2"
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MORNING: Final = "2026-11-22T16:57:21.104713Z"
FACT_TIME: Final = "2026-11-22T16:57:22.291193415Z"
NAME: Final = "VIP over 100"
DSL: Final = """on order.placed
when customer.tier == "VIP" && order.total >= 100.0
then
  set discount.percent = 15
  emit loyalty.points {"customer": customer.id, "points": int(order.total / 10.0)}"""
TEMPLATE_NAME: Final = "tier discount"
DSL_TEMPLATE: Final = "when customer.tier == ${tier} then set discount.percent = ${percent}"
ORDER: Final = {"customer": {"id": "c-1", "tier": "VIP"}, "order": {"total": 250}}

_SUMMARY: Final[dict[str, Any]] = {
    "rule_id": RULE,
    "name": NAME,
    "description": "Good customers get something back.",
    "priority": "MEDIUM",
    "tags": ["discount"],
    "status": "ACTIVE",
    "version": 1,
    "active_version": 1,
    "created_by": "alice",
    "created_at": MORNING,
    "updated_by": "bob",
    "updated_at": MORNING,
    "approved_by": "bob",
    "effective_from": None,
    "effective_until": None,
}
_VIEW: Final = queries.RuleView(**_SUMMARY, dsl_content=DSL)
_PARAMETERS: Final = [
    commands.ParameterBody("tier", "string", description="Which customers."),
    commands.ParameterBody("percent", "int", default=10),
]
_TEMPLATE: Final[dict[str, Any]] = {
    "template_id": TEMPLATE,
    "name": TEMPLATE_NAME,
    "description": "",
    "parameters": [
        {"name": "tier", "type": "string", "description": "Which customers."},
        {"name": "percent", "type": "int", "default": 10},
    ],
    "version": 1,
    "created_by": "alice",
    "created_at": MORNING,
    "updated_by": "alice",
    "updated_at": MORNING,
}
_OUTPUT: Final = {"discount": {"percent": 15}}
_DECISION: Final = DecisionBody(
    KEY,
    "order-1001",
    "order.placed",
    1,
    FACT_TIME,
    "2026-11-22T16:57:22.292078Z",
    RulesetBody(1, DIGEST),
    "matched",
    _OUTPUT,
    [MatchBody(RULE, NAME, 1, "MEDIUM", "then", _OUTPUT)],
    [EffectBody("loyalty.points", f"{KEY}-1")],
    [],
    0,
)
_UNMATCHED: Final = msgspec.structs.replace(
    _DECISION, fact_id="order-1002", outcome="unmatched", output={}, matches=[], effects=[]
)
_EXPLANATION: Final = explanations.ExplanationBody(
    rule_id=RULE,
    name=NAME,
    version=1,
    priority="MEDIUM",
    status="then",
    tree=explanations.PartBody(
        text='customer.tier == "VIP"',
        line=2,
        column=6,
        status="true",
        children=(explanations.PartBody(text="customer.tier", line=2, column=6, status="value", value="VIP"),),
    ),
    text='customer.tier == "VIP": true\n  customer.tier: "VIP"',
)
_COMMANDS: Final[dict[str, commands.CommandPayload]] = {
    "create": commands.CreateRule(NAME, DSL, "MEDIUM", "Good customers get something back.", ["discount"]),
    "update": commands.UpdateRule(RULE, 1, priority="HIGH", effective_from="2027-01-01T00:00:00+01:00"),
    "submit": commands.SubmitRule(RULE, 1),
    "approve": commands.ApproveRule(RULE, 1, "agreed with sales"),
    "reject": commands.RejectRule(RULE, "twenty is too much"),
    "activate": commands.ActivateRule(RULE),
    "deactivate": commands.DeactivateRule(RULE),
    "deprecate": commands.DeprecateRule(RULE),
    "rollback": commands.RollbackRule(RULE, 1),
    "delete": commands.DeleteRule(RULE),
    "create-template": commands.CreateTemplate(TEMPLATE_NAME, DSL_TEMPLATE, _PARAMETERS),
    "update-template": commands.UpdateTemplate(TEMPLATE, 1, description="By the customer's tier."),
    "delete-template": commands.DeleteTemplate(TEMPLATE, 2),
    "instantiate-template": commands.InstantiateTemplate(
        TEMPLATE, "discount ${tier}", "LOW", rows=[{"tier": "GOLD", "percent": 5}, {"tier": "SILVER"}]
    ),
}
_QUERIES: Final[dict[str, queries.QueryPayload]] = {
    "get": queries.GetRule(name=NAME),
    "list": queries.ListRules(tag="discount", page_size=10),
    "versions": queries.ListVersions(RULE),
    "history": queries.ListHistory(rule_id=RULE),
    "template": queries.GetTemplate(name=TEMPLATE_NAME),
    "templates": queries.ListTemplates(created_by="alice"),
    "ruleset": queries.GetRuleset(),
    "validate": queries.ValidateDsl("when order.total > then set a = 1"),
    "command": queries.GetCommand(COMMAND),
    "decision": queries.GetDecision(fact_id="order-1001"),
    "decisions": queries.ListDecisions(fact_type="order.*", outcome="matched", since="2026-11-22T00:00:00Z"),
    "explain": queries.ExplainDecision(decision_id=KEY, name=NAME),
    "simulate": queries.SimulateRules(
        facts=[msgspec.Raw(msgspec.json.encode(ORDER))], rule_ids=[RULE], fact_type="order.placed", with_active=True
    ),
}
_RESULTS: Final[dict[type[msgspec.Struct], msgspec.Struct]] = {
    queries.RuleView: _VIEW,
    templates.TemplateView: templates.TemplateView(**_TEMPLATE, dsl_template=DSL_TEMPLATE),
    templates.UpdatedTemplateView: templates.UpdatedTemplateView(
        **{**_TEMPLATE, "version": 2},
        dsl_template=DSL_TEMPLATE,
        lagging=templates.LaggingView(
            items=[
                templates.LaggingRuleView(
                    rule_id=RULE,
                    name="discount GOLD",
                    status="DRAFT",
                    version=1,
                    active_version=None,
                    template_version=1,
                )
            ],
            total=1,
        ),
    ),
    answers.MadeRules: answers.MadeRules(
        items=[
            queries.RuleSummary(
                **{
                    **_SUMMARY,
                    "name": "discount GOLD",
                    "status": "DRAFT",
                    "active_version": None,
                    "approved_by": None,
                    "template_id": TEMPLATE,
                }
            )
        ],
        total=1,
    ),
}
_ANSWERS: Final[dict[str, msgspec.Struct]] = {
    "get": _VIEW,
    "list": answers.RulePage(items=[queries.RuleSummary(**_SUMMARY)], total=1),
    "versions": answers.VersionPage(
        items=[
            queries.VersionView(
                version=1,
                name=NAME,
                description="Good customers get something back.",
                dsl_content=DSL,
                priority="MEDIUM",
                tags=["discount"],
                effective_from=None,
                effective_until=None,
                author="alice",
                created_at=MORNING,
                approved_by="bob",
                approved_at=MORNING,
                restored_from=None,
            )
        ],
        total=1,
    ),
    "history": answers.HistoryPage(
        items=[
            HistoryEntry(
                EVENT,
                EventName.CREATED.value,
                RULE,
                NAME,
                1,
                "DRAFT",
                "alice",
                MORNING,
                COMMAND,
                CONTENT,
                {},
                before_digest=None,
            )
        ],
        total=4,
        next_offset=1,
    ),
    "template": templates.AskedTemplateView(**_TEMPLATE, dsl_template=DSL_TEMPLATE, lagging_rules=0),
    "templates": answers.TemplatePage(items=[templates.TemplateSummary(**_TEMPLATE)], total=1),
    "ruleset": answers.RulesetPage(
        revision=1,
        digest=DIGEST,
        items=[
            answers.RulesetMember(rule_id=RULE, name=NAME, version=1, priority="MEDIUM", content_digest=CONTENT),
        ],
        total=1,
    ),
    "validate": answers.Problems(
        problems=[
            answers.ProblemBody(
                severity="error", code="syntax", message="an expression is missing", line=1, column=20, end_column=24
            )
        ]
    ),
    "command": commands.CommandAnswer(COMMAND, "ok", _VIEW),
    "decision": _DECISION,
    "decisions": answers.DecisionPage(items=[_DECISION], until="2026-11-22T16:57:22.291193416Z"),
    "explain": answers.ExplanationPage(
        items=[_EXPLANATION],
        total=1,
        fact_id="order-1001",
        fact_type="order.placed",
        decision_id=KEY,
        ruleset=RulesetBody(1, DIGEST),
    ),
    "simulate": answers.SimulationPage(
        items=[
            simulations.SimulationBody(
                fact_id="given:1",
                decision=msgspec.Raw(
                    msgspec.json.encode(
                        simulations.SimulatedDecision(
                            decision_id=KEY,
                            fact_id="given:1",
                            fact_type="order.placed",
                            fact_seq=1,
                            fact_time=None,
                            decided_at=None,
                            ruleset=RulesetBody(1, DIGEST),
                            outcome="matched",
                            output=_OUTPUT,
                            matches=_DECISION.matches,
                            effects=_DECISION.effects,
                            faults=[],
                            fault_count=0,
                        )
                    )
                ),
                effects=(msgspec.Raw(b'{"customer":"c-1","points":25}'),),
                trace=[msgspec.Raw(msgspec.json.encode(_EXPLANATION))],
            )
        ],
        total=1,
    ),
}
_DATA: Final[dict[EventName | TemplateEventName, msgspec.Struct]] = {
    **{name: kind() for name, kind in event_data.EVENT_DATA.items() if kind is event_data.EventData},
    EventName.CREATED: event_data.OriginData(),
    EventName.UPDATED: event_data.UpdateData(previous_version=1),
    EventName.APPROVED: event_data.ApprovalData(comment="agreed with sales"),
    EventName.REJECTED: event_data.RejectionData(reason="twenty is too much"),
    EventName.ACTIVATED: event_data.ActivationData(previous_active_version=1),
    EventName.DEACTIVATED: event_data.DeactivationData(deactivated_version=2),
    EventName.ROLLED_BACK: event_data.RollbackData(restored_version=1, previous_active_version=None),
    TemplateEventName.CREATED: event_data.TemplateData(template_id=TEMPLATE),
    TemplateEventName.UPDATED: event_data.TemplateUpdateData(template_id=TEMPLATE, previous_version=1),
    TemplateEventName.DELETED: event_data.TemplateData(template_id=TEMPLATE),
}
# The rule's status after an event where it is not ACTIVE.
_STATUSES: Final = {
    EventName.CREATED: "DRAFT",
    EventName.UPDATED: "DRAFT",
    EventName.SUBMITTED: "UNDER_REVIEW",
    EventName.APPROVED: "APPROVED",
    EventName.REJECTED: "DRAFT",
    EventName.DEACTIVATED: "INACTIVE",
    EventName.DEPRECATED: "DEPRECATED",
    EventName.DELETED: "DRAFT",
}
_REVISIONS: Final = {EventName.ACTIVATED: 1, EventName.DEACTIVATED: 2, EventName.ROLLED_BACK: 3}


def examples() -> dict[str, list[Example]]:
    """Return the examples of each message by its name."""
    found: dict[str, list[Example]] = {}
    for verb, payload in _COMMANDS.items():
        found[type(payload).__name__] = [_example(verb, _given(payload), {headers.MESSAGE_ID: COMMAND})]
    for result, shown in _RESULTS.items():
        answer = commands.CommandAnswer(COMMAND, "ok", shown)
        found[command_answer(result)] = [_example("done", _plain(answer), _answered(COMMAND))]
    for verb, asked in _QUERIES.items():
        found[type(asked).__name__] = [_example(verb, _given(asked))]
    for verb, shown in _ANSWERS.items():
        found[query_answer(verb)] = [_example("answer", _plain(queries.QueryAnswer("ok", shown)), _answered(EVENT))]
    for name in event_data.EVENT_DATA:
        found[event_schema(name)] = [_event(name)]
    return {**found, **_refusals(), **_of_facts(), **_dead()}


def _event(name: EventName | TemplateEventName) -> Example:
    of_template = isinstance(name, TemplateEventName)
    body = LifecycleEvent(
        EVENT,
        name.value,
        TEMPLATE if of_template else RULE,
        TEMPLATE_NAME if of_template else NAME,
        1,
        "TEMPLATE" if isinstance(name, TemplateEventName) else _STATUSES.get(name, "ACTIVE"),
        "alice",
        MORNING,
        COMMAND,
        CONTENT,
        _plain(_DATA[name]),
        msgspec.UNSET if isinstance(name, TemplateEventName) else _REVISIONS.get(name, msgspec.UNSET),
    )
    return _example(name.value, _plain(body), headers.cloud_event(EVENT, f"rulestream.event.{name.value}", MORNING))


def _refusals() -> dict[str, list[Example]]:
    error = commands.ErrorBody(
        ErrorCode.CONFLICT.value,
        "the rule is at version 2, not 1",
        {"currentVersion": 2, "expectedVersion": 1},
    )
    problem = {"code": "name-empty", "field": "name", "message": "rule name cannot be empty", "hint": None}
    invalid = commands.ErrorBody(ErrorCode.VALIDATION_ERROR.value, problem["message"] or "", {"problems": [problem]})
    missing = commands.ErrorBody(ErrorCode.NOT_FOUND.value, "no such rule", {"ruleId": RULE})
    return {
        "CommandRefusal": [
            _example(name, _plain(commands.CommandAnswer(COMMAND, "error", error=one)), _answered(COMMAND))
            for name, one in (("another version", error), ("a mistake", invalid))
        ],
        "QueryRefusal": [_example("not there", _plain(queries.QueryAnswer("error", error=missing)), _answered(EVENT))],
    }


def _of_facts() -> dict[str, list[Example]]:
    decided = headers.cloud_event(KEY, headers.DECISION_TYPE, FACT_TIME, TRACE)
    binary = {headers.CE_ID: "order-1001", headers.CE_SOURCE: "/shop", headers.CE_TIME: "2026-11-22T17:57:22+01:00"}
    envelope = {
        "specversion": "1.0",
        "type": "order.placed",
        "id": "order-1001",
        "source": "/shop",
        "time": "2026-11-22T17:57:22+01:00",
        "data": ORDER,
    }
    return {
        "Fact": [
            _example("plain", ORDER, {headers.MESSAGE_ID: "order-1001", headers.TRACEPARENT: TRACE}),
            _example("CloudEvent in binary mode", ORDER, binary),
        ],
        "CloudEvent": [
            _example("structured mode", envelope, {headers.CONTENT_TYPE: headers.STRUCTURED_CLOUD_EVENT}),
        ],
        "PublishAcknowledgement": [
            _example("stored", {"stream": "FACTS", "seq": 1}),
            _example("known", {"stream": "FACTS", "seq": 1, "duplicate": True}),
            _example("refused", {"error": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"}}),
        ],
        "MatchedDecision": [_example("matched", _plain(_DECISION), decided)],
        "UnmatchedDecision": [_example("unmatched", _plain(_UNMATCHED), decided)],
        "Effect": [
            _example(
                "loyalty.points",
                {"customer": "c-1", "points": 25},
                headers.cloud_event(f"{KEY}-1", headers.EFFECT_TYPE, FACT_TIME, TRACE),
            )
        ],
    }


def _dead() -> dict[str, list[Example]]:
    fact = {
        headers.MESSAGE_ID: "dead-FACTS-2-1795419605111168599",
        headers.DEAD_REASON: DeadReason.NOT_JSON.value,
        headers.DEAD_MESSAGE: "JSON is malformed: invalid character (byte 4)",
        headers.DEAD_SUBJECT: "facts.order.placed",
        headers.DEAD_STREAM: "FACTS",
        headers.DEAD_SEQUENCE: "2",
        headers.DEAD_STORED_AT: "2026-11-23T07:40:05.111168599Z",
        f"{headers.ORIGINAL_PREFIX}{headers.MESSAGE_ID}": "order-1003",
    }
    command = {
        headers.MESSAGE_ID: "dead-command-130c73cf291018ca8cdf1c1216676ad0",
        headers.DEAD_REASON: DeadReason.COMMAND_WITHOUT_ID.value,
        headers.DEAD_MESSAGE: "a command needs a Nats-Msg-Id of 16 to 64 characters of A-Z a-z 0-9 _ -",
        headers.DEAD_SUBJECT: "rules.command.alice.create",
    }
    return {
        "DeadFact": [_example("not JSON", "nope", fact)],
        "DeadCommand": [_example("without an id", "{}", command)],
    }


def _answered(correlation: str) -> dict[str, str]:
    return {headers.CONTENT_TYPE: "application/json", CORRELATION_ID: correlation}


def _example(name: str, payload: Any, head: dict[str, str] | None = None) -> Example:
    return {"name": name, **({"headers": head} if head else {}), "payload": payload}


def _given(payload: msgspec.Struct) -> Any:
    """Return what a sender writes of a payload: the fields that differ from their defaults."""
    left_out = {
        field.encode_name
        for field in msgspec.structs.fields(payload)
        if not field.required and getattr(payload, field.name) == field.default
    }
    return {name: value for name, value in _plain(payload).items() if name not in left_out}


def _plain(body: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body))
