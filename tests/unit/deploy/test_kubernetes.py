"""The manifests of deploy/kubernetes are valid, agree with one another, and are what a worker takes.

No cluster runs them here. Where kubectl is found, what it renders is compared with what is checked.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from domain.roles import Role
from tests.unit.deploy.command_lines import usage_error
from tests.unit.deploy.kustomization import KustomizationError, Manifest, load, name_of, render
from tests.unit.deploy.manifest_checks import (
    SECRETS,
    Objects,
    images_are_this_release,
    of_kind,
    pod,
    problems,
    settings,
    workloads,
)
from worker.cli.app import app
from worker.settings import load_settings

KUBERNETES: Final = Path(__file__).parents[3] / "deploy" / "kubernetes"
SCHEMAS: Final = Path(__file__).parent / "schemas"
OLDEST, NEWEST = "1.31", "1.37"
OVERLAYS: Final = {
    "production": [],
    "production scaled by Prometheus": ["../../components/keda-prometheus"],
    "production with roles apart": ["../../components/keda", "../../components/roles-apart"],
}


def _tree(folder: Path) -> Path:
    """Copy the manifests and make the secrets as their README says."""
    tree = folder / "kubernetes"
    shutil.copytree(KUBERNETES, tree, ignore=lambda at, names: [one for one in names if at.endswith("secrets")])
    secrets = tree / "overlays" / "production" / "secrets"
    for arguments in (
        ["init", str(secrets), "--identity", "alice=author", "--identity", "bob=approver,operator"],
        ["write", str(secrets / "identities.toml"), "--out", str(secrets)],
    ):
        done = CliRunner().invoke(app, ["nats-config", *arguments])
        assert done.exit_code == 0, done.output
    for name in ("nats-ca.pem", "postgres-ca.pem", "redis-ca.pem"):
        (secrets / name).write_text("a certificate")
    (secrets / "postgres-dsn").write_text("postgresql://rulestream:secret@postgres.postgres.svc:5432/rulestream")
    (secrets / "redis-url").write_text("rediss://:secret@redis.redis.svc:6379/0")
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _tree(tmp_path_factory.mktemp("deploy"))


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, tree: Path) -> Path:
    """Give the folder of each way to run it in production."""
    folder = tree / "overlays" / "production"
    if OVERLAYS[request.param]:
        folder = shutil.copytree(folder, tree / "overlays" / request.param.replace(" ", "-"))
        path = folder / "kustomization.yaml"
        said = yaml.safe_load(path.read_text())
        said["components"] = [*OVERLAYS[request.param], "../../components/prometheus-operator"]
        path.write_text(yaml.safe_dump(said))
    return folder


@pytest.fixture(scope="module")
def production(tree: Path) -> Objects:
    return render(tree / "overlays" / "production")


def _validate(one: Manifest) -> None:
    """Raise unless an object is one that the oldest and the newest API take; unknown fields are errors."""
    _validate_text(json.dumps(one))


@cache
def _validate_text(text: str) -> None:
    one = json.loads(text)
    schema = SCHEMAS / f"{one['kind']}.json"
    if schema.exists():
        jsonschema.validate(one, json.loads(schema.read_text(encoding="utf-8")))
    else:
        for release in (OLDEST, NEWEST):
            kubernetes_validate.validate(one, release, strict=True)


def test_every_object_is_valid_under_its_schema(overlay: Path, tree: Path) -> None:
    for one in [*render(overlay), *render(tree / "base")]:
        _validate(one)


def test_everything_agrees_with_everything_else(overlay: Path) -> None:
    objects = render(overlay)

    assert problems(objects) == []
    assert list(images_are_this_release(objects, version("rulestream"))) == []


def test_the_base_agrees_with_itself_but_for_the_secret_that_an_overlay_makes(tree: Path) -> None:
    base = render(tree / "base")

    left_out = {"there is no Secret rulestream-secrets"}
    left_out |= {f"RULESTREAM_{name}_FILE: no secret has {file}" for name, file in
                 (("POSTGRES_DSN", "postgres-dsn"), ("REDIS_URL", "redis-url"))}  # fmt: skip
    assert set(problems(base)) == left_out
    assert of_kind(base, "Secret") == []


def test_production_has_three_workers_or_more_over_zones_and_hosts(overlay: Path) -> None:
    objects = render(overlay)
    (scaled,) = of_kind(objects, "ScaledObject")
    (worker,) = [one for one in of_kind(objects, "Deployment") if one["metadata"]["name"] == "rulestream-worker"]

    assert scaled["spec"]["minReplicaCount"] >= 3
    assert {one["topologyKey"] for one in pod(worker)["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }


def _change(kind: str, change: Callable[[Any], object]) -> Callable[[Objects], None]:
    def make(objects: Objects) -> None:
        change(next(one for one in objects if one["kind"] == kind))

    return make


def _set(kind: str, path: str, value: object) -> Callable[[Objects], None]:
    def change(one: Any) -> None:
        *way, last = path.split("/")
        for step in way:
            one = one[int(step) if step.isdigit() else step]
        one[last] = value

    return _change(kind, change)


_CONTAINER: Final = "spec/template/spec/containers/0"
DAMAGE: Final = {
    "a selector that finds no pod": (_set("Service", "spec/selector", {"app": "other"}), "finds no pod"),
    "a selector that finds jobs too": (
        _set("Deployment", "spec/selector/matchLabels", {"app.kubernetes.io/name": "rulestream"}), "than its own"
    ),
    "a port that no pod has": (_set("Service", "spec/ports/0/targetPort", "http"), "no pod has a port http"),
    "a port of the settings' own": (_set("ConfigMap", "data/RULESTREAM_HTTP_PORT", "9090"), "are not the settings'"),
    "a secret by another name": (
        _set("Deployment", "spec/template/spec/volumes/0/secret/secretName", "other"), "there is no Secret other"
    ),
    "settings by another name": (
        _set("Deployment", f"{_CONTAINER}/envFrom/0/configMapRef/name", "other"), "there is no ConfigMap other"
    ),
    "a setting that does not exist": (_set("ConfigMap", "data/RULESTREAM_NATS_URI", "x"), "is no setting"),
    "a file that the secret lacks": (
        _set("ConfigMap", "data/RULESTREAM_NATS_CA_FILE", f"{SECRETS}/ca.pem"), "no secret has ca.pem"
    ),
    "a password among the settings": (
        _set("ConfigMap", "data/RULESTREAM_REDIS_URL", "rediss://:pw@redis.redis.svc:6379/0"), "holds a password"
    ),
    "a server that no policy names": (
        _set("ConfigMap", "data/RULESTREAM_NATS_URL", "tls://nats.bus.svc:4222"), "no network policy lets"
    ),
    "a policy that lets all through": (_set("NetworkPolicy", "spec/policyTypes", ["Ingress"]), "is not refused"),
    "a stop that is cut off": (
        _set("Deployment", "spec/template/spec/terminationGracePeriodSeconds", 30), "is killed before its stop"
    ),
    "a stop that outlasts AckWait": (_set("ConfigMap", "data/RULESTREAM_STOP_TIMEOUT_S", "60"), "outlasts AckWait"),
    "a start that is cut off": (_set("Deployment", f"{_CONTAINER}/startupProbe/failureThreshold", 10), "is cut off"),
    "a rollout that is given up": (_set("Deployment", "spec/progressDeadlineSeconds", 300), "is given up"),
    "an impatient probe": (_set("Deployment", f"{_CONTAINER}/readinessProbe/timeoutSeconds", 1), "/readyz may take"),
    "a liveness that looks at services": (
        _set("Deployment", f"{_CONTAINER}/livenessProbe/httpGet/path", "/readyz"), "asks"
    ),
    "a budget of all workers": (_set("PodDisruptionBudget", "spec/maxUnavailable", 3), "may be away"),
    "an update that takes workers away": (
        _set("Deployment", "spec/strategy/rollingUpdate/maxUnavailable", 1), "takes a worker away"
    ),
    "two that say how many": (_set("Deployment", "spec/replicas", 3), "set back what scales it"),
    "a writable root": (
        _set("Deployment", f"{_CONTAINER}/securityContext/readOnlyRootFilesystem", False), "more than it needs"
    ),
    "a token in the pod": (_set("Job", "spec/template/spec/automountServiceAccountToken", True), "more than they need"),
    "no limit": (_set("Deployment", f"{_CONTAINER}/resources/limits", {"cpu": 1}), "is not limited"),
    "scaling by another stream": (_set("ScaledObject", "spec/triggers/0/metadata/stream", "ORDERS"), "scales by"),
    "scaling by what is always there": (
        _set("ScaledObject", "spec/triggers/0/metadata/lagThreshold", "100"), "always has"
    ),
    "scaling to nothing": (_set("ScaledObject", "spec/minReplicaCount", 0), "no worker is left"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_agree_is_found(production: Objects, damage: str) -> None:
    make, expected = DAMAGE[damage]
    objects = deepcopy(production)
    make(objects)

    assert any(expected in problem for problem in problems(objects)), problems(objects)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", f"{_CONTAINER}/imagePullPolcy", "Always"),
        ("Deployment", "spec/replicas", "three"),
        ("Job", "spec/template/spec/restartPolice", "Never"),
        ("ScaledObject", "spec/maxReplicas", 3),
        ("ScaledObject", "spec/triggers/0/metadata/lag", "3"),
        ("ScaledObject", "spec/triggers/0/metadata/lagThreshold", 3),
        ("PodMonitor", "spec/podMetricsEndpoints/0/targetport", "probes"),
        ("PrometheusRule", "spec/groups/0/rules/0/severity", "critical"),
    ],
)
def test_a_field_that_an_api_does_not_know_is_an_error(
    production: Objects, kind: str, path: str, value: object
) -> None:
    objects = deepcopy(production)
    _set(kind, path, value)(objects)

    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        _validate(next(one for one in objects if one["kind"] == kind))


def test_an_image_of_another_release_is_found(production: Objects) -> None:
    objects = deepcopy(production)
    pod(workloads(objects)[0])["containers"][0]["image"] = "rulestream:latest"

    assert len(list(images_are_this_release(objects, version("rulestream")))) == 1


def test_a_worker_takes_the_settings(production: Objects, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are looked for where the secrets were made, in place of where pods see them."""
    folder = tree / "overlays" / "production" / "secrets"
    files = {name: next(folder.rglob(name)) for one in of_kind(production, "Secret") for name in one["data"]}
    for name, value in settings(production).items():
        path = value.removeprefix(f"{SECRETS}/")
        monkeypatch.setenv(name, str(files[path]) if path != value else value)

    found = load_settings()

    assert found.postgres_dsn.get_secret_value().startswith("postgresql://rulestream:secret@")
    assert found.role_policy.grants == {"alice": {Role.AUTHOR}, "bob": {Role.APPROVER, Role.OPERATOR}}
    assert found.stream_replicas == 3


