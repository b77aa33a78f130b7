"""Alembic's entry: runs migrations on the connection that ``worker.migrations.runner`` hands over."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], version_table="schema_version", transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
