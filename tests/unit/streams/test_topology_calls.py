"""Calls to JetStream's API while a cluster has no leader for what is asked about."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from domain.errors import UnavailableError
from streams import topology
from streams.topology import TopologyError, TopologySettings

AWAY = {"error": {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}}
REFUSED = {"error": {"code": 400, "err_code": 10052, "description": "bad"}}
NO_PEERS = {"error": {"code": 400, "err_code": 10005, "description": "no suitable peers for placement"}}
NOTHING = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
WANTED = topology.topology(TopologySettings(replicas=3))


class Api:
    """Answers each call with the next of some answers, the last one for ever, and counts the calls."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls = 0

    async def request(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(data=json.dumps(answer).encode())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "_API_TRIES_S", (0.0, 0.0, 0.0))


async def missing(api: Api) -> int:
    client = cast("Any", api)
    return sum(one.is_missing for one in await topology.diff(WANTED, client, client))


@pytest.mark.parametrize("silence", [NatsTimeoutError(), AWAY, NO_PEERS])
async def test_what_falls_silent_with_its_leader_is_asked_again(silence: Any) -> None:
    api = Api(silence, silence, NOTHING)
    count = len(WANTED.streams) + len(WANTED.consumers)
    assert await missing(api) == count
    assert api.calls == count + 2


@pytest.mark.parametrize("silence", [NatsTimeoutError(), AWAY])
async def test_who_does_not_answer_three_times_is_away(silence: Any) -> None:
    api = Api(silence)
    with pytest.raises(UnavailableError):
        await missing(api)
    assert api.calls == 3


async def test_peers_that_are_missing_three_times_are_too_few() -> None:
    """A node may be taken for away for a while; who asks for more replicas than there are nodes is told so."""
    api = Api(NO_PEERS)
    with pytest.raises(TopologyError, match="no suitable peers"):
        await missing(api)
    assert api.calls == 3


@pytest.mark.parametrize(("answer", "error"), [(NoRespondersError(), UnavailableError), (REFUSED, TopologyError)])
async def test_a_refusal_and_a_server_without_jetstream_are_told_at_once(answer: Any, error: type[Exception]) -> None:
    api = Api(answer)
    with pytest.raises(error):
        await missing(api)
    assert api.calls == 1
