"""RuleRepository: kept whole, changed by one at a time, names unique."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import BusinessError, ConflictError
from domain.identifiers import Actor, RuleId
from domain.ports import RuleCriteria, Transactions
from domain.rules.content import Priority
from domain.rules.rule import Rule
from domain.rules.status import RuleStatus
from tests.contracts.rules_at_hand import ALICE, BOB, LATER, NOW, activate, active, content, draft, seen

NOBODY = RuleId.for_name("nobody")


async def save(transactions: Transactions, *rules: Rule) -> None:
    async with transactions.begin() as tx:
        for rule in rules:
            await tx.rules.save(rule)


async def load(transactions: Transactions, rule: Rule) -> Rule | None:
    async with transactions.begin() as tx:
        return await tx.rules.find_by_id(rule.id)


def full_rule() -> Rule:
    """Make a rule of which every field says something."""
    made = replace(
        content("some rule", "a == 'ü\n'", priority=Priority.CRITICAL, description="text\ttoo", tags=("b", "a")),
        effective_from=datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC),
        effective_until=datetime(9999, 12, 31, tzinfo=UTC),
    )
    return draft("some rule", made)


def draft_over_active() -> Rule:
    rule = active()
    rule.update(content("new name", "a == 2"), 1, ALICE, LATER)
    return rule


def rolled_back() -> Rule:
    rule = active()
    first = rule.latest
    rule.update(content("some rule", "a == 2"), 1, ALICE, LATER)
    rule.roll_back(first, BOB, LATER)
    return rule


@pytest.mark.parametrize("make", [full_rule, active, draft_over_active, rolled_back])
async def test_a_rule_is_loaded_as_it_was_saved_but_for_its_events(transactions: Transactions, make: Any) -> None:
    rule = make()
    if make is not full_rule:  # a version is stored when it is the latest
        rule = await replayed(transactions, rule)
    else:
        await save(transactions, rule)
    assert seen(await load(transactions, rule)) == (*seen(rule)[:-1], ())


async def replayed(transactions: Transactions, rule: Rule) -> Rule:
    """Save a rule's first version, then the rule as it is: stores see every version as it is made."""
    first = rule.active if rule.active is not None and rule.active.number == 1 else None
    if rule.version > 1:
        start = active()
        await save(transactions, start)
        rule.revision = start.revision
        assert first is None or start.latest == first
        if rule.version > 2:
            middle = active()
            middle.revision = start.revision
            middle.update(content("some rule", "a == 2"), 1, ALICE, LATER)
            await save(transactions, middle)
            rule.revision = middle.revision
    await save(transactions, rule)
    return rule


async def test_its_revision_rises_by_one_with_each_save(transactions: Transactions) -> None:
    rule = draft()
    for revision in (1, 2, 3):
        await save(transactions, rule)
        assert rule.revision == revision
        loaded = await load(transactions, rule)
        assert loaded is not None
        assert loaded.revision == revision


async def test_what_was_loaded_is_the_callers_own(transactions: Transactions) -> None:
    rule = draft()
    await save(transactions, rule)
    loaded = await load(transactions, rule)
    assert loaded is not None
    loaded.submit(None, ALICE, LATER)
    again = await load(transactions, rule)
    assert again is not None
    assert again.status is RuleStatus.DRAFT


