"""A client of the worker on plain nats-py: commands, queries, facts and decisions, as any user of the subjects."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client as NatsClient
from nats.js.errors import APIError, NoStreamResponseError

from domain.errors import ErrorCode, RulestreamError, UnavailableError
from streams import headers, subjects
from streams.endpoint import Endpoint
from worker.connecting import connection

_ASK_AGAIN_S: Final = 2.0
_PAGE_SIZE: Final = 500


class RemoteError(RulestreamError):
    """The worker answered with an error: its code, message and details."""

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message, **details)
        self.code = ErrorCode(code)


class Client:
    """Sends commands and queries as one actor."""

    def __init__(self, connection: NatsClient, actor: str, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._actor = actor
        self._timeout_s = timeout_s

    async def command(self, verb: str, payload: dict[str, Any], command_id: str | None = None) -> dict[str, Any]:
        """Send a command, durable once acknowledged, and return its result.

        Raises RemoteError for the worker's refusal, UnavailableError when no worker answered in time: the command then
        waits in its stream and is decided later, under the id that the message names.
        """
        command_id = command_id or str(uuid.uuid4())
        reply = f"rules.reply.{self._actor}.{command_id}"
        subscription = await self._connection.subscribe(reply, max_msgs=1)
        try:
            await self._connection.flush()
            acknowledgement = await self._connection.jetstream().publish(
                subjects.command(self._actor, verb),
                msgspec.json.encode(payload),
                headers={headers.MESSAGE_ID: command_id},
            )
            if acknowledgement.duplicate:
                return await self._decided_before(command_id)
            message = await subscription.next_msg(timeout=self._timeout_s)
            return _result(msgspec.json.decode(message.data))
        except nats.errors.TimeoutError:
            raise UnavailableError("worker", f"no worker answered yet; command {command_id} waits") from None
        except (NoStreamResponseError, APIError, nats.errors.Error) as error:
            raise UnavailableError("nats", f"the command could not be sent: {error}") from error
        finally:
            await subscription.unsubscribe()

    async def query(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Ask and return the result; raises RemoteError, or UnavailableError when no worker answers."""
        try:
            message = await self._connection.request(
                subjects.query(self._actor, verb), msgspec.json.encode(payload), timeout=self._timeout_s
            )
        except nats.errors.NoRespondersError:
            raise UnavailableError("worker", "no worker is listening for queries") from None
        except nats.errors.TimeoutError:
            raise UnavailableError("worker", "no worker answered in time") from None
        return _result(msgspec.json.decode(message.data))

    async def query_all(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Ask for every page of an answer and return them as one: the first page's fields, with all items."""
        page = found = await self.query(verb, {"pageSize": _PAGE_SIZE, **payload})
        while "nextOffset" in page:
            page = await self.query(verb, {"pageSize": _PAGE_SIZE, **payload, "pageOffset": page["nextOffset"]})
            found["items"] += page["items"]
        found.pop("nextOffset", None)
        return found

    async def _decided_before(self, command_id: str) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            try:
                return _result(await self.query("command", {"commandId": command_id}))
            except RemoteError as error:
                if error.code is not ErrorCode.NOT_FOUND or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_ASK_AGAIN_S)


@asynccontextmanager
async def connected(where: Endpoint | str, actor: str, timeout_s: float = 10.0) -> AsyncIterator[Client]:
    """Connect as an actor for the length of a block.

    Raises UnavailableError with the server's address, PermissionDeniedError where the server refuses a subject.
    """
    async with connection(where, "rulestream-client", actor=actor) as client:
        yield Client(client, actor, timeout_s)


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    error = answer.get("error")
    if error is not None:
        raise RemoteError(error["code"], error["message"], error.get("details") or {})
    result: dict[str, Any] = answer["result"]
    return result
