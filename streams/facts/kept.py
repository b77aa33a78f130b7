"""A fact as it came, to be stored with its decision: what the setting ``store_facts`` keeps.

It is read back through the same ``read_fact`` as from the stream, so that it is the same fact. Sequence and time of
storage are the decision's own, and are not repeated.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.facts.intake import Delivery


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    stream: str
    subject: str
    headers: dict[str, str] | None
    data: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Kept)


def keep_fact(delivery: Delivery) -> bytes:
    """Return a delivery's message as it is stored with the fact's decision (msgpack)."""
    return _ENCODER.encode(_Kept(delivery.stream, delivery.subject, delivery.headers, delivery.data))


def kept_delivery(kept: bytes, sequence: int, stored_at_ns: int) -> Delivery | None:
    """Return the delivery of a message that was kept; None for bytes that ``keep_fact`` never made."""
    try:
        found = _DECODER.decode(kept)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Delivery(
        subject=found.subject,
        reply="",
        data=found.data,
        headers=found.headers,
        stream=found.stream,
        sequence=sequence,
        stored_at_ns=stored_at_ns,
        deliveries=1,
    )
