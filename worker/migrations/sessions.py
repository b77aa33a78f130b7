"""Which workers are connected to a database, told by the names that their connections go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from worker.migrations.phases import BASELINE

# A worker's connections are named after the schema that it is written for; until there were phases, they were not.
_NAME: Final = "rulestream"
SESSIONS: Final = """
SELECT application_name AS name, count(*) AS sessions
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND (application_name = 'rulestream' OR application_name LIKE 'rulestream/%')
 GROUP BY application_name
 ORDER BY application_name
"""


def session_name(schema: str) -> str:
    """Return the name that connections go by of a worker that is written for a schema."""
    return f"{_NAME}/{schema}"


def schema_of(name: str) -> str:
    """Return the schema that a connection's worker is written for; the last one before phases where it says none."""
    return name.partition("/")[2] or BASELINE


def described(found: Iterable[tuple[str, int]]) -> str:
    """Return a list of connections by name with their counts, for a message."""
    return ", ".join(f"{count} of '{name}'" for name, count in found)
