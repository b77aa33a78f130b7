"""Telemetry: metrics, traces and logs of the process, by OpenTelemetry and structlog."""
