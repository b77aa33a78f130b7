"""Connecting to NATS: one set of options for every connection of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from domain.errors import UnavailableError

# A server that hangs is left for another one after three such intervals: about as long as JetStream takes to elect
# another leader of what it led.
PING_INTERVAL_S: Final = 3
PINGS_UNANSWERED_MAX: Final = 2

_log = structlog.get_logger(__name__)


class LenientClient(Client):
    """A client that a subject outside UTF-8 does not disconnect.

    The server stores messages on such subjects and nats-py fails to decode them in its read loop, which ends the
    connection, and the next one at the next delivery: one publisher could keep every worker from its facts.

    ``on_closed`` is called first of all when the connection is closed for good: by us, or by the server (nats-py does
    not come back from an authorization error).
    """

    def __init__(self, on_closed: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_closed = on_closed

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002  # nats-py's signature
        if status == Client.CLOSED and self._on_closed is not None:
            self._on_closed()
        await super()._close(status, do_cbs)

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return Msg(
            _client=self,
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )


async def connect(
    url: str,
    name: str,
    *,
    timeout_s: float = 5.0,
    is_patient: bool = True,
    on_closed: Callable[[], None] | None = None,
) -> Client:
    """Connect to NATS within ``timeout_s``; afterwards a patient client reconnects for ever by itself.

    Raises UnavailableError with the server's address (never its password) when it does not answer in time.
    """
    client = LenientClient(on_closed)
    errors = _Errors(name)
    try:
        async with asyncio.timeout(timeout_s):  # nats-py's patience would begin with the first connect
            await client.connect(
                url.split(","),
                name=name,
                connect_timeout=max(1, round(timeout_s)),
                allow_reconnect=is_patient,
                max_reconnect_attempts=-1 if is_patient else 1,
                reconnect_time_wait=1,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=PINGS_UNANSWERED_MAX,
                error_cb=errors.report,
            )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        if not client.is_closed:
            await client.close()
        reason = str(errors.last or error) or type(error).__name__
        raise UnavailableError("nats", f"NATS does not answer at {address_of(url)}: {reason}") from error
    errors.has_stood = True
    return client


def address_of(url: str) -> str:
    """Return hosts and ports of a NATS URL, without user and password."""
    parts = [urlsplit(one if "://" in one else f"nats://{one}") for one in url.split(",")]
    return ",".join(f"{part.hostname}:{part.port or 4222}" for part in parts)


class _Errors:
    """Hears of a connection's errors: logs them once it has stood, and remembers the last one until then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.has_stood = False
        self.last: Exception | None = None

    async def report(self, error: Exception) -> None:
        self.last = error
        if self.has_stood:
            _log.warning("nats_connection", connection=self._name, reason=str(error) or type(error).__name__)
