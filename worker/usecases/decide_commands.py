"""Deciding commands: once for ever under (actor, command id), in one transaction with everything that they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from domain.errors import ConflictError, ErrorCode, NotFoundError, RulestreamError, UnavailableError
from domain.identifiers import Actor, CommandId, event_id_for_command
from domain.ports import (
    Clock,
    LoggedCommand,
    OutboxMessage,
    RecordedEvent,
    RecordedTemplateEvent,
    Transaction,
    Transactions,
)
from domain.roles import RolePolicy
from domain.rules.rule import Rule
from domain.templates.template import Template
from streams.codec import decode_request, payload_digest
from streams.messages.commands import PAYLOADS, CommandAnswer, ErrorBody
from streams.messages.events import outbox_message
from streams.messages.queries import rule_view
from streams.messages.templates import template_outbox_message
from worker.usecases.change_rules import USE_CASES, Request, Tools
from worker.usecases.change_templates import TEMPLATE_USE_CASES

_ENCODER: Final = msgspec.json.Encoder()
_log = structlog.get_logger(__name__)


class _DecidedMeanwhileError(Exception):
    """Another worker logged the command first; what it decided stands."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a command did: the answer's result, and what the log says it was about."""

    result: Any
    about: Mapping[str, Any]
    changes_ruleset: bool = False


class CommandDecider:
    """CommandPort: every command gets exactly one answer, stored with its effect."""

    def __init__(
        self,
        transactions: Transactions,
        clock: Clock,
        tools: Tools,
        on_change: Callable[[bool], None],
        policy: RolePolicy,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._tools = tools
        self._on_change = on_change
        self._policy = policy

    async def handle(
        self, actor: Actor, command_id: CommandId, verb: str, payload: bytes, traceparent: str | None = None
    ) -> bytes:
        digest = payload_digest(verb, payload)
        request = Request(actor, command_id, self._clock.now(), traceparent)
        try:
            async with self._transactions.begin() as tx:
                logged = await tx.commands.find(actor, command_id)
                if logged is not None:
                    return _again(logged, digest, command_id)
                outcome = await self._execute(tx, verb, payload, request)
                answer = _ENCODER.encode(CommandAnswer(command_id.value, "ok", result=outcome.result))
                await self._log_in(tx, request, LoggedCommand(verb, digest, answer))
            _log.info("command_decided", verb=verb, actor=actor.name, **outcome.about)
            self._on_change(outcome.changes_ruleset)
        except UnavailableError:
            raise
        except _DecidedMeanwhileError:
            return await self._refuse(request, verb, digest, b"")
        except RulestreamError as error:
            answer = _refusal(command_id, error.code, error)
        except Exception:  # noqa: BLE001  # a defect of ours is answered as such, and logged whole
            _log.exception("command_defect", verb=verb, actor=actor.name)
            defect = RulestreamError("an internal error; the worker's log has the details")
            answer = _refusal(command_id, ErrorCode.INTERNAL_ERROR, defect)
        else:
            return answer
        return await self._refuse(request, verb, digest, answer)

    async def _refuse(self, request: Request, verb: str, digest: bytes, answer: bytes) -> bytes:
        """Log a refusal in a transaction of its own: the command's was rolled back. What is logged already stands."""
        async with self._transactions.begin() as tx:
            logged = await tx.commands.find(request.actor, request.command_id)
            if logged is None and await tx.commands.add(
                request.actor, request.command_id, LoggedCommand(verb, digest, answer), request.now
            ):
                _log.info("command_refused", verb=verb, actor=request.actor.name)
                return answer
            logged = logged or await tx.commands.find(request.actor, request.command_id)
        assert logged is not None
        return _again(logged, digest, request.command_id)

    async def _execute(self, tx: Transaction, verb: str, payload: bytes, request: Request) -> _Outcome:
        payload_type = PAYLOADS.get(verb)
        if payload_type is None:
            raise NotFoundError(f"no such command: {verb[:64]}", verb=verb[:64])
        self._policy.require(request.actor, verb)  # before anything else is looked at, so that nothing is told
        command = decode_request(payload, payload_type)
        use_case = USE_CASES.get(payload_type)
        if use_case is not None:
            rule = await use_case(tx, command, request, self._tools)
            changes_ruleset = await _record_rules(tx, [rule], request)
            return _Outcome(rule_view(rule), {"rule_id": rule.id.value, "version": rule.version}, changes_ruleset)
        changed = await TEMPLATE_USE_CASES[payload_type](tx, command, request, self._tools)
        await _record_template(tx, changed.template, request)
        await _record_rules(tx, changed.rules, request)
        template = changed.template
        about = {"template_id": template.id.value, "version": template.version, "rules": len(changed.rules)}
        return _Outcome(changed.result, about)

    @staticmethod
    async def _log_in(tx: Transaction, request: Request, command: LoggedCommand) -> None:
        if not await tx.commands.add(request.actor, request.command_id, command, request.now):
            raise _DecidedMeanwhileError


async def _record_rules(tx: Transaction, rules: Sequence[Rule], request: Request) -> bool:
    """Write the rules' new events into their histories and the outbox; those that change the ruleset change it.

    Say whether one did.
    """
    messages: list[OutboxMessage] = []
    changes_ruleset = False
    for rule in rules:
        for event in rule.pull_events():
            revision: int | None = None
            if event.changes_ruleset:
                changes_ruleset = True
                revision = (await tx.active_rules.change(rule, request.now)).revision
            event_id = event_id_for_command(request.actor, request.command_id, len(messages))
            await tx.history.add(RecordedEvent(event_id, event, request.command_id, revision))
            messages.append(outbox_message(event_id, event, request.command_id, revision, request.traceparent))
    await tx.outbox.add(messages)
    return changes_ruleset


async def _record_template(tx: Transaction, template: Template, request: Request) -> None:
    """Write the template's new events into its history and the outbox."""
    for index, event in enumerate(template.pull_events()):
        event_id = event_id_for_command(request.actor, request.command_id, index)
        entry = RecordedTemplateEvent(event_id, event, request.command_id)
        await tx.templates.record(entry)
        await tx.outbox.add([template_outbox_message(entry, request.traceparent)])


def _again(logged: LoggedCommand, digest: bytes, command_id: CommandId) -> bytes:
    if logged.payload_digest == digest:
        return logged.answer
    message = "the command id was used for another command"
    return _refusal(command_id, ErrorCode.CONFLICT, ConflictError(message, verb=logged.verb))


def _refusal(command_id: CommandId, code: ErrorCode, error: RulestreamError) -> bytes:
    body = ErrorBody(code.value, error.message, error.details)
    return _ENCODER.encode(CommandAnswer(command_id.value, "error", error=body))
