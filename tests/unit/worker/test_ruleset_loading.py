"""Rulesets made of their parts: read some at a time, compiled by two, changed, and arranged anew after many changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from domain.decisions.engine import decide
from domain.decisions.fact import Fact
from domain.decisions.ruleset import ActiveRule, Ruleset, RulesetState
from domain.language import StoredPlan
from domain.rules.rule import Rule
from tests.contracts.rules_at_hand import BOB, LATER, active
from tests.fakes.cache import FakeActiveRulesCache
from tests.fakes.compiler import FakeDslCompiler
from tests.fakes.plans import FakePlanCache
from tests.fakes.transactions import FakeTransactions
from worker import ruleset_loading
from worker.ruleset_loading import RulesetBrokenError
from worker.rulesets import Rulesets

COUNT = 60


class World:
    """A database with active rules, and what a worker loads them with."""

    def __init__(self) -> None:
        self.transactions = FakeTransactions()
        self.cache = FakeActiveRulesCache()
        self.plans = FakePlanCache()
        self.compiler = FakeDslCompiler()
        self.rulesets = self.restarted()
        self.rules = [active(f"rule {n:03}", f"when a == {n}\nthen set b{n} = {n}") for n in range(COUNT)]

    def restarted(self) -> Rulesets:
        return Rulesets(self.transactions, self.cache, self.plans, self.compiler, 60.0)

    async def change(self, *rules: Rule) -> RulesetState:
        async with self.transactions.begin() as tx:
            for rule in rules:
                await tx.rules.save(rule)
                state = await tx.active_rules.change(rule, LATER)
        return state


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world for which a few rules are many."""
    monkeypatch.setattr(ruleset_loading, "_CHUNK", 25)
    monkeypatch.setattr(ruleset_loading, "_ALONE_MAX", 10)
    monkeypatch.setattr(ruleset_loading, "_COMPILED_CHUNK", 4)
    monkeypatch.setattr(ruleset_loading, "QUICK_CODE_POINTS", 0)
    made = World()
    await made.change(*made.rules)
    return made


def outputs(ruleset: Ruleset) -> list[Mapping[str, object]]:
    return [decide(ruleset, Fact(b"k" * 16, "f1", "any.type", 1, None, {"a": n})).output for n in range(COUNT)]


EVERY = [{f"b{n}": n} for n in range(COUNT)]


async def test_rules_are_compiled_here_and_by_the_compiler_and_each_is_in_its_place(world: World) -> None:
    """Both take what is left, some at a time, and all is kept for the next start."""
    found = await world.rulesets.refresh()
    assert outputs(found) == EVERY
    assert 0 < len(world.compiler.compiled) < COUNT
    assert len(world.plans.plans) == len(world.cache.rules) == COUNT
    assert list(world.cache.lists) == [found.digest]


async def test_a_compiler_that_is_away_keeps_no_rule_from_deciding(world: World) -> None:
    """These rules were approved: what it does not compile is compiled here."""
    world.compiler.is_away = True
    assert outputs(await world.rulesets.refresh()) == EVERY


async def test_a_restart_reads_and_compiles_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is in the cache."""
    await world.rulesets.refresh()
    world.compiler.compiled.clear()
    monkeypatch.setattr(ruleset_loading, "compile_rule", None)
    assert outputs(await world.restarted().refresh()) == EVERY
    assert world.compiler.compiled == []


async def test_a_plan_that_is_none_costs_compiling_its_rule(world: World) -> None:
    """Whatever vouches for it."""
    await world.rulesets.refresh()
    digests = list(world.plans.plans)[:3]
    world.plans.plans.update(dict.fromkeys(digests, b"none"))
    world.compiler.compiled.clear()
    assert outputs(await world.restarted().refresh()) == EVERY
    assert b"none" not in world.plans.plans.values()


async def test_what_was_lost_of_the_cache_is_read_from_the_store_and_put_back(world: World) -> None:
    """Only that."""
    await world.rulesets.refresh()
    lost = list(world.cache.rules)[10:50]
    for digest in lost:
        del world.cache.rules[digest]
    assert outputs(await world.restarted().refresh()) == EVERY
    assert set(lost) <= world.cache.rules.keys()


async def test_a_changed_rule_leaves_the_others_as_they_were(world: World) -> None:
    """What was made of them stays."""
    before = await world.rulesets.refresh()
    world.rules[7].deactivate(BOB, LATER)
    state = await world.change(world.rules[7])
    found = await world.rulesets.refresh()
    assert found.state == state
    assert outputs(found) == [*EVERY[:7], {}, *EVERY[8:]]
    assert outputs(before) == EVERY
    kept = {rule.digest: rule.compiled for rule in before.rules}
    assert all(rule.compiled is kept[rule.digest] for rule in found.rules)


async def test_a_changed_rule_decides_though_the_cache_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked for a short rule, and gets it afterwards."""
    monkeypatch.setattr(ruleset_loading, "QUICK_CODE_POINTS", 100)
    await world.rulesets.refresh()
    answers = asyncio.Event()

    class Hanging:
        """A cache that answers when it is told to."""

        async def store_rules(self, rules: Sequence[ActiveRule]) -> None:
            await answers.wait()
            await world.cache.store_rules(rules)

        async def load(self, digests: Sequence[bytes]) -> Mapping[bytes, StoredPlan]:
            await answers.wait()
            return await world.plans.load(digests)

        async def store(self, plans: Mapping[bytes, StoredPlan]) -> None:
            await answers.wait()
            await world.plans.store(plans)

    hanging = Hanging()
    monkeypatch.setattr(world.rulesets._loader, "_cache", hanging)
    monkeypatch.setattr(world.rulesets._loader, "_plans", hanging)
    for name, output in (("c", {"c": 1}), ("d", {"c": 1, "d": 1})):
        await world.change(active(name, f"then set {name} = 1"))
        assert outputs(await world.rulesets.refresh()) == [{**one, **output} for one in EVERY]
    assert len(world.cache.rules) == len(world.plans.plans) == COUNT
    answers.set()
    assert world.rulesets._keeping is not None
    await world.rulesets._keeping
    assert len(world.cache.rules) == len(world.plans.plans) == COUNT + 2
    await world.rulesets.stop()


