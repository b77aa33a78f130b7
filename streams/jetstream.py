"""Calls of JetStream's plain API: one request, one answer, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client

from domain.errors import NotFoundError, RulestreamError, UnavailableError

CALL_TIMEOUT_S: Final = 10.0
# JetStream's error codes.
MESSAGE_NOT_FOUND: Final = 10037
STREAM_NOT_FOUND: Final = 10059
# Temporarily unavailable, and all nodes of a stream or a consumer away: as good as no answer.
_NO_LEADER: Final = frozenset({10008, 10118, 10119})
# No suitable peers for a stream's replicas: while a node is taken for away, or as there are too few for ever.
_NO_PEERS: Final = 10005


class JetStreamRefusedError(RulestreamError):
    """JetStream answered a call with an error; ``number`` is its own code for it."""

    def __init__(self, name: str, number: int, description: str) -> None:
        super().__init__(f"{name}: {description}", call=name, errCode=number)
        self.number = number


async def ask(
    client: Client, name: str, body: Mapping[str, Any] | None = None, *, tries_s: Sequence[float] = (CALL_TIMEOUT_S,)
) -> dict[str, Any]:
    """Call the API and return its answer. Each of ``tries_s`` waits so many seconds for an answer, a leader, or peers.

    Raises JetStreamRefusedError; UnavailableError when no try brings an answer, and at once where nobody listens.
    """
    payload = b"" if body is None else msgspec.json.encode(body)
    reason = ""
    for left, timeout_s in zip(reversed(range(len(tries_s))), tries_s, strict=True):
        try:
            message = await client.request(f"$JS.API.{name}", payload, timeout=timeout_s)
            answer: dict[str, Any] = msgspec.json.decode(message.data)
        except TimeoutError as error:
            reason = _said(error)
            continue
        except (OSError, nats.errors.Error, msgspec.MsgspecError) as error:
            raise UnavailableError("nats", f"JetStream does not answer, is it on? {_said(error)}") from error
        refusal = answer.get("error")
        if refusal is None:
            return answer
        number, reason = int(refusal.get("err_code", 0)), str(refusal.get("description", refusal))
        if number not in _NO_LEADER and not (number == _NO_PEERS and left):
            raise JetStreamRefusedError(name, number, reason)
        if left:
            await asyncio.sleep(timeout_s)
    raise UnavailableError("nats", f"JetStream does not answer, is it on? {reason}")


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
    try:
        return await ask(client, name, body, tries_s=(timeout_s,))
    except JetStreamRefusedError as error:
        if error.number == none:
            return None
        if error.number == STREAM_NOT_FOUND:
            stream = name.split(".")[3 if ".MSG." in name else 2]
            raise NotFoundError(f"there is no stream {stream} here: run 'rulestream topology apply'") from error
        raise UnavailableError("nats", error.message) from error


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
