"""Circuit breakers: a backing service that fails again and again is left alone, and its callers hear so at once.

One breaker stands before each service, for all of a worker's calls to it. Consecutive calls that end in
UnavailableError of that service open it; then calls fail at once until a pause is over, after which one call alone
tries. Any answer closes it, a refusal as well: a service that says no is there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, get_args

import structlog
from circuitbreaker import CircuitBreaker

from domain.errors import UnavailableError

BreakerState = Literal["closed", "half_open", "open"]
STATES: Final[tuple[BreakerState, ...]] = get_args(BreakerState)

_log = structlog.get_logger(__name__)


class BusyError(UnavailableError):
    """The service is there and did not do this call now; nothing is known that other calls should be spared for."""


class Breaker:
    """The breaker of one service: opens after ``failures`` in a row, for about ``pause_s`` seconds.

    The pause is drawn once, within a quarter of what is asked for, so that the workers of a service that comes back do
    not all try it in one moment.
    """

    def __init__(self, service: str, *, failures: int, pause_s: float) -> None:
        self.service = service
        self._circuit: Any = CircuitBreaker(
            failure_threshold=failures,
            recovery_timeout=pause_s * random.uniform(0.75, 1.25),  # noqa: S311  # spreads load, keeps no secret
            expected_exception=self._is_failure,
            name=service,
        )
        self._is_trying = False
        self._was_closed = True

    @property
    def state(self) -> BreakerState:
        """Whether calls go through (closed), one alone does (half_open), or none (open)."""
        found: BreakerState = self._circuit.state
        return found

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make one call to the service in the block, which raises UnavailableError of the service when it is away.

        Raises UnavailableError at once, with ``retryAfterS`` in its details, while the breaker is open. A call that is
        cancelled, or ends in BusyError, says nothing about the service.
        """
        is_trial = self._admit()
        try:
            yield
        except BusyError:
            raise
        except Exception:
            with self._circuit:
                raise
        else:
            self._circuit.reset()
        finally:
            if is_trial:
                self._is_trying = False
            if self._circuit.closed is not self._was_closed:
                self._changed()

    def _admit(self) -> bool:
        """Let a call through and say whether it is the one that tries."""
        state = self._circuit.state
        if state == "closed":
            return False
        if state == "open" or self._is_trying:
            after_s = max(self._circuit.open_remaining, 1)
            raise UnavailableError(
                self.service, f"{self.service} did not answer and is left alone for a moment", retryAfterS=after_s
            )
        self._is_trying = True
        return True

    def _is_failure(self, _: type[BaseException], error: BaseException) -> bool:
        return isinstance(error, UnavailableError) and error.service == self.service

    def _changed(self) -> None:
        self._was_closed = self._circuit.closed
        if self._was_closed:
            _log.info("breaker_closed", service=self.service)
        else:
            reason = self._circuit.last_failure
            _log.warning("breaker_opened", service=self.service, reason=getattr(reason, "message", str(reason)))
