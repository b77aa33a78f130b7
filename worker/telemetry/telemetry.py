"""The telemetry of a worker, by its settings: what its parts tell goes to metrics, and to who discovers services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from nats.aio.client import Client
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource

from domain.decisions.ruleset import Ruleset
from streams.backlog import consumer_state
from streams.discovery import Tally
from streams.facts.loop import FactLoop
from streams.facts.observing import BatchReport
from worker.adapters.postgres.outbox import outbox_state
from worker.adapters.postgres.pool import GuardedPool
from worker.breakers import STATES, Breaker
from worker.settings import Role, Settings
from worker.telemetry import instruments
from worker.telemetry.identity import INSTANCE, SERVICE, VERSION
from worker.telemetry.instruments import OK
from worker.telemetry.metrics import Metrics, Values
from worker.telemetry.polling import Poller


class Telemetry(Metrics):
    """What a worker's parts tell. ``tallies``, one for each of facts, commands and queries, are counted in any case."""

    def __init__(self, settings: Settings, tallies: Mapping[str, Tally]) -> None:
        resource = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: VERSION, SERVICE_INSTANCE_ID: INSTANCE})
        super().__init__(is_on=settings.telemetry == "on", resource=resource)
        self._settings = settings
        self._tallies = tallies

    def batch_settled(self, report: BatchReport) -> None:
        super().batch_settled(report)
        dead, reason = sum(report.dead.values()), next(iter(report.dead), "")
        self._tallies[Role.FACTS].count(
            report.settled - report.times.begun, requests=report.facts + dead, errors=dead, last_error=reason
        )

    def command_answered(self, verb: str, result: str, seconds: float) -> None:
        super().command_answered(verb, result, seconds)
        self._served(Role.COMMANDS, result, seconds)

    def query_answered(self, verb: str, result: str, seconds: float) -> None:
        super().query_answered(verb, result, seconds)
        self._served(Role.QUERIES, result, seconds)

    def _served(self, role: Role, result: str, seconds: float) -> None:
        is_error = result != OK
        self._tallies[role].count(seconds, errors=is_error, last_error=result if is_error else "")

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
        poller = Poller(
            self,
            {role.value: ask for role, ask in consumers.items() if role in settings.roles},
            partial(outbox_state, pool) if Role.RELAY in settings.roles else None,
        )
        if self.is_on:
            poller.start()
        return poller.stop
