"""Sending telemetry away, by OTLP over HTTP, to where OpenTelemetry's own environment variables say.

Metrics go out each minute, spans each 5 s, from threads of their own: a collector that is away, or hangs, costs what it
did not take, and nothing else. Without an endpoint nothing of this is even loaded.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Final, Literal

import structlog
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

EXPORT_TIMEOUT_S: Final = 10  # OTEL_EXPORTER_OTLP_TIMEOUT changes it
LAST_EXPORT_S: Final = 3.0
_PROTOCOL: Final = "http/protobuf"

_log = structlog.get_logger(__name__)


def exports(signal: Literal["traces", "metrics"]) -> bool:
    """Say whether there is somewhere to send a signal to."""
    name = signal.upper()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if os.environ.get(f"OTEL_{name}_EXPORTER", "").strip().lower() == "none":
        return False
    endpoint = os.environ.get(f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return False
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{name}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol and protocol != _PROTOCOL:
        _log.warning("otlp_protocol_ignored", signal=signal, asked_for=protocol, used=_PROTOCOL)
    return True


def metric_readers() -> list[MetricReader]:
    """Return what sends metrics away: none without an endpoint."""
    if not exports("metrics"):
        return []
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return [PeriodicExportingMetricReader(OTLPMetricExporter())]


def tracer_provider(resource: Resource) -> TracerProvider | None:
    """Return what records spans and sends them away: None without an endpoint."""
    if not exports("traces"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


async def end_within(seconds: float, *ends: Callable[[], None]) -> bool:
    """Run what ends exporting, which sends the rest away first, all at once; say whether it ended in time.

    What did not goes on in threads that a process does not wait for when it ends.
    """
    loop = asyncio.get_running_loop()
    ended = [loop.create_future() for _ in ends]
    for end, future in zip(ends, ended, strict=True):
        threading.Thread(target=_end, args=(end, loop, future), daemon=True, name="telemetry-end").start()
    if not ended:
        return True
    _, late = await asyncio.wait(ended, timeout=seconds)
    return not late


def _end(end: Callable[[], None], loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    try:
        end()
    except Exception:  # noqa: BLE001  # the other ends are still to be run
        _log.exception("telemetry_end_failed")
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(_done, ended)


def _done(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
