"""What deploy/compose.yaml promises, read without an engine; where compose is at hand it reads the file too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.settings import Settings, load_settings

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE_FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS: dict[str, dict[str, str]] = COMPOSE["secrets"]
WORKERS = {"worker", "migrate"}
OURS = {*WORKERS, "cli"}  # of our own image


@cache
def _reader() -> list[str] | None:
    """Return the command of the compose that is at hand, which reads files without an engine; None without one.

    The first generation (docker-compose 1) reads another language and does not count.
    """
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            told = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if told.returncode == 0 and not told.stdout.startswith("1."):
                return command
    return None


def _mounts() -> list[tuple[str, str, bool]]:
    """Give (service, source, whether it can be written) for each mount of both forms."""
    found = []
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            if isinstance(volume, str):
                source, _, *mode = volume.split(":")
                found.append((name, source, mode != ["ro"]))
            else:
                assert volume["bind"] == {"create_host_path": False}, "an engine makes what is missing, as root's"
                found.append((name, volume["source"], not volume["read_only"]))
    return found


def test_the_services_are_what_a_worker_needs_and_what_watches_it() -> None:
    assert set(SERVICES) == {"nats", "postgres", "valkey", "migrate", "worker", "cli", "prometheus", "grafana"}
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["cli"]
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_writes_to_its_image_or_has_a_capability(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "network_mode"} & set(service)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS))
def test_a_service_of_others_says_as_whom_it_runs(name: str) -> None:
    """Ours run as the image says; NATS as root without capabilities, Prometheus as its image's nobody."""
    if name == "prometheus":
        assert "user" not in SERVICES[name]
        return
    assert SERVICES[name]["user"] in ({"0:0"} if name == "nats" else {"postgres", "valkey", "472"})


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_has_a_tag_that_names_a_release(name: str) -> None:
    default = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-([a-z/]+):([\w.-]+)\}", SERVICES[name]["image"])

    assert default, SERVICES[name]["image"]
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-alpine)?", default[2])


