"""Logs: one event a line on stderr, a constant name and fields, without payloads and secrets.

Each says who speaks (``worker.telemetry.identity``), and within a trace its ids (``worker.telemetry.context``).
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

from worker.telemetry.identity import INSTANCE, SERVICE, VERSION


def configure_logging(form: Literal["json", "console"], level: str) -> None:
    """Send this process's logs to stderr; libraries' warnings join them."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        shared.append(_sign)
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


def _sign(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event["service.name"], event["service.version"], event["service.instance.id"] = SERVICE, VERSION, INSTANCE
    return event
