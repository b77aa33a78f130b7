"""Commands at once: what is decided when several have read the same state, and by two workers under a storm."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.identifiers import Actor, CommandId
from domain.roles import RolePolicy
from tests.behaviour.bus import Bus, connected, eventually
from tests.fakes.clock import FakeClock
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.rulesets import CompilingRulesets
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions
from worker.service import running_worker
from worker.settings import load_settings
from worker.usecases.change_rules import Tools
from worker.usecases.decide_commands import CommandDecider

ANN, BOB, CARL = Actor("ann"), Actor("bob"), Actor("carl")
DSL = 'when customer.tier == "gold" then set discount = 10'
GOLD = {"name": "gold discount", "dslContent": DSL, "priority": "MEDIUM"}
TEMPLATE = {
    "name": "tier discount",
    "dslTemplate": "when customer.tier == ${tier} then set discount = 10",
    "parameters": [{"name": "tier", "type": "string"}],
}
MEETING_S = 60.0
MANY = 8

Command = tuple[Actor, str, dict[str, Any]]
Answer = dict[str, Any]


class Meeting:
    """Where so many wait for each other once; whoever comes later goes on."""

    def __init__(self, parties: int) -> None:
        self._barrier = asyncio.Barrier(parties)
        self._expected = parties

    async def wait(self) -> None:
        if self._expected:
            self._expected -= 1
            async with asyncio.timeout(MEETING_S):
                await self._barrier.wait()


class MeetingReads:
    """A repository of which one method's callers meet when they have read, before any of them goes on to write."""

    def __init__(self, repository: Any, method: str, meeting: Meeting) -> None:
        self._repository, self._method, self._meeting = repository, method, meeting

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._repository, name)
        if name != self._method:
            return found

        async def read_and_meet(*arguments: Any) -> Any:
            result = await found(*arguments)
            await self._meeting.wait()
            return result

        return read_and_meet


class MeetingTransactions(PostgresTransactions):
    """Transactions that meet after a read, such as ``rules.find_by_id``; before they are told to, as ever."""

    meeting: tuple[str, str, Meeting] | None = None

    def meet(self, read: str, parties: int) -> None:
        repository, method = read.split(".")
        self.meeting = (repository, method, Meeting(parties))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        async with super().begin() as tx:
            if self.meeting is not None:
                repository, method, meeting = self.meeting
                setattr(tx, repository, MeetingReads(getattr(tx, repository), method, meeting))
            yield tx


class Ground:
    """Deciding commands on a real database, with meetings."""

    def __init__(self, transactions: MeetingTransactions) -> None:
        self.transactions = transactions
        tools = Tools(FakeDslCompiler(), CompilingRulesets())
        self.decider = CommandDecider(transactions, FakeClock(), tools, lambda _: None, RolePolicy())

    async def send(self, actor: Actor, verb: str, payload: dict[str, Any], command_id: str | None = None) -> Answer:
        named = CommandId(command_id or str(uuid.uuid4()))
        answer: Answer = json.loads(await self.decider.handle(actor, named, verb, json.dumps(payload).encode()))
        return answer

    async def at_once(self, read: str, commands: Sequence[Command], command_id: str | None = None) -> list[Answer]:
        """Send commands that all have read the same before any of them writes."""
        self.transactions.meet(read, len(commands))
        return list(await asyncio.gather(*(self.send(*command, command_id) for command in commands)))

    async def rule(self, *more: Command) -> str:
        """Make a rule, take it through commands, and give its id."""
        created = await self.send(ANN, "create", GOLD)
        rule_id: str = created["result"]["ruleId"]
        for actor, verb, payload in more:
            answer = await self.send(actor, verb, {"ruleId": rule_id, **payload})
            assert answer["status"] == "ok", answer
        return rule_id

    async def events(self, rule_id: str) -> list[str]:
        rows = await self.transactions._pool.fetch(
            "SELECT name FROM rule_event WHERE rule_id = $1::uuid ORDER BY number", uuid.UUID(rule_id)
        )
        return [row["name"] for row in rows]


@pytest.fixture
async def ground(database: str) -> AsyncIterator[Ground]:
    pool = await open_pool(database, size_max=MANY + 2, timeout_s=60)
    yield Ground(MeetingTransactions(pool))
    await pool.close()


def codes(answers: Sequence[Answer]) -> list[str]:
    """Give each answer's error code, or ok, sorted."""
    return sorted(answer["error"]["code"] if answer["error"] else answer["status"] for answer in answers)


SUBMIT: Command = (ANN, "submit", {})
APPROVE: Command = (BOB, "approve", {"expectedVersion": 1})
REJECT: Command = (CARL, "reject", {"reason": "too generous"})
UPDATE: Command = (ANN, "update", {"expectedVersion": 1, "name": "golden discount"})
DELETE: Command = (CARL, "delete", {})
ACTIVATE: Command = (BOB, "activate", {})
DEACTIVATE: Command = (CARL, "deactivate", {})


