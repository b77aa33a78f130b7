"""Plans read from a worker and sent to it: what is asked, and what a failure means for the rest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from domain.errors import ConflictError, ErrorCode, RulestreamError, UnavailableError
from domain.identifiers import RuleId
from domain.language import compile_rule
from domain.rules.content import Priority, RuleContent
from worker.applying import Outcome, read_known, read_rules_to_export, send_changes, version_of
from worker.cli.plans import outcome_line, outcomes_json, outcomes_line, plan_json, plan_view
from worker.cli.ruleset import ATTEMPTS, read_ruleset
from worker.client import RemoteError
from worker.files.plan import Plan, plan_changes
from worker.files.rules import RuleSource

COMPILED = compile_rule("total > 1")


def rule_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def source(name: str, dsl: str = "total > 1", rule_id: str | None = None, **fields) -> RuleSource:
    content = RuleContent(name, dsl, fields.pop("priority", Priority.MEDIUM), **fields)
    return RuleSource(f"rules/{name}.rule", None if rule_id is None else RuleId(rule_id), content, COMPILED)


def view(number: int, name: str, **fields) -> dict[str, Any]:
    return {
        "ruleId": rule_id(number),
        "name": name,
        "description": "",
        "dslContent": "total > 1",
        "priority": "MEDIUM",
        "tags": [],
        "status": "DRAFT",
        "version": 1,
        "activeVersion": None,
        "createdBy": "ann",
        "createdAt": f"2026-01-01T00:00:{number:02d}Z",
        "updatedBy": "ann",
        "updatedAt": "2026-01-01T00:00:00Z",
        "approvedBy": None,
        "effectiveFrom": None,
        "effectiveUntil": None,
        **fields,
    }


class AWorker:
    """A client of a worker with rules; ``refusals`` are raised by the commands of their verb and name."""

    def __init__(self, *rules: dict[str, Any], **held_names: str) -> None:
        self.rules = {rule["ruleId"]: rule for rule in rules}
        self.held = {rule["name"]: rule["ruleId"] for rule in rules} | held_names
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.refusals: dict[tuple[str, str], RulestreamError] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []

    async def query(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(payload)
        if verb == "versions":
            versions = self.versions[payload["ruleId"]]
            at = payload["pageOffset"]
            page: dict[str, Any] = {"items": versions[at : at + 1], "total": len(versions)}
            return page | ({"nextOffset": at + 1} if at + 1 < len(versions) else {})
        assert verb == "get"
        found = self.rules.get(payload.get("ruleId") or self.held.get(payload["name"], ""))
        if found is None:
            raise RemoteError("NOT_FOUND", "no such rule", {})
        return found

    async def query_all(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert verb == "list"
        items = [{**rule} for rule in self.rules.values() if rule["status"] == payload.get("status", rule["status"])]
        for item in items:
            del item["dslContent"]
        return {"items": items, "total": len(items)}

    async def command(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        name = payload.get("name") or self.rules[payload["ruleId"]]["name"]
        if (error := self.refusals.get((verb, name))) is not None:
            raise error
        self.sent.append((verb, payload))
        if verb == "submit":
            rule = {**self.rules[payload["ruleId"]], "status": "UNDER_REVIEW"}
        elif verb == "create":
            rule = view(len(self.rules) + 50, name)
        else:
            before = self.rules[payload["ruleId"]]
            rule = {**before, "version": before["version"] + 1, "status": "DRAFT"}
        rule |= {key: value for key, value in payload.items() if key != "expectedVersion"}
        self.rules[rule["ruleId"]] = rule
        self.held[rule["name"]] = rule["ruleId"]
        return rule


async def planned(worker: AWorker, *sources: RuleSource) -> Plan:
    return plan_changes(sources, await read_known(worker, sources))


async def sent(worker: AWorker, plan: Plan, *, submit: bool = False) -> list[Outcome]:
    return [outcome async for outcome in send_changes(worker, plan, submit=submit)]


def shown(what: Any, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what, crop=False)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


async def test_rules_are_asked_for_by_id_and_by_name_and_once_each():
    worker = AWorker(view(1, "gold"), view(2, "silver"), view(3, "bronze"), old=rule_id(2))
    sources = [source("gold", rule_id=rule_id(1)), source("old"), source("new"), source("x", rule_id=rule_id(9))]
    known = await read_known(worker, sources)

    assert {rule.content.name for rule in known.rules.values()} == {"gold", "silver"}
    assert known.holders == {"gold": RuleId(rule_id(1)), "old": RuleId(rule_id(2))}
    assert [rule.name for rule in known.listed] == ["gold", "silver", "bronze"]
    asked = [next(iter(payload.values())) for payload in worker.asked]
    assert sorted(asked) == sorted([rule_id(1), rule_id(9), "old", "new", "x"])


async def test_an_answer_that_is_no_rule_ends_the_reading():
    worker = AWorker()

    async def away(verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        raise UnavailableError("worker", "no worker answered in time")

    worker.query = away  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await read_known(worker, [source("gold")])


async def test_changes_are_sent_and_the_next_plan_has_nothing_to_send():
    worker = AWorker(view(1, "gold"))
    plan = await planned(worker, source("gold", priority=Priority.LOW), source("new"))
    outcomes = await sent(worker, plan)

    assert [verb for verb, _ in worker.sent] == ["update", "create"]
    assert worker.sent[0][1] == {"ruleId": rule_id(1), "expectedVersion": 1, "priority": "LOW"}
    assert all(outcome.is_done for outcome in outcomes)
    assert (await planned(worker, source("gold", priority=Priority.LOW), source("new"))).changes == []


async def test_what_was_made_is_submitted_in_exactly_the_version_that_was_made():
    worker = AWorker(view(1, "gold", version=4))
    plan = await planned(worker, source("gold", dsl="total > 2"))
    (outcome,) = await sent(worker, plan, submit=True)
    assert worker.sent[1] == ("submit", {"ruleId": rule_id(1), "expectedVersion": 5})
    assert outcome.rule is not None
    assert outcome.rule["status"] == "UNDER_REVIEW"


async def test_a_refusal_is_that_rules_alone():
    worker = AWorker(view(1, "gold"))
    worker.refusals["update", "gold"] = RemoteError(
        "CONFLICT", "the rule is at version 2, not 1", {"currentVersion": 2}
    )
    worker.refusals["submit", "new"] = RemoteError("FORBIDDEN", "not an author", {})
    plan = await planned(worker, source("gold", dsl="x"), source("new"), source("other"))
    outcomes = await sent(worker, plan, submit=True)

    assert [outcome.is_done for outcome in outcomes] == [False, False, True]
    assert [outcome.failed for outcome in outcomes] == ["update", "submit", None]
    assert "".join(shown(outcome_line(outcome)) for outcome in outcomes) + shown(outcomes_line(outcomes)) == (
        "update gold failed: error[CONFLICT]: the rule is at version 2, not 1\n"
        "create: new version 1 is DRAFT, but submit failed: error[FORBIDDEN]: not an author\n"
        "create: other version 1 is UNDER_REVIEW\n"
        "1 done, 2 failed\n"
    )
    first, second, third = outcomes_json(outcomes)
    assert first["error"] == {
        "code": "CONFLICT",
        "message": "the rule is at version 2, not 1",
        "details": {"currentVersion": 2},
    }
    assert (second["result"], second["failed"], second["status"]) == ("failed", "submit", "DRAFT")
    assert (third["result"], third["error"], third["version"]) == ("done", None, 1)


async def test_once_no_worker_answers_the_rest_is_not_sent_and_said_so():
    worker = AWorker()
    worker.refusals["create", "two"] = UnavailableError("worker", "no worker answered yet; command c waits")
    outcomes = await sent(worker, await planned(worker, source("one"), source("two"), source("three")))
    assert [found["result"] for found in outcomes_json(outcomes)] == ["done", "failed", "not-sent"]
    assert [verb for verb, _ in worker.sent] == ["create"]
    assert shown(outcome_line(outcomes[2])) == "not sent: three\n"
    assert shown(outcomes_line(outcomes)) == "1 done, 1 failed, 1 not sent\n"


PLAN = """\
┏━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃   ┃ rule   ┃ file              ┃ on the worker        ┃ plan                                 ┃
┡━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ + │ new    │ rules/new.rule    │ -                    │ create                               │
│ ~ │ gold   │ rules/gold.rule   │ version 3 ACTIVE     │ update priority, description, tags,  │
│   │        │                   │                      │ dslContent                           │
│ = │ silver │ rules/silver.rule │ version 1 DRAFT      │ nothing                              │
│ ! │ bronze │ rules/bronze.rule │ version 2 DEPRECATED │ a rule in status DEPRECATED cannot   │
│   │        │                   │                      │ be updated                           │
└───┴────────┴───────────────────┴──────────────────────┴──────────────────────────────────────┘
gold: version 4 in DRAFT; version 3 goes on deciding
  priority: "MEDIUM" -> "HIGH"
  description: "Says \\"ten\\".\\n" -> none
  tags: none -> ["a","b"]
  --- gold version 3
  +++ rules/gold.rule
  @@ -1,2 +1,2 @@
  -when total > 1 // \\u001b[31m
  +when total > 2
   then set a = 1
