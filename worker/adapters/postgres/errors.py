"""What Postgres's errors mean to the domain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from domain.errors import UnavailableError
from domain.ports import DecisionsRefusedError
from worker.breakers import BusyError

# SQLSTATE classes after which the same statement may succeed later. The server is away: connection, resources, operator
# intervention, system error.
_AWAY: Final = frozenset({"08", "53", "57", "58"})
# The server is there: transactions rolled back for others' sake (deadlock, serialization), what others hold.
_BUSY: Final = frozenset({"40", "55"})
# A failover in progress, so that we are connected to the standby.
_AWAY_STATES: Final = frozenset({"25006"})
# A transaction that was left idle for too long; a statement that took too long.
_BUSY_STATES: Final = frozenset({"25P03", "57014"})
# Classes that lie in the data itself: data exceptions and program limits.
_REFUSED: Final = frozenset({"22", "54"})
# What the driver says of a connection that is gone; its other errors of this kind are of our making.
_GONE: Final = re.compile("clos|released|cancelling")


@contextmanager
def translated() -> Iterator[None]:
    """Raise UnavailableError or DecisionsRefusedError for what Postgres says; a defect of ours passes unchanged.

    BusyError, which is an UnavailableError, where the server is there and only this statement failed.
    """
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise UnavailableError("postgres", f"Postgres is away: {str(error) or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        state = getattr(error, "sqlstate", None) or ""
        if state in _BUSY_STATES or state[:2] in _BUSY:
            raise BusyError("postgres", f"Postgres could not do it now: {type(error).__name__}") from error
        if state in _AWAY_STATES or state[:2] in _AWAY:
            raise UnavailableError("postgres", f"Postgres is away: {type(error).__name__}") from error
        if state[:2] in _REFUSED:
            raise DecisionsRefusedError(f"Postgres refuses the data: {type(error).__name__}") from error
        raise
    except asyncpg.InternalClientError as error:
        # The driver has lost track of a connection that the server ended while it was idle; or the DSN names several
        # hosts, and none of them is as it wants.
        raise UnavailableError("postgres", f"Postgres is away: {error}") from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # the driver's own data error: a value that its parameter's type cannot hold
            raise DecisionsRefusedError("Postgres cannot hold a value in the data") from error
        if _GONE.search(str(error)) is None:
            raise
        raise UnavailableError("postgres", f"Postgres is away: {error}") from error
