"""A key for the cache."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0002"
down_revision = "0001"
phase = "pre"


def upgrade() -> None:
    """Add the key."""
    run_script(__file__, "0002_cache_key.up.sql")


def downgrade() -> None:
    """Take it away."""
    run_script(__file__, "0002_cache_key.down.sql")
