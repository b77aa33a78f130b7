"""Releases that have decided facts."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0008"
down_revision = "0007"
phase = "pre"


def upgrade() -> None:
    """Add their table."""
    run_script(__file__, "0008_release.up.sql")


def downgrade() -> None:
    """Take it away."""
    run_script(__file__, "0008_release.down.sql")
