"""The embedded stack: NATS, Postgres and Valkey from their wheels, started and stopped with the worker."""

from worker.embedded.errors import EmbeddedServerError
from worker.embedded.stack import Addresses, EmbeddedStack

__all__ = ["Addresses", "EmbeddedServerError", "EmbeddedStack"]
