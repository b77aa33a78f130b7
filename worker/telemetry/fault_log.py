"""Which rules fail, in the log: no metric has a rule's id for a label, since rules are an open set."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from streams.facts.observing import RuleFaults

PERIOD_S: Final = 60.0
KINDS_MAX: Final = 10_000  # rules and codes that are remembered

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Kind:
    told_at: float
    untold: int = 0
    decision_id: str = ""


class FaultLog:
    """Tells the first fault of each rule and code at once, then each ``period_s`` at most, with how many there were.

    What was not told yet is told when another one comes, and at the end. The message of a fault, which may hold a
    fact's values, is in the decision.
    """

    def __init__(self, period_s: float = PERIOD_S, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._elapsed_s = elapsed_s
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()  # the one not seen for longest first

    def tell(self, faults: Mapping[tuple[str, str], RuleFaults]) -> None:
        """Take a batch's faults, by rule and code."""
        now = self._elapsed_s()
        for name, found in faults.items():
            kind = self._kinds.pop(name, None) or _Kind(now - self._period_s)
            self._kinds[name] = kind
            kind.untold += found.count
            kind.decision_id = found.decision_id
            if now - kind.told_at >= self._period_s:
                kind.told_at = now
                self._say(name, kind)
        while len(self._kinds) > KINDS_MAX:
            self._say(*self._kinds.popitem(last=False))

    def end(self) -> None:
        """Tell what was not told yet."""
        while self._kinds:
            self._say(*self._kinds.popitem(last=False))

    @staticmethod
    def _say(name: tuple[str, str], kind: _Kind) -> None:
        if kind.untold:
            rule_id, code = name
            _log.warning("rule_faults", rule_id=rule_id, code=code, count=kind.untold, decision_id=kind.decision_id)
            kind.untold = 0
