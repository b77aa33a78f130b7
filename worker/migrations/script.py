"""Running a migration's SQL file as one script, in Alembic's transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy.util import await_only


def run_script(module_file: str, name: str) -> None:
    """Run the SQL file beside a migration module; its statements go to the server as they are, in one message."""
    script = Path(module_file).with_name(name).read_text(encoding="utf-8")
    connection: Any = op.get_bind().connection.dbapi_connection
    # SQLAlchemy prepares every statement, which allows one at a time; asyncpg's own execute takes a whole script.
    await_only(connection.driver_connection.execute(script))
