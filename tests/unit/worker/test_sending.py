"""The pace at which facts are sent from a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from streams.wire import BatchPublisher, Publication
from worker.sending import BATCH, Pace, publish_file


class Time:
    """A clock that goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)  # what was to be done before is done
        self.now += seconds


class Published:
    """Takes what is published, and when."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.at: list[tuple[float, int]] = []

    async def publish(self, publications: Sequence[Publication]) -> None:
        self.at.append((self._time.now - 100.0, len(publications)))


@pytest.mark.parametrize(("rate", "batch"), [(1, 1), (9, 1), (10, 1), (1_000, 100), (1_000_000, BATCH)])
def test_facts_go_in_batches_that_are_small_at_a_small_pace(rate: int, batch: int) -> None:
    assert Pace(rate).batch == batch


async def test_what_was_late_is_not_caught_up_with() -> None:
    time = Time()
    pace = Pace(10, time.clock, time.sleep)
    await pace.turn(1)
    time.now += 60
    await pace.turn(1)
    assert time.now == 160.0
    await pace.turn(1)
    assert time.now == pytest.approx(160.1)


@pytest.mark.parametrize(
    ("rate", "at"),
    [
        (None, [(0.0, 25)]),
        (40, [(0.1 * turn, 4) for turn in range(6)] + [(0.6, 1)]),
        (2, [(0.5 * turn, 1) for turn in range(25)]),
    ],
)
async def test_a_file_is_published_at_its_pace(tmp_path: Path, rate: int | None, at: list[tuple[float, int]]) -> None:
    file = tmp_path / "facts.ndjson"
    file.write_text('{"a":1}\n' * 25)
    time = Time()
    published = Published(time)
    pace = None if rate is None else Pace(rate, time.clock, time.sleep)
    report = await publish_file(cast("BatchPublisher", published), file, "probe", lambda _: None, pace)
    assert report.sent == 25
    assert [count for _, count in published.at] == [count for _, count in at]
    assert [when for when, _ in published.at] == pytest.approx([when for when, _ in at])
