"""Every SQL statement of the adapters, prepared on a real server."""

from __future__ import annotations

import itertools
from importlib import resources

import asyncpg
import pytest

from worker.adapters import postgres
from worker.adapters.postgres import rules, templates
from worker.adapters.postgres.statements import statements

FILES = sorted(
    entry.name.removesuffix(".sql")
    for entry in resources.files(postgres).joinpath("sql").iterdir()
    if entry.name.endswith(".sql")
)


# Statements with a gap take their order from a closed list: each of them must do.
NAMES = {"name": "decision_default", "literal": "'x'", "expired": "y", "since": 0, "until": 1, "lock": 1}
GAPS = {"order": rules._COLUMNS, "template_order": templates._COLUMNS}


def test_there_are_statements() -> None:
    assert {"rules", "decisions", "commands", "outbox", "ruleset", "templates"} <= set(FILES)
    assert all(statements(file) for file in FILES)


@pytest.mark.parametrize("file", FILES)
async def test_every_statement_prepares(database: str, file: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        for name, text in statements(file).items():
            for sql in _without_gaps(text):
                try:
                    await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{file}.sql, {name}: {error}")
    finally:
        await connection.close()


def _without_gaps(text: str) -> list[str]:
    if "{criteria}" in text:
        first = 3 if "$1" in text else 1
        choices = itertools.product((None, 1), repeat=len(rules._CRITERIA))
        texts = [text.replace("{criteria}", rules._where(choice, first)[0]) for choice in choices]
        return [whole for one in texts for whole in _without_gaps(one)]
    for gap, columns in GAPS.items():
        if f"{{{gap}}}" in text:
            return [text.format(**{gap: f"{column} {way}"}) for column in columns.values() for way in ("ASC", "DESC")]
    return [text.format(**NAMES)] if any(f"{{{gap}}}" in text for gap in NAMES) else [text]