def test_our_image_has_the_projects_version() -> None:
    pyproject = (DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', pyproject, re.MULTILINE)

    assert {SERVICES[name]["image"] for name in OURS} == {f"${{WORKER_IMAGE:-rulestream:{version}}}"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_bounded(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert SERVICES[name]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate", "cli"}))
def test_each_server_is_asked_whether_it_is_well_and_has_time_to_stop(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert re.fullmatch(r"\d+s", SERVICES[name]["stop_grace_period"])


def test_a_worker_has_longer_to_stop_than_it_takes() -> None:
    grace_s = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))

    assert grace_s > Settings.model_fields["stop_timeout_s"].default


def test_workers_start_when_what_they_need_is_there() -> None:
    conditions = {name: needed["condition"] for name, needed in SERVICES["worker"]["depends_on"].items()}

    assert conditions["migrate"] == "service_completed_successfully"
    assert conditions["nats"] == conditions["postgres"] == "service_healthy"
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["command"] == ["migrate", "up", "--phase", "pre"]


def test_workers_can_be_as_many_as_one_likes() -> None:
    """No name and no port of the host is theirs."""
    assert not {"ports", "container_name", "hostname"} & set(SERVICES["worker"])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_listens_beyond_this_machine(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_setting_of_a_worker_exists(name: str) -> None:
    given = {key for key in SERVICES[name]["environment"] if key.startswith("RULESTREAM_")}

    names = {key.removeprefix("RULESTREAM_").lower() for key in given - {"RULESTREAM_CONFIG"}}
    assert names <= set(Settings.model_fields)
    assert len(given) >= 2


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare a folder of secrets, as deploy/secrets is, with this machine's programs in place of the image's."""
    folder = tmp_path_factory.mktemp("prepared") / "secrets"
    _prepare(folder)
    return folder


def _prepare(folder: Path, *arguments: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [DEPLOY / "compose/prepare.sh", "--here", "--into", folder, *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_settings_are_ones_that_a_worker_takes(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    """With the very files that are prepared, at another place."""
    places = {f"/run/secrets/{name}": secrets / entry["file"][len("./secrets/") :] for name, entry in SECRETS.items()}
    for key, value in SERVICES["worker"]["environment"].items():
        if key.startswith("RULESTREAM_"):
            monkeypatch.setenv(key, str(places.get(str(value), value)))

    settings = load_settings()

    assert settings.postgres_dsn.get_secret_value().endswith("@postgres:5432/rulestream")
    assert settings.redis_url.get_secret_value().endswith("@valkey:6379/0")
    assert settings.data_endpoint.has_identity
    assert settings.control_endpoint.has_identity
    assert settings.data_endpoint.demands_tls
    assert settings.role_policy.is_enforced


def test_the_servers_permissions_are_made_for_the_settings_that_workers_have(secrets: Path) -> None:
    """accounts.conf is made before there is a worker, of the defaults: a stream of another name would be refused."""
    named = {key for key in SERVICES["worker"]["environment"] if re.search(r"_STREAM$|_CONSUMER$", key)}

    assert named == set()
    assert "CONSUMER.MSG.NEXT.FACTS.rulestream-facts" in (secrets / "nats/accounts.conf").read_text(encoding="utf-8")


def test_every_file_that_is_mounted_is_there() -> None:
    """Those of the folder of secrets are tried below; everything else is in the repository."""
    files = [source for _, source, _ in _mounts() if source.startswith(".") and not source.startswith("./secrets/")]

    assert len(files) >= 4
    assert [file for file in files if not (DEPLOY / file).exists()] == []


def test_what_is_mounted_from_this_machine_cannot_be_written() -> None:
    assert [(name, source) for name, source, is_writable in _mounts() if source.startswith(".") and is_writable] == []


def test_every_volume_network_and_secret_is_declared_and_used() -> None:
    used_volumes = {source for _, source, _ in _mounts() if not source.startswith(".")}
    used_networks = {network for service in SERVICES.values() for network in service["networks"]}
    used_secrets = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}

    assert used_volumes == set(COMPOSE["volumes"])
    assert used_networks == set(COMPOSE["networks"])
    assert used_secrets == set(SECRETS)


def test_no_secret_is_a_value_of_the_environment() -> None:
    """What looks like a secret's name ends in FILE and names a mounted one."""
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|DSN|NKEY|REDIS_URL", key):
                assert key.endswith("FILE"), f"{name}: {key}"
                assert str(value).removeprefix("/run/secrets/") in service["secrets"]


def test_every_secret_and_folder_of_secrets_is_prepared(secrets: Path) -> None:
    named = [entry["file"] for entry in SECRETS.values()] + [source for _, source, _ in _mounts()]
    paths = [secrets / name[len("./secrets/") :] for name in named if name.startswith("./secrets/")]

    assert len(paths) > 8
    assert [path for path in paths if not path.exists()] == []


def test_containers_can_read_what_is_prepared_and_other_users_of_this_machine_cannot(secrets: Path) -> None:
    """The folder is its owner's; the files in it are everybody's, but the authority's key, which goes nowhere."""
    closed = [str(path.relative_to(secrets)) for path in secrets.rglob("*") if not path.stat().st_mode & 0o004]

    assert secrets.stat().st_mode & 0o777 == 0o700
    assert closed == ["ca-key.pem"]
    assert "./secrets/ca-key.pem" not in [entry["file"] for entry in SECRETS.values()]


def test_what_is_prepared_fits_together(secrets: Path) -> None:
    made = _files(secrets)

    assert made["postgres-worker-password"] in made["postgres-dsn"]
    assert made["valkey-password"] in made["valkey.conf"]
    assert made["valkey-password"] in made["redis-url"]
    assert made["nats/ca.pem"] == made["ca.pem"]
    assert made["nats/nats-server.conf"] == (DEPLOY / "nats/nats-server.conf").read_bytes()


def test_preparing_again_changes_nothing(secrets: Path) -> None:
    before = _files(secrets)
    _prepare(secrets, "alice=admin")

    assert _files(secrets) == before


def test_an_identity_can_be_added_and_one_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    """Who was removed by hand is locked out, also after the next run."""
    _prepare(tmp_path / "secrets", "alice=author", "bob=approver,operator")
    listed = tmp_path / "secrets/identities/identities.toml"
    listed.write_text(re.sub(r'\[identities\."?alice"?\]\n.*\n.*\n', "", listed.read_text("utf-8")), "utf-8")
    _prepare(tmp_path / "secrets", "carol=viewer,operator")

    policy = tomllib.loads((tmp_path / "secrets/nats/rulestream.toml").read_text("utf-8"))["role_policy"]
    assert {name: set(roles) for name, roles in policy.items()} == {
        "bob": {"approver", "operator"},
        "carol": {"viewer", "operator"},
    }
    assert "rules.command.alice" not in (tmp_path / "secrets/nats/accounts.conf").read_text("utf-8")
    assert "rules.command.carol" in (tmp_path / "secrets/nats/accounts.conf").read_text("utf-8")


def test_the_secrets_stay_out_of_the_repository_and_of_the_image() -> None:
    ignored = (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()

    assert "/deploy/secrets/" in ignored
    assert [name for name, entry in SECRETS.items() if not entry["file"].startswith("./secrets/")] == []


@pytest.mark.skipif(_reader() is None, reason="no docker compose 2 is installed to read the file")
def test_compose_itself_takes_the_file() -> None:
    command = _reader()
    assert command is not None
    read = subprocess.run(
        [*command, "-f", COMPOSE_FILE, "config", "--quiet"], capture_output=True, text=True, check=False
    )

    assert (read.returncode, read.stderr) == (0, "")
