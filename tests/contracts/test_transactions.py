"""Transactions, command log, outbox, history and ruleset: stored as a whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from domain.decisions.ruleset import ActiveRule, RulesetState, ruleset_digest
from domain.errors import UnavailableError
from domain.identifiers import Actor, CommandId, RuleId
from domain.ports import LoggedCommand, OutboxMessage, Transaction, Transactions
from domain.rules.rule import Rule
from tests.contracts.proxy import proxied
from tests.contracts.rules_at_hand import ALICE, BOB, COMMAND, LATER, NOW, active, content, draft, recorded
from tests.fakes.transactions import FakeTransactions
from worker.adapters.postgres.pool import open_pool
from worker.adapters.postgres.transactions import PostgresTransactions

LOGGED = LoggedCommand("create", b"\x00digest", b'{"status":"ok"}\x00')
EMPTY = RulesetState(0, ruleset_digest([]))


def message(rule: Rule, number: int = 1) -> OutboxMessage:
    event_id = RuleId.for_name(f"event {number}").value
    return OutboxMessage(event_id, rule.id, f"rules.event.{rule.id}.RuleCreated", {"a": "ü"}, b"\x00payload")


class SomeError(Exception):
    """What goes wrong in a use case."""


async def do_everything(tx: Transaction) -> Rule:
    """Write through every repository of a transaction."""
    rule = active()
    await tx.active_rules.lock()
    await tx.rules.save(rule)
    state = await tx.active_rules.change(rule, LATER)
    assert await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
    await tx.outbox.add([message(rule)])
    await tx.history.add(recorded(rule, state.revision))
    return rule


async def what_is_stored(transactions: Transactions, rule: Rule) -> tuple[bool, ...]:
    async with transactions.begin() as tx:
        return (
            await tx.rules.find_by_id(rule.id) is not None,
            await tx.rules.exists_by_name("some rule"),
            await tx.rules.find_version(rule.id, 1) is not None,
            await tx.commands.find(ALICE, COMMAND) is not None,
            bool(await tx.history.of_rule(rule.id)),
            bool(await tx.active_rules.members()),
            await tx.active_rules.state() != EMPTY,
        )


async def outbox_rows(transactions: Transactions) -> list[tuple[str, bytes]]:
    """Return what waits in the outbox: the port has no way to look, relays do."""
    if isinstance(transactions, FakeTransactions):
        return [(row.subject, row.payload) for row in transactions.database.outbox]
    assert isinstance(transactions, PostgresTransactions)
    rows = await transactions._pool.fetch("SELECT subject, payload FROM outbox ORDER BY position")
    return [(row["subject"], row["payload"]) for row in rows]


async def test_what_is_done_in_a_transaction_is_there_after_it(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        rule = await do_everything(tx)
    assert await what_is_stored(transactions, rule) == (True,) * 7
    assert await outbox_rows(transactions) == [(f"rules.event.{rule.id}.RuleCreated", b"\x00payload")]


@pytest.mark.parametrize("error", [SomeError, asyncio.CancelledError])
async def test_a_transaction_left_by_an_exception_leaves_nothing(
    transactions: Transactions, error: type[BaseException]
) -> None:
    with pytest.raises(error):  # noqa: PT012  # the error must leave the transaction
        async with transactions.begin() as tx:
            rule = await do_everything(tx)
            raise error
    assert await what_is_stored(transactions, rule) == (False,) * 7
    assert await outbox_rows(transactions) == []
    async with transactions.begin() as tx:
        await do_everything(tx)


async def test_a_transaction_sees_what_it_has_done_itself(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        rule = await do_everything(tx)
        assert await tx.rules.find_by_id(rule.id) is not None
        assert await tx.commands.find(ALICE, COMMAND) == LOGGED
        assert (await tx.active_rules.state()).revision == 1


class TestCommandLog:
    async def test_a_command_is_found_as_it_was_logged_under_its_actor_and_id(self, transactions: Transactions) -> None:
        async with transactions.begin() as tx:
            assert await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
        async with transactions.begin() as tx:
            assert await tx.commands.find(ALICE, COMMAND) == LOGGED
            assert await tx.commands.find(BOB, COMMAND) is None
            assert await tx.commands.find(ALICE, CommandId("fedcba9876543210")) is None

    async def test_the_first_one_logged_under_an_id_stands(self, transactions: Transactions) -> None:
        other = LoggedCommand("update", b"other", b"other answer")
        async with transactions.begin() as tx:
            assert await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
            assert not await tx.commands.add(ALICE, COMMAND, other, LATER)
        async with transactions.begin() as tx:
            assert not await tx.commands.add(ALICE, COMMAND, LOGGED, LATER)
            assert await tx.commands.find(ALICE, COMMAND) == LOGGED

    async def test_an_id_is_one_actors_own(self, transactions: Transactions) -> None:
        async with transactions.begin() as tx:
            assert await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
            assert await tx.commands.add(BOB, COMMAND, LOGGED, NOW)
            assert await tx.commands.add(Actor("Alice"), COMMAND, LOGGED, NOW)

    @pytest.mark.parametrize(
        "statement", ["UPDATE command_log SET answer = ''", "DELETE FROM command_log", "TRUNCATE command_log"]
    )
    async def test_nobody_can_change_an_answer_that_postgres_has_logged(
        self, postgres_transactions: Transactions, pool: asyncpg.Pool, statement: str
    ) -> None:
        async with postgres_transactions.begin() as tx:
            await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await pool.execute(statement)
        async with postgres_transactions.begin() as tx:
            assert await tx.commands.find(ALICE, COMMAND) == LOGGED

    async def test_of_many_at_once_one_is_the_first(self, transactions: Transactions) -> None:
        async def add(number: int) -> bool:
            async with transactions.begin() as tx:
                command = LoggedCommand("create", b"", str(number).encode())
                return await tx.commands.add(ALICE, COMMAND, command, NOW)

        results = await asyncio.gather(*(add(number) for number in range(8)))
        assert results.count(True) == 1
        async with transactions.begin() as tx:
            logged = await tx.commands.find(ALICE, COMMAND)
        assert logged is not None
        assert logged.answer == str(results.index(True)).encode()

    async def test_one_whose_transaction_rolled_back_is_not_the_first(self, transactions: Transactions) -> None:
        with pytest.raises(SomeError):  # noqa: PT012  # the error must leave the transaction
            async with transactions.begin() as tx:
                await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)
                raise SomeError
        async with transactions.begin() as tx:
            assert await tx.commands.add(ALICE, COMMAND, LOGGED, NOW)


class TestHistory:
    async def test_entries_come_back_oldest_first_and_whole(self, transactions: Transactions) -> None:
        rule = draft()
        entries = [recorded(rule)]
        rule.submit(None, ALICE, NOW)
        rule.reject("not \x00 ü", BOB, LATER)
        entries.append(recorded(rule))
        for act in (lambda: rule.submit(1, ALICE, LATER), lambda: rule.approve(1, "fine", BOB, LATER)):
            act()
        entries.append(recorded(rule))
        rule.activate(BOB, LATER)
        entries.append(recorded(rule, 7))
        async with transactions.begin() as tx:
            for entry in entries:
                await tx.history.add(entry)
        async with transactions.begin() as tx:
            assert list(await tx.history.of_rule(rule.id)) == entries

    async def test_a_rules_history_is_its_own_and_outlives_it(self, transactions: Transactions) -> None:
        one, two = draft("one rule"), draft("two rule")
        async with transactions.begin() as tx:
            for rule in (one, two):
                await tx.rules.save(rule)
                await tx.history.add(recorded(rule))
        async with transactions.begin() as tx:
            await tx.rules.delete(one)
        async with transactions.begin() as tx:
            assert [entry.event.rule_id for entry in await tx.history.of_rule(one.id)] == [one.id]
            assert await tx.history.of_rule(RuleId.for_name("nobody")) == []

    @pytest.mark.parametrize(
        "statement", ["UPDATE rule_event SET actor = 'x'", "DELETE FROM rule_event", "TRUNCATE rule_event"]
    )
    async def test_nobody_can_change_what_postgres_has_recorded(
        self, postgres_transactions: Transactions, pool: asyncpg.Pool, statement: str
    ) -> None:
        rule = draft()
        entry = recorded(rule)
        async with postgres_transactions.begin() as tx:
            await tx.history.add(entry)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await pool.execute(statement)
        async with postgres_transactions.begin() as tx:
            assert list(await tx.history.of_rule(rule.id)) == [entry]


class TestActiveRules:
    async def change(self, transactions: Transactions, *rules: Rule) -> RulesetState:
        async with transactions.begin() as tx:
            await tx.active_rules.lock()
            for rule in rules:
                await tx.rules.save(rule)
                state = await tx.active_rules.change(rule, LATER)
        return state

    async def change_and_compare(self, transactions: Transactions, rule: Rule) -> None:
        """Change the ruleset, and hold what is told of the changes since each revision against the members of both."""
        state = await self.change(transactions, rule)
        async with transactions.reading() as tx:
            after = {digest for _, _, digest in await tx.active_rules.members(state.revision)}
            for since in range(state.revision + 1):
                before = {digest for _, _, digest in await tx.active_rules.members(since)}
                found = await tx.active_rules.changes(since, 10)
                assert (found.state, found.is_partial) == (state, False)
                assert sorted(found.ended) == sorted(before - after), since
                assert sorted(one.digest for one in found.begun) == sorted(after - before), since

    async def members(self, transactions: Transactions, revision: int | None = None) -> dict[str, int]:
        """Return the members' versions by rule id, having checked that the digest is of them."""
        async with transactions.begin() as tx:
            found = await tx.active_rules.members(revision)
            loaded = await tx.active_rules.load([(rule_id, version) for rule_id, version, _ in found])
            state = await tx.active_rules.state()
        digests = {(rule.rule_id, rule.version): rule.digest for rule in loaded}
        assert digests == {(rule_id, version): digest for rule_id, version, digest in found}
        if revision is None:
            assert state.digest == ruleset_digest(digests.values())
        return {rule_id.value: version for rule_id, version, _ in found}

    async def test_in_the_beginning_there_is_revision_0_of_nothing(self, transactions: Transactions) -> None:
        async with transactions.begin() as tx:
            assert await tx.active_rules.state() == EMPTY
            assert await tx.active_rules.lock() == EMPTY
        assert await self.members(transactions) == {}

    async def test_each_change_raises_the_revision_by_one_and_the_digest_is_of_the_members(
        self, transactions: Transactions
    ) -> None:
        one, two = active("one rule"), active("two rule", "a == 2")
        assert (await self.change(transactions, one)).revision == 1
        state = await self.change(transactions, two)
        assert state == RulesetState(2, ruleset_digest(rule.content.digest(rule.id, 1) for rule in (one, two)))
        async with transactions.begin() as tx:
            assert await tx.active_rules.state() == state
        assert await self.members(transactions) == {one.id.value: 1, two.id.value: 1}

    async def test_the_members_of_every_earlier_revision_can_be_told(self, transactions: Transactions) -> None:
        one, two = active("one rule"), active("two rule")
        await self.change_and_compare(transactions, one)
        await self.change_and_compare(transactions, two)
        one.update(content("one rule", "a == 3"), 1, ALICE, NOW)
        async with transactions.begin() as tx:
            await tx.rules.save(one)
        one.submit(None, ALICE, NOW)
        one.approve(2, None, BOB, NOW)
        one.activate(BOB, LATER)
        await self.change_and_compare(transactions, one)
        two.deactivate(BOB, LATER)
        await self.change_and_compare(transactions, two)
        two.activate(BOB, LATER)
        await self.change_and_compare(transactions, two)
        first, second = one.id.value, two.id.value
        members = [await self.members(transactions, revision) for revision in range(6)]
        assert members == [
            {},
            {first: 1},
            {first: 1, second: 1},
            {first: 2, second: 1},
            {first: 2},
            {first: 2, second: 1},
        ]
        assert await self.members(transactions) == members[-1]

    async def test_of_too_many_changes_it_is_said_that_some_are_missing(self, transactions: Transactions) -> None:
        state = await self.change(transactions, active("one rule"), active("two rule"))
        async with transactions.reading() as tx:
            some = await tx.active_rules.changes(0, 1)
            assert (some.state, some.is_partial) == (state, True)
            both = await tx.active_rules.changes(0, 2)
            assert (len(both.begun), both.is_partial) == (2, False)

    async def test_a_ruleset_that_is_the_same_again_has_the_same_digest_at_a_higher_revision(
        self, transactions: Transactions
    ) -> None:
        rule = active()
        first = await self.change(transactions, rule)
        rule.deactivate(BOB, LATER)
        assert (await self.change(transactions, rule)).digest == EMPTY.digest
        rule.activate(BOB, LATER)
        again = await self.change(transactions, rule)
        assert (again.revision, again.digest) == (3, first.digest)

    async def test_changing_a_rule_that_does_not_decide_and_did_not_only_raises_the_revision(
        self, transactions: Transactions
    ) -> None:
        assert await self.change(transactions, draft()) == RulesetState(1, EMPTY.digest)

    async def test_versions_that_do_not_exist_are_left_out(self, transactions: Transactions) -> None:
        rule = active()
        await self.change(transactions, rule)
        nobody = RuleId.for_name("nobody")
        async with transactions.begin() as tx:
            loaded = await tx.active_rules.load([(rule.id, 2), (nobody, 1), (rule.id, 1)])
            assert await tx.active_rules.load([]) == []
        assert list(loaded) == [ActiveRule(rule.id, 1, rule.content)]

    async def test_a_change_that_is_rolled_back_leaves_the_ruleset_as_it_was(self, transactions: Transactions) -> None:
        before = await self.change(transactions, active("one rule"))
        two = active("two rule")
        with pytest.raises(SomeError):  # noqa: PT012  # the error must leave the transaction
            async with transactions.begin() as tx:
                await tx.rules.save(two)
                await tx.active_rules.change(two, LATER)
                raise SomeError
        async with transactions.begin() as tx:
            assert await tx.active_rules.state() == before
        assert len(await self.members(transactions)) == 1

    async def test_who_holds_the_lock_is_alone_until_the_transaction_ends(self, transactions: Transactions) -> None:
        async def activate_one(number: int) -> tuple[int, int]:
            rule = active(f"rule {number}")
            async with transactions.begin() as tx:
                locked = await tx.active_rules.lock()
                await tx.rules.save(rule)
                assert await tx.active_rules.state() == locked
                changed = await tx.active_rules.change(rule, LATER)
            return locked.revision, changed.revision

        steps = await asyncio.gather(*(activate_one(number) for number in range(8)))
        assert sorted(steps) == [(revision, revision + 1) for revision in range(8)]
        assert len(await self.members(transactions)) == 8


