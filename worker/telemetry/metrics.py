"""The worker's metrics, by OpenTelemetry: counted here, read when somebody asks.

A counter is a number in a dictionary, which OpenTelemetry reads when metrics are collected: adding to one of its own
costs as much as a tenth of what a fact does. Histograms are told a few times a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry import metrics as api
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from streams.facts.intake import DeadReason
from streams.facts.observing import BatchReport
from worker.telemetry import instruments as names
from worker.telemetry.identity import SERVICE, VERSION
from worker.telemetry.instruments import Instrument

Values = Mapping[tuple[str, ...], float]
_STAGES: Final = [{"stage": stage} for stage in names.BATCH_STAGE_DURATION.labels["stage"]]


class Metrics:
    """Counts and times what a worker does; a FactObserver, StorageObserver, CacheObserver and RulesetObserver.

    Made without it counts nothing, and tells of the process alone. ``is_on`` may be changed: what is done while it is
    not set is not counted.
    """

    def __init__(
        self, *, is_on: bool = True, resource: Resource | None = None, readers: Sequence[MetricReader] = ()
    ) -> None:
        self.is_on = is_on
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, CPU seconds and files of this process
        self._provider: MeterProvider | None = None
        meter: api.Meter = api.NoOpMeter(SERVICE)
        if is_on:
            prometheus = PrometheusMetricReader(registry=self._registry)
            self._provider = MeterProvider(
                metric_readers=[prometheus, *readers],
                resource=resource or Resource.create(),
                shutdown_on_exit=False,
            )
            meter = self._provider.get_meter(SERVICE, VERSION)
        self._meter = meter
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        self._histograms: dict[str, Histogram] = {}
        for one in names.instruments(VERSION):
            if one.kind == "counter":
                self._counts[one.name] = dict.fromkeys(one.zeros(), 0)
                meter.create_observable_counter(
                    one.name, [self._read(one, self._counts[one.name])], one.unit, one.description
                )
            elif one.kind == "histogram":
                self._histograms[one.name] = meter.create_histogram(
                    one.name, one.unit, one.description, explicit_bucket_boundaries_advisory=one.buckets
                )
        self._up: dict[tuple[str, ...], float] = {(service,): 0 for service in names.DEPENDENCY_UP.labels["service"]}
        self.show(names.DEPENDENCY_UP, lambda: self._up)
        self.show(names.build_info(VERSION), lambda: {(VERSION,): 1})

    def show(self, gauge: Instrument, read: Callable[[], Values]) -> None:
        """Have a gauge's values, by its labels', read when metrics are collected, perhaps by another thread."""

        def observe(_: CallbackOptions) -> list[Observation]:
            return _observations(gauge, {labels: float(value) for labels, value in read().items()})

        self._meter.create_observable_gauge(gauge.name, [observe], gauge.unit, gauge.description)

    def count(self, counter: Instrument, *values: str, by: int = 1) -> None:
        """Add to a counter, under its labels' values."""
        if by and self.is_on:
            counts = self._counts[counter.name]
            if values not in counts:
                values = counter.closed(values)
            counts[values] = counts.get(values, 0) + by

    def counted(self, counter: Instrument, *values: str) -> int:
        """Return what was counted under its labels' values."""
        return self._counts[counter.name].get(values, 0)

    def time(self, histogram: Instrument, value: float) -> None:
        """Tell a histogram without labels of one more value."""
        if self.is_on:
            self._histograms[histogram.name].record(value)

    def batch_settled(self, report: BatchReport) -> None:
        if not self.is_on:
            return
        self.count(names.FACTS_DECIDED, by=report.facts)
        self.count(names.FACTS_MATCHED, by=report.matched)
        self.count(names.FACTS_REPEATED, by=report.repeated)
        self.count(names.FACTS_REDELIVERED, by=report.redelivered)
        self.count(names.EFFECTS_PUBLISHED, by=report.effects)
        for reason, number in report.dead.items():
            self.count(names.FACTS_DEAD, reason.value, by=number)
        for (_, code), found in report.faults.items():
            self.count(names.FAULTS, code, by=found.count)
        times = report.times
        self.time(names.BATCH_DURATION, report.settled - times.started)
        self.time(names.BATCH_FACTS, report.facts)
        stages = self._histograms[names.BATCH_STAGE_DURATION.name]
        durations = (times.decided - times.begun, times.stored - times.decided, times.published - times.stored)
        for stage, seconds in zip(_STAGES, durations, strict=True):
            stages.record(seconds, stage)
        for seconds in report.latencies_s:
            self.time(names.DECISION_LATENCY, seconds)

    def storage_kept(self, *, made: int, moved: int, dropped: int, keys: int, failed: bool) -> None:
        self.count(names.PARTITIONS_MADE, by=made)
        self.count(names.DECISIONS_MOVED, by=moved)
        self.count(names.PARTITIONS_DROPPED, by=dropped)
        self.count(names.KEYS_EXPIRED, by=keys)
        self.count(names.HOUSEKEEPING_FAILED, by=int(failed))

    def dependency(self, service: str, *, is_up: bool) -> None:
        self._up[service,] = is_up

    def dependency_waited(self, service: str) -> None:
        self.count(names.DEPENDENCY_WAITS, service)

    def cache_read(self, cache: str, result: str, count: int = 1) -> None:
        self.count(names.CACHE_READS, cache, result, by=count)

    def ruleset_loaded(self, seconds: float) -> None:
        self.count(names.RULESET_LOADS, names.OK)
        self.time(names.RULESET_LOAD_DURATION, seconds)

    def ruleset_failed(self) -> None:
        self.count(names.RULESET_LOADS, "failed")

    def events_relayed(self, count: int) -> None:
        self.count(names.EVENTS_RELAYED, by=count)

    def command_answered(self, verb: str, result: str, seconds: float) -> None:
        self.count(names.COMMANDS_DECIDED, verb, result)
        self.time(names.COMMAND_DURATION, seconds)

    def command_buried(self, reason: DeadReason) -> None:
        self.count(names.COMMANDS_DEAD, reason.value)

    def query_answered(self, verb: str, result: str, seconds: float) -> None:
        self.count(names.QUERIES_ANSWERED, verb, result)
        self.time(names.QUERY_DURATION, seconds)

    def exposition(self) -> bytes:
        """Return every metric in Prometheus's text form."""
        return generate_latest(self._registry)

    def shutdown(self, timeout_s: float) -> None:
        """Release the readers; those that send metrics away send them once more, which may take the time given."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=timeout_s * 1000)

    @staticmethod
    def _read(
        counter: Instrument, counts: Mapping[tuple[str, ...], int]
    ) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda _: _observations(counter, dict(counts))


def _observations(one: Instrument, values: Values) -> list[Observation]:
    labels = list(one.labels)
    return [Observation(value, dict(zip(labels, found, strict=True))) for found, value in list(values.items())]
