"""What the server lets a connection do, held against what a worker needs: known before anything is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import nats.errors
import structlog

from domain.errors import ErrorCode, RulestreamError
from streams.connection import LenientClient
from streams.denials import PermissionDeniedError
from streams.permissions import USER_INFO, Granted, Permissions, missing

ASKED_S: Final = 2.0

_log = structlog.get_logger(__name__)


class PermissionsMissingError(RulestreamError):
    """The NATS server does not let this identity do what it needs; ``details.missing`` has all of it."""

    code = ErrorCode.FORBIDDEN


async def missing_permissions(client: LenientClient, needed: Permissions) -> list[str] | None:
    """Say what a connection needs and may not do, in words; None where the server does not tell.

    Servers tell each user of its own permissions; one without users tells that there are none, which allows everything.
    Who may not hear its own inbox cannot be told more than that.
    """
    try:
        async with client.denials.raised():
            answer = await client.request(USER_INFO, b"", timeout=ASKED_S)
    except PermissionDeniedError as error:
        is_inbox = error.details["operation"] == "subscribe"
        return [f"subscribe to {error.details['subject']}, its own inbox"] if is_inbox else None
    except (TimeoutError, nats.errors.Error):
        return None
    try:
        user = msgspec.json.decode(answer.data)["data"]
        permissions = user.get("permissions") or {}
        publish, subscribe = _granted(permissions.get("publish")), _granted(permissions.get("subscribe"))
    except (msgspec.MsgspecError, KeyError, AttributeError):
        return None
    return missing(needed, publish, subscribe)


async def require_permissions(needs: Sequence[tuple[str, LenientClient, Permissions]]) -> None:
    """Return where every connection may do what it needs; raises PermissionsMissingError with all that is missing."""
    lacking: list[str] = []
    for plane, client, needed in needs:
        found = await missing_permissions(client, needed)
        if found is None:
            _log.warning("permissions_unknown", plane=plane, meaning=f"the server does not answer to {USER_INFO}")
        else:
            lacking += [f"on the {plane} plane: {one}" for one in found]
    if lacking:
        raise PermissionsMissingError(
            "the NATS server does not let this worker\n  " + "\n  ".join(lacking), missing=lacking
        )


def _granted(side: Mapping[str, Any] | None) -> Granted:
    found = side or {}
    allowed = found.get("allow")
    return Granted(None if not allowed else tuple(allowed), tuple(found.get("deny") or ()))