def test_pods_run_commands_that_exist(overlay: Path) -> None:
    for one in workloads(render(overlay)):
        (container,) = pod(one)["containers"]
        assert container["command"] == ["rulestream"]
        assert usage_error(container["args"]) is None


def test_roles_apart_are_all_roles_on_workers_that_are_otherwise_the_same(tree: Path) -> None:
    (base,) = of_kind(load(tree / "base" / "deployment.yaml"), "Deployment")
    (control,) = of_kind(load(tree / "components" / "roles-apart" / "control.yaml"), "Deployment")
    text = json.dumps(control).replace("rulestream-control", "rulestream-worker")
    same = json.loads(text.replace('"control"', '"worker"'))
    apart = pod(same)["containers"][0].pop("args")
    pod(base)["containers"][0].pop("args")
    said = (tree / "components" / "roles-apart" / "kustomization.yaml").read_text()

    assert same == base
    facts = re.findall(r"args: \[worker, --roles, (\w+)\]", said)
    assert apart[:2] == ["worker", "--roles"]
    assert sorted([*facts, *apart[2].split(",")]) == ["commands", "facts", "queries", "relay"]


def test_the_pages_steps_apply_every_object_and_jobs_around_the_workers(production: Objects) -> None:
    page = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^kubectl apply -k \$K -l '?(\S+?)'?(?: |$)", page, re.MULTILINE)
    steps: dict[str, set[str]] = {}
    for one in production:
        step = one["metadata"].get("labels", {}).get("rulestream/step")
        steps.setdefault("!rulestream/step" if step is None else f"rulestream/step={step}", set()).add(one["kind"])

    assert told == ["!rulestream/step", "rulestream/step=pre", "rulestream/step=work", "rulestream/step=post"]
    assert steps.keys() == set(told)
    assert steps["rulestream/step=pre"] == steps["rulestream/step=post"] == {"Job"}
    assert "Deployment" in steps["rulestream/step=work"]
    assert {"Namespace", "ConfigMap", "Secret", "NetworkPolicy"} <= steps["!rulestream/step"]