@pytest.mark.parametrize(
    ("before", "rivals"),
    [
        pytest.param([], [SUBMIT, (BOB, "submit", {})], id="submit-submit"),
        pytest.param([], [UPDATE, (BOB, "update", {"expectedVersion": 1, "priority": "LOW"})], id="update-update"),
        pytest.param([], [UPDATE, SUBMIT], id="update-submit"),
        pytest.param([], [UPDATE, DELETE], id="update-delete"),
        pytest.param([], [DELETE, (ANN, "delete", {})], id="delete-delete"),
        pytest.param([SUBMIT], [APPROVE, REJECT], id="approve-reject"),
        pytest.param([SUBMIT], [APPROVE, UPDATE], id="approve-update"),
        pytest.param([SUBMIT], [APPROVE, (CARL, *APPROVE[1:])], id="approve-approve"),
        pytest.param([SUBMIT, APPROVE], [ACTIVATE, UPDATE], id="activate-update"),
        pytest.param([SUBMIT, APPROVE, ACTIVATE], [DEACTIVATE, UPDATE], id="deactivate-update"),
    ],
)
async def test_of_two_commands_that_have_read_the_same_rule_one_wins_and_the_other_gets_conflict(
    ground: Ground, before: list[Command], rivals: list[Command]
) -> None:
    rule_id = await ground.rule(*before)
    events = await ground.events(rule_id)
    named = [(actor, verb, {"ruleId": rule_id, **payload}) for actor, verb, payload in rivals]
    answers = await ground.at_once("rules.find_by_id", named)
    assert codes(answers) == ["CONFLICT", "ok"]
    assert len(await ground.events(rule_id)) == len(events) + 1


@pytest.mark.parametrize(
    ("before", "rivals"),
    [
        pytest.param([SUBMIT, APPROVE], [ACTIVATE, (CARL, "activate", {})], id="activate-activate"),
        pytest.param([SUBMIT, APPROVE, ACTIVATE], [DEACTIVATE, (BOB, "deactivate", {})], id="deactivate-deactivate"),
        pytest.param(
            [SUBMIT, APPROVE, ACTIVATE], [(BOB, "deprecate", {}), (CARL, "deprecate", {})], id="deprecate-deprecate"
        ),
    ],
)
async def test_commands_on_the_ruleset_take_turns_and_the_second_finds_the_state_that_the_first_left(
    ground: Ground, before: list[Command], rivals: list[Command]
) -> None:
    rule_id = await ground.rule(*before)
    events = await ground.events(rule_id)
    answers = await asyncio.gather(*(ground.send(actor, verb, {"ruleId": rule_id}) for actor, verb, _ in rivals))
    assert codes(answers) == ["BUSINESS_ERROR", "ok"]
    assert len(await ground.events(rule_id)) == len(events) + 1


async def test_the_emergency_stop_never_has_to_come_again(ground: Ground) -> None:
    """However many edits are on their way, it is not the one that gets CONFLICT."""
    rule_id = await ground.rule(SUBMIT, APPROVE, ACTIVATE)
    edits = [(ANN, "update", {"ruleId": rule_id, "expectedVersion": 1, "name": f"edit {n}"}) for n in range(MANY)]
    stop = (CARL, "deactivate", {"ruleId": rule_id})
    answers = await asyncio.gather(*(ground.send(*command) for command in (*edits[:4], stop, *edits[4:])))
    assert answers[4]["status"] == "ok", answers[4]
    assert answers[4]["result"]["activeVersion"] is None


async def test_of_creates_of_one_name_that_all_found_it_free_one_wins(ground: Ground) -> None:
    commands = [(Actor(f"actor-{number}"), "create", GOLD) for number in range(MANY)]
    answers = await ground.at_once("rules.exists_by_name", commands)
    assert codes(answers) == ["BUSINESS_ERROR"] * (MANY - 1) + ["ok"]
    messages = {answer["error"]["message"] for answer in answers if answer["error"]}
    assert messages == {"rule name already exists"}


async def test_of_updates_to_one_name_that_was_free_one_wins(ground: Ground) -> None:
    first = await ground.rule()
    second = (await ground.send(BOB, "create", {**GOLD, "name": "silver discount"}))["result"]["ruleId"]
    change = {"expectedVersion": 1, "name": "bronze discount"}
    answers = await ground.at_once(
        "rules.find_by_id", [(ANN, "update", {"ruleId": rule_id, **change}) for rule_id in (first, second)]
    )
    assert codes(answers) == ["BUSINESS_ERROR", "ok"]


