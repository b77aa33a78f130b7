"""What changed between two rulesets, found quickly."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0009"
down_revision = "0008"
phase = "pre"


def upgrade() -> None:
    """Add the indexes."""
    run_script(__file__, "0009_ruleset_changes.up.sql")


def downgrade() -> None:
    """Take them away."""
    run_script(__file__, "0009_ruleset_changes.down.sql")
