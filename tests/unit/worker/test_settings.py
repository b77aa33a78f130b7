"""Settings: where they come from, what is said when they are wrong, what is never said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain.identifiers import Actor
from domain.roles import Role as ActorRole
from worker.settings import Role, SettingsError, load_settings

DAY_S = 24 * 3600


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RULESTREAM_"):
            monkeypatch.delenv(name)


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = load_settings()
    assert settings.http_port == 8080
    assert settings.roles == frozenset(Role)
    assert settings.facts_stream == "FACTS"
    assert settings.fact_bytes_max == 512 * 1024
    assert settings.control_url == settings.nats_url.get_secret_value() == "nats://127.0.0.1:4222"


def test_everything_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("HTTP_PORT", "eighty"),
        ("ROLES", "facts,cooking"),
        ("LOG_FORMAT", "xml"),
        ("BATCH_FACTS", "0"),
        ("NATS_ULR", "nats://a:4222"),
    ):
        monkeypatch.setenv(f"RULESTREAM_{name}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    for name in ("HTTP_PORT", "ROLES", "LOG_FORMAT", "BATCH_FACTS", "NATS_ULR: no such setting"):
        assert f"RULESTREAM_{name}" in raised.value.message
    assert raised.value.message.count("RULESTREAM_") == 5


def test_values_and_secrets_are_never_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = "hunter2"
    monkeypatch.setenv("RULESTREAM_NATS_URL", f"nats://user:{secret}@127.0.0.1:4222")
    monkeypatch.setenv("RULESTREAM_POSTGRES_DSN", f"postgresql://user:{secret}@127.0.0.1/db")
    monkeypatch.setenv("RULESTREAM_REDIS_URL", f"redis://:{secret}@127.0.0.1/0")
    settings = load_settings()
    assert secret not in repr(settings)
    assert secret not in str(settings)
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", f"port-{secret}")
    monkeypatch.setenv("RULESTREAM_ROLES", secret)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert secret not in raised.value.message
    assert secret not in repr(raised.value.details)


def test_a_file_gives_settings_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "rulestream.toml"
    file.write_text('http_port = 9000\nfacts_stream = "ORDERS"\nroles = "facts, relay"\n')
    monkeypatch.setenv("RULESTREAM_CONFIG", str(file))
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", "9001")
    settings = load_settings()
    assert settings.facts_stream == "ORDERS"
    assert settings.roles == {Role.FACTS, Role.RELAY}
    assert settings.http_port == 9001
    assert load_settings(http_port=9002).http_port == 9002, "arguments go before both"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_port = \n", "RULESTREAM_CONFIG"),
        ("http_prot = 80\n", "RULESTREAM_HTTP_PROT"),
        ("http_port = 70000\n", "RULESTREAM_HTTP_PORT"),
    ],
)
def test_a_wrong_file_is_said_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "rulestream.toml"
    file.write_text(text)
    monkeypatch.setenv("RULESTREAM_CONFIG", str(file))
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_a_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULESTREAM_CONFIG", "absent.toml")
    with pytest.raises(SettingsError, match=r"RULESTREAM_CONFIG: no such file: absent\.toml"):
        load_settings()


@pytest.mark.parametrize("retention_s", [7 * DAY_S, 7 * DAY_S + 120])
def test_decisions_must_be_kept_longer_than_a_fact_can_come_again(retention_s: int) -> None:
    with pytest.raises(SettingsError, match="RULESTREAM_DECISION_RETENTION_S"):
        load_settings(decision_retention_s=retention_s)
    assert load_settings(decision_retention_s=7 * DAY_S + 121).decision_retention_s == 7 * DAY_S + 121


def test_partitions_must_not_be_too_many_to_look_through() -> None:
    with pytest.raises(SettingsError, match=r"RULESTREAM_DECISION_PARTITION_S: makes 720 partitions .* 12960 or more"):
        load_settings(decision_partition_s=3600)
    assert load_settings(decision_partition_s=12_960).decision_partition_s == 12_960
    with pytest.raises(SettingsError, match="RULESTREAM_DECISION_PARTITION_S"):
        load_settings(decision_partition_s=3599)


def test_a_control_account_of_its_own_has_its_own_address() -> None:
    settings = load_settings(control_nats_url="nats://127.0.0.1:4223")
    assert settings.control_url == "nats://127.0.0.1:4223"


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("POSTGRES_DSN", "postgresql://u:pa/sekret@127.0.0.1/db"),
        ("POSTGRES_DSN", "host=x password=sekret"),
        ("NATS_URL", "nats://u:SEC/sekret@127.0.0.1:1"),
        ("NATS_URL", "nats://127.0.0.1:1,http://sekret"),
        ("REDIS_URL", "http://sekret"),
    ],
)
def test_an_address_that_is_none_is_said_without_it(
    monkeypatch: pytest.MonkeyPatch, setting: str, address: str
) -> None:
    monkeypatch.setenv(f"RULESTREAM_{setting}", address)
    with pytest.raises(SettingsError, match=f"RULESTREAM_{setting}: must be a URL") as refused:
        load_settings()
    assert "sekret" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("postgres_dsn", "postgresql://u@one:5432,two:5432/db"),
        ("nats_url", "nats://one:4222,tls://two:4222"),
        ("redis_url", "unix:///run/valkey.sock"),
    ],
)
def test_every_form_of_address_is_taken(setting: str, address: str) -> None:
    assert getattr(load_settings(**{setting: address}), setting).get_secret_value() == address


def test_what_kubernetes_says_of_a_service_of_this_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP_ADDR", "NATS_SERVICE_HOST"):
        monkeypatch.setenv(f"RULESTREAM_{name}", "tcp://10.0.0.1:8080")
    load_settings()
    monkeypatch.setenv("RULESTREAM_SERVICES", "x")
    with pytest.raises(SettingsError, match="RULESTREAM_SERVICES: no such setting"):
        load_settings()


def test_who_has_which_roles_comes_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().role_policy.is_enforced
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", '{"ann": ["author"], "*": ["viewer"]}')
    policy = load_settings().role_policy
    assert policy.is_enforced
    assert policy.roles_of(Actor("ann")) == {ActorRole.AUTHOR, ActorRole.VIEWER}
    assert policy.roles_of(Actor("bob")) == {ActorRole.VIEWER}


def test_who_has_which_roles_comes_from_a_table_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "rulestream.toml"
    file.write_text('[role_policy]\nann = ["author"]\n"*" = ["viewer"]\n')
    monkeypatch.setenv("RULESTREAM_CONFIG", str(file))
    from_file = load_settings().role_policy
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", '{"*": ["viewer"], "ann": ["author"]}')
    assert load_settings().role_policy.digest == from_file.digest
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", '{"bob": ["admin"]}')
    assert load_settings().role_policy.roles_of(Actor("ann")) == frozenset(), "nothing of the file is mixed in"


def test_who_takes_the_workers_roles_for_the_actors_is_told_the_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULESTREAM_ROLES", '{"ann": ["author"]}')
    with pytest.raises(SettingsError, match=r"RULESTREAM_ROLES: .*RULESTREAM_ROLE_POLICY"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "must be JSON"),
        ("ann=author", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("null", "must be an object"),
        ("{}", "names no actor"),
        ('{"ann": ["author"], "ann": ["admin"]}', "names an actor twice"),
        ('{"a.b": ["author"], "ann": ["king"]}', "'a.b' is no actor"),
        ('{"a.b": ["author"], "ann": ["king"]}', "'ann' must have a list of roles"),
    ],
)
def test_a_role_policy_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("RULESTREAM_ROLE_POLICY", value)
    monkeypatch.setenv("RULESTREAM_HTTP_PORT", "eighty")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    lines = [line.strip() for line in refused.value.message.splitlines()[1:]]
    assert [line.split(":")[0] for line in lines] == ["RULESTREAM_ROLE_POLICY", "RULESTREAM_HTTP_PORT"]
    assert said in lines[0]
    assert "king" not in refused.value.message
