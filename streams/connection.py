"""Connecting to NATS: one set of options for every connection of a worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from domain.errors import UnavailableError
from streams.denials import Denial, Denials
from streams.endpoint import Endpoint
from streams.hearing import ERROR, HearingParser, Listener, hear, read_headers

# A server that hangs is left for another one after three such intervals: about as long as JetStream takes to elect
# another leader of what it led.
PING_INTERVAL_S: Final = 3
PINGS_UNANSWERED_MAX: Final = 2
# How long writing waits for a server that does not read; nats-py's own default is for ever.
FLUSH_TIMEOUT_S: Final = 5.0

# How long a server is waited for at the end, in seconds: what it did not answer by then comes again.
LAST_WORDS_S: Final = 2.0
# How long a connection that never stood is waited for at its end.
_CLOSE_S: Final = 0.2

_log = structlog.get_logger(__name__)


class LenientClient(Client):
    """A client that a subject outside UTF-8 does not disconnect, and that lets a listener hear messages as they come.

    The server stores messages on such subjects and nats-py fails to decode them in its read loop, which ends the
    connection, and the next one at the next delivery: one publisher could keep every worker from its facts.

    ``on_closed`` is called first of all when the connection is closed for good: by us, or by the server (nats-py does
    not come back from an authorization error).
    """

    def __init__(self, on_closed: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_closed = on_closed
        self._ps = self._hearing = HearingParser(self)
        self.denials = Denials()
        self.demands_tls = False

    async def listen(self, subject: str, listener: Listener) -> Listening:
        """Subscribe with a listener that is called in the read loop itself, message by message.

        That costs a small part of what a subscription with a queue and a task costs. The listener must be quick; what
        it raises is logged, and is lost on its message alone. Nothing bounds what may come: listen only where the
        number of messages is bounded by what was asked for.
        """
        subscription = await self.subscribe(subject, cb=_unheard, pending_msgs_limit=0, pending_bytes_limit=0)
        self._hearing.listeners[b"%d" % subscription._id] = listener  # noqa: SLF001  # nats-py's own number for it
        return Listening(self._hearing.listeners, subscription)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        listener = self._hearing.listeners.get(b"%d" % sid)
        if listener is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type]
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        hear(listener, subject, reply, data, headers)

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: FBT001, FBT002  # nats-py's signature
        """Write what waits; a cancellation meanwhile stands.

        nats-py forgets it here: whoever has a time-out around publishing would then wait on without one.
        """
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        found = await super()._flush_pending(force_flush)
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError
        return found

    async def _process_pong(self) -> None:
        """Take an answer to a ping, also to one that nobody waits for any more.

        nats-py would raise for the latter, which ends its read loop: after a flush that timed out, a server that hung
        and comes back would be heard no more.
        """
        if self._pongs and self._pongs[0].cancelled():
            self._pongs.pop(0)
            self._pings_outstanding = 0
        else:
            await super()._process_pong()

    async def _process_err(self, err_msg: str) -> None:
        """Take what the server says is wrong; a permission that is missing is told with its subject as it was."""
        denial = Denial.read(self._hearing.said(err_msg))
        if denial is None:
            await super()._process_err(err_msg)
        else:
            self.denials.tell(denial, str(self.options.get("name", "")))

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take a server's description; nats-py would go on in the clear with one that does not ask for TLS."""
        if initial_connection and self.demands_tls and not info.get("tls_required"):
            raise nats.errors.Error("the server does not offer TLS, and this connection demands it")
        await super()._process_info(info, initial_connection)

    async def _process_connect_init(self) -> None:
        """Begin a connection; nats-py changes to TLS and does not tell asyncio's protocol, which warns at the end."""
        try:
            await super()._process_connect_init()
        except OSError as error:
            if (said := self._last_words()) is not None:
                raise nats.errors.Error(said) from error
            raise
        finally:
            protocol = getattr(getattr(self._transport, "_io_writer", None), "_protocol", None)
            if protocol is not None and self._server_info.get("tls_required"):
                protocol._over_ssl = True  # noqa: SLF001  # asyncio's own, where a connection is over TLS from its start

    def _last_words(self) -> str | None:
        """Return what the server said before it ended a connection that was not made yet: nobody read it."""
        unread = getattr(getattr(self._transport, "_io_reader", None), "_buffer", b"")
        found = ERROR.search(bytes(unread))
        return found and found[1].decode("utf-8", "replace").strip("'")

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002  # nats-py's signature
        if status == Client.CLOSED and self._on_closed is not None:
            self._on_closed()
        await super()._close(status, do_cbs)

    async def _process_headers(self, headers: Any) -> dict[str, str] | None:
        """Read a message's headers; nats-py raises for a first line outside UTF-8, which ends its read loop."""
        return read_headers(bytes(headers)) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        if headers and reply.startswith(b"$JS.ACK."):  # stored, and so no status, whatever its sender wrote
            headers.pop("Status", None)
        return Msg(
            _client=self,
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )


