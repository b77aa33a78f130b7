"""What can go wrong with the embedded servers, as one error that a newcomer can act on."""

from __future__ import annotations

from domain.errors import UnavailableError


class EmbeddedServerError(UnavailableError):
    """An embedded server (or the folder it lives in) cannot be used.

    ``server`` is ``nats``, ``postgres``, ``valkey`` or ``data folder``; ``reason`` is one sentence for people;
    ``log_tail`` holds the last lines that the server wrote, which may be empty.
    """

    def __init__(self, server: str, reason: str, log_tail: str = "") -> None:
        message = f"{server}: {reason}"
        if log_tail:
            message = f"{message}\nlast lines of its log:\n{log_tail}"
        super().__init__(server, message, reason=reason)
        self.server = server
        self.reason = reason
        self.log_tail = log_tail
