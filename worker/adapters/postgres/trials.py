"""Trials of facts in Postgres: a narrow row for each message that was tried alone and not taken back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from domain.ports import FactPlace
from worker.adapters.postgres.errors import translated
from worker.adapters.postgres.statements import statements

EXPIRED_AT_ONCE: Final = 10_000

_SQL: Final = statements("trials")


class PostgresTrials:
    """FactTrials on a pool. One statement a call, committed asynchronously: a trial outlives the worker at once.

    What a call that failed was to say is said by the next one, so that an outage counts against no fact.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._unsure: dict[FactPlace, int] = {}  # trials of which nobody knows whether they were counted
        self._unsaid: set[FactPlace] = set()  # trials that ended, which is not known to be stored

    async def begin(self, fact: FactPlace, ended: Sequence[FactPlace] = ()) -> int:
        self._unsaid.update(ended)
        said = set(self._unsaid)
        trial = self._unsure.pop(fact, None) or secrets.randbits(63)
        try:
            with translated():
                begun: int = await self._pool.fetchval(
                    _SQL["begin_trial"],
                    fact.stream,
                    fact.sequence,
                    fact.stored_at_ns,
                    *_columns(said - {fact}),
                    trial,
                    fact in said,
                )
        except BaseException:
            self._unsure[fact] = trial
            raise
        self._unsaid -= said
        return begun

    async def end(self, facts: Sequence[FactPlace]) -> None:
        self._unsaid.update(facts)
        said = set(self._unsaid)
        if not said:
            return
        with translated():
            await self._pool.execute(_SQL["end_trials"], *_columns(said))
        self._unsaid -= said
        for fact in said:
            self._unsure.pop(fact, None)

    async def expire(self, before_ns: int) -> int:
        removed = 0
        while True:
            with translated():
                some: int = await self._pool.fetchval(_SQL["expire_trials"], before_ns, EXPIRED_AT_ONCE)
            removed += some
            if some < EXPIRED_AT_ONCE:
                return removed


def _columns(places: Iterable[FactPlace]) -> tuple[list[str], list[int], list[int]]:
    chosen = sorted(places)
    return (
        [place.stream for place in chosen],
        [place.sequence for place in chosen],
        [place.stored_at_ns for place in chosen],
    )
