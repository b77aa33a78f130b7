"""The process: command line, settings, composition root, use cases, adapters, embedded servers, telemetry, probes."""
