"""What the deployment's pages say is what the worker reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
    elif isinstance(shown, float):
        assert shown == float(default)
    else:
        assert str(shown) == default
