"""Templates, and where rules made of them came from."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0004"
down_revision = "0003"
phase = "pre"


def upgrade() -> None:
    """Add them."""
    run_script(__file__, "0004_templates.up.sql")


def downgrade() -> None:
    """Take them away."""
    run_script(__file__, "0004_templates.down.sql")
