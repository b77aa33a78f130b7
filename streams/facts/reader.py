"""Reading a fact back, as the fact loop read it: from its stream, or from what was stored with its decision."""

from __future__ import annotations

import base64
from typing import Final

import msgspec
from nats.aio.client import Client

from domain.decisions.fact import Fact
from domain.errors import UnavailableError
from domain.language import parse_timestamp
from domain.ports import FactReader, StoredDecision
from streams.facts.intake import Accepted, Delivery, read_fact
from streams.facts.kept import kept_delivery
from streams.jetstream import MESSAGE_NOT_FOUND, STREAM_NOT_FOUND, JetStreamRefusedError, ask

READ_TIMEOUT_S: Final = 5.0
_GONE: Final = frozenset({MESSAGE_NOT_FOUND, STREAM_NOT_FOUND})


class _Stored(msgspec.Struct):
    subject: str
    time: str
    hdrs: str = ""
    data: str = ""


class _Answer(msgspec.Struct):
    message: _Stored


class StreamFacts:
    """FactReader on JetStream. A fact of any size is read: what was decided once was not too large then."""

    def __init__(self, client: Client, stream: str, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._client = client
        self._stream = stream
        self._timeout_s = timeout_s

    async def find(self, sequence: int, stored_at_ns: int) -> Fact | None:
        found = await self._ask(sequence)
        if found is None or parse_timestamp(found.time).ns != stored_at_ns:
            return None
        head = base64.b64decode(found.hdrs)
        data = base64.b64decode(found.data)
        delivery = Delivery(
            subject=found.subject,
            reply="",
            data=data,
            # The client's own reading, which delivered messages have been through.
            headers=await self._client._process_headers(head),  # noqa: SLF001
            stream=self._stream,
            sequence=sequence,
            stored_at_ns=stored_at_ns,
            deliveries=1,
        )
        return _fact_of(delivery)

    async def _ask(self, sequence: int) -> _Stored | None:
        if not self._client.is_connected:
            raise UnavailableError("nats", "not connected to NATS")
        name = f"STREAM.MSG.GET.{self._stream}"
        try:
            answer = await ask(self._client, name, {"seq": sequence}, tries_s=(self._timeout_s,))
            return msgspec.convert(answer, _Answer).message
        except JetStreamRefusedError as error:
            if error.number in _GONE:
                return None
            raise UnavailableError("nats", f"the fact could not be read: {error.message}") from error
        except msgspec.ValidationError as error:
            raise UnavailableError("nats", f"the fact could not be read: {error}") from error


class DecidedFacts:
    """The facts of decisions: from their stream while it holds them, else as they were stored with their decisions.

    The stream goes first, because it is another witness than the decision's own row.
    """

    def __init__(self, stream: FactReader) -> None:
        self._stream = stream

    async def find(self, decision: StoredDecision) -> Fact | None:
        """Return the fact that was decided: its key is the decision's. None where neither place has it.

        Raises UnavailableError when the stream cannot be asked.
        """
        fact = await self._stream.find(decision.sequence, decision.stored_at_ns)
        if (fact is None or fact.key != decision.key) and decision.fact is not None:
            delivery = kept_delivery(decision.fact, decision.sequence, decision.stored_at_ns)
            fact = None if delivery is None else _fact_of(delivery)
        return fact if fact is not None and fact.key == decision.key else None


def _fact_of(delivery: Delivery) -> Fact | None:
    outcome = read_fact(delivery, bytes_max=len(delivery.data))
    return outcome.fact if isinstance(outcome, Accepted) else None
