"""Three real NATS servers with JetStream that replicate to one another on loopback, from the wheel, for fault tests.

What a cluster says of itself (who leads what, whether a node has caught up) is read from the monitoring port of a node
rather than from ``$JS.API``: a node answers there by itself, also while nobody leads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import nats
from nats.aio.client import Client

from tests.behaviour.bus import eventually
from worker.embedded.folder import DataFolder
from worker.embedded.nats import NatsServer
from worker.embedded.ports import HOST, free_port

NODES: Final = ("n1", "n2", "n3")
META: Final = "meta"
_ACCOUNT: Final = "RULESTREAM"
_CLUSTER_NAME: Final = "rulestream-faults"
_USER: Final = "anyone"
_SYSTEM_USER: Final = "system"
_PASSWORD: Final = "of-the-test"
_READY_WAIT_S: Final = 60.0
_LEADER_WAIT_S: Final = 30.0
_MONITOR_WAIT_S: Final = 2.0
_API_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where a node listens beside its clients' port."""

    routes: int
    monitor: int


@dataclass(frozen=True, slots=True)
class Leaders:
    """Who leads what, as one node sees it; ``""`` where it knows no leader.

    Assets are named ``meta``, ``STREAM`` and ``STREAM/consumer``.
    """

    of: Mapping[str, str]

    def led_by(self, node: str) -> list[str]:
        return sorted(asset for asset, leader in self.of.items() if leader == node)


