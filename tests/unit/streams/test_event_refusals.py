"""What a refusal of JetStream's means for an event: ask again, out of order, or not as it is."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.js.errors import APIError

from domain.errors import UnavailableError
from domain.identifiers import RuleId
from streams.control import ControlPlane, ControlSettings, EventRefusedError, OutOfOrderError


@pytest.mark.parametrize(
    ("refusal", "meaning"),
    [
        ({"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}, UnavailableError),
        ({"code": 409, "err_code": 10158, "description": "duplicate message id is in process"}, UnavailableError),
        ({"code": 503, "err_code": 10163, "description": "temporarily unavailable"}, UnavailableError),
        ({"code": 429, "err_code": 10167, "description": "too many requests"}, UnavailableError),
        ({"code": 400, "err_code": 10071, "description": "wrong last sequence: 5"}, OutOfOrderError),
        ({"code": 400, "err_code": 10164, "description": "wrong last sequence"}, OutOfOrderError),
        ({"code": 400, "err_code": 10054, "description": "message size exceeds maximum allowed"}, EventRefusedError),
    ],
)
async def test_a_refusal_that_passes_holds_no_rules_events_back(
    refusal: dict[str, Any], meaning: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only says that the cluster has no leader yet is asked again soon, like no answer at all."""
    nobody = cast("Any", None)
    settings = ControlSettings("RULES_COMMANDS", "rulestream-commands", "RULES_EVENTS")
    control = ControlPlane("nats://127.0.0.1:1", settings, nobody, nobody, nobody, nobody, nobody)

    async def refuse(*_: Any, **__: Any) -> None:
        APIError.from_error(refusal)

    state = SimpleNamespace(connection=SimpleNamespace(is_connected=True))
    broker = SimpleNamespace(publish=refuse, config=SimpleNamespace(connection_state=state))
    monkeypatch.setattr(control, "_broker", broker)
    rule_id = RuleId(str(uuid.uuid4()))
    with pytest.raises(meaning):
        await control.publish_event(rule_id, f"rules.event.{rule_id.value}.RuleCreated", b"{}", {}, 4)