async def test_who_reads_sees_at_each_call_what_is_committed_by_then(
    postgres_transactions: PostgresTransactions,
) -> None:
    """In the fake, transactions and readers come one after the other."""
    transactions = postgres_transactions
    async with transactions.reading() as reader:
        assert await reader.active_rules.state() == EMPTY
        async with transactions.begin() as tx:
            rule = active()
            await tx.rules.save(rule)
            state = await tx.active_rules.change(rule, LATER)
            assert await reader.active_rules.state() == EMPTY
        assert await reader.active_rules.state() == state


async def test_while_postgres_is_away_a_transaction_says_so_and_afterwards_it_works(database: str) -> None:
    async with proxied(database) as proxy:
        pool = await open_pool(proxy.url, size_max=2, timeout_s=60)
        transactions = PostgresTransactions(pool)
        async with transactions.begin() as tx:
            rule = await do_everything(tx)
        await proxy.cut()
        for _ in range(3):
            with pytest.raises(UnavailableError) as away:
                async with transactions.begin() as tx:
                    await tx.rules.find_by_id(rule.id)
            assert away.value.service == "postgres"
        proxy.mend()
        assert await what_is_stored(transactions, rule) == (True,) * 7
        await pool.close()


async def test_a_connection_that_is_lost_in_mid_transaction_stores_nothing(database: str) -> None:
    async with proxied(database) as proxy:
        pool = await open_pool(proxy.url, size_max=2, timeout_s=60)
        transactions = PostgresTransactions(pool)
        with pytest.raises(UnavailableError):  # noqa: PT012  # the error must leave the transaction
            async with transactions.begin() as tx:
                rule = await do_everything(tx)
                await proxy.cut()
        proxy.mend()
        assert await what_is_stored(transactions, rule) == (False,) * 7
        await pool.close()


@pytest.mark.parametrize(
    "hide", [lambda dsn: dsn.replace("@", "-wrong@"), lambda _: "postgresql://u:secret@127.0.0.1:1/x"]
)
async def test_a_pool_that_cannot_be_opened_names_the_address_and_never_the_password(
    database: str, hide: Callable[[str], str]
) -> None:
    dsn = hide(database)
    with pytest.raises(UnavailableError) as away:
        await open_pool(dsn, size_max=1, timeout_s=60)
    assert "127.0.0.1:" in away.value.message or "localhost:" in away.value.message
    assert dsn.split(":")[2].split("@")[0] not in away.value.message
