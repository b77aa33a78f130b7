"""Logs: one JSON object a line, with who speaks and which trace it is about, from libraries too."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from worker.telemetry.identity import INSTANCE, VERSION
from worker.telemetry.logs import configure_logging

Lines = Callable[[], list[dict[str, Any]]]
WHO = {"service.name": "rulestream", "service.version": VERSION, "service.instance.id": INSTANCE}


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Give what reads the lines logged so far; logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("json", "info")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_event_is_a_name_and_fields_and_who_speaks(lines: Lines) -> None:
    structlog.get_logger("worker").info("ruleset_loaded", revision=7)
    (line,) = lines()
    assert {"event": "ruleset_loaded", "revision": 7, "level": "info", **WHO}.items() <= line.items()
    assert line["timestamp"].endswith("Z")


def test_within_a_trace_its_ids_are_told_by_us_and_by_libraries(lines: Lines) -> None:
    with bound_contextvars(trace_id="a" * 32, span_id="b" * 16):
        structlog.get_logger("worker").info("command_decided")
        logging.getLogger("asyncpg").warning("a pool of %d", 7)
    structlog.get_logger("worker").info("worker_stopped")
    ours, theirs, later = lines()
    for line in (ours, theirs):
        assert (line["trace_id"], line["span_id"]) == ("a" * 32, "b" * 16)
        assert WHO.items() <= line.items()
    assert theirs["event"] == "a pool of 7"
    assert "trace_id" not in later


def test_an_exception_stays_on_its_line(lines: Lines) -> None:
    try:
        json.loads("a defect of ours")
    except ValueError:
        structlog.get_logger("worker").exception("batch_failed")
    (line,) = lines()
    assert "JSONDecodeError: Expecting value" in line["exception"]


def test_libraries_chatter_is_left_out(lines: Lines) -> None:
    logging.getLogger("nats").info("connected")
    assert lines() == []