async def test_what_is_not_there_is_not_found(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        assert await tx.rules.find_by_id(NOBODY) is None
        assert await tx.rules.find_by_name("nobody") is None
        assert await tx.rules.find_version(NOBODY, 1) is None
        assert not await tx.rules.exists_by_name("nobody")


async def test_a_name_with_nul_is_nobodys(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        assert await tx.rules.find_by_name("no\x00body") is None
        assert not await tx.rules.exists_by_name("no\x00body")


class TestRevisions:
    async def test_of_two_that_loaded_the_same_revision_the_second_to_save_gets_a_conflict(
        self, transactions: Transactions
    ) -> None:
        await save(transactions, draft())
        first, second = await load(transactions, draft()), await load(transactions, draft())
        assert first is not None
        assert second is not None
        first.submit(None, ALICE, LATER)
        second.update(content("some rule", "a == 9"), 1, BOB, LATER)
        await save(transactions, first)
        with pytest.raises(ConflictError):
            await save(transactions, second)
        stored = await load(transactions, first)
        assert stored is not None
        assert (stored.status, stored.version) == (RuleStatus.UNDER_REVIEW, 1)

    async def test_of_many_that_hold_a_rule_before_they_load_it_each_saves_in_turn(
        self, transactions: Transactions
    ) -> None:
        """Who holds it finds what the one before has saved, so nobody gets a conflict."""
        await save(transactions, draft())

        async def rename(number: int) -> None:
            async with transactions.begin() as tx:
                await tx.rules.lock(draft().id)
                found = await tx.rules.find_by_id(draft().id)
                assert found is not None
                found.update(content("some rule", f"a == {number}"), found.version, ALICE, LATER)
                await tx.rules.save(found)

        await asyncio.gather(*(rename(number) for number in range(8)))
        stored = await load(transactions, draft())
        assert stored is not None
        assert stored.version == 9

    async def test_a_rule_that_is_not_there_can_be_held_by_anybody(self, transactions: Transactions) -> None:
        async with transactions.begin() as tx:
            await tx.rules.lock(NOBODY)
            assert await tx.rules.find_by_id(NOBODY) is None

    async def test_of_many_that_save_at_once_one_wins(self, transactions: Transactions) -> None:
        await save(transactions, draft())
        loaded = [await load(transactions, draft()) for _ in range(6)]
        for number, rule in enumerate(loaded):
            assert rule is not None
            rule.update(content("some rule", f"a == {number}"), 1, ALICE, LATER)
        results = await asyncio.gather(*(save(transactions, rule) for rule in loaded if rule), return_exceptions=True)
        assert [type(result) for result in results].count(ConflictError) == 5
        winner = loaded[results.index(None)]
        assert seen(await load(transactions, draft()))[:-1] == seen(winner)[:-1]

    async def test_a_new_rule_under_an_id_that_exists_is_a_conflict(self, transactions: Transactions) -> None:
        await save(transactions, draft())
        with pytest.raises(ConflictError):
            await save(transactions, draft("some rule", content("another name")))

    async def test_saving_a_rule_that_was_deleted_meanwhile_is_a_conflict(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        async with transactions.begin() as tx:
            await tx.rules.delete(rule)
        with pytest.raises(ConflictError):
            await save(transactions, rule)


class TestVersions:
    async def test_every_version_can_be_found_by_its_number(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        first = rule.latest
        rule.update(content("some rule", "a == 2"), 1, BOB, LATER)
        await save(transactions, rule)
        async with transactions.begin() as tx:
            assert await tx.rules.find_version(rule.id, 1) == first
            assert await tx.rules.find_version(rule.id, 2) == rule.latest
            assert await tx.rules.versions_of(rule.id) == [rule.latest, first]
            assert await tx.rules.versions_of(NOBODY) == []

    async def test_an_approval_is_added_to_the_version(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        rule.submit(None, ALICE, NOW)
        rule.approve(1, None, BOB, LATER)
        await save(transactions, rule)
        async with transactions.begin() as tx:
            version = await tx.rules.find_version(rule.id, 1)
        assert version is not None
        assert (version.approved_by, version.approved_at) == (BOB, LATER)

    async def test_other_numbers_are_not_found(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        async with transactions.begin() as tx:
            for number in (0, -1, 3, 2**31 - 1, 2**31, 2**63, -(2**63)):
                assert await tx.rules.find_version(rule.id, number) is None


class TestNames:
    async def test_a_rule_is_found_by_its_name_exactly(self, transactions: Transactions) -> None:
        rule = draft("Some Rule")
        await save(transactions, rule)
        async with transactions.begin() as tx:
            found = await tx.rules.find_by_name("Some Rule")
            assert found is not None
            assert found.id == rule.id
            assert await tx.rules.exists_by_name("Some Rule")
            for near in ("some rule", "Some Rul", "Some Rule ", "Some%"):
                assert await tx.rules.find_by_name(near) is None

    async def test_a_name_that_another_rule_holds_is_refused_and_nothing_is_stored(
        self, transactions: Transactions
    ) -> None:
        await save(transactions, draft())
        other = draft("other id", content("some rule"))
        with pytest.raises(BusinessError, match=r"^rule name already exists$"):
            await save(transactions, other)
        assert await load(transactions, other) is None

    async def test_so_is_the_name_of_a_version_that_decides_under_a_renamed_draft(
        self, transactions: Transactions
    ) -> None:
        rule = await replayed(transactions, draft_over_active())
        for name in ("some rule", "new name"):
            with pytest.raises(BusinessError, match="rule name already exists"):
                await save(transactions, draft("other id", content(name)))
            async with transactions.begin() as tx:
                found = await tx.rules.find_by_name(name)
            assert found is not None
            assert found.id == rule.id

    async def test_renaming_into_a_taken_name_is_refused(self, transactions: Transactions) -> None:
        await save(transactions, draft("one rule"), draft("two rule"))
        rule = await load(transactions, draft("two rule"))
        assert rule is not None
        rule.update(content("one rule"), 1, ALICE, LATER)
        with pytest.raises(BusinessError, match="rule name already exists"):
            await save(transactions, rule)

    async def test_a_name_that_is_no_longer_held_is_free(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        rule.update(content("new name"), 1, ALICE, LATER)
        await save(transactions, rule)
        await save(transactions, draft("other id", content("some rule")))

    async def test_the_deciding_versions_name_is_free_once_it_stops_deciding(self, transactions: Transactions) -> None:
        rule = await replayed(transactions, draft_over_active())
        rule.deactivate(BOB, LATER)
        await save(transactions, rule)
        await save(transactions, draft("other id", content("some rule")))

    async def test_of_two_that_take_a_name_at_once_one_gets_it(self, transactions: Transactions) -> None:
        rules = [draft(f"id {number}", content("wanted name")) for number in range(6)]
        results = await asyncio.gather(*(save(transactions, rule) for rule in rules), return_exceptions=True)
        assert [type(result) for result in results].count(BusinessError) == 5
        async with transactions.begin() as tx:
            holder = await tx.rules.find_by_name("wanted name")
        assert holder is not None
        assert holder.id == rules[results.index(None)].id


class TestDelete:
    async def test_a_rule_goes_with_its_versions_and_its_name(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        async with transactions.begin() as tx:
            await tx.rules.delete(rule)
        async with transactions.begin() as tx:
            assert await tx.rules.find_by_id(rule.id) is None
            assert await tx.rules.find_version(rule.id, 1) is None
            assert not await tx.rules.exists_by_name("some rule")
        await save(transactions, draft("other id", content("some rule")))

    async def test_a_rule_that_was_changed_meanwhile_stays(self, transactions: Transactions) -> None:
        rule = draft()
        await save(transactions, rule)
        stale = await load(transactions, rule)
        assert stale is not None
        await save(transactions, rule)
        with pytest.raises(ConflictError):
            async with transactions.begin() as tx:
                await tx.rules.delete(stale)
        assert await load(transactions, rule) is not None

    async def test_a_rule_that_is_not_there_is_a_conflict(self, transactions: Transactions) -> None:
        with pytest.raises(ConflictError):
            async with transactions.begin() as tx:
                await tx.rules.delete(draft())


def listed_rules() -> list[Rule]:
    """Make rules that differ in everything that lists look at."""

    def made(number: int, name: str, priority: Priority, tags: tuple[str, ...], actor: str) -> Rule:
        at = NOW + timedelta(seconds=(number * 7) % 5)
        return Rule.create(RuleId.for_name(name), content(name, priority=priority, tags=tags), Actor(actor), at)

    rules = [
        made(0, "Vip discount", Priority.HIGH, ("vip", "money"), "alice"),
        made(1, "vip gift", Priority.LOW, ("vip",), "bob"),
        made(2, "100% off_sale", Priority.CRITICAL, (), "alice"),
        made(3, "Übergröße", Priority.MEDIUM, ("money",), "carol"),
        made(4, "Zulu back\\slash", Priority.MEDIUM, ("a,b",), "bob"),
    ]
    rules[1].submit(None, BOB, LATER)
    activate(rules[3])
    return rules


# criteria, and the names that meet them, in order
LISTS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["100% off_sale", "Vip discount", "Zulu back\\slash", "vip gift", "Übergröße"]),
    ({"descending": True}, ["Übergröße", "vip gift", "Zulu back\\slash", "Vip discount", "100% off_sale"]),
    ({"status": RuleStatus.DRAFT}, ["100% off_sale", "Vip discount", "Zulu back\\slash"]),
    ({"status": RuleStatus.ACTIVE}, ["Übergröße"]),
    ({"status": RuleStatus.DEPRECATED}, []),
    ({"priority": Priority.MEDIUM}, ["Zulu back\\slash", "Übergröße"]),
    ({"created_by": "bob"}, ["Zulu back\\slash", "vip gift"]),
    ({"created_by": "bo"}, []),
    ({"tag": "vip"}, ["Vip discount", "vip gift"]),
    ({"tag": "a"}, []),
    ({"tag": "a,b"}, ["Zulu back\\slash"]),
    ({"name_contains": "VIP"}, ["Vip discount", "vip gift"]),
    ({"name_contains": "überGRÖSSE"}, []),
    ({"name_contains": "üBERGRÖ"}, ["Übergröße"]),
    ({"name_contains": "%"}, ["100% off_sale"]),
    ({"name_contains": "_"}, ["100% off_sale"]),
    ({"name_contains": "\\"}, ["Zulu back\\slash"]),
    ({"name_contains": ""}, ["100% off_sale", "Vip discount", "Zulu back\\slash", "vip gift", "Übergröße"]),
    ({"name_contains": "vip", "priority": Priority.LOW, "created_by": "bob", "tag": "vip"}, ["vip gift"]),
    ({"name_contains": "vip", "priority": Priority.LOW, "created_by": "alice"}, []),
    ({"name_contains": "v\x00ip"}, []),
    ({"created_by": "\x00"}, []),
    ({"tag": "\x00"}, []),
]


async def test_rules_are_listed_that_meet_every_criterion(transactions: Transactions) -> None:
    await save(transactions, *listed_rules())
    for criteria, names in LISTS:
        async with transactions.begin() as tx:
            page = await tx.rules.list_by_criteria(RuleCriteria(**criteria))
        assert ([rule.content.name for rule in page.items], page.total) == (names, len(names)), criteria


SORT_KEYS: dict[str, Any] = {
    "name": lambda rule: rule.content.name,
    "createdAt": lambda rule: rule.created_at,
    "updatedAt": lambda rule: rule.updated_at,
    "priority": lambda rule: rule.content.priority.rank,
    "status": lambda rule: rule.status.value,
}


async def test_lists_are_sorted_by_a_field_then_by_id(transactions: Transactions) -> None:
    rules = listed_rules()
    await save(transactions, *rules)
    for (sort_by, key), descending in itertools.product(SORT_KEYS.items(), (False, True)):
        async with transactions.begin() as tx:
            page = await tx.rules.list_by_criteria(RuleCriteria(sort_by=sort_by, descending=descending))
        wanted = sorted(rules, key=lambda rule: (key(rule), rule.id.value), reverse=descending)
        assert [rule.id for rule in page.items] == [rule.id for rule in wanted], (sort_by, descending)


async def test_a_list_is_read_page_by_page(transactions: Transactions) -> None:
    await save(transactions, *listed_rules())
    async with transactions.begin() as tx:
        pages = [
            await tx.rules.list_by_criteria(RuleCriteria(page_size=2, page_offset=offset)) for offset in (0, 2, 4, 6)
        ]
    assert [page.total for page in pages] == [5, 5, 5, 5]
    assert [[rule.content.name for rule in page.items] for page in pages] == [
        ["100% off_sale", "Vip discount"],
        ["Zulu back\\slash", "vip gift"],
        ["Übergröße"],
        [],
    ]


async def test_a_listed_rule_is_whole(transactions: Transactions) -> None:
    rule = await replayed(transactions, draft_over_active())
    async with transactions.begin() as tx:
        page = await tx.rules.list_by_criteria(RuleCriteria())
    assert seen(page.items[0])[:-1] == seen(rule)[:-1]
