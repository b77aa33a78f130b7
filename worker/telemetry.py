"""Logs and metrics.

Logs are a constant event name and fields, without payloads and secrets; metric labels are from closed sets.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, Literal

import structlog
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from worker.breakers import STATES, BreakerState

_BATCH_BUCKETS_S: Final = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]


def configure_logging(form: Literal["json", "console"], level: str) -> None:
    """Send this process's logs to stderr, one event a line; libraries' warnings join them."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


class Telemetry:
    """The worker's metrics, by OpenTelemetry, read in Prometheus's form; a FactObserver and a StorageObserver."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, CPU seconds and files of this process
        reader = PrometheusMetricReader(registry=self._registry)
        buckets = View(
            instrument_name="rulestream.batch.duration",
            aggregation=ExplicitBucketHistogramAggregation(_BATCH_BUCKETS_S),
        )
        about = Resource.create({SERVICE_NAME: "rulestream", SERVICE_VERSION: version("rulestream")})
        self._provider = MeterProvider(resource=about, metric_readers=[reader], views=[buckets])
        meter = self._provider.get_meter("rulestream")
        self._facts = meter.create_counter("rulestream.facts.decided", description="Facts decided and published.")
        self._matched = meter.create_counter("rulestream.facts.matched", description="Of these, matched by some rule.")
        self._dead = meter.create_counter("rulestream.facts.dead", description="Facts that became dead letters.")
        self._repeated = meter.create_counter(
            "rulestream.facts.repeated", description="Facts whose decision was stored already."
        )
        self._redelivered = meter.create_counter(
            "rulestream.facts.redelivered", description="Deliveries after a first."
        )
        self._duration = meter.create_histogram(
            "rulestream.batch.duration", unit="s", description="From deciding a batch to acknowledging it."
        )
        self._made = meter.create_counter("rulestream.partitions.made", description="Partitions of decisions made.")
        self._dropped = meter.create_counter(
            "rulestream.partitions.dropped", description="Partitions dropped when their decisions' time was over."
        )
        self._moved = meter.create_counter(
            "rulestream.decisions.moved", description="Decisions moved from the default partition to their own."
        )
        self._expired = meter.create_counter("rulestream.keys.expired", description="Keys of facts removed for age.")
        self._failed = meter.create_counter("rulestream.housekeeping.failed", description="Housekeeping that failed.")
        self.up: dict[str, bool] = {"nats": False, "postgres": False, "redis": False}
        self.breakers: dict[str, BreakerState] = {}
        self.revision = 0
        self.rules = 0
        meter.create_observable_gauge(
            "rulestream.dependency.up",
            [lambda _: [Observation(int(is_up), {"service": name}) for name, is_up in self.up.items()]],
            description="1 while a backing service answers.",
        )
        meter.create_observable_gauge(
            "rulestream.breaker.state",
            [lambda _: _breaker_states(self.breakers)],
            description="1 for the state that a backing service's circuit breaker is in.",
        )
        meter.create_observable_gauge("rulestream.ruleset.revision", [lambda _: [Observation(self.revision)]])
        meter.create_observable_gauge("rulestream.ruleset.rules", [lambda _: [Observation(self.rules)]])

    def batch_settled(
        self, *, facts: int, matched: int, dead: int, repeated: int, redelivered: int, seconds: float
    ) -> None:
        self._facts.add(facts)
        self._matched.add(matched)
        self._dead.add(dead)
        self._repeated.add(repeated)
        self._redelivered.add(redelivered)
        self._duration.record(seconds)

    def storage_kept(self, *, made: int, moved: int, dropped: int, keys: int, failed: bool) -> None:
        self._made.add(made)
        self._moved.add(moved)
        self._dropped.add(dropped)
        self._expired.add(keys)
        self._failed.add(int(failed))

    def dependency(self, service: str, *, is_up: bool) -> None:
        self.up[service] = is_up

    def exposition(self) -> bytes:
        """Return every metric in Prometheus's text form."""
        return generate_latest(self._registry)

    def shutdown(self) -> None:
        """Release the reader."""
        self._provider.shutdown()


def _breaker_states(breakers: Mapping[str, BreakerState]) -> list[Observation]:
    return [
        Observation(int(state == found), {"service": service, "state": state})
        for service, found in breakers.items()
        for state in STATES
    ]
