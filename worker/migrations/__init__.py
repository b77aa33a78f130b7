"""The database's versions, up and down, by Alembic. A migration that has landed is never edited."""
