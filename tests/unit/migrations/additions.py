"""What a migration of phase pre must not do: it would stop, break or hold up the workers of the release before.

Statements are read by their words alone, after comments and the bodies of functions are taken out; what a script builds
and executes itself is for review.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED: Final = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'", re.DOTALL)
_CREATED: Final = re.compile(r"\bCREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
_ON: Final = re.compile(r"(?:\b(?:ON|TABLE|INTO|FROM)|^\s*UPDATE)\s+(?:ONLY\s+|IF EXISTS\s+)?(\w+)", re.IGNORECASE)
_ADDED: Final = re.compile(r"\bADD COLUMN\b(?P<column>(?:[^,(]|\([^)]*\))*)", re.IGNORECASE)

# A statement that has these words, and what is wrong with it.
_REFUSED: Final = (
    (r"\bDROP\s+TABLE\b", "drops a table"),
    (r"\bDROP\s+COLUMN\b", "drops a column"),
    (r"\bDROP\s+INDEX\b", "drops an index, which old workers may conflict on, and locks its table"),
    (r"\bDROP\s+(VIEW|FUNCTION|TYPE|SEQUENCE|SCHEMA)\b", "drops what old workers may use"),
    (r"\bRENAME\b", "renames"),
    (r"^\s*TRUNCATE\b|\bDELETE\s+FROM\b", "removes rows"),
    (r"^\s*(WITH\b.*)?\bUPDATE\s+\w+\s+SET\b", "changes rows that old workers read"),
    (r"\bLOCK\s+TABLE\b|\bCLUSTER\b|\bVACUUM\s+FULL\b", "locks a table"),
    (r"\bALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b", "alters a column's type, and writes the table anew"),
    (r"\bSET\s+NOT\s+NULL\b", "refuses rows that old workers write"),
    (r"\bADD\s+(CONSTRAINT\s+\w+\s+)?(CHECK|FOREIGN\s+KEY|UNIQUE|PRIMARY\s+KEY|EXCLUDE)\b", "adds a constraint"),
    (r"\bADD\s+COLUMN\b[^,]*\bGENERATED\b", "adds a computed column, and writes the table anew"),
    (r"\bCREATE\s+(OR\s+REPLACE\s+)?(CONSTRAINT\s+)?TRIGGER\b", "adds a trigger, which old workers may run into"),
    (r"\bCREATE\s+OR\s+REPLACE\b", "replaces what old workers use"),
    (r"\bCREATE\s+(UNIQUE\s+)?INDEX\b", "adds an index, and nobody writes to the table until it is built"),
    (r"\bREVOKE\b|\bSET\s+SCHEMA\b|\bOWNER\s+TO\b", "takes rights away"),
)


def problems(script: str) -> Iterator[str]:
    """Give what is wrong with a script of phase pre, each with the statement's beginning."""
    text = _QUOTED.sub("''", _COMMENT.sub(" ", script))
    created = {name.lower() for name in _CREATED.findall(text)}
    for statement in filter(str.strip, text.split(";")):
        named = {name.lower() for name in _ON.findall(statement)}
        if named and named <= created:
            continue  # what this script itself has made is nobody's yet
        beginning = " ".join(statement.split())[:60]
        for words, meaning in _REFUSED:
            if re.search(words, statement, re.IGNORECASE | re.DOTALL):
                yield f"{meaning}: {beginning}"
        for added in _ADDED.finditer(statement):
            column = added["column"].upper()
            if "NOT NULL" in column and "DEFAULT" not in column and "GENERATED" not in column:
                yield f"adds a column that old workers leave out, and that must not be null: {beginning}"
