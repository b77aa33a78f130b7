"""What Postgres's errors mean to the domain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from domain.errors import UnavailableError
from domain.ports import DecisionsRefusedError

# SQLSTATE classes after which the same statement may succeed later: connection, resources, operator intervention,
# system error, and transactions rolled back for others' sake (deadlock, serialization).
_PASSING: Final = frozenset({"08", "40", "53", "55", "57", "58"})
# Classes that lie in the data itself: data exceptions and program limits.
_REFUSED: Final = frozenset({"22", "54"})
# A failover in progress, so that we are connected to the standby; a transaction that was left idle for too long.
_PASSING_STATES: Final = frozenset({"25006", "25P03"})


@contextmanager
def translated() -> Iterator[None]:
    """Raise UnavailableError or DecisionsRefusedError for what Postgres says; a defect of ours passes unchanged."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise UnavailableError("postgres", f"Postgres is away: {str(error) or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        state = getattr(error, "sqlstate", None) or ""
        if state[:2] in _PASSING or state in _PASSING_STATES:
            raise UnavailableError("postgres", f"Postgres is away: {type(error).__name__}") from error
        if state[:2] in _REFUSED:
            raise DecisionsRefusedError(f"Postgres refuses the data: {type(error).__name__}") from error
        raise
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):  # the driver's own data error: a value that its parameter's type cannot hold
            raise DecisionsRefusedError("Postgres cannot hold a value in the data") from error
        raise UnavailableError("postgres", f"Postgres is away: {error}") from error
