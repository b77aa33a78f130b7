"""The telemetry of a worker, by its settings: what its parts tell goes to metrics, and to who discovers services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog
from nats.aio.client import Client
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource

from domain.decisions.ruleset import Ruleset
from streams.backlog import consumer_state
from streams.discovery import Tally
from streams.facts.loop import FactLoop
from streams.facts.observing import BatchReport, FactSpan, FactTracer
from worker.adapters.postgres.outbox import outbox_state
from worker.adapters.postgres.pool import GuardedPool
from worker.breakers import STATES, Breaker
from worker.settings import Role, Settings
from worker.telemetry import instruments
from worker.telemetry.exporting import LAST_EXPORT_S, end_within, metric_readers, tracer_provider
from worker.telemetry.fault_log import FaultLog
from worker.telemetry.identity import INSTANCE, SERVICE, VERSION
from worker.telemetry.instruments import OK
from worker.telemetry.metrics import Metrics, Values
from worker.telemetry.polling import Poller
from worker.telemetry.traces import FactTraces, ServingTraces, TraceBudget

_log = structlog.get_logger(__name__)


class Telemetry(Metrics):
    """What a worker's parts tell. ``tallies``, one for each of facts, commands and queries, are counted in any case."""

    def __init__(self, settings: Settings, tallies: Mapping[str, Tally]) -> None:
        is_on = settings.telemetry == "on"
        resource = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: VERSION, SERVICE_INSTANCE_ID: INSTANCE})
        super().__init__(is_on=is_on, resource=resource, readers=metric_readers() if is_on else ())
        self._settings = settings
        self._tallies = tallies
        self.poller: Poller | None = None
        self._faults = FaultLog()
        self._spans = tracer_provider(resource) if is_on and settings.traces_per_second else None
        self._fact_traces: FactTraces | None = None
        self._serving_traces: ServingTraces | None = None
        if self._spans is not None:
            per_second = settings.traces_per_second
            self._fact_traces = FactTraces(
                self._spans, TraceBudget(per_second), settings.facts_stream, settings.facts_consumer
            )
            self._serving_traces = ServingTraces(self._spans, TraceBudget(per_second))

    @property
    def tracer(self) -> FactTracer | None:
        traces = self._fact_traces
        return traces if traces is not None and self.is_on and traces.may_begin() else None

    @property
    def serving_traces(self) -> ServingTraces | None:
        """Who follows commands and queries."""
        return self._serving_traces if self.is_on else None

    def batch_settled(self, report: BatchReport) -> None:
        super().batch_settled(report)
        if self._fact_traces is not None:
            self._fact_traces.batch_settled(report)
        if report.faults:
            self._faults.tell(report.faults)
        dead, reason = sum(report.dead.values()), next(iter(report.dead), "")
        self._tallies[Role.FACTS].count(
            report.settled - report.times.begun, requests=report.facts + dead, errors=dead, last_error=reason
        )

    def batch_failed(self, spans: Sequence[FactSpan], reason: str) -> None:
        if self._fact_traces is not None:
            self._fact_traces.batch_failed(spans, reason)

    def command_answered(self, verb: str, result: str, seconds: float) -> None:
        super().command_answered(verb, result, seconds)
        self._served(Role.COMMANDS, result, seconds)

    def query_answered(self, verb: str, result: str, seconds: float) -> None:
        super().query_answered(verb, result, seconds)
        self._served(Role.QUERIES, result, seconds)

    def _served(self, role: Role, result: str, seconds: float) -> None:
        is_error = result != OK
        self._tallies[role].count(seconds, errors=is_error, last_error=result if is_error else "")

    def flush(self) -> None:
        """Send away the spans that wait; blocks until the collector has answered, or did not."""
        if self._spans is not None:
            self._spans.force_flush()

    async def end(self) -> None:
        """Tell and send away what is left, within ``LAST_EXPORT_S`` seconds."""
        self._faults.end()
        ends: list[Callable[[], None]] = [partial(self.shutdown, LAST_EXPORT_S)]
        if self._spans is not None:
            ends.append(self._spans.shutdown)
        if not await end_within(LAST_EXPORT_S, *ends):
            _log.warning("telemetry_not_sent", waited_s=LAST_EXPORT_S)

    def show_breakers(self, breakers: Mapping[str, Breaker]) -> None:
        """Show the state of the breakers, by their services."""

        def read() -> Values:
            states = {service: breaker.state for service, breaker in breakers.items()}
            return {(service, state): state == found for service, found in states.items() for state in STATES}

        self.show(instruments.BREAKER_STATE, read)

    def show_ruleset(self, ruleset: Callable[[], Ruleset]) -> None:
        """Show which ruleset is in force."""
        self.show(instruments.RULESET_REVISION, lambda: {(): ruleset().revision})
        self.show(instruments.RULESET_RULES, lambda: {(): len(ruleset())})

    def show_backlog(self, facts: FactLoop) -> None:
        """Show what the fact loop has in hand."""
        self.show(instruments.BATCHES_IN_FLIGHT, lambda: {(): facts.batches_in_flight})
        self.show(instruments.FACTS_WAITING, lambda: {(): facts.waiting})

    def poll(self, data: Client, control: Client, pool: GuardedPool) -> Callable[[], Awaitable[None]]:
        """Ask now and then about what this worker's roles are behind with; returns what stops it."""
        settings = self._settings
        consumers = {
            Role.FACTS: partial(consumer_state, data, settings.facts_stream, settings.facts_consumer),
            Role.COMMANDS: partial(consumer_state, control, settings.commands_stream, settings.commands_consumer),
        }
        self.poller = poller = Poller(
            self,
            {role.value: ask for role, ask in consumers.items() if role in settings.roles},
            partial(outbox_state, pool) if Role.RELAY in settings.roles else None,
        )
        if self.is_on:
            poller.start()
        return poller.stop
