"""The main job over TLS on the server as it ships, everybody as their own identity; and what it refuses, told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.errors import RulestreamError
from streams.granting import PermissionsMissingError
from tests.cli.conftest import START_WAIT_S, Line
from tests.servers.secured import IDENTITIES, Secured, secured_nats
from tests.servers.tls import Certificates, behind_tls
from worker.cli.app import app
from worker.identities import read_identities
from worker.nats_accounts import Accounts, accounts_file, accounts_of, settings_file
from worker.service import running_worker
from worker.settings import Settings, load_settings

RULE = 'on order.placed when order.total >= 100.0 then set discount = 15 emit loyalty.points {"points": 1}'
WAIT_S = 30.0
As = Callable[[str], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Secured]:
    with secured_nats(tmp_path) as found:
        yield found


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch, line: Line, server: Secured) -> As:
    """Give what makes the command line somebody: keys for the planes, an address, an authority and a name."""

    def become(name: str) -> None:
        monkeypatch.delenv("RULESTREAM_CONTROL_NATS_NKEY_FILE", raising=False)
        monkeypatch.delenv("RULESTREAM_CONTROL_NATS_INBOX_PREFIX", raising=False)
        monkeypatch.setenv("RULESTREAM_NATS_URL", server.url)
        monkeypatch.setenv("RULESTREAM_NATS_CA_FILE", str(server.ca_file))
        monkeypatch.setenv("RULESTREAM_DECISION_SUBSCRIBERS", "billing,crm")
        if name == "engineer":
            monkeypatch.delenv("RULESTREAM_ACTOR", raising=False)
            for plane, setting in (("data", "NATS"), ("control", "CONTROL_NATS")):
                identity = f"engineer-{plane}"
                monkeypatch.setenv(f"RULESTREAM_{setting}_NKEY_FILE", str(server.key(identity)))
                monkeypatch.setenv(f"RULESTREAM_{setting}_INBOX_PREFIX", f"_INBOX_{identity}")
            return
        monkeypatch.delenv("RULESTREAM_NATS_INBOX_PREFIX", raising=False)
        monkeypatch.setenv("RULESTREAM_NATS_NKEY_FILE", str(server.key(name)))
        monkeypatch.setenv("RULESTREAM_ACTOR", name)

    return become


def worker_settings(server: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **more: Any) -> Settings:
    """Read a worker's settings as it would: who is who from the file that the command line makes."""
    made = tmp_path / "rulestream.toml"
    made.write_text(settings_file(read_identities(server.folder / "identities.toml")))
    with monkeypatch.context() as patch:
        patch.setenv("RULESTREAM_CONFIG", str(made))
        return load_settings(
            nats_url=server.url,
            nats_ca_file=server.ca_file,
            nats_nkey_file=server.key("worker-data"),
            nats_inbox_prefix="_INBOX_worker-data",
            control_nats_nkey_file=server.key("worker-control"),
            control_nats_inbox_prefix="_INBOX_worker-control",
            http_port=0,
            ruleset_poll_s=0.05,
            **more,
        )


@contextmanager
def working(make: Callable[[str, str], Settings], database: str, redis_url: str, folder: Path) -> Iterator[list[Any]]:
    """Run a worker in a thread, with TLS to Postgres and Redis too; gives what it logs."""
    certificates = Certificates(folder)
    loop, ready, stopping = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    failures: list[BaseException] = []

    async def work() -> None:
        async with (
            behind_tls(database, certificates, is_postgres=True) as postgres,
            behind_tls(redis_url, certificates) as redis,
        ):
            place, _, name = database.partition("://")[2].partition("@")[2].partition("/")
            user = database.partition("@")[0]
            assert place
            dsn = f"{user}@{postgres}/{name}?sslmode=verify-full&sslrootcert={certificates.ca_file}"
            async with running_worker(make(dsn, f"rediss://{redis}/0")):
                ready.set()
                await stopping.wait()

    def run() -> None:
        try:
            loop.run_until_complete(work())
        except BaseException as error:  # noqa: BLE001  # told to the test
            failures.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run)
    with capture_logs() as logs:
        thread.start()
        assert ready.wait(START_WAIT_S)
        assert not failures, failures
        try:
            yield logs
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(START_WAIT_S)
        assert not thread.is_alive()
    assert not failures