bronze
  priority: "HIGH" -> "MEDIUM"
not in the folder, left as they are: 1
  tin  version 7 ACTIVE
plan: 1 to create, 1 to update, 1 as they are, 1 that cannot be
"""


async def a_plan_of_each() -> Plan:
    worker = AWorker(
        view(
            1,
            "gold",
            version=3,
            activeVersion=3,
            status="ACTIVE",
            description='Says "ten".\n',
            dslContent="when total > 1 // \x1b[31m\nthen set a = 1",
        ),
        view(2, "silver"),
        view(3, "bronze", version=2, status="DEPRECATED", priority="HIGH"),
        view(4, "tin", version=7, activeVersion=7, status="ACTIVE"),
    )
    after = source("gold", "when total > 2\nthen set a = 1\n", priority=Priority.HIGH, tags=("a", "b"))
    return await planned(worker, source("new"), after, source("silver"), source("bronze"))


async def test_people_see_a_plan_as_a_table_and_diffs():
    """Without what would steer their terminal."""
    assert shown(plan_view(await a_plan_of_each()), 96) == PLAN


async def test_a_diffs_lines_are_never_broken():
    long = "x" * 300
    worker = AWorker(view(1, "gold", dslContent=f"when {long} > 1"))
    assert f"\n  +when {long} > 2\n" in shown(plan_view(await planned(worker, source("gold", f"when {long} > 2"))), 80)


async def test_no_name_is_cut_on_a_narrow_terminal():
    name = "a-rule-with-quite-a-long-name"
    text = shown(plan_view(await planned(AWorker(), source(name))), 50)
    cells = "".join(line.split("│")[2].strip() for line in text.splitlines() if line.startswith("│"))
    assert cells == name


async def test_of_many_rules_that_stay_only_some_are_shown_and_the_others_counted():
    rules = [view(number, f"rule-{number:02d}") for number in range(30)]
    text = shown(plan_view(await planned(AWorker(*rules), *(source(rule["name"]) for rule in rules))))
    assert ("rule-19" in text, "rule-20" in text) == (True, False)
    assert "and 10 more that stay as they are" in text
    text = shown(plan_view(await planned(AWorker(*rules))))
    assert ("rule-19" in text, "rule-20" in text) == (True, False)
    assert "  and 10 more\n" in text


async def test_programs_get_a_plan_whole():
    data = plan_json(await a_plan_of_each())
    assert data["counts"] == {"create": 1, "update": 1, "nothing": 1, "problem": 1}
    assert [rule["name"] for rule in data["notInFolder"]] == ["tin"]
    assert data["plan"][1]["changes"]["priority"] == {"before": "MEDIUM", "after": "HIGH"}
    assert data["plan"][0] == {
        "action": "create",
        "name": "new",
        "file": "rules/new.rule",
        "ruleId": None,
        "version": None,
        "activeVersion": None,
        "status": None,
        "changes": {},
        "problem": None,
    }


class TestExport:
    async def test_rules_are_exported_in_the_order_of_names_without_deprecated_ones(self):
        worker = AWorker(view(1, "b"), view(2, "a"), view(3, "c", status="DEPRECATED"))
        rules, left_out = await read_rules_to_export(worker, {})
        assert ([rule.content.name for rule in rules], left_out) == (["a", "b"], 1)
        rules, left_out = await read_rules_to_export(worker, {"status": "DEPRECATED"})
        assert ([rule.content.name for rule in rules], left_out) == (["c"], 0)

    async def test_the_deciding_version_is_exported_of_rules_that_have_one(self):
        worker = AWorker(
            view(1, "draft"),
            view(2, "active", status="ACTIVE", activeVersion=1),
            view(3, "new name", version=3, activeVersion=1),
        )
        fields = {"description": "", "dslContent": "total > 9", "priority": "LOW", "tags": ["t"]}
        dates = {"effectiveFrom": "2026-01-01T00:00:00Z", "effectiveUntil": None}
        who = {"author": "ann", "createdAt": "2026-01-01T00:00:00Z"}
        approval = {"approvedBy": "bob", "approvedAt": None, "restoredFrom": None}
        worker.versions[rule_id(3)] = [
            {"version": number, "name": name, **fields, **dates, **who, **approval}
            for number, name in ((3, "new name"), (2, "new name"), (1, "old name"))
        ]
        rules, _ = await read_rules_to_export(worker, {}, active=True)
        assert [(rule.content.name, rule.content.dsl_content) for rule in rules] == [
            ("active", "total > 1"),
            ("old name", "total > 9"),
        ]
        assert rules[1].created_at == "2026-01-01T00:00:03Z"
        with pytest.raises(RemoteError) as refused:
            await version_of(worker, rule_id(3), 4)
        assert refused.value.code is ErrorCode.NOT_FOUND

    async def test_a_rule_that_is_deleted_meanwhile_is_not_exported(self):
        worker = AWorker(view(1, "gone"), view(2, "here"))
        listing = await worker.query_all("list", {})
        del worker.rules[rule_id(1)]

        async def listed_before(verb: str, payload: dict[str, Any]) -> dict[str, Any]:
            return listing

        worker.query_all = listed_before  # type: ignore[method-assign]
        rules, _ = await read_rules_to_export(worker, {})
        assert [rule.content.name for rule in rules] == ["here"]


class AChangingRuleset(AWorker):
    """A ruleset of three rules, of which every page is of the revision that the test says."""

    def __init__(self, *revisions: int) -> None:
        super().__init__()
        self.revisions = list(revisions)

    async def query(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        assert verb == "ruleset"
        revision, at = self.revisions.pop(0), payload["pageOffset"]
        page: dict[str, Any] = {"revision": revision, "items": [f"{revision}/{at}"], "total": 3}
        return page | ({"nextOffset": at + 1} if at < 2 else {})


class TestTheRuleset:
    async def test_all_pages_are_of_one_revision(self):
        """Reading begins again when a page is of another."""
        found = await read_ruleset(AChangingRuleset(7, 7, 8, 8, 8, 8), 1, 0, every=True)
        assert found == {"revision": 8, "items": ["8/0", "8/1", "8/2"], "total": 3}
        assert (await read_ruleset(AChangingRuleset(7), 1, 1, every=False))["nextOffset"] == 2

    async def test_one_that_never_stands_still_is_told(self):
        with pytest.raises(ConflictError):
            await read_ruleset(AChangingRuleset(*range(2 * ATTEMPTS)), 1, 0, every=True)
