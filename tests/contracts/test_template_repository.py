"""TemplateRepository: kept whole, changed by one at a time, names unique; who lags behind; a history that stays."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from domain.errors import BusinessError, ConflictError
from domain.identifiers import Actor, CommandId, RuleId, TemplateId
from domain.ports import LaggingRule, RecordedTemplateEvent, TemplateCriteria, Transactions
from domain.rules.rule import Rule, TemplateOrigin
from domain.rules.status import RuleStatus
from domain.templates.parameters import Parameter
from domain.templates.template import Template, TemplateContent
from tests.contracts.rules_at_hand import ALICE, BOB, COMMAND, LATER, NOW, activate, content, draft, seen

PARAMETERS = (
    Parameter("tier", "string", 'a "\x00" ü ${x}', "Which\ttier."),
    Parameter("limits", "list<decimal>", ["1.10", 2, 3.5]),
    Parameter("until", "timestamp"),
)


def made(name: str = "some template", **more: Any) -> TemplateContent:
    return TemplateContent(name, "when a == ${tier} // ü\n", PARAMETERS, **more)


def template(name: str = "some template", *, of: TemplateContent | None = None, by: Actor = ALICE) -> Template:
    return Template.create(id_of(name), of or made(name), by, NOW)


def id_of(name: str) -> TemplateId:
    return TemplateId(RuleId.for_name(f"template {name}").value)


def whole(one: Template | None) -> tuple[object, ...]:
    """Return everything of a template that a store must keep."""
    assert one is not None
    changes = (one.created_by, one.created_at, one.updated_by, one.updated_at)
    return (one.id, one.content, one.version, changes, one.revision, one.pull_events())


async def save(transactions: Transactions, *templates: Template) -> None:
    async with transactions.begin() as tx:
        for one in templates:
            await tx.templates.save(one)


async def load(transactions: Transactions, one: Template) -> Template | None:
    async with transactions.begin() as tx:
        return await tx.templates.find_by_id(one.id)


async def test_a_template_is_loaded_as_it_was_saved_but_for_its_events(transactions: Transactions) -> None:
    one = template(of=made(description="text\ttoo"))
    await save(transactions, one)
    assert one.revision == 1
    assert whole(await load(transactions, one)) == (*whole(one)[:-1], ())
    one.update(made("other name"), 1, BOB, LATER)
    await save(transactions, one)
    assert one.revision == 2
    assert whole(await load(transactions, one)) == (*whole(one)[:-1], ())


async def test_what_was_loaded_is_the_callers_own(transactions: Transactions) -> None:
    await save(transactions, template())
    loaded = await load(transactions, template())
    assert loaded is not None
    loaded.update(made("other name"), None, BOB, LATER)
    again = await load(transactions, template())
    assert again is not None
    assert again.version == 1


async def test_what_is_not_there_is_not_found(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        assert await tx.templates.find_by_id(id_of("nobody")) is None
        assert await tx.templates.find_by_name("nobody") is None
        assert await tx.templates.find_by_name("no\x00body") is None
        assert await tx.templates.history_of(id_of("nobody")) == []


class TestRevisions:
    async def test_of_many_that_save_at_once_one_wins(self, transactions: Transactions) -> None:
        await save(transactions, template())
        loaded = [await load(transactions, template()) for _ in range(6)]
        for number, one in enumerate(loaded):
            assert one is not None
            one.update(made(f"name {number}"), 1, ALICE, LATER)
        results = await asyncio.gather(*(save(transactions, one) for one in loaded if one), return_exceptions=True)
        assert [type(result) for result in results].count(ConflictError) == 5
        winner = loaded[results.index(None)]
        assert whole(await load(transactions, template()))[:-1] == whole(winner)[:-1]

    async def test_a_new_template_under_an_id_that_exists_is_a_conflict(self, transactions: Transactions) -> None:
        await save(transactions, template())
        with pytest.raises(ConflictError):
            await save(transactions, template(of=made("other name")))

    @pytest.mark.parametrize("action", ["save", "delete"])
    async def test_what_was_changed_or_deleted_meanwhile_is_a_conflict(
        self, transactions: Transactions, action: str
    ) -> None:
        one = template()
        await save(transactions, one)
        stale = await load(transactions, one)
        one.update(made("other name"), None, ALICE, LATER)
        await save(transactions, one)
        with pytest.raises(ConflictError):
            async with transactions.begin() as tx:
                await getattr(tx.templates, action)(stale)
        async with transactions.begin() as tx:
            await tx.templates.delete(one)
        with pytest.raises(ConflictError):
            async with transactions.begin() as tx:
                await getattr(tx.templates, action)(stale)


class TestNames:
    async def test_a_template_is_found_by_its_name_exactly(self, transactions: Transactions) -> None:
        await save(transactions, template("Some Template"))
        async with transactions.begin() as tx:
            found = await tx.templates.find_by_name("Some Template")
            assert found is not None
            assert found.id == id_of("Some Template")
            for near in ("some template", "Some Templat", "Some%"):
                assert await tx.templates.find_by_name(near) is None

    async def test_a_name_that_another_template_holds_is_refused(self, transactions: Transactions) -> None:
        await save(transactions, template("one template"), template("two template"))
        with pytest.raises(BusinessError, match=r"^template name already exists$"):
            await save(transactions, template("third id", of=made("one template")))
        two = await load(transactions, template("two template"))
        assert two is not None
        two.update(made("one template"), None, ALICE, LATER)
        with pytest.raises(BusinessError, match=r"^template name already exists$"):
            await save(transactions, two)
        stored = await load(transactions, two)
        assert stored is not None
        assert stored.version == 1

    async def test_of_two_that_take_a_name_at_once_one_gets_it(self, transactions: Transactions) -> None:
        wanted = [template(f"id {number}", of=made("wanted name")) for number in range(6)]
        results = await asyncio.gather(*(save(transactions, one) for one in wanted), return_exceptions=True)
        assert [type(result) for result in results].count(BusinessError) == 5

    async def test_a_template_and_a_rule_may_have_one_name(self, transactions: Transactions) -> None:
        async with transactions.begin() as tx:
            await tx.rules.save(draft("same name"))
            await tx.templates.save(template("same name"))

    async def test_the_name_of_a_deleted_template_is_free(self, transactions: Transactions) -> None:
        one = template()
        await save(transactions, one)
        async with transactions.begin() as tx:
            await tx.templates.delete(one)
        assert await load(transactions, one) is None
        await save(transactions, template("other id", of=made("some template")))


def listed() -> list[Template]:
    names = ["Vip discount", "vip gift", "100% off_sale", "Übergröße"]
    found = [template(name, by=Actor(actor)) for name, actor in zip(names, "abab", strict=True)]
    for number, one in enumerate(found):
        one.created_at += timedelta(seconds=(number * 3) % 4)
        one.updated_at += timedelta(seconds=(number * 2) % 3)
    return found


LISTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["100% off_sale", "Vip discount", "vip gift", "Übergröße"]),
    ({"descending": True}, ["Übergröße", "vip gift", "Vip discount", "100% off_sale"]),
    ({"created_by": "b"}, ["vip gift", "Übergröße"]),
    ({"name_contains": "VIP"}, ["Vip discount", "vip gift"]),
    ({"name_contains": "VIP", "created_by": "a"}, ["Vip discount"]),
    ({"name_contains": "%"}, ["100% off_sale"]),
    ({"name_contains": "_"}, ["100% off_sale"]),
    ({"name_contains": "\x00"}, []),
    ({"created_by": "\x00"}, []),
]


async def test_templates_are_listed_that_meet_every_criterion(transactions: Transactions) -> None:
    await save(transactions, *listed())
    for criteria, names in LISTS:
        async with transactions.begin() as tx:
            page = await tx.templates.list_by_criteria(TemplateCriteria(**criteria))
        assert ([one.content.name for one in page.items], page.total) == (names, len(names)), criteria


async def test_a_list_is_sorted_by_a_field_then_by_id_and_read_page_by_page(transactions: Transactions) -> None:
    found = listed()
    await save(transactions, *found)
    keys: dict[Any, Any] = {
        "name": lambda one: one.content.name,
        "createdAt": lambda one: one.created_at,
        "updatedAt": lambda one: one.updated_at,
    }
    for (sort_by, key), descending in itertools.product(keys.items(), (False, True)):
        wanted = sorted(found, key=lambda one: (key(one), one.id.value), reverse=descending)
        ids: list[TemplateId] = []
        for offset in (0, 3):
            criteria = TemplateCriteria(sort_by=sort_by, descending=descending, page_size=3, page_offset=offset)
            async with transactions.begin() as tx:
                page = await tx.templates.list_by_criteria(criteria)
            assert page.total == 4
            ids += [one.id for one in page.items]
        assert ids == [one.id for one in wanted], (sort_by, descending)


class TestRulesOfTemplates:
    def made_rule(self, name: str, version: int = 1, of: str = "some template") -> Rule:
        values = {"tier": 'x"\x00ü', "limits": ["1.10", 2, 3.5], "until": "2026-01-01T00:00:00Z"}
        origin = TemplateOrigin(id_of(of), version, values)
        return Rule.create(RuleId.for_name(name), content(name), ALICE, NOW, origin)

    async def save(self, transactions: Transactions, *rules: Rule) -> None:
        async with transactions.begin() as tx:
            for rule in rules:
                await tx.rules.save(rule)

    async def lagging(self, transactions: Transactions, version: int, most: int = 10) -> tuple[list[LaggingRule], int]:
        one = template()
        one.version = version
        async with transactions.begin() as tx:
            found = await tx.templates.lagging(one, most)
        return list(found.items), found.total

    async def test_a_version_remembers_what_it_was_made_of(self, transactions: Transactions) -> None:
        rule = self.made_rule("made rule")
        await self.save(transactions, rule)
        first = rule.latest
        rule.update(content("made rule", "a == 2"), 1, BOB, LATER)
        await self.save(transactions, rule)
        async with transactions.begin() as tx:
            assert await tx.rules.versions_of(rule.id) == [rule.latest, first]
            assert await tx.rules.find_version(rule.id, 1) == first
            assert seen(await tx.rules.find_by_id(rule.id))[:-1] == seen(rule)[:-1]
        assert (first.template is None, rule.latest.template) == (False, None)

    async def test_a_deciding_version_remembers_it_too(self, transactions: Transactions) -> None:
        rule = activate(self.made_rule("made rule"))
        await self.save(transactions, rule)
        rule.update(content("made rule", "a == 2"), 1, BOB, LATER)
        await self.save(transactions, rule)
        async with transactions.begin() as tx:
            found = await tx.rules.find_by_id(rule.id)
        assert found is not None
        assert found.active is not None
        assert found.active.template == TemplateOrigin(id_of("some template"), 1, rule.active.template.parameters)
        assert found.latest.template is None

    async def test_rules_of_earlier_versions_lag_and_others_do_not(self, transactions: Transactions) -> None:
        rules = [self.made_rule("b rule"), self.made_rule("a rule"), self.made_rule("c rule", 2)]
        others = [self.made_rule("of another", of="other"), draft("by hand")]
        await self.save(transactions, *rules, *others)
        assert await self.lagging(transactions, 1) == ([], 0)
        second, total = await self.lagging(transactions, 2)
        assert ([one.name for one in second], total) == (["a rule", "b rule"], 2)
        assert second[0] == LaggingRule(rules[1].id, "a rule", RuleStatus.DRAFT, 1, None, 1)
        third, total = await self.lagging(transactions, 3, most=2)
        assert ([one.name for one in third], total) == (["a rule", "b rule"], 3)
        assert await self.lagging(transactions, 3, most=0) == ([], 3)

    async def test_a_rule_lags_by_its_deciding_version_under_a_draft_by_hand(self, transactions: Transactions) -> None:
        rule = activate(self.made_rule("made rule"))
        await self.save(transactions, rule)
        rule.update(content("made rule", "a == 2"), 1, BOB, LATER)
        await self.save(transactions, rule)
        lagging, total = await self.lagging(transactions, 2)
        assert (lagging, total) == ([LaggingRule(rule.id, "made rule", RuleStatus.DRAFT, 2, 1, 1)], 1)

    async def test_a_rule_that_left_its_template_or_is_retired_does_not_lag(self, transactions: Transactions) -> None:
        left, retired = self.made_rule("left rule"), activate(self.made_rule("retired rule"))
        await self.save(transactions, left, retired)
        left.update(content("left rule", "a == 2"), 1, BOB, LATER)
        retired.deprecate(BOB, LATER)
        await self.save(transactions, left, retired)
        assert await self.lagging(transactions, 2) == ([], 0)

    async def test_a_deleted_templates_rules_stay_as_they_are(self, transactions: Transactions) -> None:
        one, rule = template(), self.made_rule("made rule")
        await save(transactions, one)
        await self.save(transactions, rule)
        async with transactions.begin() as tx:
            await tx.templates.delete(one)
        async with transactions.begin() as tx:
            assert seen(await tx.rules.find_by_id(rule.id))[:-1] == seen(rule)[:-1]


class TestHistory:
    def entries(self) -> list[RecordedTemplateEvent]:
        one = template()
        one.update(made("other name"), 1, BOB, LATER)
        one.delete(None, BOB, LATER)
        return [
            RecordedTemplateEvent(RuleId.for_name(f"event {number}").value, event, COMMAND)
            for number, event in enumerate(one.pull_events())
        ]

    async def test_it_comes_back_oldest_first_and_whole(self, transactions: Transactions) -> None:
        other = template("other")
        (event,) = other.pull_events()
        async with transactions.begin() as tx:
            for entry in self.entries():
                await tx.templates.record(entry)
            event_id = RuleId.for_name("other event").value
            await tx.templates.record(RecordedTemplateEvent(event_id, event, CommandId("fedcba9876543210")))
        async with transactions.begin() as tx:
            assert list(await tx.templates.history_of(id_of("some template"))) == self.entries()

    async def test_what_is_rolled_back_did_not_happen(self, transactions: Transactions) -> None:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the error must leave the transaction
            async with transactions.begin() as tx:
                await tx.templates.save(template())
                await tx.templates.record(self.entries()[0])
                raise ZeroDivisionError
        async with transactions.begin() as tx:
            assert await tx.templates.history_of(id_of("some template")) == []
            assert await tx.templates.find_by_id(id_of("some template")) is None

    @pytest.mark.parametrize(
        "statement", ["UPDATE template_event SET actor = 'x'", "DELETE FROM template_event", "TRUNCATE template_event"]
    )
    async def test_nobody_can_change_what_postgres_has_recorded(
        self, postgres_transactions: Transactions, pool: asyncpg.Pool, statement: str
    ) -> None:
        async with postgres_transactions.begin() as tx:
            await tx.templates.record(self.entries()[0])
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await pool.execute(statement)
