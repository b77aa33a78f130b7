"""What each identity can and cannot do, on the real server with the configuration that ships: every row of the page.

The tests of the tests loosen that configuration in one place each, and see the rows fail that speak of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from domain.roles import VERBS
from domain.roles import Role as ActorRole
from streams.connection import connect
from streams.permissions import ACTORS, Role, client_access
from streams.topology import Topology, TopologySettings
from tests.behaviour.bus import eventually
from tests.servers.permission_rows import PAGE, Row, Stage, rows, staged
from tests.servers.secured import IDENTITIES, Secured, secured_nats
from worker.nats_accounts import Accounts, accounts_file, accounts_of

ROWS: Final = rows(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_nats(tmp_path_factory.mktemp("nats")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(server: Secured) -> AsyncIterator[Stage]:
    async with staged(server) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_what_the_page_says_is_so(stage: Stage, row: Row) -> None:
    assert await stage.holds(row)


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_page_says_of_each_role_what_it_can_and_cannot(name: str) -> None:
    if name == "crm":  # the other subscriber, whose things billing must not reach
        return
    outcomes = {row.outcome for row in ROWS if row.who == name}
    assert {"yes", "no"} <= outcomes


async def test_a_revoked_key_loses_its_connections(tmp_path: Path) -> None:
    with secured_nats(tmp_path) as server:
        client = await connect(server.endpoint("checkout"), "test")
        accounts = accounts_of(server.identities, server.settings)
        accounts["checkout"]["users"] = []
        (server.folder / "accounts.conf").write_text(accounts_file(accounts))
        server.reload()
        key = next(one.keys[0] for one in server.identities if one.name == "checkout")

        async def log() -> str:
            return server.log()

        await eventually(log, lambda text: f'authentication error - Nkey "{key}"' in text)  # it comes back, in vain
        assert not client.is_connected
        await client.close()


def test_every_role_is_on_the_page() -> None:
    assert {role for held in IDENTITIES.values() for role in held} == set(Role)


def test_every_line_of_the_tables_that_looks_like_a_row_is_one() -> None:
    """A row with a slip in it must not be left out in silence."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `PUB " in line or "| `SUB " in line]
    assert len(lines) == len(ROWS) > 200


@pytest.mark.parametrize("role", sorted(ACTORS - {Role.ADMIN, Role.VIEWER}))
def test_an_actor_may_publish_what_its_role_may_send_and_no_other_command(role: Role) -> None:
    access = client_access("zoe", [role], TopologySettings())
    commands = {one.subject for one in access.services if one.subject.startswith("rules.command.")}
    assert commands == {f"rules.command.zoe.{verb}" for verb in VERBS[ActorRole(role.value)]}


def _user(name: str, side: str, *subjects: str) -> Callable[[Accounts], None]:
    """Let an identity do more."""

    def loosen(accounts: Accounts) -> None:
        for user in accounts[name]["users"]:
            user["permissions"][side] = {"allow": [*user["permissions"][side]["allow"], *subjects]}

    return loosen


def _in_the_plane(name: str, account: str) -> Callable[[Accounts], None]:
    """Put an identity into a plane's own account, with the very same permissions."""

    def loosen(accounts: Accounts) -> None:
        accounts[account]["users"] += accounts.pop(name)["users"]
        for other in accounts.values():
            for export in other.get("exports", []):
                export["accounts"] = [one for one in export["accounts"] if one != name]
            other["exports"] = [one for one in other.get("exports", []) if one["accounts"]]

    return loosen


def _import(name: str, kind: str, account: str, subject: str) -> Callable[[Accounts], None]:
    """Give an identity's account one more subject of a plane, and its user with it."""

    def loosen(accounts: Accounts) -> None:
        accounts[name]["imports"].append({kind: {"account": account, "subject": subject}})
        accounts[account]["exports"].append({kind: subject, "accounts": [name]})
        _user(name, "publish" if kind == "service" else "subscribe", subject)(accounts)

    return loosen


