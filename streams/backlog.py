"""How far the consumers of a stream are behind, as JetStream tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from streams.jetstream import ask

ANSWER_TIMEOUT_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """A durable consumer: messages to deliver, delivered and not acknowledged, and of these delivered again."""

    pending: int
    ack_pending: int
    redelivered: int


async def consumer_state(client: Client, stream: str, consumer: str) -> ConsumerState:
    """Ask for a consumer's state, by one request.

    Raises JetStreamRefusedError where there is no such consumer, UnavailableError for no answer in ``ANSWER_TIMEOUT_S``
    seconds, which is also what a client without the permission for ``CONSUMER.INFO`` sees.
    """
    found = await ask(client, f"CONSUMER.INFO.{stream}.{consumer}", tries_s=(ANSWER_TIMEOUT_S,))
    return ConsumerState(
        int(found.get("num_pending", 0)), int(found.get("num_ack_pending", 0)), int(found.get("num_redelivered", 0))
    )
