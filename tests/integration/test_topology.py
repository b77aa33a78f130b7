"""Streams and consumers on a real server: declared when missing, never altered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError

from streams.jetstream import ask
from streams.topology import Difference, TopologyError, TopologySettings, apply, diff, topology

WANTED = topology(TopologySettings())
STREAMS = ["RULES_COMMANDS", "RULES_EVENTS", "FACTS", "DECISIONS", "EFFECTS", "DEAD_LETTERS"]
CONSUMERS = ["RULES_COMMANDS/rulestream-commands", "FACTS/rulestream-facts"]


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    made = await nats.connect(nats_url)
    yield made
    await made.close()


async def test_what_is_missing_is_told_made_and_then_as_wanted(client: Client) -> None:
    missing = await diff(WANTED, client, client)
    assert [one.name for one in missing] == STREAMS + CONSUMERS
    assert all(one.is_missing for one in missing)
    assert str(missing[0]) == "stream RULES_COMMANDS is missing"
    done = await apply(WANTED, client, client)
    assert (done.created, done.differences) == (STREAMS + CONSUMERS, [])
    assert await diff(WANTED, client, client) == []


async def test_a_second_apply_changes_nothing(client: Client) -> None:
    await apply(WANTED, client, client)
    jetstream = client.jetstream()
    await jetstream.publish("facts.a", b"{}")
    before = [(info.config, info.state) for info in await jetstream.streams_info()]
    again = await apply(WANTED, client, client)
    assert (again.created, again.differences) == ([], [])
    assert [(info.config, info.state) for info in await jetstream.streams_info()] == before


async def test_the_streams_are_the_contracts(client: Client) -> None:
    await apply(WANTED, client, client)
    found = {info.config.name: info.config for info in await client.jetstream().streams_info()}
    assert {name: config.subjects for name, config in found.items()} == {
        "RULES_COMMANDS": ["rules.command.>"],
        "RULES_EVENTS": ["rules.event.>"],
        "FACTS": ["facts.>"],
        "DECISIONS": ["decisions.>"],
        "EFFECTS": ["effects.>"],
        "DEAD_LETTERS": ["dead.>"],
    }
    assert found["RULES_COMMANDS"].retention == RetentionPolicy.WORK_QUEUE
    assert found["RULES_COMMANDS"].max_age in (None, 0)
    discards = {name: config.discard for name, config in found.items()}
    assert {name for name, discard in discards.items() if discard == "new"} == {"FACTS", "DECISIONS", "EFFECTS"}


async def test_commands_cannot_be_scheduled(client: Client) -> None:
    await apply(WANTED, client, client)
    headers = {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "rules.command.admin.create"}
    with pytest.raises(BadRequestError):
        await client.jetstream().publish("rules.command.alice.create", b"{}", headers=headers)


async def test_a_stream_that_exists_otherwise_is_told_and_left_alone(client: Client) -> None:
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name="FACTS", subjects=["facts.>", "more.>"], max_age=60, max_msgs=7))
    done = await apply(WANTED, client, client)
    assert "FACTS" not in done.created
    assert set(done.created) == {*STREAMS, *CONSUMERS} - {"FACTS"}
    told = {one.setting: (one.wanted, one.found) for one in done.differences}
    assert told["subjects"] == (["facts.>"], ["facts.>", "more.>"])
    assert told["max_age"] == (7 * 24 * 3600 * 10**9, 60 * 10**9)
    assert told["discard"] == ("new", "old")
    assert all((one.kind, one.name) == ("stream", "FACTS") for one in done.differences)
    config = (await jetstream.stream_info("FACTS")).config
    assert (config.subjects, config.max_age, config.max_msgs) == (["facts.>", "more.>"], 60, 7)
    assert await diff(WANTED, client, client) == done.differences


async def test_a_consumer_that_exists_otherwise_is_told_and_left_alone(client: Client) -> None:
    jetstream = client.jetstream()
    await jetstream.add_stream(StreamConfig(name="FACTS", subjects=["facts.>"]))
    mine = ConsumerConfig(durable_name="rulestream-facts", ack_policy=AckPolicy.EXPLICIT, ack_wait=5, max_deliver=3)
    await jetstream.add_consumer("FACTS", mine)
    done = await apply(WANTED, client, client)
    told = {one.setting: one.found for one in done.differences if one.kind == "consumer"}
    assert (told["ack_wait"], told["max_deliver"]) == (5 * 10**9, 3)
    config = (await jetstream.consumer_info("FACTS", "rulestream-facts")).config
    assert (config.ack_wait, config.max_deliver) == (5, 3)


async def test_looking_changes_nothing(client: Client) -> None:
    await diff(WANTED, client, client)
    assert await client.jetstream().streams_info() == []


async def test_names_and_limits_are_an_operators_choice(client: Client) -> None:
    settings = TopologySettings(facts="MY_FACTS", facts_consumer="mine", facts_max_age_s=60, stream_max_bytes=1_000_000)
    done = await apply(topology(settings), client, client)
    assert {"MY_FACTS", "MY_FACTS/mine"} <= set(done.created)
    config = (await client.jetstream().stream_info("MY_FACTS")).config
    assert (config.max_age, config.max_bytes, config.duplicate_window) == (60, 1_000_000, 60)


async def test_what_the_server_refuses_is_an_error_that_says_why(client: Client) -> None:
    await client.jetstream().add_stream(StreamConfig(name="OTHER", subjects=["facts.order.*"]))
    with pytest.raises(TopologyError, match=r"STREAM.CREATE.FACTS: subjects overlap"):
        await apply(WANTED, client, client)


def test_a_difference_reads_as_a_sentence() -> None:
    difference = Difference("stream", "FACTS", "max_age", 2, 1)
    assert not difference.is_missing
    assert str(difference) == "stream FACTS: max_age is 1, wanted 2"


async def test_a_stream_that_lets_a_client_have_the_server_do_harm_is_told_and_left_alone(client: Client) -> None:
    """Roll-ups and TTL delete what others stored; direct gets and copies go past the streams' API."""
    harmful = {"allow_rollup_hdrs": True, "allow_msg_ttl": True, "allow_direct": True, "allow_atomic": True}
    facts = next(spec for spec in WANTED.streams if spec.name == "FACTS")
    await ask(client, "STREAM.CREATE.FACTS", {**facts.config, **harmful})
    applied = await apply(WANTED, client, client)
    told = {difference.setting for difference in applied.differences if difference.name == "FACTS"}
    assert told == set(harmful)
    config = (await ask(client, "STREAM.INFO.FACTS"))["config"]
    assert all(config[setting] for setting in harmful)
    assert {one.setting for one in await diff(WANTED, client, client)} == set(harmful)