class ClusterNode(NatsServer):
    """One node: a NATS server with a name, a store folder and ports that stay its own over restarts."""

    def __init__(self, name: str, folder: DataFolder, peers: Mapping[str, NodePorts]) -> None:
        super().__init__(folder)
        self.node = name
        self.data = folder
        self._peers = peers

    def _config(self, port: int, store: Path) -> dict[str, object]:
        self._server_name = self.node  # JetStream knows its peers by their names
        own = self._peers[self.node]
        return {
            **super()._config(port, store),
            "http": f"{HOST}:{own.monitor}",
            "cluster": {
                "name": _CLUSTER_NAME,
                "listen": f"{HOST}:{own.routes}",
                "routes": [f"nats://{HOST}:{peer.routes}" for name, peer in self._peers.items() if name != self.node],
            },
            # The meta leader steps down for the system account alone; everybody else is the one user of the other.
            "accounts": {
                "$SYS": {"users": [{"user": _SYSTEM_USER, "password": _PASSWORD}]},
                _ACCOUNT: {"jetstream": "enabled", "users": [{"user": _USER, "password": _PASSWORD}]},
            },
            "no_auth_user": _USER,
        }

    @property
    def system_url(self) -> str:
        return f"nats://{_SYSTEM_USER}:{_PASSWORD}@{HOST}:{self.port}"

    async def monitor(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask the monitoring port and give status and JSON; raises OSError or TimeoutError where nobody answers."""
        async with asyncio.timeout(_MONITOR_WAIT_S):
            reader, writer = await asyncio.open_connection(HOST, self._peers[self.node].monitor)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                await writer.drain()
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        if not head:
            raise ConnectionResetError(f"{self.node} said nothing")
        return int(head.split(maxsplit=2)[1]), json.loads(body)

    async def is_healthy(self) -> bool:
        """Tell whether the node serves, and has caught up in everything that it replicates."""
        try:
            status, _ = await self.monitor("/healthz")
        except (OSError, TimeoutError):
            return False
        return status == 200

    async def leaders(self) -> Leaders:
        """Give who leads what, as this node sees it; raises OSError or TimeoutError where it does not answer."""
        _, found = await self.monitor(f"/jsz?acc={_ACCOUNT}&streams=true&consumers=true")
        return Leaders(dict(_leaders(found)))


class NatsCluster:
    """Three nodes on free ports of 127.0.0.1; each may be killed, frozen, thawed and started again.

    The folder is the caller's and holds a folder for each node.
    """

    def __init__(self, folder: Path) -> None:
        ports: set[int] = set()
        while len(ports) < 2 * len(NODES):
            ports.add(free_port())
        peers = {name: NodePorts(ports.pop(), ports.pop()) for name in NODES}
        self.nodes = {name: ClusterNode(name, DataFolder(folder / name), peers) for name in NODES}
        self._frozen: set[str] = set()
        self._open = AsyncExitStack()

    @property
    def url(self) -> str:
        """All nodes, for a client's list of servers."""
        return ",".join(node.url for node in self.nodes.values())

    @property
    def serving(self) -> list[ClusterNode]:
        """The nodes that run and are not frozen."""
        return [node for name, node in self.nodes.items() if node.running and name not in self._frozen]

    async def start(self) -> None:
        """Start all nodes and wait until they have a leader and take streams, 60 s at most."""
        try:
            for node in self.nodes.values():
                await node.data.open()
                self._open.callback(node.data.close)
                self._open.push_async_callback(node.stop)
            async with asyncio.TaskGroup() as group:
                for node in self.nodes.values():
                    group.create_task(node.start())
            await self.await_health()
            await self.await_leader(META)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all nodes at once, in no orderly way: their data is thrown away. Idempotent."""
        for node in self.nodes.values():
            if node.running:
                await node.kill()
        await self._open.aclose()

    async def kill(self, name: str) -> None:
        """Kill a node (SIGKILL)."""
        self._frozen.discard(name)
        await self.nodes[name].kill()

    async def start_node(self, name: str) -> None:
        """Start a node that was killed or stopped, where it was."""
        await self.nodes[name].start()

    async def stop_node(self, name: str) -> None:
        """Stop a node in an orderly way, as an upgrade does."""
        await self.nodes[name].stop()

    async def freeze(self, name: str) -> None:
        """Let a node hang without closing a connection."""
        self._frozen.add(name)
        await self.nodes[name].freeze()

    async def thaw(self, name: str) -> None:
        """Let a frozen node run again."""
        await self.nodes[name].thaw()
        self._frozen.discard(name)

    async def await_health(self, within_s: float = _READY_WAIT_S) -> None:
        """Wait until every node runs and has caught up."""

        async def sick() -> list[str]:
            return [name for name, node in self.nodes.items() if not await node.is_healthy()]

        await eventually(sick, lambda found: not found, within_s)

    async def await_leader(self, asset: str, *, but: Collection[str] = (), within_s: float = _LEADER_WAIT_S) -> str:
        """Wait until a serving node names a leader of an asset that is none of ``but``, and give its name."""

        async def look() -> str:
            for node in self.serving:
                try:
                    leader = (await node.leaders()).of.get(asset, "")
                except (OSError, TimeoutError):
                    continue
                if leader and leader not in but:
                    return leader
            return ""

        return await eventually(look, bool, within_s)

    async def nodes_of(self, client: str) -> list[str]:
        """Give the nodes that clients of a name are connected to, once for each connection."""
        found: list[str] = []
        for node in self.serving:
            _, seen = await node.monitor("/connz?limit=1000")
            found += [node.node for one in seen["connections"] if one.get("name") == client]
        return found

    async def lead(self, asset: str, node: str) -> None:
        """Have a node lead an asset; it must be well."""

        async def leads() -> bool:
            if await self.await_leader(asset) == node:
                return True
            await self.step_down(asset, to=node)
            return False

        await eventually(leads, bool, _LEADER_WAIT_S)

    async def step_down(self, asset: str, to: str | None = None) -> bool:
        """Ask the leader of an asset to give up, for another node or any; False where it was not heard or refused."""
        body = b"" if to is None else json.dumps({"placement": {"preferred": to}}).encode()
        if asset == META:
            call, url = "META.LEADER.STEPDOWN", self.serving[0].system_url
        elif "/" in asset:
            stream, _, consumer = asset.partition("/")
            call, url = f"CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}", self.serving[0].url
        else:
            call, url = f"STREAM.LEADER.STEPDOWN.{asset}", self.serving[0].url
        async with _connected(url) as client:
            try:
                answer = json.loads((await client.request(f"$JS.API.{call}", body, timeout=_API_WAIT_S)).data)
            except (TimeoutError, nats.errors.Error):
                return False
        return answer.get("success") is True

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


def _leaders(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield META, found.get("meta_cluster", {}).get("leader", "")
    for account in found.get("account_details", []):
        for stream in account.get("stream_detail", []):
            yield stream["name"], stream.get("cluster", {}).get("leader", "")
            for consumer in stream.get("consumer_detail", []):
                yield f"{stream['name']}/{consumer['name']}", consumer.get("cluster", {}).get("leader", "")
