"""Deciding commands: once for ever under (actor, command id), in one transaction with everything that they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from domain.errors import ConflictError, ErrorCode, NotFoundError, RulestreamError, UnavailableError
from domain.identifiers import Actor, CommandId, event_id_for_command
from domain.ports import Clock, LoggedCommand, RecordedEvent, Transaction, Transactions
from domain.roles import RolePolicy
from domain.rules.rule import Rule
from streams.codec import decode_request, payload_digest
from streams.messages.commands import PAYLOADS, CommandAnswer, ErrorBody
from streams.messages.events import outbox_message
from streams.messages.queries import rule_view
from worker.usecases.change_rules import USE_CASES, Request, Tools

_ENCODER: Final = msgspec.json.Encoder()
_log = structlog.get_logger(__name__)


class _DecidedMeanwhileError(Exception):
    """Another worker logged the command first; what it decided stands."""


class CommandDecider:
    """CommandPort: every command gets exactly one answer, stored with its effect."""

    def __init__(
        self,
        transactions: Transactions,
        clock: Clock,
        tools: Tools,
        on_change: Callable[[], None],
        policy: RolePolicy,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._tools = tools
        self._on_change = on_change
        self._policy = policy

    async def handle(self, actor: Actor, command_id: CommandId, verb: str, payload: bytes) -> bytes:
        digest = payload_digest(verb, payload)
        request = Request(actor, command_id, self._clock.now())
        try:
            async with self._transactions.begin() as tx:
                logged = await tx.commands.find(actor, command_id)
                if logged is not None:
                    return _again(logged, digest, command_id)
                rule = await self._execute(tx, verb, payload, request)
                view = rule_view(rule)
                answer = _ENCODER.encode(CommandAnswer(command_id.value, "ok", result=view))
                await self._log_in(tx, request, LoggedCommand(verb, digest, answer))
            _log.info("command_decided", verb=verb, actor=actor.name, rule_id=view.rule_id, version=view.version)
            self._on_change()
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

    async def _execute(self, tx: Transaction, verb: str, payload: bytes, request: Request) -> Rule:
        payload_type = PAYLOADS.get(verb)
        if payload_type is None:
            raise NotFoundError(f"no such command: {verb[:64]}", verb=verb[:64])
        self._policy.require(request.actor, verb)  # before anything else is looked at, so that nothing is told
        command = decode_request(payload, payload_type)
        rule = await USE_CASES[payload_type](tx, command, request, self._tools)
        for index, event in enumerate(rule.pull_events()):
            revision: int | None = None
            if event.changes_ruleset:
                revision = (await tx.active_rules.change(rule, request.now)).revision
            event_id = event_id_for_command(request.actor, request.command_id, index)
            await tx.history.add(RecordedEvent(event_id, event, request.command_id, revision))
            await tx.outbox.add([outbox_message(event_id, event, request.command_id, revision)])
        return rule

    @staticmethod
    async def _log_in(tx: Transaction, request: Request, command: LoggedCommand) -> None:
        if not await tx.commands.add(request.actor, request.command_id, command, request.now):
            raise _DecidedMeanwhileError


def _again(logged: LoggedCommand, digest: bytes, command_id: CommandId) -> bytes:
    if logged.payload_digest == digest:
        return logged.answer
    message = "the command id was used for another command"
    return _refusal(command_id, ErrorCode.CONFLICT, ConflictError(message, verb=logged.verb))


def _refusal(command_id: CommandId, code: ErrorCode, error: RulestreamError) -> bytes:
    body = ErrorBody(code.value, error.message, error.details)
    return _ENCODER.encode(CommandAnswer(command_id.value, "error", error=body))
