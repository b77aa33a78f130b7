"""One sequence on the stage and in the model at once.

Where commands are sent together the contract allows any order of them, so there may be several models, each of what can
have happened; whatever is seen afterwards leaves only those that agree with it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.behaviour.bus import eventually
from tests.governance import templates
from tests.governance.model import Command, Model, difference, version_view, view
from tests.governance.stage import Stage
from tests.governance.steps import Disruption, Do, Flush, Misuse, Pause, Repeat, Step, Together


@dataclass(slots=True)
class Tally:
    """What a run was made of."""

    sequences: int = 0
    commands: int = 0
    refused: int = 0
    repeated: int = 0
    disruptions: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)


class Conversation:
    """What is said and heard in one sequence."""

    def __init__(self, stage: Stage, revision: int, token: str, tally: Tally) -> None:
        self._stage = stage
        self._token = token
        self._tally = tally
        self._models = [Model(revision=revision)]
        self._sent: list[Command] = []
        self._told: list[str] = []

    async def play(self, steps: Iterable[Step]) -> None:
        """Play the steps, then compare all that there is."""
        try:
            for step in steps:
                await self._play(step)
            await self._compare_all()
        except AssertionError as error:
            raise AssertionError(f"{error}\nsaid so far:\n  " + "\n  ".join(self._told)) from None

    async def _play(self, step: Step) -> None:
        match step:
            case Pause():
                pass
            case Do():
                await self._together([step], in_order=True)
            case Together():
                await self._together(step.drawn(), in_order=True)
            case Repeat(which, is_reordered):
                await self._repeat(which, is_reordered=is_reordered)
            case Misuse(which):
                await self._misuse(which)
            case Flush():
                self._told.append("the cache is emptied")
                await self._stage.flush()
            case Disruption():
                await self._disrupt(step)

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _together(self, drawn: Sequence[Do], *, in_order: bool) -> None:
        commands = self._commands(drawn)
        await asyncio.gather(*(self._stage.publish(command) for command in commands))
        await self._conclude(commands, in_order=in_order)

    def _commands(self, drawn: Sequence[Do]) -> list[Command]:
        commands = [one.command(self._models[0], self._token) for one in drawn]
        for command in commands:
            self._told.append(f"{command.actor[:8]} {command.verb} {command.payload!r} ({command.command_id})")
        return commands

    async def _disrupt(self, step: Disruption) -> None:
        stage = self._stage
        self._tally.disruptions[step.kind] += 1
        self._told.append(f"the worker is {step.kind}, after {step.answered} answers")
        commands = self._commands(step.commands)
        match step.kind:
            case "stopped":
                await stage.stop_worker()
                await self._publish(commands)
            case "killed":
                await self._publish(commands)
                wanted = min(step.answered, len(commands))
                await stage.hear(
                    lambda: sum(command.command_id in stage.answers for command in commands) >= wanted, "an answer"
                )
                await stage.kill_worker()
            case "dying":
                await stage.stop_worker()
                await stage.start_dying_worker()
                await self._publish(commands)
                await stage.worker_died()
        await stage.start_worker()
        # What a dead worker had taken comes again later than what nobody had taken.
        await self._conclude(commands, in_order=step.kind == "stopped")

    async def _publish(self, commands: Sequence[Command]) -> None:
        for command in commands:
            await self._stage.publish(command)

    async def _conclude(self, commands: Sequence[Command], *, in_order: bool) -> None:
        """Hear the answers, and keep every model of an order in which they are right."""
        stage = self._stage
        await stage.hear(lambda: all(command.command_id in stage.answers for command in commands), "an answer")
        answers = [json.loads(stage.answers[command.command_id][0]) for command in commands]
        self._sent.extend(commands)
        for command, answer in zip(commands, answers, strict=True):
            code = answer["error"]["code"] if answer["error"] else "ok"
            self._tally.commands += 1
            self._tally.answers[code] += 1
            self._told.append(f"answer to {command.command_id}: {code} {answer['error'] or ''}")
            assert answer["commandId"] == command.command_id
            assert answer["status"] in {"ok", "error"}
        found: list[Model] = []
        reasons: list[str] = []
        for model in self._models:
            for order in itertools.permutations(range(len(commands))):
                if in_order and not _keeps_order(order, commands):
                    continue
                copy = model.copy()
                reason = _accepted(copy, order, commands, answers)
                if reason is not None:
                    reasons.append(f"in order {order}: {reason}")
                elif copy not in found:
                    found.append(copy)
        assert found, "no order of the commands explains the answers:\n  " + "\n  ".join(reasons)
        self._models = found
        if len(found) > 1:  # which rule's change was the earlier one is in the revisions of their events
            await self._compare_histories()

    async def _repeat(self, which: int, *, is_reordered: bool) -> None:
        if not self._sent:
            return
        command = self._sent[which % len(self._sent)]
        payload = command.payload
        if is_reordered and not isinstance(payload, bytes):
            payload = dict(reversed(payload.items()))
        self._told.append(f"again {command.command_id}")
        self._tally.repeated += 1
        heard = self._stage.answers[command.command_id]
        before = len(heard)
        acknowledgement = await self._stage.publish(command, payload)
        if not acknowledgement.duplicate:
            await self._stage.hear(lambda: len(heard) > before, "the answer to a repeated command")
            assert heard[-1] == heard[0], f"another answer to the same command: {heard[-1]!r}, first {heard[0]!r}"
        await self._stands(command)

    async def _stands(self, command: Command) -> None:
        """Check that the first answer to a command is the one that is kept, byte for byte."""
        query = json.dumps({"commandId": command.command_id}).encode()
        subject = f"rules.query.{command.actor}.command"
        kept = (await self._stage.bus.client.request(subject, query, timeout=10)).data
        first = self._stage.answers[command.command_id][0]
        assert first in kept, f"kept is {kept!r}, answered was {first!r}"
        assert json.loads(kept)["result"] == json.loads(first)

    async def _misuse(self, which: int) -> None:
        if not self._sent:
            return
        stage = self._stage
        command = self._sent[which % len(self._sent)]
        self._told.append(f"another command as {command.command_id}")
        heard = stage.answers[command.command_id]
        before = len(heard)
        other = {"ruleId": "another"} if isinstance(command.payload, bytes) else {**command.payload, "and": "more"}
        await eventually(lambda: stage.publish(command, other), lambda seen: not seen.duplicate)
        await stage.hear(lambda: len(heard) > before, "the answer to a misused id")
        answer = json.loads(heard.pop())
        assert answer["status"] == "error", answer
        assert answer["error"]["code"] == "CONFLICT", answer
        await self._stands(command)

    # --- what there is ------------------------------------------------------------------------------------------------

    async def _compare_histories(self) -> None:
        histories = {owner: await self._history(owner) for owner in self._models[0].histories}
        self._keep(lambda model: _history_difference(model, histories))

    async def _compare_all(self) -> None:
        """Compare every rule, its versions, history and events, the list, the ruleset and the log with the model."""
        bus = self._stage.bus
        await self._compare_histories()
        listed = await bus.ask("list", nameContains=self._token, pageSize=500)
        ruleset = await bus.ask("ruleset", pageSize=500)
        rules = {rule_id: await bus.query("viewer", "get", {"ruleId": rule_id}) for rule_id in self._models[0].rules}
        versions = {
            rule_id: await bus.query("viewer", "versions", {"ruleId": rule_id, "pageSize": 500}) for rule_id in rules
        }
        self._keep(lambda model: _rules_difference(model, rules, versions))
        self._keep(lambda model: _list_difference(model, listed, self._token))
        self._keep(lambda model: _ruleset_difference(model, ruleset))
        asked = {
            template_id: await bus.query("viewer", "template", {"templateId": template_id})
            for template_id in self._models[0].templates
        }
        self._keep(lambda model: _templates_difference(model, asked))
        for owner in self._models[0].histories:
            await self._compare_events(owner)
        for command in self._sent:
            await self._stands(command)
            heard = set(self._stage.answers[command.command_id])
            assert len(heard) == 1, f"several answers to {command.command_id}: {heard}"

    def _keep(self, differs: Any) -> None:
        reasons = [differs(model) for model in self._models]
        kept = [model for model, reason in zip(self._models, reasons, strict=True) if reason is None]
        assert kept, "what there is differs from every model of what can have happened:\n  " + "\n  ".join(
            map(str, reasons)
        )
        self._models = kept

    async def _history(self, owner: str) -> list[dict[str, Any]]:
        named = "templateId" if owner in self._models[0].templates else "ruleId"
        found = await self._stage.bus.ask("history", pageSize=500, **{named: owner})
        assert found["total"] == len(found["items"])
        return list(found["items"])

    async def _compare_events(self, rule_id: str) -> None:
        """Compare a rule's events on the stream with its history: the same ones in the same order, each once."""
        history = await self._history(rule_id)
        events = self._stage.events.setdefault(rule_id, [])
        await self._stage.hear(lambda: len(events) >= len(history), f"the events of {rule_id}")
        found = [json.loads(event.data) for event in events]
        assert [event["eventId"] for event in found] == [entry["eventId"] for entry in history]
        assert len({event["eventId"] for event in found}) == len(found), "an event is on the stream twice"
        digests: dict[int, str] = {}
        for event, entry, message in zip(found, history, events, strict=True):
            assert difference(event, entry) is None, difference(event, entry)
            assert message.subject == f"rules.event.{rule_id}.{event['eventType']}"
            headers = message.headers or {}
            assert headers["Nats-Msg-Id"] == headers["ce-id"] == event["eventId"]
            assert headers["ce-type"] == f"rulestream.event.{event['eventType']}"
            assert headers["ce-specversion"] == "1.0"
            digest = digests.setdefault(event["version"], event["contentDigest"])
            assert digest == event["contentDigest"], "the content changed within a version"
        assert len(set(digests.values())) == len(digests), "two versions have one digest"


