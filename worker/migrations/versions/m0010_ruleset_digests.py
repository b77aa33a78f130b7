"""The digest of a ruleset, made without sorting."""

from __future__ import annotations

from worker.migrations.script import run_script

revision = "0010"
down_revision = "0009"
phase = "pre"


def upgrade() -> None:
    """Add the index."""
    run_script(__file__, "0010_ruleset_digests.up.sql")


def downgrade() -> None:
    """Take it away."""
    run_script(__file__, "0010_ruleset_digests.down.sql")
