"""The commands on rules, from create to delete.

Each is a function of the transaction, the payload and who asks when; it changes the aggregate and saves it. What is
common to all (deciding once, events, the answer) is ``decide_commands``'s part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.decisions.order import require_no_conflict
from domain.decisions.ruleset import ActiveRule, RulesetState, bind
from domain.errors import NotFoundError, ValidationError
from domain.identifiers import Actor, CommandId, RuleId
from domain.ports import DslCompiler, RulesetSource, Transaction
from domain.rules.content import RuleContent, format_moment, is_storable
from domain.rules.rule import Rule
from streams.messages.bounds import REASON_LENGTH_MAX
from streams.messages.commands import (
    ActivateRule,
    ApproveRule,
    CommandPayload,
    CreateRule,
    DeactivateRule,
    DeleteRule,
    DeprecateRule,
    RejectRule,
    RollbackRule,
    SubmitRule,
    UpdateRule,
)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, under which id, and when."""

    actor: Actor
    command_id: CommandId
    now: datetime
    traceparent: str | None = None  # of the command


@dataclass(frozen=True, slots=True)
class Tools:
    """What use cases need beside the transaction."""

    compiler: DslCompiler
    rulesets: RulesetSource


UseCase = Callable[[Transaction, Any, Request, Tools], Awaitable[Rule]]


async def create_rule(tx: Transaction, payload: CreateRule, request: Request, tools: Tools) -> Rule:
    """Make a new rule in DRAFT; its name must be free and its DSL right."""
    content = RuleContent.checked(**msgspec.structs.asdict(payload))
    await tools.compiler.check(content.dsl_content)
    rule_id = RuleId.for_command(request.actor, request.command_id)
    rule = Rule.create(rule_id, content, request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def update_rule(tx: Transaction, payload: UpdateRule, request: Request, tools: Tools) -> Rule:
    """Begin a new version with the fields that are given; the others keep their value."""
    rule = await _existing(tx, payload.rule_id)
    changes = {
        name: value
        for name, value in msgspec.structs.asdict(payload).items()
        if name not in {"rule_id", "expected_version"} and value is not msgspec.UNSET
    }
    if not changes:
        raise ValidationError("an update changes at least one field", field="name")
    content = RuleContent.checked(**{**_fields(rule.content), **changes})
    rule.update(content, payload.expected_version, request.actor, request.now)
    await tools.compiler.check(content.dsl_content)
    await tx.rules.save(rule)
    return rule


async def submit_rule(tx: Transaction, payload: SubmitRule, request: Request, _: Tools) -> Rule:
    """Ask for approval."""
    rule = await _existing(tx, payload.rule_id)
    rule.submit(payload.expected_version, request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def approve_rule(tx: Transaction, payload: ApproveRule, request: Request, _: Tools) -> Rule:
    """Approve exactly the expected version, by someone who did not write it."""
    _require_words("comment", payload.comment)
    rule = await _existing(tx, payload.rule_id)
    rule.approve(payload.expected_version, payload.comment, request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def reject_rule(tx: Transaction, payload: RejectRule, request: Request, _: Tools) -> Rule:
    """Send a version back to DRAFT, with a reason."""
    if not payload.reason.strip():
        raise ValidationError("a rejection needs a reason", field="reason")
    _require_words("reason", payload.reason)
    rule = await _existing(tx, payload.rule_id)
    rule.reject(payload.reason, request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def activate_rule(tx: Transaction, payload: ActivateRule, request: Request, tools: Tools) -> Rule:
    """Let the latest version decide, if it can stand beside the rules that decide now."""
    state = await tx.active_rules.lock()
    rule = await _existing(tx, payload.rule_id)
    rule.activate(request.actor, request.now)
    await _require_company(tx, state, rule, tools)
    await tx.rules.save(rule)
    return rule


async def deactivate_rule(tx: Transaction, payload: DeactivateRule, request: Request, _: Tools) -> Rule:
    """Stop a rule from deciding, at once: whoever is changing it meanwhile is waited for, or has to come again."""
    await tx.active_rules.lock()
    await tx.rules.lock(RuleId.parse(payload.rule_id))
    rule = await _existing(tx, payload.rule_id)
    rule.deactivate(request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def deprecate_rule(tx: Transaction, payload: DeprecateRule, request: Request, _: Tools) -> Rule:
    """Retire a rule for good."""
    await tx.active_rules.lock()
    rule = await _existing(tx, payload.rule_id)
    rule.deprecate(request.actor, request.now)
    await tx.rules.save(rule)
    return rule


async def rollback_rule(tx: Transaction, payload: RollbackRule, request: Request, tools: Tools) -> Rule:
    """Let an earlier, approved version's content decide again, as a new version."""
    state = await tx.active_rules.lock()
    rule = await _existing(tx, payload.rule_id)
    earlier = await tx.rules.find_version(rule.id, payload.to_version)
    if earlier is None:
        raise NotFoundError("no such version", ruleId=payload.rule_id, version=payload.to_version)
    rule.roll_back(earlier, request.actor, request.now)
    await _require_company(tx, state, rule, tools)
    await tx.rules.save(rule)
    return rule


async def delete_rule(tx: Transaction, payload: DeleteRule, request: Request, _: Tools) -> Rule:
    """Remove a draft that never was active; its name is free again."""
    rule = await _existing(tx, payload.rule_id)
    rule.delete(request.actor, request.now)
    await tx.rules.delete(rule)
    return rule


USE_CASES: Final[dict[type[CommandPayload], UseCase]] = {
    CreateRule: create_rule,
    UpdateRule: update_rule,
    SubmitRule: submit_rule,
    ApproveRule: approve_rule,
    RejectRule: reject_rule,
    ActivateRule: activate_rule,
    DeactivateRule: deactivate_rule,
    DeprecateRule: deprecate_rule,
    RollbackRule: rollback_rule,
    DeleteRule: delete_rule,
}


async def _require_company(tx: Transaction, state: RulesetState, rule: Rule, tools: Tools) -> None:
    """Refuse a version that cannot stand beside the other rules that decide."""
    candidate = ActiveRule(rule.id, rule.version, rule.content)
    company = await tools.rulesets.snapshot(state, tx.active_rules)
    (compiled,) = await tools.compiler.compile([rule.content.dsl_content])
    newcomer = bind(candidate, candidate.digest, compiled)
    await asyncio.to_thread(lambda: require_no_conflict(newcomer, company.rules))  # thousands take a while


async def _existing(tx: Transaction, text: str) -> Rule:
    rule = await tx.rules.find_by_id(RuleId.parse(text))
    if rule is None:
        raise NotFoundError("no such rule", ruleId=text)
    return rule


def _fields(content: RuleContent) -> dict[str, Any]:
    return {
        "name": content.name,
        "dsl_content": content.dsl_content,
        "priority": content.priority.value,
        "description": content.description,
        "tags": content.tags,
        "effective_from": None if content.effective_from is None else format_moment(content.effective_from),
        "effective_until": None if content.effective_until is None else format_moment(content.effective_until),
    }


def _require_words(field: str, text: str | None) -> None:
    """Refuse what is too long, or is no text, to stand in a rule's history; raises ValidationError."""
    if text is not None and len(text) > REASON_LENGTH_MAX:
        raise ValidationError(f"{field} cannot exceed {REASON_LENGTH_MAX} characters", field=field)
    if text is not None and not is_storable(text):
        raise ValidationError(f"{field} cannot hold NUL or lone surrogates", field=field)
