"""Where a query is answered: in the inbox of who asks, and nowhere else that a client could name."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.control import ControlPlane, ControlSettings
from streams.endpoint import Endpoint

OPEN = Endpoint("nats://127.0.0.1:1")
PRIVATE = Endpoint("nats://127.0.0.1:1", nkey_file=Path("worker-control.nk"), inbox_prefix="_INBOX_worker-control")


def plane(where: Endpoint) -> ControlPlane:
    settings = ControlSettings("RULES_COMMANDS", "rulestream-commands", "RULES_EVENTS")
    nobody: object = object()
    return ControlPlane(where, settings, nobody, nobody, nobody, lambda: None, lambda: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "where_open", "where_private"),
    [
        ("_INBOX.x.y", True, False),
        ("_INBOX_ann.x", True, True),
        ("_R_.abc.def", True, True),
        ("_INBOX_bob.x", False, False),
        ("_INBOX_ann", False, False),
        ("_INBOX", False, False),
        ("_INBOXES.x", False, False),
        ("", False, False),
        ("rules.command.bob.approve", False, False),
        ("rules.reply.bob.c1", False, False),
        ("rules.event.r1.RuleActivated", False, False),
        ("decisions.matched.order.placed", False, False),
        ("effects.loyalty.points", False, False),
        ("facts.order.placed", False, False),
        ("$JS.API.STREAM.PURGE.FACTS", False, False),
    ],
)
def test_an_answer_goes_to_who_asked_alone(reply: str, *, where_open: bool, where_private: bool) -> None:
    assert plane(OPEN)._may_answer(reply, "ann") is where_open
    assert plane(PRIVATE)._may_answer(reply, "ann") is where_private
