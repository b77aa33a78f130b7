"""Every scenario, in the order of the table, with what plays it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from tests.faults import cluster, disk, everything, kills, messages, processes, scenario, services
from tests.faults.results import Result
from tests.faults.scenario import Scenario
from tests.faults.stage import Site

# How often a cluster has each of its faults here: an election takes it seconds.
CLUSTER_TIMES = {
    "cluster-leaders": 2,
    "cluster-hanging": 2,
    "cluster-own-node": 4,
    "cluster-stepdowns": 3,
    "cluster-upgrades": 2,
}
Perform = Callable[[Site, Scenario, int, int], Awaitable[Result]]
GROUPS: tuple[tuple[Perform, tuple[Scenario, ...]], ...] = (
    (scenario.perform, kills.SCENARIOS),
    (scenario.perform, processes.SCENARIOS),
    (scenario.perform, services.SCENARIOS),
    (disk.perform, disk.SCENARIOS),
    (scenario.perform, messages.SCENARIOS),
    (cluster.perform, tuple(dataclasses.replace(one, times=CLUSTER_TIMES[one.name]) for one in cluster.SCENARIOS)),
    (scenario.perform, everything.SCENARIOS),
    (scenario.perform, (processes.DEADLY,)),
)
SCENARIOS: dict[str, tuple[Perform, Scenario]] = {one.name: (perform, one) for perform, of in GROUPS for one in of}
