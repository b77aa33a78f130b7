"""What changes replaced, and answers that nobody can change."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0003"
down_revision = "0002"
phase = "pre"


def upgrade() -> None:
    """Keep the digest before each change, and refuse changes of the command log."""
    run_script(__file__, "0003_audit.up.sql")


def downgrade() -> None:
    """Take both away."""
    run_script(__file__, "0003_audit.down.sql")
