"""Every scenario, in the order of the table, with what plays it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.faults import cluster, disk, everything, kills, messages, processes, scenario, services
from tests.faults.results import Result
from tests.faults.scenario import Scenario
from tests.faults.stage import Site

Perform = Callable[[Site, Scenario, int, int], Awaitable[Result]]
GROUPS: tuple[tuple[Perform, tuple[Scenario, ...]], ...] = (
    (scenario.perform, kills.SCENARIOS),
    (scenario.perform, processes.SCENARIOS),
    (scenario.perform, services.SCENARIOS),
    (disk.perform, disk.SCENARIOS),
    (scenario.perform, messages.SCENARIOS),
    (cluster.perform, cluster.SCENARIOS),
    (scenario.perform, everything.SCENARIOS),
)
SCENARIOS: dict[str, tuple[Perform, Scenario]] = {one.name: (perform, one) for perform, of in GROUPS for one in of}
