"""Sending telemetry away: only where OpenTelemetry's own variables say so, and with an end in bounded time."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.sdk.resources import Resource
from structlog.testing import capture_logs

from worker.telemetry.exporting import end_within, exports, metric_readers, tracer_provider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
URL = "http://collector:4318"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the machine's own settings out."""
    for name in (
        ENDPOINT,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_SDK_DISABLED",
    ):
        monkeypatch.delenv(name, raising=False)


def test_without_an_endpoint_nothing_is_made() -> None:
    assert not exports("traces")
    assert tracer_provider(Resource.create()) is None
    assert metric_readers() == []


@pytest.mark.parametrize(
    ("settings", "traces", "metrics"),
    [
        ({ENDPOINT: URL}, True, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": URL}, True, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": URL}, False, True),
        ({ENDPOINT: URL, "OTEL_TRACES_EXPORTER": "none"}, False, True),
        ({ENDPOINT: URL, "OTEL_METRICS_EXPORTER": "none"}, True, False),
        ({ENDPOINT: URL, "OTEL_SDK_DISABLED": "true"}, False, False),
        ({ENDPOINT: ""}, False, False),
    ],
)
def test_opentelemetrys_variables_say_what_is_sent(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], traces: bool, metrics: bool
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert (exports("traces"), exports("metrics")) == (traces, metrics)


@pytest.mark.parametrize(("protocol", "warnings"), [("grpc", 1), ("http/protobuf", 0)])
def test_another_protocol_than_the_one_spoken_is_told(
    monkeypatch: pytest.MonkeyPatch, protocol: str, warnings: int
) -> None:
    monkeypatch.setenv(ENDPOINT, URL)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with capture_logs() as logs:
        assert exports("traces")
    assert [line["event"] for line in logs] == ["otlp_protocol_ignored"] * warnings


async def test_an_end_that_hangs_is_not_waited_for_and_the_others_are_run() -> None:
    hangs, ran = threading.Event(), threading.Event()
    try:
        assert not await end_within(0.05, hangs.wait, ran.set)
        assert ran.is_set()
    finally:
        hangs.set()


async def test_ends_that_fail_or_come_to_an_end_are_ended() -> None:
    def fail() -> None:
        raise RuntimeError("a defect")

    with capture_logs() as logs:
        assert await end_within(30.0, fail, lambda: None)
    assert [line["event"] for line in logs] == ["telemetry_end_failed"]
    assert await end_within(30.0)
