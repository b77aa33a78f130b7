"""What a server's permissions refuse: heard as it comes, told with the subject, and raised where somebody waits.

A server says no on the side: the publish or the subscription itself never hears of it, and would wait for its time-out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from domain.errors import ErrorCode, RulestreamError, UnavailableError

Operation = Literal["publish", "subscribe"]

# How often the same refusal is logged, in seconds, and of how many it is remembered.
LOGGED_EVERY_S: Final = 10.0
REMEMBERED_MAX: Final = 256
_VIOLATION: Final = re.compile(
    r"permissions violation for (publish|subscription)(?: to| with reply of)? \"([^\"]*)\"", re.IGNORECASE
)

_log = structlog.get_logger(__name__)


class PermissionDeniedError(RulestreamError):
    """The NATS server's permissions do not let this identity publish to a subject, or subscribe to it."""

    code = ErrorCode.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal of the server."""

    operation: Operation
    subject: str

    @classmethod
    def read(cls, text: str) -> Denial | None:
        """Read what the server says; None where it is something else."""
        found = _VIOLATION.search(text)
        if found is None:
            return None
        return cls("publish" if found[1].lower() == "publish" else "subscribe", found[2])

    @property
    def error(self) -> PermissionDeniedError:
        """The error for whoever waits."""
        preposition = "publish" if self.operation == "publish" else "subscribe"
        message = f"the NATS server does not let this identity {preposition} to {self.subject}"
        return PermissionDeniedError(message, operation=self.operation, subject=self.subject)


class Denials:
    """Hears a connection's refusals: told to whoever waits for something, else logged, each once in a while."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[Denial], None]] = []
        self._logged: dict[Denial, float] = {}

    def tell(self, denial: Denial, connection: str) -> None:
        """Tell of one refusal."""
        for told in list(self.waiting):
            told(denial)
        if not self.waiting:
            self._log(denial, connection)

    def _log(self, denial: Denial, connection: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged.get(denial, -LOGGED_EVERY_S) < LOGGED_EVERY_S:
            return
        if len(self._logged) >= REMEMBERED_MAX:
            self._logged.clear()
        self._logged[denial] = now
        _log.error("permission_denied", connection=connection, operation=denial.operation, subject=denial.subject)

    @asynccontextmanager
    async def raised(self) -> AsyncIterator[None]:
        """End the block with PermissionDeniedError as soon as the server refuses something meanwhile."""
        loop = asyncio.get_running_loop()
        found: list[Denial] = []
        try:
            async with asyncio.timeout(None) as patience:

                def told(denial: Denial) -> None:
                    if not found:
                        patience.reschedule(loop.time())
                    found.append(denial)

                self.waiting.append(told)
                try:
                    yield
                finally:
                    self.waiting.remove(told)
        except (TimeoutError, UnavailableError):
            if found:
                raise found[0].error from None
            raise
