"""The user that Postgres runs as, which is never root: Postgres refuses to."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from worker.embedded.errors import EmbeddedServerError

# A user made for Postgres first, then the one that owns nothing.
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run a server as."""

    uid: int
    gid: int


def postgres_account(data: Path) -> Account | None:
    """Give the user that Postgres is to run as: None for the caller's own, where that is not root.

    As root, it is the owner of ``data`` where that exists and is not root's, so that a folder once made by an
    ordinary user stays that user's; else ``postgres`` or ``nobody``. Raises EmbeddedServerError where ``data`` is
    another user's and the caller is not root, or no such user exists.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            raise EmbeddedServerError(
                "postgres", f"{data} belongs to user {owner}: start as that user or as root, or use another data folder"
            )
        return None
    if owner:
        entry = next((found for found in pwd.getpwall() if found.pw_uid == owner), None)
        return Account(owner, entry.pw_gid if entry else data.stat().st_gid)
    for name in _CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid:
            return Account(found.pw_uid, found.pw_gid)
    raise EmbeddedServerError(
        "postgres", "it does not run as root, and this system has neither a user 'postgres' nor 'nobody'"
    )