@pytest.mark.parametrize("verb", ["create", "submit", "promote"])
async def test_a_command_that_two_workers_have_at_once_has_one_effect_and_one_answer(ground: Ground, verb: str) -> None:
    """As when its acknowledgement came too late, and it was delivered again; refusals as well."""
    rule_id = await ground.rule()
    payload = {**GOLD, "name": "silver discount"} if verb == "create" else {"ruleId": rule_id}
    first, second = await ground.at_once("commands.find", [(ANN, verb, payload)] * 2, "one-command-for-two")
    assert first == second
    assert first["status"] == ("error" if verb == "promote" else "ok")
    events = await ground.events(first["result"]["ruleId"] if first["result"] else rule_id)
    assert events == ["RuleCreated", "RuleSubmittedForApproval"][: 2 if verb == "submit" else 1]


async def test_of_two_commands_under_one_id_at_once_one_is_decided_and_the_other_gets_conflict(ground: Ground) -> None:
    commands = [(ANN, "create", {**GOLD, "name": name}) for name in ("gold discount", "silver discount")]
    answers = await ground.at_once("commands.find", commands, "one-id-for-two-commands")
    assert codes(answers) == ["CONFLICT", "ok"]
    assert {answer["error"]["message"] for answer in answers if answer["error"]} == {
        "the command id was used for another command"
    }


async def test_of_creates_of_one_templates_name_one_wins(ground: Ground) -> None:
    commands = [(Actor(f"actor-{number}"), "create-template", TEMPLATE) for number in range(MANY)]
    answers = await ground.at_once("commands.find", commands)
    assert codes(answers) == ["BUSINESS_ERROR"] * (MANY - 1) + ["ok"]


@pytest.mark.parametrize("rival", ["update-template", "delete-template"])
async def test_of_two_commands_that_have_read_the_same_template_one_wins_and_the_other_gets_conflict(
    ground: Ground, rival: str
) -> None:
    named = {"templateId": (await ground.send(ANN, "create-template", TEMPLATE))["result"]["templateId"]}
    commands = [
        (ANN, "update-template", {**named, "description": "by tier"}),
        (BOB, rival, named if rival == "delete-template" else {**named, "description": "by level"}),
    ]
    assert codes(await ground.at_once("templates.find_by_id", commands)) == ["CONFLICT", "ok"]


async def test_of_instantiations_that_all_found_the_names_free_one_makes_all_its_rules_and_the_others_none(
    ground: Ground,
) -> None:
    template_id = (await ground.send(ANN, "create-template", TEMPLATE))["result"]["templateId"]
    rows = [{"tier": tier} for tier in ("gold", "silver")]
    payload = {"templateId": template_id, "rows": rows, "name": "${tier} discount", "priority": "LOW"}
    crossed = {**payload, "rows": rows[::-1]}
    commands = [(ANN, "instantiate-template", one) for one in (payload, crossed, payload)]
    answers = await ground.at_once("rules.exists_by_name", commands)
    assert codes(answers) == ["BUSINESS_ERROR", "BUSINESS_ERROR", "ok"]
    made = await ground.transactions._pool.fetch("SELECT name FROM rule ORDER BY name")
    assert [row["name"] for row in made] == ["gold discount", "silver discount"]


@pytest.fixture
async def bus(nats_url: str, database: str, redis_url: str) -> AsyncIterator[Bus]:
    """Give a user of the subjects, with two workers behind them."""
    settings = load_settings(nats_url=nats_url, postgres_dsn=database, redis_url=redis_url, http_port=0)
    async with running_worker(settings), running_worker(settings), connected(nats_url) as found:
        yield found


async def storm(bus: Bus, verb: str, payload: dict[str, Any]) -> list[Answer]:
    """Send one command as each of many actors at once; each answer is checked to be what the query tells later."""
    actors = [f"actor-{number}" for number in range(MANY)]
    answers = await asyncio.gather(*(bus.command(actor, verb, payload) for actor in actors))
    for actor, answer in zip(actors, answers, strict=True):
        told = await bus.query(actor, "command", {"commandId": answer["commandId"]})
        assert told == {"status": "ok", "result": answer, "error": None}
    return list(answers)


async def published(bus: Bus, rule_id: str, count: int) -> list[str]:
    """Wait for so many events of a rule and give them all."""
    messages = await eventually(
        lambda: bus.stored("RULES_EVENTS", f"rules.event.{rule_id}.>"), lambda found: len(found) >= count
    )
    return [message.body["eventType"] for message in messages]


async def test_a_storm_on_two_workers_submits_a_rule_once(bus: Bus) -> None:
    """Who reads the rule after the winner has written it finds it submitted already."""
    rule = await bus.tell("ann", "create", GOLD)
    found = codes(await storm(bus, "submit", {"ruleId": rule["ruleId"]}))
    assert found.count("ok") == 1
    assert set(found) - {"ok"} <= {"CONFLICT", "BUSINESS_ERROR"}
    assert await published(bus, rule["ruleId"], 2) == ["RuleCreated", "RuleSubmittedForApproval"]