async def test_after_many_changes_all_rules_are_arranged_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, and swapped in without a change of what is decided."""
    monkeypatch.setattr("domain.decisions.ruleset.WHOLE_MAX", 0)
    monkeypatch.setattr("domain.decisions.ruleset.CHANGES_MAX", 1)
    await world.rulesets.refresh()
    await world.change(active("another", "then set c = 1"))
    found = await world.rulesets.refresh()
    assert found.is_due
    assert world.rulesets._arranging is not None
    await world.rulesets._arranging
    assert world.rulesets.current is not found
    assert not world.rulesets.current.is_due
    assert world.rulesets.current.state == found.state
    assert outputs(world.rulesets.current) == outputs(found) == [{**one, "c": 1} for one in EVERY]
    await world.rulesets.stop()


async def test_what_changed_meanwhile_is_not_undone_by_what_was_arranged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ruleset that is no longer the current one never comes back."""
    monkeypatch.setattr("domain.decisions.ruleset.WHOLE_MAX", 0)
    monkeypatch.setattr("domain.decisions.ruleset.CHANGES_MAX", 1)
    await world.rulesets.refresh()
    await world.change(active("another", "then set c = 1"))
    await world.rulesets.refresh()
    await world.change(active("one more", "then set d = 1"))
    found = await world.rulesets.refresh()
    assert world.rulesets._arranging is not None
    await world.rulesets._arranging
    assert world.rulesets.current.state == found.state
    await world.rulesets.stop()


async def test_rules_that_are_not_what_the_digest_says_are_refused_before_they_are_compiled(world: World) -> None:
    """Nor does what was loaded before change."""
    before = await world.rulesets.refresh()
    state = await world.change(active("another", "then set c = 1"))
    versions = world.transactions.database.versions
    key = next(key for key, version in versions.items() if version.content.name == "another")
    versions[key] = replace(versions[key], content=replace(versions[key].content, dsl_content="no rule at all ("))
    with pytest.raises(RulesetBrokenError):
        await world.rulesets.refresh()
    assert world.rulesets.current is before
    assert state.revision == before.revision + 1


async def test_a_rule_that_is_not_what_its_digest_says_keeps_all_from_being_loaded(world: World) -> None:
    """Also where rules before it are made already."""
    versions = world.transactions.database.versions
    key = world.rules[-1].id, 1
    versions[key] = replace(versions[key], content=replace(versions[key].content, dsl_content="then set a = 666"))
    with pytest.raises(RulesetBrokenError):
        await world.rulesets.refresh()
    assert not world.rulesets.is_loaded


async def test_the_grammar_is_loaded_at_the_first_poll(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the start nor the first change waits for it."""
    compiled: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        "worker.rulesets.compile_rule", lambda text: loop.call_soon_threadsafe(compiled.put_nowait, text)
    )
    patient, eager = world.restarted(), Rulesets(world.transactions, world.cache, world.plans, world.compiler, 0.01)
    await patient.start()
    await eager.start()
    async with asyncio.timeout(30):
        assert await compiled.get() == "true"
    await patient.stop()
    await eager.stop()
    assert compiled.empty()


async def test_a_list_of_members_that_does_not_have_the_digest_is_refused(world: World) -> None:
    """Before anything of it is read."""
    world.transactions.database.memberships.pop()
    with pytest.raises(RulesetBrokenError):
        await world.rulesets.refresh()
    assert not world.rulesets.is_loaded
