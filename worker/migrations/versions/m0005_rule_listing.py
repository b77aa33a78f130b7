"""Indexes for listing rules."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0005"
down_revision = "0004"
phase = "pre"


def upgrade() -> None:
    """Add them."""
    run_script(__file__, "0005_rule_listing.up.sql")


def downgrade() -> None:
    """Take them away."""
    run_script(__file__, "0005_rule_listing.down.sql")