def test_the_page_says_how_each_file_of_the_secret_is_made(tree: Path) -> None:
    said = yaml.safe_load((tree / "overlays" / "production" / "kustomization.yaml").read_text())
    page = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(secrets/\S+)` \|", page, re.MULTILINE))
    made = {"secrets/rulestream.toml", "secrets/keys/worker-data.nk", "secrets/keys/worker-control.nk"}

    assert {file for one in said["secretGenerator"] for file in one["files"]} == told | made
    for line in re.findall(r"^rulestream (nats-config .+)$", page, re.MULTILINE):
        assert usage_error(line.split()) is None


def test_no_secret_is_in_the_repository() -> None:
    """Only the file that has git ignore the others."""
    tracked = subprocess.run(
        ["git", "ls-files", str(KUBERNETES / "overlays" / "production" / "secrets")],
        cwd=KUBERNETES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tracked.returncode:
        pytest.skip("this is no work tree of git")

    assert [Path(line).name for line in tracked.stdout.splitlines()] == [".gitignore"]
    assert (KUBERNETES / "overlays" / "production" / "secrets" / ".gitignore").read_text().splitlines()[1:] == [
        "*",
        "!.gitignore",
    ]


def test_what_the_renderer_does_not_know_is_an_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\nhelmCharts: []\n")

    with pytest.raises(KustomizationError, match="helmCharts"):
        render(tmp_path)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_the_same(overlay: Path) -> None:
    done = subprocess.run(["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain = re.sub(r"\b(rulestream-(?:settings|secrets))-[a-z0-9]{10}\b", r"\1", done.stdout)

    theirs = sorted(yaml.safe_load_all(plain), key=name_of)
    ours = sorted(render(overlay), key=name_of)
    for one in of_kind(theirs, "Secret"):
        assert one.pop("type") == "Opaque"
        one["data"] = one["data"].keys()
    for one in of_kind(ours, "Secret"):
        one["data"] = one["data"].keys()
    assert ours == theirs
