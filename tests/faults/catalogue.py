"""Every scenario, in the order of the table."""

from __future__ import annotations

from tests.faults import kills

SCENARIOS = (*kills.SCENARIOS,)
