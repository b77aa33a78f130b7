"""Gauges that are asked for: what was told last, and nothing where nobody answers."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from domain.errors import UnavailableError
from streams.backlog import ConsumerState
from worker.adapters.postgres.outbox import OutboxState
from worker.telemetry.metrics import Metrics
from worker.telemetry.polling import Poller

Shown = dict[str, dict[str, float]]


class Backlog:
    """Consumers and an outbox that answer, or do not."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = asyncio.Event()

    async def consumer(self) -> ConsumerState:
        self._require()
        return ConsumerState(7, 3, 1)

    async def outbox(self) -> OutboxState:
        self._require()
        self.asked.set()
        return OutboxState(2, 1.5)

    def _require(self) -> None:
        if self.is_away:
            raise UnavailableError("nats", "away")


def shown(metrics: Metrics) -> Shown:
    found: Shown = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        if family.name.startswith(("rulestream_consumer", "rulestream_outbox")):
            for sample in family.samples:
                found.setdefault(sample.name, {})[sample.labels.get("consumer", "")] = sample.value
    return found


async def test_what_was_told_is_shown_and_gone_while_nobody_answers() -> None:
    metrics, backlog = Metrics(), Backlog()
    poller = Poller(metrics, {"facts": backlog.consumer}, backlog.outbox)
    assert shown(metrics) == {}
    await poller.poll()
    everything: Shown = {
        "rulestream_consumer_pending": {"facts": 7},
        "rulestream_consumer_ack_pending": {"facts": 3},
        "rulestream_consumer_redelivered": {"facts": 1},
        "rulestream_outbox_pending": {"": 2},
        "rulestream_outbox_oldest_age_seconds": {"": 1.5},
    }
    assert shown(metrics) == everything
    backlog.is_away = True
    with capture_logs() as logs:
        await poller.poll()
        await poller.poll()
    assert shown(metrics) == {}
    assert [(line["event"], line["about"]) for line in logs] == [("poll_failed", "facts"), ("poll_failed", "outbox")]
    backlog.is_away = False
    await poller.poll()
    assert shown(metrics) == everything


async def test_a_worker_shows_only_what_its_roles_are_about() -> None:
    metrics, backlog = Metrics(), Backlog()
    poller = Poller(metrics, {"commands": backlog.consumer}, None)
    await poller.poll()
    assert set(shown(metrics)) == {
        "rulestream_consumer_pending",
        "rulestream_consumer_ack_pending",
        "rulestream_consumer_redelivered",
    }


async def test_it_asks_at_once_and_stops_when_told() -> None:
    metrics, backlog = Metrics(), Backlog()
    poller = Poller(metrics, {"facts": backlog.consumer}, backlog.outbox, period_s=3600.0)
    poller.start()
    await asyncio.wait_for(backlog.asked.wait(), 30)
    await poller.stop()