class Listening:
    """A subscription whose messages a listener hears."""

    def __init__(self, listeners: dict[bytes, Listener], subscription: Subscription) -> None:
        self._listeners = listeners
        self._subscription = subscription

    async def drain(self) -> None:
        """Ask for no more, and return when what the server has sent already was heard; soon, should it hang."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._subscription.drain()  # type: ignore[no-untyped-call]
        except (TimeoutError, nats.errors.Error) as error:
            _log.warning("drain_not_answered", reason=str(error) or type(error).__name__)
        finally:
            self._listeners.pop(b"%d" % self._subscription._id, None)  # noqa: SLF001  # as above


async def _unheard(_: Msg) -> None:
    """Take a message that came between a subscription's start and its listener's: there is none, both in one step."""


async def connect(
    where: Endpoint | str,
    name: str,
    *,
    timeout_s: float = 5.0,
    is_patient: bool = True,
    on_closed: Callable[[], None] | None = None,
) -> LenientClient:
    """Connect to NATS within ``timeout_s``; afterwards a patient client reconnects for ever by itself.

    The address may be several with commas between: the first that answers is taken, also where another one hangs.
    Raises UnavailableError with the server's address (never its password) when none answers in time, or when it refuses
    the identity or its certificate is not to be trusted.
    """
    where = Endpoint.of(where)
    client = LenientClient(on_closed)
    client.demands_tls = where.demands_tls
    errors = _Errors(name)
    servers = where.servers
    options = where.options()
    try:
        async with asyncio.timeout(timeout_s):  # nats-py's patience would begin with the first connect
            await client.connect(
                servers,
                name=name,
                connect_timeout=max(1, round(timeout_s / len(servers))),  # one that hangs leaves time for the others
                allow_reconnect=is_patient or len(servers) > 1,
                max_reconnect_attempts=-1 if is_patient else 1,
                reconnect_time_wait=reconnect_wait_s(),  # type: ignore[arg-type]  # nats-py sleeps for it
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=PINGS_UNANSWERED_MAX,
                flush_timeout=FLUSH_TIMEOUT_S,
                error_cb=errors.report,
                **options,
            )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        if not client.is_closed:
            # A handshake that failed leaves a transport that nobody tells of its end: nats-py would wait for it.
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await client.close()
        raise UnavailableError("nats", failure(where, errors.last or error)) from error
    client.options["allow_reconnect"] = is_patient
    errors.has_stood = True
    return client


def failure(where: Endpoint, error: Exception) -> str:
    """Say why there is no connection, with the address and without any secret."""
    reason = str(error) or type(error).__name__
    key = where.nkey_file or where.creds_file
    refuses = "refuses " + (f"the identity of {key}" if key else "a connection without a key")
    if "authorization violation" in reason.lower():
        return f"NATS at {where.address} {refuses}"
    if isinstance(error, (BrokenPipeError, ConnectionResetError)):  # over TLS its last words may go unread
        return f"NATS at {where.address} ended the connection: it is stopping, or {refuses}"
    return f"NATS does not answer at {where.address}: {reason}"


def reconnect_wait_s() -> float:
    """Draw a connection's pause before it tries a server again, so that not all workers come back in one moment."""
    return random.uniform(0.5, 1.5)  # noqa: S311  # spreads load, keeps no secret


async def ping(client: Client, timeout_s: float) -> None:
    """Ask a connection's server for an answer; raises UnavailableError when none comes in time."""
    try:
        if not client.is_connected:
            raise UnavailableError("nats", "not connected to NATS")
        await client.flush(timeout=timeout_s)  # type: ignore[arg-type]  # any number of seconds will do
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise UnavailableError("nats", f"NATS does not answer: {str(error) or type(error).__name__}") from error


def address_of(url: str) -> str:
    """Return hosts and ports of a NATS URL, without user and password."""
    return Endpoint(url).address


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
