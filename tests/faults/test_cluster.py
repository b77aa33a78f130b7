"""A three-node cluster: what is declared on it, and the short form of its faults, from one seed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams import topology
from streams.connection import connect
from tests.faults import cluster
from tests.faults.cluster import LED, REPLICAS
from tests.faults.stage import PROJECT, site
from tests.servers.cluster import NODES, NatsCluster

SEED = int(os.environ.get("RULESTREAM_FAULTS_SEED", "1"))


@pytest.fixture
async def three_nodes(tmp_path: Path) -> AsyncIterator[NatsCluster]:
    async with NatsCluster(tmp_path / "nats") as found:
        yield found


async def told(nodes: NatsCluster, *arguments: str) -> tuple[int, str]:
    """Run the command line against the cluster and give its exit status and what it printed."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RULESTREAM_")},
        "RULESTREAM_NATS_URL": nodes.url,
        "RULESTREAM_STREAM_REPLICAS": str(REPLICAS),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker.cli",
        *arguments,
        env=environment,
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_what_is_declared_on_a_cluster_is_replicated_consumers_too_and_differs_in_nothing(
    three_nodes: NatsCluster,
) -> None:
    """Every node has a copy of each stream and of each durable consumer."""
    status, said = await told(three_nodes, "topology", "apply")
    assert status == 0, said
    client = await connect(three_nodes.url, "test")
    try:
        wanted = topology.topology(topology.TopologySettings(replicas=REPLICAS))
        jetstream = client.jetstream()
        for stream in wanted.streams:
            found = (await jetstream.stream_info(stream.name)).cluster
            assert found is not None
            assert {found.leader, *(peer.name for peer in found.replicas or ())} == set(NODES), stream.name
        for consumer in wanted.consumers:
            found = (await jetstream.consumer_info(consumer.stream, consumer.name)).cluster
            assert found is not None
            assert {found.leader, *(peer.name for peer in found.replicas or ())} == set(NODES), consumer.name
    finally:
        await client.close()
    assert await told(three_nodes, "topology", "diff") == (0, "streams and consumers are as the settings want them\n")


@pytest.mark.parametrize("is_patient", [True, False])
async def test_a_node_that_hangs_keeps_nobody_from_connecting_to_another(
    is_patient: bool, three_nodes: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections, as the system does for it, and says nothing; it is the first that is tried here."""
    monkeypatch.setattr("nats.aio.client.shuffle", lambda _: None)
    await three_nodes.freeze(NODES[0])
    client = await connect(three_nodes.url, "test", is_patient=is_patient)
    try:
        assert client.connected_url is not None
        assert client.connected_url.netloc in three_nodes.nodes[NODES[1]].url
        assert client.options["allow_reconnect"] is is_patient
    finally:
        await client.close()


@pytest.mark.timeout(600)
async def test_nothing_is_lost_and_nothing_is_decided_twice_when_a_clusters_leaders_change(tmp_path: Path) -> None:
    """Facts and commands go on through the death of every leader, a node that hangs, stepdowns and an upgrade."""
    async with site(tmp_path) as servers:
        result = await cluster.perform(servers, cluster.SHORT, SEED, cluster.SHORT.times)
    assert result.kills == 1
    assert all(result.notes.get(f"leader of {asset} killed") for asset in LED), "the leader of each died"
    assert result.notes["commands"] > 0
    assert result.decided > 0
