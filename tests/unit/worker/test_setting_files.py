"""Settings from files, keys and certificates: what is taken, and everything wrong said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.endpoint import Endpoint
from worker.nkey_files import make_key
from worker.settings import SettingsError, load_settings

DSN = "postgresql://user:hunter2@db.example:5432/rules"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.nk"
    make_key(path)
    return path


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("postgres_dsn", DSN),
        ("redis_url", "rediss://:hunter2@cache.example:6380/0"),
        ("nats_url", "tls://nats.example:4222"),
        ("control_nats_url", "tls://nats.example:4222"),
    ],
)
def test_a_value_comes_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, value: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    monkeypatch.setenv(f"RULESTREAM_{setting.upper()}_FILE", str(file))
    assert getattr(load_settings(), setting).get_secret_value() == value


def test_the_environments_file_goes_before_the_settings_files_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret, config = tmp_path / "secret", tmp_path / "rulestream.toml"
    secret.write_text(DSN)
    config.write_text('postgres_dsn = "postgresql://other.example/rules"\n')
    monkeypatch.setenv("RULESTREAM_POSTGRES_DSN_FILE", str(secret))
    monkeypatch.setenv("RULESTREAM_CONFIG", str(config))
    assert load_settings().postgres_dsn.get_secret_value() == DSN


def test_everything_wrong_with_files_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty, seedless = tmp_path / "empty", tmp_path / "seedless"
    empty.write_text("\n")
    seedless.write_text("hunter2")
    wrong = {
        "POSTGRES_DSN": DSN,
        "POSTGRES_DSN_FILE": str(empty),
        "REDIS_URL_FILE": str(empty),
        "NATS_URL_FILE": str(tmp_path / "nowhere"),
        "NATS_NKEY_FILE": str(seedless),
        "NATS_CA_FILE": str(tmp_path / "no-ca"),
        "NATS_INBOX_PREFIX": "mine.>",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(f"RULESTREAM_{name}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    said = raised.value.message
    for line in (
        "RULESTREAM_POSTGRES_DSN: is set, and RULESTREAM_POSTGRES_DSN_FILE as well",
        f"RULESTREAM_REDIS_URL: its file {empty} is empty",
        f"RULESTREAM_NATS_URL: its file {tmp_path / 'nowhere'} cannot be read",
        "RULESTREAM_NATS_NKEY_FILE: " + f"{seedless}: is no seed",
        f"RULESTREAM_NATS_CA_FILE: {tmp_path / 'no-ca'} cannot be read",
        "RULESTREAM_NATS_INBOX_PREFIX: ",
    ):
        assert line in said
    assert "hunter2" not in said


def test_settings_that_do_not_go_together_are_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: Path
) -> None:
    file = tmp_path / "some.pem"
    file.write_text("x")
    for name in ("NATS_CREDS_FILE", "NATS_CERT_FILE", "NATS_CA_FILE", "REDIS_CA_FILE"):
        monkeypatch.setenv(f"RULESTREAM_{name}", str(file))
    monkeypatch.setenv("RULESTREAM_NATS_NKEY_FILE", str(key))
    with pytest.raises(SettingsError) as raised:
        load_settings()
    for setting in (
        "NATS_NKEY_FILE: is set",
        "NATS_CERT_FILE: goes together",
        "NATS_URL: must begin",
        "REDIS_URL: must",
    ):
        assert f"RULESTREAM_{setting}" in raised.value.message


def test_the_control_plane_has_the_data_planes_identity_where_nothing_sets_it_apart(key: Path, tmp_path: Path) -> None:
    same = load_settings(nats_nkey_file=key, nats_inbox_prefix="_INBOX_zoe")
    assert same.control_endpoint == same.data_endpoint
    assert same.data_endpoint.has_identity
    apart = load_settings(nats_nkey_file=key, control_nats_url="nats://other:4222")
    assert not apart.control_endpoint.has_identity
    other = tmp_path / "other.nk"
    make_key(other)
    both = load_settings(nats_nkey_file=key, control_nats_nkey_file=other, nats_inbox_prefix="_INBOX_zoe")
    assert both.control_endpoint.nkey_file == other
    assert both.control_endpoint.inbox_prefix == "_INBOX"


@pytest.mark.parametrize(
    ("where", "inbox"),
    [
        (Endpoint("nats://x"), "_INBOX"),
        (Endpoint("nats://x", nkey_file=Path("key")), "_INBOX_zoe"),
        (Endpoint("nats://x", creds_file=Path("creds")), "_INBOX_zoe"),
        (Endpoint("nats://x", nkey_file=Path("key"), inbox_prefix="_INBOX_other"), "_INBOX_other"),
    ],
)
def test_an_actor_hears_its_own_inbox_where_a_key_says_who_it_is(where: Endpoint, inbox: str) -> None:
    assert where.heard_by("zoe").inbox_prefix == inbox


def test_subscribers_come_as_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULESTREAM_DECISION_SUBSCRIBERS", "billing, crm")
    assert load_settings().topology.subscribers == ("billing", "crm")


def test_an_endpoint_does_not_show_its_address() -> None:
    assert "hunter2" not in repr(Endpoint("nats://user:hunter2@127.0.0.1:4222"))