def _keeps_order(order: Sequence[int], commands: Sequence[Command]) -> bool:
    """Say whether each actor's commands stand in the order in which they were sent."""
    return all(
        earlier < later or commands[earlier].actor != commands[later].actor
        for earlier, later in itertools.combinations(order, 2)
    )


def _accepted(
    model: Model, order: Sequence[int], commands: Sequence[Command], answers: Sequence[dict[str, Any]]
) -> str | None:
    """Tell a model the commands in an order, with their answers; give the first thing that is not allowed."""
    winners = {_about(command) for command, answer in zip(commands, answers, strict=True) if answer["status"] == "ok"}
    for index in order:
        command, answer = commands[index], answers[index]
        may_have_lost = _about(command) in winners - {None} and answer["status"] == "error"
        reason = model.accept(command, answer, may_have_lost=may_have_lost)
        if reason is not None:
            return f"{command.verb} by {command.actor}: {reason}"
    return None


def _about(command: Command) -> str | None:
    """Give the id of the rule or template that a command is about."""
    if isinstance(command.payload, bytes):
        return None
    found = command.payload.get("ruleId", command.payload.get("templateId"))
    return found if isinstance(found, str) else None


def _history_difference(model: Model, histories: dict[str, list[dict[str, Any]]]) -> str | None:
    for owner, wanted in model.histories.items():
        found = histories.get(owner, [])
        if [entry["eventType"] for entry in found] != [entry["eventType"] for entry in wanted]:
            return f"history of {owner} is {[entry['eventType'] for entry in found]}, must be {wanted}"
        for entry, event in zip(found, wanted, strict=True):
            if reason := difference(event, entry):
                return f"history of {owner}: {reason}"
            if "revision" not in event and entry.get("revision") is not None:
                return f"history of {owner}: a revision where nothing changed: {entry}"
    return None