LOOSENED: Final[dict[str, tuple[Callable[[Accounts], None], str]]] = {
    "a publisher publishes everything": (
        _user("checkout", "publish", ">"),
        "checkout PUB decisions.matched.order.placed is no",
    ),
    "a publisher hears everything": (_user("checkout", "subscribe", ">"), "checkout SUB decisions.> is no"),
    "an author has the streams' API": (_user("alice", "publish", "$JS.API.>"), "alice PUB $JS.API.INFO is no"),
    "an author hears every inbox": (_user("alice", "subscribe", "*.>"), "alice SUB _INBOX_bob.> is no"),
    "an author hears the shared inbox": (_user("alice", "subscribe", "_INBOX.>"), "alice SUB _INBOX.> is no"),
    "an approver hears the author's replies": (
        _import("bob", "stream", "CONTROL", "rules.reply.alice.>"),
        "bob SUB rules.reply.alice.> is no",
    ),
    "an author sends as the approver": (
        _import("alice", "service", "CONTROL", "rules.command.bob.*"),
        "alice PUB rules.command.bob.approve is no",
    ),
    "a viewer sends every command": (
        _import("dave", "service", "CONTROL", "rules.command.dave.*"),
        "dave PUB rules.command.dave.approve is no",
    ),
    "a publisher lives in the data plane's account": (
        _in_the_plane("checkout", "DATA"),
        "checkout PUB facts.order.placed REPLY decisions.matched.order.placed is own account",
    ),
    "an author lives in the control plane's account": (
        _in_the_plane("alice", "CONTROL"),
        "alice PUB rules.query.alice.get REPLY rules.command.bob.approve is own account",
    ),
    "a subscriber lives in the data plane's account": (
        _in_the_plane("billing", "DATA"),
        "billing PUB $JS.ACK.DECISIONS.billing.1.1.1.1.0 REPLY effects.loyalty.points is own account",
    ),
    "a subscriber takes from another's consumer": (
        _import("billing", "stream", "DATA", "deliver.decisions.crm"),
        "billing SUB deliver.decisions.crm is no",
    ),
    "the worker deletes streams": (
        lambda accounts: _everyone(accounts["DATA"], "$JS.API.>"),
        "worker-data PUB $JS.API.STREAM.DELETE.DECISIONS is no",
    ),
}


def _everyone(account: dict[str, Any], subject: str) -> None:
    for user in account["users"]:
        if "allow" in user["permissions"]["publish"]:
            user["permissions"]["publish"]["allow"].append(subject)


@pytest.mark.parametrize("how", LOOSENED)
async def test_a_loosened_configuration_is_noticed(how: str, tmp_path: Path) -> None:
    loosen, told = LOOSENED[how]
    row = next(row for row in ROWS if str(row) == told)
    with secured_nats(tmp_path, loosen=loosen) as server:
        async with staged(server) as stage:
            assert not await stage.holds(row)


HEADERS_LET_THROUGH: Final = {
    "Nats-TTL": "allow_msg_ttl",
    "Nats-Rollup": "allow_rollup_hdrs",
    "Nats-Schedule": "allow_msg_schedules",
    "Nats-Batch-Id": "allow_atomic",
    "Nats-Incr": "allow_msg_counter",
}


@pytest.mark.parametrize("header", HEADERS_LET_THROUGH)
async def test_a_loosened_stream_is_noticed(header: str, tmp_path: Path) -> None:
    """The streams' own settings are what refuses the headers: with one of them on, rows fail."""

    def change(wanted: Topology) -> Topology:
        facts = next(one for one in wanted.streams if one.name == "FACTS")
        config = {**facts.config, HEADERS_LET_THROUGH[header]: True, "duplicate_window": 0}
        if header in {"Nats-Incr", "Nats-Schedule"}:
            config.update(discard="old", max_age=0)
        loose = dataclasses.replace(facts, config=config)
        return dataclasses.replace(wanted, streams=tuple(loose if one is facts else one for one in wanted.streams))

    told = [row for row in ROWS if row.who == "checkout" and row.header is not None and row.header[0] == header]
    with secured_nats(tmp_path) as server:
        async with staged(server, change=change) as stage:
            assert told
            assert not all([await stage.holds(row) for row in told])
