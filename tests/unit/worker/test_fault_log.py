"""The log of faults: the first at once, then how many there were, now and then."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from streams.facts.observing import RuleFaults
from worker.telemetry import fault_log as module
from worker.telemetry.fault_log import FaultLog


class Heard:
    """A log on a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log = FaultLog(60.0, lambda: self.now)

    def tell(self, rule_id: str, code: str, count: int, decision_id: str = "d") -> list[dict[str, Any]]:
        """Tell of faults and give what was logged."""
        with capture_logs() as lines:
            self.log.tell({(rule_id, code): RuleFaults(decision_id, count)})
        return [dict(line) for line in lines]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_the_first_fault_of_a_rule_and_code_is_told_at_once(heard: Heard) -> None:
    (line,) = heard.tell("rule-1", "overflow", 2, "decision-1")
    assert line == {
        "event": "rule_faults",
        "log_level": "warning",
        "rule_id": "rule-1",
        "code": "overflow",
        "count": 2,
        "decision_id": "decision-1",
    }
    assert heard.tell("rule-2", "overflow", 1)
    assert heard.tell("rule-1", "range", 1)


def test_the_next_are_told_together_after_a_while(heard: Heard) -> None:
    assert heard.tell("rule-1", "overflow", 1)
    heard.now = 59.0
    assert not heard.tell("rule-1", "overflow", 3)
    heard.now = 60.0
    (line,) = heard.tell("rule-1", "overflow", 4, "last")
    assert (line["count"], line["decision_id"]) == (7, "last")
    heard.now = 61.0
    assert not heard.tell("rule-1", "overflow", 1)


def test_what_was_not_told_is_told_at_the_end(heard: Heard) -> None:
    heard.tell("rule-1", "overflow", 1)
    heard.tell("rule-1", "overflow", 5)
    heard.tell("rule-2", "overflow", 1)
    with capture_logs() as lines:
        heard.log.end()
    assert [(line["rule_id"], line["count"]) for line in lines] == [("rule-1", 5)]


def test_any_number_of_rules_is_remembered_up_to_a_bound(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KINDS_MAX", 2)
    heard.tell("rule-1", "overflow", 1)
    heard.tell("rule-1", "overflow", 5)
    heard.tell("rule-2", "overflow", 1)
    lines = heard.tell("rule-3", "overflow", 1)
    assert [(line["rule_id"], line["count"]) for line in lines] == [("rule-3", 1), ("rule-1", 5)]
