"""The queries: get, list, versions, history, template, templates, ruleset, validate, command, decision, and others.

They are those of ``streams.messages.queries``. They change nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
import structlog

from domain.errors import (
    ErrorCode,
    MissingParameterError,
    NotFoundError,
    RulestreamError,
    UnavailableError,
    ValidationError,
)
from domain.identifiers import Actor, CommandId, RuleId, parse_decision_id
from domain.ports import DecisionStore, DslCompiler, RuleCriteria, StoredDecision, Transactions
from domain.roles import RolePolicy
from streams.codec import decode_request
from streams.messages.commands import ErrorBody
from streams.messages.events import history_entry
from streams.messages.queries import (
    PAYLOADS,
    ExplainDecision,
    GetCommand,
    GetDecision,
    GetRule,
    GetRuleset,
    GetTemplate,
    ListDecisions,
    ListHistory,
    ListRules,
    ListTemplates,
    ListVersions,
    QueryAnswer,
    QueryPayload,
    SimulateRules,
    ValidateDsl,
    rule_summary,
    rule_view,
    version_view,
)
from worker.usecases.explain_decisions import DecisionExplainer
from worker.usecases.list_decisions import list_decisions
from worker.usecases.paging import filled_page, require_page
from worker.usecases.show_templates import get_template, list_template_history, list_templates
from worker.usecases.simulate_rules import RuleSimulator

_ENCODER: Final = msgspec.json.Encoder()
_log = structlog.get_logger(__name__)


class QueryResponder:
    """QueryPort: answers, errors included, from Postgres as it stands at that moment."""

    def __init__(
        self,
        transactions: Transactions,
        decisions: DecisionStore,
        compiler: DslCompiler,
        explainer: DecisionExplainer,
        simulator: RuleSimulator,
        policy: RolePolicy,
    ) -> None:
        self._transactions = transactions
        self._decisions = decisions
        self._compiler = compiler
        self._explainer = explainer
        self._simulator = simulator
        self._policy = policy
        self._answers: dict[type[QueryPayload], Callable[[Actor, Any], Awaitable[Any]]] = {
            GetRule: self._get_rule,
            ListRules: self._list_rules,
            ListVersions: self._list_versions,
            ListHistory: self._list_history,
            GetTemplate: self._get_template,
            ListTemplates: self._list_templates,
            GetRuleset: self._get_ruleset,
            ValidateDsl: self._validate,
            GetCommand: self._get_command,
            GetDecision: self._get_decision,
            ListDecisions: self._decisions_list,
            ExplainDecision: self._explain,
            SimulateRules: self._simulate,
        }

    async def handle(self, actor: Actor, verb: str, payload: bytes) -> bytes:
        try:
            payload_type = PAYLOADS.get(verb)
            if payload_type is None:
                raise NotFoundError(f"no such query: {verb[:64]}", verb=verb[:64])  # noqa: TRY301
            self._policy.require(actor, verb)
            result = await self._answers[payload_type](
                actor, decode_request(payload, payload_type, payload_type.depth_max)
            )
        except UnavailableError as error:
            _log.warning("query_unavailable", verb=verb, service=error.service, reason=error.message)
            return _error(ErrorCode.UNAVAILABLE, f"{error.service} is away; ask again later", {})
        except RulestreamError as error:
            return _error(error.code, error.message, error.details)
        except Exception:  # noqa: BLE001  # a defect of ours is answered as such, and logged whole
            _log.exception("query_defect", verb=verb, actor=actor.name)
            return _error(ErrorCode.INTERNAL_ERROR, "an internal error; the worker's log has the details", {})
        return _ENCODER.encode(QueryAnswer("ok", result=result))

    async def _get_rule(self, _: Actor, query: GetRule) -> Any:
        if query.rule_id is None and query.name is None:
            raise MissingParameterError("ruleId or name is required", field="ruleId")
        async with self._transactions.begin() as tx:
            if query.rule_id is not None:
                rule = await tx.rules.find_by_id(RuleId.parse(query.rule_id))
            else:
                rule = await tx.rules.find_by_name(query.name or "")
        if rule is None:
            raise NotFoundError(
                "no such rule", **({"ruleId": query.rule_id} if query.rule_id else {"name": query.name})
            )
        return rule_view(rule)

    async def _list_rules(self, _: Actor, query: ListRules) -> Any:
        require_page(query.page_size, query.page_offset)
        criteria = RuleCriteria(
            status=query.status,
            priority=query.priority,
            created_by=query.created_by,
            name_contains=query.name_contains,
            tag=query.tag,
            page_size=query.page_size,
            page_offset=query.page_offset,
            sort_by=query.sort_by,
            descending=query.sort_order == "desc",
        )
        async with self._transactions.begin() as tx:
            page = await tx.rules.list_by_criteria(criteria)
        return filled_page((rule_summary(rule) for rule in page.items), page.total, query.page_offset)

    async def _list_versions(self, _: Actor, query: ListVersions) -> Any:
        require_page(query.page_size, query.page_offset)
        async with self._transactions.begin() as tx:
            versions = await tx.rules.versions_of(RuleId.parse(query.rule_id))
        if not versions:
            raise NotFoundError("no such rule", ruleId=query.rule_id)
        chosen = versions[query.page_offset : query.page_offset + query.page_size]
        return filled_page((version_view(version) for version in chosen), len(versions), query.page_offset)

    async def _list_history(self, _: Actor, query: ListHistory) -> Any:
        require_page(query.page_size, query.page_offset)
        if query.rule_id is None:
            return await list_template_history(self._transactions, query)
        if query.template_id is not None:
            raise ValidationError("a history is of ruleId or of templateId: give one of them", field="templateId")
        async with self._transactions.begin() as tx:
            entries = await tx.history.of_rule(RuleId.parse(query.rule_id))
        if not entries:
            raise NotFoundError("no such rule", ruleId=query.rule_id)
        chosen = entries[query.page_offset : query.page_offset + query.page_size]
        return filled_page(map(history_entry, chosen), len(entries), query.page_offset)

    async def _get_template(self, _: Actor, query: GetTemplate) -> Any:
        return await get_template(self._transactions, query)

    async def _list_templates(self, _: Actor, query: ListTemplates) -> Any:
        return await list_templates(self._transactions, query)

    async def _get_ruleset(self, _: Actor, query: GetRuleset) -> Any:
        require_page(query.page_size, query.page_offset)
        async with self._transactions.begin() as tx:
            state = await tx.active_rules.state()
            members = sorted(await tx.active_rules.members(), key=lambda member: member[0])
            chosen = members[query.page_offset : query.page_offset + query.page_size]
            rules = await tx.active_rules.load([(rule_id, version) for rule_id, version, _ in chosen])
        items = (
            {
                "ruleId": rule.rule_id.value,
                "name": rule.content.name,
                "version": rule.version,
                "priority": rule.content.priority.value,
                "contentDigest": rule.digest.hex(),
            }
            for rule in sorted(rules, key=lambda rule: rule.rule_id)
        )
        page = filled_page(items, len(members), query.page_offset)
        return {"revision": state.revision, "digest": state.digest.hex(), **page}

    async def _validate(self, _: Actor, query: ValidateDsl) -> Any:
        problems = await self._compiler.problems(query.dsl_content)
        return {"problems": [problem.to_json() for problem in problems]}

    async def _get_command(self, actor: Actor, query: GetCommand) -> Any:
        async with self._transactions.begin() as tx:
            logged = await tx.commands.find(actor, CommandId(query.command_id))
        if logged is None:
            raise NotFoundError("no such command of this actor was decided yet", commandId=query.command_id)
        return msgspec.Raw(logged.answer)

    async def _get_decision(self, _: Actor, query: GetDecision) -> Any:
        found: Iterable[StoredDecision]
        if query.decision_id is not None:
            one = await self._decisions.find(parse_decision_id(query.decision_id))
            found = [] if one is None else [one]
        elif query.fact_id is not None:
            found = await self._decisions.find_by_fact_id(query.fact_id)
        else:
            raise MissingParameterError("decisionId or factId is required", field="decisionId")
        for decision in found:
            return msgspec.Raw(decision.body)
        raise NotFoundError("no such decision", decisionId=query.decision_id, factId=query.fact_id)

    async def _decisions_list(self, _: Actor, query: ListDecisions) -> Any:
        return await list_decisions(self._decisions, query)

    async def _explain(self, _: Actor, query: ExplainDecision) -> Any:
        return await self._explainer.explain(query)

    async def _simulate(self, _: Actor, query: SimulateRules) -> Any:
        return await self._simulator.simulate(query)


def _error(code: ErrorCode, message: str, details: dict[str, Any]) -> bytes:
    return _ENCODER.encode(QueryAnswer("error", error=ErrorBody(code.value, message, details)))
