"""Deciding facts again, long after, to see that each stored decision is what its ruleset makes of its fact.

Nothing is stored or published. A decision is made again from what is kept of it: the ruleset of its recorded revision,
verified by the digest that the decision names, and the fact, from its stream or as it was stored with the decision.
Nothing in a decision but ``decidedAt`` depends on the worker's clock, so it is made again with the recorded one, and
must be the stored one byte for byte, its effects too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from domain.decisions.engine import decide
from domain.decisions.fact import Fact
from domain.decisions.ruleset import RulesetState
from domain.errors import FactExpiredError, NotFoundError, RecordBrokenError, RulestreamError, UnavailableError
from domain.ports import BrokenRecord, DecisionRange, DecisionScan, DecisionStore, FactReader, StoredDecision
from streams.facts.reader import DecidedFacts
from streams.messages.decisions import stored_decision
from worker.differences import Difference, differences
from worker.past_rulesets import PastRulesets

# Facts that are asked for and held at once.
FACTS_AT_ONCE: Final = 64

Status = Literal["equal", "different", "expired", "failed"]
STATUSES: Final[tuple[Status, ...]] = ("equal", "different", "expired", "failed")


@dataclass(frozen=True, slots=True)
class Redecision:
    """What came of deciding one fact again.

    ``equal``: every byte is as stored. ``different``: ``differences`` has where. ``expired``: the fact is gone.
    ``failed``: it could not be made again, and ``error`` says why, as it does for ``expired``. ``stored`` is None where
    there is no decision that could be read.
    """

    key: bytes
    status: Status
    stored: StoredDecision | None = None
    differences: Sequence[Difference] = ()
    error: RulestreamError | None = None


class _RecordedRuleset(msgspec.Struct, frozen=True):
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Recorded(msgspec.Struct, frozen=True, rename="camel"):
    """What a decision says of how it was made."""

    decided_at: str
    ruleset: _RecordedRuleset


_RECORDED: Final = msgspec.json.Decoder(_Recorded)


class Redecider:
    """Decides stored decisions' facts again. Any method may raise UnavailableError; what was given before it stands."""

    def __init__(self, decisions: DecisionStore, scan: DecisionScan, facts: FactReader, rulesets: PastRulesets) -> None:
        self._decisions = decisions
        self._scan = scan
        self._facts = DecidedFacts(facts)
        self._rulesets = rulesets

    async def by_keys(self, keys: Iterable[bytes]) -> AsyncIterator[Redecision]:
        """Decide some decisions again, in order; a key that has none is ``failed`` with NotFoundError."""
        for key in keys:
            try:
                stored = await self._decisions.find(key)
            except UnavailableError:
                raise
            except RulestreamError as error:
                yield _failed(key, None, RecordBrokenError(error.message))
                continue
            if stored is None:
                yield _failed(key, None, NotFoundError("no such decision", decisionId=key.hex()))
            else:
                async for one in self._again([stored]):
                    yield one

    async def between(self, wanted: DecisionRange, limit: int | None = None) -> AsyncIterator[Redecision]:
        """Decide a range of decisions again, oldest first, so many at most. Memory is bounded whatever there are."""
        left = limit
        async with aclosing(self._scan.pages(wanted)) as pages:
            async for page in pages:
                for start in range(0, len(page), FACTS_AT_ONCE):
                    chunk = page[start : start + min(FACTS_AT_ONCE, left or FACTS_AT_ONCE)]
                    async for one in self._again(chunk):
                        yield one
                    if left is not None:
                        left -= len(chunk)
                        if left <= 0:
                            return

    async def count(self, wanted: DecisionRange, most: int) -> int:
        """Return how many decisions there are between the times of a range, so many at most."""
        return await self._scan.count(wanted, most)

    async def _again(self, records: Sequence[StoredDecision | BrokenRecord]) -> AsyncIterator[Redecision]:
        readable = [one for one in records if isinstance(one, StoredDecision)]
        found = await asyncio.gather(*(self._facts.find(one) for one in readable), return_exceptions=True)
        facts: dict[bytes, Fact | None] = {}
        for stored, fact in zip(readable, found, strict=True):
            if isinstance(fact, BaseException):
                raise fact
            facts[stored.key] = fact
        for record in records:
            if isinstance(record, BrokenRecord):
                yield _failed(record.key, None, RecordBrokenError(record.reason))
                continue
            try:
                found_differences = await self._compared(record, facts.pop(record.key))
            except UnavailableError:
                raise
            except FactExpiredError as error:
                yield Redecision(record.key, "expired", record, error=error)
            except RulestreamError as error:
                yield _failed(record.key, record, error)
            else:
                status: Status = "different" if found_differences else "equal"
                yield Redecision(record.key, status, record, found_differences)

    async def _compared(self, stored: StoredDecision, fact: Fact | None) -> list[Difference]:
        """Make a decision again and tell where it differs; raises what keeps it from being made."""
        if fact is None and stored.fact is None:
            raise FactExpiredError(
                "the fact is no longer in its stream, and was not stored with the decision",
                factId=stored.fact_id,
                factSeq=stored.sequence,
            )
        if fact is None:
            raise RecordBrokenError("what is stored with the decision is not its fact", factId=stored.fact_id)
        try:
            recorded = _RECORDED.decode(stored.body)
        except ValueError as error:  # msgspec's errors are such too
            raise RecordBrokenError(f"the stored body is no decision: {error}") from error
        state = RulesetState(recorded.ruleset.revision, bytes.fromhex(recorded.ruleset.digest))
        ruleset = await self._rulesets.find(state)
        decision = decide(ruleset, fact)
        try:
            again = stored_decision(decision, recorded.decided_at, stored.stored_at_ns, stored.traceparent)
        except ValueError as error:
            raise RecordBrokenError(f"the decision made again has no JSON form: {error}") from error
        return differences(stored, again)


def _failed(key: bytes, stored: StoredDecision | None, error: RulestreamError) -> Redecision:
    return Redecision(key, "failed", stored, error=error)
