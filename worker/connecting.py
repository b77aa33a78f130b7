"""Connections of the command line: as who the settings say, and at once refused where permissions are missing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from streams.connection import LenientClient, connect
from streams.endpoint import Endpoint

ACTOR: Final = "RULESTREAM_ACTOR"


@asynccontextmanager
async def connection(
    where: Endpoint | str, name: str, *, actor: str | None = None, timeout_s: float = 5.0
) -> AsyncIterator[LenientClient]:
    """Connect for the length of a block; ``actor`` (by default the environment's) names the inbox of an identity.

    Raises UnavailableError with the server's address, and PermissionDeniedError as soon as the server refuses to
    publish or to subscribe.
    """
    where = Endpoint.of(where).heard_by(actor or os.environ.get(ACTOR))
    client = await connect(where, name, timeout_s=timeout_s, is_patient=False)
    try:
        async with client.denials.raised():
            yield client
    finally:
        await client.close()