def _rules_difference(model: Model, rules: dict[str, Any], versions: dict[str, Any]) -> str | None:
    for rule in model.rules.values():
        found, listed = rules[rule.rule_id], versions[rule.rule_id]
        if rule.is_deleted:
            if (found["error"] or {}).get("code") != "NOT_FOUND" or (listed["error"] or {}).get("code") != "NOT_FOUND":
                return f"the deleted rule {rule.rule_id} is still there: {found}, {listed}"
            continue
        if reason := difference(view(rule), found["result"]):
            return f"get {rule.rule_id}: {reason}"
        if found["result"]["updatedAt"] != rule.events[-1].occurred_at:
            return f"get {rule.rule_id}: updated at {found['result']['updatedAt']}, not at the last event's time"
        wanted = [version_view(version) for version in reversed(rule.versions)]
        if len(wanted) != len(listed["result"]["items"]):
            return f"versions of {rule.rule_id}: {listed['result']['items']}, must be {wanted}"
        for one, other in zip(wanted, listed["result"]["items"], strict=True):
            if reason := difference(one, other):
                return f"version {one['version']} of {rule.rule_id}: {reason}"
    return None


def _templates_difference(model: Model, asked: dict[str, Any]) -> str | None:
    for template in model.templates.values():
        found = asked[template.template_id]
        if template.is_deleted:
            if (found["error"] or {}).get("code") != "NOT_FOUND":
                return f"the deleted template {template.template_id} is still there: {found}"
            continue
        wanted = {**templates.view(template), "laggingRules": len(model.lagging(template))}
        if reason := difference(wanted, found["result"]):
            return f"template {template.template_id}: {reason}"
    return None


def _list_difference(model: Model, listed: dict[str, Any], token: str) -> str | None:
    wanted = {rule.rule_id: view(rule) for rule in model.rules.values() if not rule.is_deleted}
    wanted = {rule_id: found for rule_id, found in wanted.items() if token in found["name"]}
    found = {item["ruleId"]: item for item in listed["items"]}
    if set(found) != set(wanted) or listed["total"] != len(wanted):
        return f"list has {sorted(found)} of {listed['total']}, must have {sorted(wanted)}"
    for rule_id, item in found.items():
        if "dslContent" in item:
            return "list shows dslContent"
        summary = {name: value for name, value in wanted[rule_id].items() if name != "dslContent"}
        if reason := difference(summary, item):
            return f"list: {rule_id}: {reason}"
    return None


def _ruleset_difference(model: Model, ruleset: dict[str, Any]) -> str | None:
    wanted = {
        rule.rule_id: {"name": rule.deciding.shown["name"], "version": rule.deciding.number}
        for rule in model.rules.values()
        if rule.deciding is not None
    }
    found = {item["ruleId"]: {"name": item["name"], "version": item["version"]} for item in ruleset["items"]}
    if found != wanted or ruleset["revision"] != model.revision:
        return f"the ruleset is {ruleset['revision']} {found}, must be {model.revision} {wanted}"
    return None