@pytest.fixture
def logs(
    server: Secured,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    redis_url: str,
    compiler_for_all: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Any]]:
    folder = tmp_path_factory.mktemp("certificates")

    def make(dsn: str, redis: str) -> Settings:
        return worker_settings(
            server, monkeypatch, folder, postgres_dsn=dsn, redis_url=redis, redis_ca_file=folder / "ca.pem"
        )

    with working(make, database, redis_url, folder) as found:
        yield found


def decide_one(line: Line, as_: As, tmp_path: Path, id_: str = "o-1") -> dict[str, Any]:
    """Publish a fact as the publisher and take its decision as the subscriber."""
    facts = tmp_path / "facts.ndjson"
    fact = {"id": id_, "type": "order.placed", "data": {"order": {"total": 250}}}
    facts.write_text(json.dumps(fact) + "\n")
    as_("checkout")
    line.run("fact", "send", str(facts))
    as_("billing")
    found: dict[str, Any] = line.json("decision", "tail", "--durable", "billing", "--count", "1")
    return found


def live_through_review(line: Line, as_: As) -> str:
    """Take a rule through its life, each step as somebody else."""
    as_("alice")
    rule: str = line.json("rule", "create", "--name", "Loyal", "--dsl", RULE)["ruleId"]
    line.run("rule", "submit", rule)
    as_("bob")
    line.run("rule", "approve", rule)
    as_("carol")
    line.run("rule", "activate", rule)
    return rule


def test_from_a_rule_to_a_decision_everybody_as_themselves(
    line: Line, as_: As, logs: list[Any], server: Secured, database: str, tmp_path: Path
) -> None:
    rule = live_through_review(line, as_)
    as_("dave")
    assert [one["status"] for one in line.json("rule", "list")["items"]] == ["ACTIVE"]
    found = decide_one(line, as_, tmp_path)
    assert [match["ruleId"] for match in found["matches"]] == [rule]
    as_("engineer")
    assert line.json("topology", "diff")["differences"] == []
    assert line.run("dead", "list").exit_code == 0
    as_("dave")
    assert line.json("decision", "get", found["decisionId"])["outcome"] == "matched"
    assert not [one for one in logs if one["event"] == "permission_denied"]
    assert "Violation" not in server.log()
    told = json.dumps(logs, default=str) + server.log()
    for secret in [server.key(name).read_text().strip() for name in IDENTITIES]:
        assert secret not in told
    assert database.partition("@")[0].rpartition(":")[2] not in told


@pytest.mark.parametrize(
    ("name", "words", "subject"),
    [
        ("alice", ["rule", "approve", "r"], "rules.query.alice"),
        ("alice", ["rule", "list", "--actor", "bob"], "_INBOX_bob."),
        ("checkout", ["decision", "tail", "--count", "1"], "decisions.*.>"),
        ("checkout", ["rule", "list"], "rules.query.checkout.list"),
        ("checkout", ["topology", "diff"], "$JS.API.STREAM.INFO.RULES_COMMANDS"),
        (
            "billing",
            ["decision", "tail", "--durable", "crm", "--count", "1"],
            "deliver.decisions.crm",
        ),
        ("billing", ["decision", "tail", "--from-start", "--count", "1"], "$JS.API.CONSUMER.CREATE.DECISIONS"),
        ("billing", ["dead", "list"], "$JS.API.STREAM.INFO.DEAD_LETTERS"),
    ],
)
def test_what_the_server_refuses_is_told_at_once_with_its_subject(
    line: Line, as_: As, name: str, words: Sequence[str], subject: str
) -> None:
    """No time-out is waited for: there is not even a worker."""
    as_(name)
    told = line.run(*words, code=1).output
    if words[1] == "approve":  # nobody answers the look at the rule: it is allowed, and there is no worker
        assert "no worker" in told
        return
    assert f"to {subject}" in told
    assert "error[FORBIDDEN]: the NATS server does not let this identity" in told


