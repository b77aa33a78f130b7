"""What the deployment's pages say is what the worker reads."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from domain.roles import VERBS, Role
from worker.settings import Settings, load_settings

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_the_sample_environment_is_one_that_a_worker_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (DEPLOY / "worker.env").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert settings.http_host == given["RULESTREAM_HTTP_HOST"]
    assert settings.nats_url.get_secret_value() == given["RULESTREAM_NATS_URL"]


def test_the_role_policies_of_the_sample_and_of_the_page_are_one_that_a_worker_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (sample,) = re.findall(
        r"^# (RULESTREAM_ROLE_POLICY=.*)$", (DEPLOY / "worker.env").read_text(encoding="utf-8"), re.MULTILINE
    )
    name, _, value = shlex.split(sample)[0].partition("=")
    monkeypatch.setenv(name, value)
    from_sample = load_settings().role_policy
    monkeypatch.delenv(name)
    (table,) = re.findall(r"```toml\n(.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "rulestream.toml").write_text(table)
    monkeypatch.setenv("RULESTREAM_CONFIG", str(tmp_path / "rulestream.toml"))

    assert from_sample.is_enforced
    assert load_settings().role_policy == from_sample


def test_the_page_gives_each_role_its_verbs() -> None:
    """The viewer's and the admin's rows say it in words."""
    rows = re.findall(
        r"^\| `(author|approver|operator)` \| (.+) \|$", (DEPLOY / "README.md").read_text("utf-8"), re.MULTILINE
    )

    told = {Role(role): frozenset(re.findall(r"`([a-z-]+)`", verbs)) for role, verbs in rows}
    assert told == {role: verbs for role, verbs in VERBS.items() if role is not Role.VIEWER}


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`RULESTREAM_([A-Z_]+)`", (DEPLOY / "README.md").read_text(encoding="utf-8")))

    assert named - {"CONFIG"} <= {name.upper() for name in Settings.model_fields}
    assert len(named) > 15


@pytest.mark.parametrize(
    ("setting", "default"),
    re.findall(
        r"^\| `RULESTREAM_([A-Z_]+)` \| `([^`]+)` \|", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    ),
)
def test_a_default_on_the_page_is_the_default(setting: str, default: str) -> None:
    value = Settings.model_fields[setting.lower()].default
    shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value

    if isinstance(shown, frozenset):
        assert shown == set(default.split(","))
    elif isinstance(shown, bool):
        assert str(shown).lower() == default
    elif isinstance(shown, float):
        assert shown == float(default)
    else:
        assert str(shown) == default
