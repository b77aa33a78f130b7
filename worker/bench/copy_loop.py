"""The loop that the worker is measured against: it copies messages from one stream to another and does nothing else.

Plain nats-py, as its documentation shows: fetch 500 messages, publish each to the other stream under its id without
waiting for the one before, wait until all are stored, acknowledge each. It runs as a process of its own
(``python -m worker.bench.copy_loop URL STREAM CONSUMER PREFIX``) on the event loop that the worker has, with the
worker's settings of the garbage collector, until it is told to stop.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import nats
import uvloop

from streams.headers import MESSAGE_ID
from worker.cli.work import calm_collector

BATCH: Final = 500
_FETCH_S: Final = 5.0


async def copy(url: str, stream: str, consumer: str, prefix: str) -> None:
    """Copy the consumer's messages to the same subjects under ``prefix``, until cancelled; raises nats-py's errors."""
    client = await nats.connect(url, name="copy-loop")
    try:
        context = client.jetstream()
        subscription = await context.pull_subscribe_bind(durable=consumer, stream=stream)
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=_FETCH_S)
            except TimeoutError:  # nothing came: nats-py raises its own kind, or this one
                continue
            stored = [
                await context.publish_async(
                    prefix + message.subject,
                    message.data,
                    headers={MESSAGE_ID: message.headers[MESSAGE_ID]},  # type: ignore[index]  # each has one
                )
                for message in messages
            ]
            await context.publish_async_completed()
            for acknowledgement in stored:
                acknowledgement.result()
            for message in messages:
                await message.ack()
    finally:
        await client.close()


async def _until_stopped(*words: str) -> None:
    calm_collector()
    copying = asyncio.create_task(copy(*words))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, copying.cancel)
    try:
        await copying
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    uvloop.run(_until_stopped(*sys.argv[1:]))
