"""Trials of facts that may be what kills workers."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0006"
down_revision = "0005"
phase = "pre"


def upgrade() -> None:
    """Add their table."""
    run_script(__file__, "0006_fact_trial.up.sql")


def downgrade() -> None:
    """Take it away."""
    run_script(__file__, "0006_fact_trial.down.sql")
