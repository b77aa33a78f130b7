"""Every SQL statement of the adapters, prepared on a real server."""

from __future__ import annotations

from importlib import resources

import asyncpg
import pytest

from worker.adapters import postgres
from worker.adapters.postgres.rules import _COLUMNS
from worker.adapters.postgres.statements import statements

FILES = sorted(
    entry.name.removesuffix(".sql")
    for entry in resources.files(postgres).joinpath("sql").iterdir()
    if entry.name.endswith(".sql")
)


def test_there_are_statements() -> None:
    assert {"rules", "decisions", "commands", "outbox", "ruleset"} <= set(FILES)
    assert all(statements(file) for file in FILES)


@pytest.mark.parametrize("file", FILES)
async def test_every_statement_prepares(database: str, file: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        for name, text in statements(file).items():
            # The one statement with a gap takes its order from a closed list: each of them must do.
            orders = [f"{column} {way}" for column in _COLUMNS.values() for way in ("ASC", "DESC")]
            for sql in [text.format(order=order) for order in orders] if "{order}" in text else [text]:
                try:
                    await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{file}.sql, {name}: {error}")
    finally:
        await connection.close()
