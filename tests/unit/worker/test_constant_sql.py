"""No SQL is made of values: statements come from ``.sql`` files or are constant text, and values are parameters.

The exceptions are named below, each with why it is safe; a new one fails until somebody has thought about it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from worker.adapters.postgres import partitions, rules

ROOT: Final = Path(__file__).parents[3]
# What runs SQL: asyncpg's and SQLAlchemy's methods.
RUNNING: Final = frozenset(
    {"execute", "executemany", "fetch", "fetchrow", "fetchval", "prepare", "cursor", "exec_driver_sql"}
)
# Benchmarks and embedded servers speak to databases that they made themselves.
LEFT_OUT: Final = ("worker/bench/", "worker/embedded/")
CONSTANT: Final = re.compile(r"_?[A-Z][A-Z0-9_]*")

EXCEPTIONS: Final = {
    ("worker/adapters/postgres/partitions.py", "_in_turn", "sql"): (
        "its callers fill one gap of a statement of the file, a partition's name as Postgres itself has it, quoted"
    ),
    ("worker/adapters/postgres/partitions.py", "_in_turn", "_SQL['take_turn'].format(lock=_ADVISORY_LOCK)"): (
        "a constant number"
    ),
    ("worker/adapters/postgres/partitions.py", "_step", "script"): (
        "DDL takes no parameters: constant limits, a name that is made of a time or read from Postgres, quoted, and"
        " numbers"
    ),
    ("worker/adapters/postgres/rules.py", "list_by_criteria", "statement"): (
        "conditions are chosen from constant texts with numbers of parameters, the order from a closed set of columns"
    ),
    ("worker/adapters/postgres/rules.py", "_count", "_SQL['count_rules'].format(criteria=where)"): (
        "conditions are chosen from constant texts with numbers of parameters"
    ),
    (
        "worker/adapters/postgres/templates.py",
        "list_by_criteria",
        "_SQL['list_templates'].format(template_order=order)",
    ): ("the order is chosen from a closed set of columns"),
    ("worker/migrations/runner.py", "adopted", "text(statement)"): "of a constant tuple",
    ("worker/migrations/runner.py", "patiently", "text(statement)"): "of a constant tuple",
    ("worker/migrations/runner.py", "_version", "text(f'SELECT version_num FROM {table}')"): (
        "one of two names in the code that calls it"
    ),
    ("worker/migrations/script.py", "run_script", "script"): "a migration's own file",
}


def calls() -> Iterator[tuple[str, str, str]]:
    """Give every call that runs what is not constant: file, function, and what it runs."""
    for path in sorted((ROOT / "worker").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(LEFT_OUT):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in RUNNING
                    and node.args
                    and not is_constant(node.args[0])
                ):
                    yield name, function.name, ast.unparse(node.args[0])


def is_constant(node: ast.expr) -> bool:
    """Say whether what is run is constant text, or a statement of a file."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return CONSTANT.fullmatch(name) is not None
        case ast.Subscript(value=ast.Name(id="_SQL")):
            return True
        case ast.Subscript(value=ast.Call(func=ast.Name(id="statements"), args=[ast.Constant()])):
            return True
        case ast.Subscript(value=inner, slice=ast.Constant()):
            return is_constant(inner)
        case ast.Call(func=ast.Name(id="text"), args=[inner]):
            return is_constant(inner)
        case ast.JoinedStr(values=parts):
            return all(is_constant(part.value) if isinstance(part, ast.FormattedValue) else True for part in parts)
    return False


# The methods of ours that are named as asyncpg's, and hand on what they are given.
HANDED_ON: Final = frozenset({("worker/adapters/postgres/pool.py", name) for name in RUNNING})


def test_no_statement_is_made_of_values() -> None:
    found = {call for call in calls() if call[:2] not in HANDED_ON}
    assert found == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ("_SQL['x']", True),
        ("statements('a')['b']", True),
        ("'SELECT 1'", True),
        ("f'SELECT {_LOCK}'", True),
        ("text('SELECT 1')", True),
        ("f'SELECT {name}'", False),
        ("'SELECT ' + name", False),
        ("'SELECT %s' % name", False),
        ("_SQL['x'].format(name=name)", False),
        ("text(f'SELECT {name}')", False),
        ("sql", False),
    ],
)
def test_a_statement_that_is_made_of_a_value_is_noticed(source: str, *, constant: bool) -> None:
    assert is_constant(ast.parse(source, mode="eval").body) is constant


@pytest.mark.parametrize("name", ['a"; DROP TABLE rule; --', 'a""b', "", "décision", "a'b"])
def test_a_partitions_name_stays_a_name(name: str) -> None:
    quoted = partitions._quoted(name)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")
    assert quoted[1:-1].replace('""', '"') == name


def test_what_is_looked_for_is_never_in_the_condition() -> None:
    hostile = "x'; DROP TABLE rule; --"
    condition, values = rules._where([hostile, None, hostile, hostile, hostile], 3)
    assert hostile not in condition
    assert values.count(hostile) >= 4
