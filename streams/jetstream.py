"""Calls of JetStream's plain API: one request, one answer, in bounded time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client

from domain.errors import NotFoundError, UnavailableError

CALL_TIMEOUT_S: Final = 10.0
# JetStream's error codes.
MESSAGE_NOT_FOUND: Final = 10037
STREAM_NOT_FOUND: Final = 10059


async def call(
    client: Client,
    name: str,
    body: Mapping[str, Any] | None = None,
    *,
    none: int | None = None,
    timeout_s: float = CALL_TIMEOUT_S,
) -> dict[str, Any] | None:
    """Call the API and return its answer; None when that is the error code ``none``.

    Raises UnavailableError for no answer and for other errors, NotFoundError for a stream that does not exist.
    """
    payload = b"" if body is None else msgspec.json.encode(body)
    try:
        message = await client.request(f"$JS.API.{name}", payload, timeout=timeout_s)
        answer: dict[str, Any] = msgspec.json.decode(message.data)
    except (OSError, TimeoutError, nats.errors.Error, msgspec.MsgspecError) as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError("nats", f"JetStream does not answer: {reason}") from error
    refusal = answer.get("error")
    if refusal is None:
        return answer
    if refusal.get("err_code") == none:
        return None
    if refusal.get("err_code") == STREAM_NOT_FOUND:
        stream = name.split(".")[3 if ".MSG." in name else 2]
        raise NotFoundError(f"there is no stream {stream} here: run 'rulestream topology apply'")
    raise UnavailableError("nats", f"{name}: {refusal.get('description')}")
