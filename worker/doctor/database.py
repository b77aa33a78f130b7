"""Postgres itself: version, encoding, what it survives, and what the worker's role may do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from worker.adapters.postgres.statements import statements
from worker.doctor.findings import Code, Finding
from worker.doctor.reaching import Postgres, Reached

SERVER_MIN: Final = 17
_SQL: Final = statements("doctor")
_LOCAL: Final = frozenset({None, "127.0.0.1", "::1"})
# What each table is used for beside being read.
_WRITTEN: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class DatabaseSeen:
    """What was seen of Postgres; ``away`` is why nothing was."""

    away: str = ""
    version: int = SERVER_MIN
    version_text: str = ""
    role: str = ""
    is_read_only: bool = False
    encoding: str = "UTF8"
    fsync: str = "on"
    full_page_writes: str = "on"
    synchronous_commit: str = "on"
    is_encrypted: bool = True
    unowned: tuple[str, ...] = ()  # partitioned tables whose owner we are not
    refused: tuple[tuple[str, str], ...] = ()  # table and right
    may_create: bool = True
    ahead_s: float = 0.0
    within_s: float = 0.0


async def look(reached: Reached[Postgres]) -> DatabaseSeen:
    """Ask Postgres about itself and about our role."""
    if reached.client is None:
        return DatabaseSeen(away=reached.reason)
    connection = reached.client.connection
    server: Any = await connection.fetchrow(_SQL["server"])
    began = time.time()
    at: float = await connection.fetchval(_SQL["server_seconds"])
    ended = time.time()
    tables = await connection.fetch(_SQL["rights"], list(_WRITTEN))
    return DatabaseSeen(
        version=server["version"] // 10_000,
        version_text=server["version_text"],
        role=server["role"],
        is_read_only=reached.client.is_read_only,
        encoding=server["encoding"],
        fsync=server["fsync"],
        full_page_writes=server["full_page_writes"],
        synchronous_commit=server["synchronous_commit"],
        is_encrypted=server["is_encrypted"] or server["client"] in _LOCAL,
        unowned=tuple(sorted({row["name"] for row in tables if row["is_partitioned"] and not row["is_owned"]})),
        refused=tuple((row["name"], row["right"]) for row in tables if not row["is_granted"]),
        may_create=server["may_create"],
        ahead_s=at - (began + ended) / 2,
        within_s=(ended - began) / 2,
    )


def judge(seen: DatabaseSeen) -> Iterator[Finding]:
    """Say what is wrong with the server and our role in it."""
    if seen.away:
        yield Finding(
            Code.POSTGRES_AWAY,
            seen.away,
            "see that the server runs and can be reached from here, and that RULESTREAM_POSTGRES_DSN is right",
        )
        return
    if seen.version < SERVER_MIN:
        yield Finding(Code.POSTGRES_OLD, f"it is Postgres {seen.version_text}", f"upgrade it to {SERVER_MIN} or newer")
    if seen.is_read_only:
        yield Finding(
            Code.POSTGRES_READ_ONLY,
            "this server takes no writes",
            "name the primary in RULESTREAM_POSTGRES_DSN: several hosts, and target_session_attrs=read-write",
        )
    if seen.encoding != "UTF8":
        yield Finding(
            Code.POSTGRES_ENCODING,
            f"the database's encoding is {seen.encoding}",
            "make another one by CREATE DATABASE rulestream ENCODING 'UTF8' TEMPLATE template0, and migrate it",
        )
    for name, value in (
        ("fsync", seen.fsync),
        ("full_page_writes", seen.full_page_writes),
        ("synchronous_commit", seen.synchronous_commit),
    ):
        if value == "off":
            change = f"ALTER ROLE {seen.role} SET synchronous_commit = on, then start the workers anew"
            yield Finding(
                Code.POSTGRES_NOT_DURABLE,
                f"{name} is off",
                change if name == "synchronous_commit" else f"ALTER SYSTEM SET {name} = on, then reload the server",
            )
    yield from _judge_rights(seen)
    if not seen.is_encrypted:
        yield Finding(
            Code.POSTGRES_UNENCRYPTED,
            "the connection to Postgres is not encrypted",
            "add ?sslmode=verify-full&sslrootcert=FILE to RULESTREAM_POSTGRES_DSN",
        )


def _judge_rights(seen: DatabaseSeen) -> Iterator[Finding]:
    for table in seen.unowned:
        yield Finding(
            Code.POSTGRES_RIGHTS,
            f"the role {seen.role} does not own the table {table}, and makes its partitions",
            f"as a superuser: REASSIGN OWNED BY the role that migrated TO {seen.role}; migrate as that role",
        )
    rights: dict[str, list[str]] = {}
    for table, right in seen.refused:
        rights.setdefault(table, []).append(right)
    for table, lacking in sorted(rights.items()):
        yield Finding(
            Code.POSTGRES_RIGHTS,
            f"the role {seen.role} lacks {', '.join(lacking)} on {table}",
            f"as its owner: GRANT {', '.join(lacking)} ON {table} TO {seen.role}",
        )
    if not seen.may_create:
        yield Finding(
            Code.POSTGRES_RIGHTS,
            f"the role {seen.role} may not create tables in the schema, and makes partitions",
            f"as its owner: GRANT CREATE, USAGE ON SCHEMA public TO {seen.role}",
        )
