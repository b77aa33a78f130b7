"""Every scenario, in the order of the table."""

from __future__ import annotations

from tests.faults import kills, messages, processes, services

SCENARIOS = (*kills.SCENARIOS, *processes.SCENARIOS, *services.SCENARIOS, *messages.SCENARIOS)
