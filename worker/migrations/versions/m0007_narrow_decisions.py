"""Decisions without what their bodies say already, in partitions by the day."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0007"
down_revision = "0006"
phase = "post"


def upgrade() -> None:
    """Make the table anew, narrower, and move its rows."""
    run_script(__file__, "0007_narrow_decisions.up.sql")


def downgrade() -> None:
    """Make the wider table again and read its columns out of the bodies."""
    run_script(__file__, "0007_narrow_decisions.down.sql")
