"""Rules, their versions and history, commands, the outbox, rulesets and decisions."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0001"
down_revision = None
phase = "pre"


def upgrade() -> None:
    """Create everything."""
    run_script(__file__, "0001_rules_and_decisions.up.sql")


def downgrade() -> None:
    """Drop everything."""
    run_script(__file__, "0001_rules_and_decisions.down.sql")