def test_a_fact_of_a_type_that_is_not_the_publishers_is_refused(line: Line, as_: As, tmp_path: Path) -> None:
    facts = tmp_path / "facts.ndjson"
    facts.write_text('{"total": 1}\n')
    as_("checkout")
    told = line.run("fact", "send", str(facts), "--type", "payment.failed", code=1).output
    assert "publish to facts.payment.failed" in told


def test_an_author_who_may_not_approve_is_told_by_the_server(line: Line, as_: As, logs: list[Any]) -> None:
    as_("alice")
    rule = line.json("rule", "create", "--name", "Loyal", "--dsl", RULE)["ruleId"]
    line.run("rule", "submit", rule)
    told = line.run("rule", "approve", rule, code=1).output
    assert "publish to rules.command.alice.approve" in told


async def test_a_worker_that_may_not_do_what_it_needs_does_not_start_and_says_all_of_it(
    server: Secured, monkeypatch: pytest.MonkeyPatch, database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = worker_settings(server, monkeypatch, tmp_path, postgres_dsn=database, redis_url=redis_url)
    wrong = settings.model_copy(
        update={
            "nats_nkey_file": server.key("engineer-data"),
            "nats_inbox_prefix": "_INBOX_engineer-data",
            "control_nats_nkey_file": server.key("engineer-control"),
            "control_nats_inbox_prefix": "_INBOX_engineer-control",
        }
    )
    with pytest.raises(PermissionsMissingError) as caught:
        async with running_worker(wrong):
            pass
    missing = caught.value.details["missing"]
    assert {
        "on the data plane: publish to decisions.>",
        "on the data plane: publish to effects.>",
        "on the data plane: publish to dead.>",
        "on the data plane: publish to $JS.ACK.FACTS.rulestream-facts.*.*.*.*.*",
        "on the control plane: publish to rules.reply.>",
        "on the control plane: publish to rules.event.>",
        "on the control plane: subscribe to rules.query.*.*",
    } <= set(missing)
    assert all(one in caught.value.message for one in missing)


async def test_a_worker_that_may_not_hear_its_inbox_is_told_so(
    server: Secured, monkeypatch: pytest.MonkeyPatch, database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = worker_settings(server, monkeypatch, tmp_path, postgres_dsn=database, redis_url=redis_url)
    wrong = settings.model_copy(update={"nats_inbox_prefix": "_INBOX"})
    with pytest.raises(PermissionsMissingError, match=r"on the data plane: subscribe to _INBOX\..*its own inbox"):
        async with running_worker(wrong):
            pass


def _rewritten(server: Secured, change: Callable[[Accounts], None]) -> None:
    accounts = accounts_of(read_identities(server.folder / "identities.toml"), server.settings)
    change(accounts)
    (server.folder / "accounts.conf").write_text(accounts_file(accounts))
    server.reload()


def _eventually(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_permission_lost_meanwhile_is_logged_and_work_goes_on_when_it_is_back(
    line: Line, as_: As, logs: list[Any], server: Secured, tmp_path: Path
) -> None:
    live_through_review(line, as_)
    decide_one(line, as_, tmp_path)

    def without_decisions(accounts: Accounts) -> None:
        for user in accounts["DATA"]["users"]:
            allowed = user["permissions"]["publish"]["allow"]
            user["permissions"]["publish"]["allow"] = [one for one in allowed if one != "decisions.>"]

    def is_denied() -> bool:
        denied = [one for one in logs if one["event"] == "permission_denied"]
        return any(
            (one["operation"], one["subject"]) == ("publish", "decisions.matched.order.placed") for one in denied
        )

    _rewritten(server, without_decisions)
    facts = tmp_path / "more.ndjson"
    facts.write_text('{"id": "o-2", "type": "order.placed", "data": {"order": {"total": 150}}}\n')
    as_("checkout")
    line.run("fact", "send", str(facts))
    _eventually(is_denied)
    _rewritten(server, lambda _: None)
    as_("billing")
    found = line.json("decision", "tail", "--durable", "billing", "--count", "1")
    assert found["factId"] == "o-2"


def test_a_key_is_changed_without_a_gap_and_a_revoked_one_is_let_in_no_more(
    line: Line, as_: As, server: Secured, tmp_path: Path
) -> None:
    as_("engineer")
    line.run("topology", "apply")
    new = tmp_path / "checkout-2.nk"
    public = line.run("nats-config", "new-key", str(new)).stdout.strip()
    identities = server.folder / "identities.toml"
    old = line.run("nats-config", "public-key", str(server.key("checkout"))).stdout.strip()
    text = identities.read_text()

    def made_of(changed: str) -> None:
        identities.write_text(changed)
        line.run("nats-config", "write", str(identities), "--out", str(server.folder))
        server.reload()

    facts = tmp_path / "facts.ndjson"
    facts.write_text('{"total": 1}\n')

    def sends(key: Path) -> bool:
        result = line._runner.invoke(  # either exit code will do
            app,
            ["fact", "send", str(facts), "--type", "order.placed"],
            env={"RULESTREAM_NATS_NKEY_FILE": str(key)},
        )
        return result.exit_code == 0

    as_("checkout")
    made_of(text.replace(f'["{old}"]', f'["{old}", "{public}"]'))
    _eventually(lambda: sends(new))
    assert sends(server.key("checkout"))
    made_of(text.replace(f'["{old}"]', f'["{public}"]'))
    _eventually(lambda: not sends(server.key("checkout")))
    assert sends(new)


def test_problems_of_who_is_who_are_said_all_at_once(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "identities.toml"
    file.write_text(
        '[identities.DATA]\nroles = ["boss"]\nkeys = ["SUABC"]\n'
        '[identities.bob]\nroles=["publisher","worker-data"]\nkeys=[]\nmore=1\n'
    )
    told = line.run("nats-config", "write", str(file), "--out", str(tmp_path / "out"), code=1).output
    for problem in (
        "'DATA' cannot be a name",
        "roles must be",
        "public nkeys",
        "goes with no other role",
        "no such field: more",
    ):
        assert problem in told
    assert "SUABC" not in told
    assert not (tmp_path / "out").exists()


def test_a_key_is_never_overwritten_and_only_its_owner_may_read_it(line: Line, tmp_path: Path) -> None:
    key = tmp_path / "key.nk"
    assert line.run("nats-config", "new-key", str(key)).stdout.startswith("U")
    assert key.stat().st_mode & 0o777 == 0o600
    seed = key.read_text()
    told = line.run("nats-config", "new-key", str(key), code=1).output
    assert key.read_text() == seed
    assert seed.strip() not in told


def test_the_beginning_has_a_key_for_everybody(line: Line, tmp_path: Path) -> None:
    line.run(
        "nats-config",
        "init",
        str(tmp_path / "nats"),
        "--identity",
        "alice=author",
        "--identity",
        "bob=approver,operator",
    )
    found = {
        one.name: {role.value for role in one.roles} for one in read_identities(tmp_path / "nats" / "identities.toml")
    }
    assert found["bob"] == {"approver", "operator"}
    assert {"worker-data", "worker-control", "engineer-data", "engineer-control", "alice"} <= set(found)
    with pytest.raises(RulestreamError):
        accounts_of([], load_settings().topology)
