"""What must hold between the objects of a deployment, beyond each one's schema. Each check yields what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from tests.unit.deploy.kustomization import Manifest
from worker.service import _STOP_GRACE_S
from worker.settings import Settings

SECRETS: Final = "/run/secrets/rulestream"
USER: Final = 10001
# Of OpenTelemetry's own variables those that a deployment of ours sets.
_OTEL: Final = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"}
_OWN: Final = {"RULESTREAM_CONFIG", "POD_NAME"} | _OTEL
_HUNG_PARTS_S: Final = 15  # parts of a worker, of which each may take a second when the stop's time is over
_READYZ_S: Final = 1
_LOADING_S: Final = 300  # the longest load of a ruleset that a histogram of ours tells apart

Objects = list[Manifest]
Check = Callable[[Objects], Iterator[str]]


def of_kind(objects: Objects, *kinds: str) -> Objects:
    """Return the objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def workloads(objects: Objects) -> Objects:
    """Return what makes pods."""
    return of_kind(objects, "Deployment", "Job")


def pod(workload: Manifest) -> Manifest:
    """Return the specification of a workload's pods."""
    return workload["spec"]["template"]["spec"]


def settings(objects: Objects) -> dict[str, str]:
    """Return the settings that all workloads share."""
    (found,) = of_kind(objects, "ConfigMap")
    return found["data"]


def selectors_match(objects: Objects) -> Iterator[str]:
    labels = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in workloads(objects)}
    for one in of_kind(objects, "Deployment"):
        name, selector = one["metadata"]["name"], one["spec"]["selector"]["matchLabels"]
        if [other for other, found in labels.items() if selector.items() <= found.items()] != [name]:
            yield f"Deployment {name}: its selector finds other pods than its own"
        for spread in pod(one).get("topologySpreadConstraints", []):
            if not spread["labelSelector"]["matchLabels"].items() <= labels[name].items():
                yield f"Deployment {name}: spreads other pods than its own over {spread['topologyKey']}"
    for one in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        spec = one["spec"]
        selector = spec["podSelector"] if one["kind"] == "NetworkPolicy" else spec["selector"]
        wanted = selector if one["kind"] == "Service" else selector.get("matchLabels", {})
        if not any(wanted.items() <= found.items() for found in labels.values()):
            yield f"{one['kind']} {one['metadata']['name']}: its selector finds no pod"


def ports_match(objects: Objects) -> Iterator[str]:
    named = {
        port["name"]: port["containerPort"]
        for one in workloads(objects)
        for container in pod(one)["containers"]
        for port in container.get("ports", [])
    }
    if named != {"probes": int(settings(objects)["RULESTREAM_HTTP_PORT"])}:
        yield f"the pods' ports {named} are not the settings'"
    used = [port["targetPort"] for one in of_kind(objects, "Service") for port in one["spec"]["ports"]]
    used += [port["port"] for one in of_kind(objects, "PodMonitor") for port in one["spec"]["podMetricsEndpoints"]]
    used += [
        port["port"]
        for one in of_kind(objects, "NetworkPolicy")
        for rule in one["spec"].get("ingress", [])
        for port in rule["ports"]
    ]
    for one in of_kind(objects, "Deployment"):
        probes = pod(one)["containers"][0]
        used += [probes[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")]
    yield from (f"no pod has a port {port}" for port in used if port not in named)


def references_exist(objects: Objects) -> Iterator[str]:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects}
    wanted: set[tuple[str, str]] = set()
    for one in workloads(objects):
        spec = pod(one)
        wanted.add(("ServiceAccount", spec["serviceAccountName"]))
        if "priorityClassName" in spec:
            wanted.add(("PriorityClass", spec["priorityClassName"]))
        wanted |= {("Secret", volume["secret"]["secretName"]) for volume in spec["volumes"] if "secret" in volume}
        for container in spec["containers"]:
            wanted |= {("ConfigMap", source["configMapRef"]["name"]) for source in container["envFrom"]}
            mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            if mounted != {"secrets": SECRETS, "tmp": "/tmp"} or mounted.keys() != {
                one["name"] for one in spec["volumes"]
            }:
                yield f"{one['metadata']['name']}: mounts {mounted}"
    wanted |= {
        (one["spec"]["scaleTargetRef"].get("kind", "Deployment"), one["spec"]["scaleTargetRef"]["name"])
        for one in of_kind(objects, "ScaledObject")
    }
    yield from (f"there is no {kind} {name}" for kind, name in sorted(wanted - there))


def settings_exist(objects: Objects) -> Iterator[str]:
    known = {f"RULESTREAM_{name}".upper() for name in Settings.model_fields} | _OWN
    given = set(settings(objects))
    for one in workloads(objects):
        given |= {env["name"] for container in pod(one)["containers"] for env in container.get("env", [])}
    yield from (f"{name} is no setting" for name in sorted(given - known))


def secrets_are_files_that_exist(objects: Objects) -> Iterator[str]:
    there = {name for one in of_kind(objects, "Secret") for name in one["data"]}
    for name, value in settings(objects).items():
        path = value.removeprefix(f"{SECRETS}/")
        if (name.endswith("_FILE") or name == "RULESTREAM_CONFIG") and path == value:
            yield f"{name}: {value} is not under {SECRETS}"
        elif path != value and path not in there:
            yield f"{name}: no secret has {path}"
        elif "://" in value and urlsplit(value).password is not None:
            yield f"{name} holds a password"


def policies_let_through_what_is_set(objects: Objects) -> Iterator[str]:
    allowed = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for one in of_kind(objects, "NetworkPolicy")
        for rule in one["spec"].get("egress", [])
        for peer in rule["to"]
        for port in rule["ports"]
    }
    for name, value in settings(objects).items():
        if "://" in value:
            url = urlsplit(value)
            namespace = re.fullmatch(r"[\w-]+\.([\w-]+)\.svc", url.hostname or "")
            if namespace is None or (namespace[1], url.port) not in allowed:
                yield f"{name}: no network policy lets {value} through"
    denied = [one for one in of_kind(objects, "NetworkPolicy") if one["spec"]["podSelector"] == {}]
    if [sorted(one["spec"]["policyTypes"]) for one in denied] != [["Egress", "Ingress"]]:
        yield "what no policy names is not refused"


def stops_have_their_time(objects: Objects) -> Iterator[str]:
    given = settings(objects)
    fields = Settings.model_fields
    stop_s = float(given.get("RULESTREAM_STOP_TIMEOUT_S", fields["stop_timeout_s"].default)) + _STOP_GRACE_S
    if stop_s >= float(given.get("RULESTREAM_ACK_WAIT_S", fields["ack_wait_s"].default)):
        yield f"a stop of {stop_s} s outlasts AckWait: facts would be delivered again"
    for one in of_kind(objects, "Deployment"):
        if pod(one).get("terminationGracePeriodSeconds", 30) < stop_s + _HUNG_PARTS_S:
            yield f"Deployment {one['metadata']['name']}: is killed before its stop of {stop_s} s is over"


def probes_have_their_time(objects: Objects) -> Iterator[str]:
    for one in of_kind(objects, "Deployment"):
        container = pod(one)["containers"][0]
        start, name = container["startupProbe"], one["metadata"]["name"]
        start_s = start["periodSeconds"] * start["failureThreshold"]
        if start_s < _LOADING_S:
            yield f"Deployment {name}: a start that loads for {_LOADING_S} s is cut off after {start_s}"
        if one["spec"].get("progressDeadlineSeconds", 600) < start_s:
            yield f"Deployment {name}: a rollout is given up before a worker had its time to start"
        if container["readinessProbe"]["timeoutSeconds"] <= _READYZ_S:
            yield f"Deployment {name}: /readyz may take {_READYZ_S} s"
        paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
        if paths != ["/livez", "/livez", "/readyz"]:
            yield f"Deployment {name}: asks {paths}"


def enough_workers_stay(objects: Objects) -> Iterator[str]:
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind(objects, "ScaledObject")}
    for one in of_kind(objects, "Deployment"):
        name, spec = one["metadata"]["name"], one["spec"]
        if name in scaled and "replicas" in spec:
            yield f"Deployment {name}: each apply would set back what scales it"
        least = scaled[name]["minReplicaCount"] if name in scaled else spec["replicas"]
        if spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"Deployment {name}: an update takes a worker away before there is another"
        labels = spec["template"]["metadata"]["labels"]
        budgets = [
            budget["spec"]["maxUnavailable"]
            for budget in of_kind(objects, "PodDisruptionBudget")
            if budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ]
        if len(budgets) != 1 or not 0 < budgets[0] < least:
            yield f"Deployment {name}: of {least} workers {budgets} may be away"


def images_are_this_release(objects: Objects, version: str) -> Iterator[str]:
    for one in workloads(objects):
        for container in pod(one)["containers"]:
            if container["image"].rpartition(":")[2] != version:
                yield f"{one['metadata']['name']}: runs {container['image']}, this is {version}"


def pods_may_do_nothing_else(objects: Objects) -> Iterator[str]:
    for one in workloads(objects):
        name, spec = one["metadata"]["name"], pod(one)
        wanted: dict[str, Any] = {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        if spec["securityContext"] != wanted or spec["automountServiceAccountToken"] or spec["enableServiceLinks"]:
            yield f"{name}: its pods may do more than they need"
        for container in spec["containers"]:
            if container["securityContext"] != {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }:  # fmt: skip
                yield f"{name}: its container may do more than it needs"
            if container["resources"]["limits"].keys() != {"cpu", "memory", "ephemeral-storage"}:
                yield f"{name}: is not limited"


def scaling_reads_the_facts_consumer(objects: Objects) -> Iterator[str]:
    given = settings(objects)
    names = {
        field: given.get(f"RULESTREAM_{field}".upper(), Settings.model_fields[field].default)
        for field in ("facts_stream", "facts_consumer", "batch_facts", "batches_in_flight")
    }
    for one in of_kind(objects, "ScaledObject"):
        for trigger in one["spec"]["triggers"]:
            found = trigger["metadata"]
            lag = int(found.get("lagThreshold") or found["threshold"])
            if lag <= int(names["batch_facts"]) * int(names["batches_in_flight"]):
                yield f"a lag of {lag} is what a worker at work always has"
            if trigger["type"] == "nats-jetstream" and (found["account"], found["stream"], found["consumer"]) != (
                "DATA", names["facts_stream"], names["facts_consumer"],
            ):  # fmt: skip
                yield f"scales by {found['account']}/{found['stream']}/{found['consumer']}"
        if one["spec"]["minReplicaCount"] < 1:
            yield "no worker is left to tell the lag and to decide commands"


CHECKS: Final[list[Check]] = [
    selectors_match, ports_match, references_exist, settings_exist, secrets_are_files_that_exist,
    policies_let_through_what_is_set, stops_have_their_time, probes_have_their_time, enough_workers_stay,
    pods_may_do_nothing_else, scaling_reads_the_facts_consumer,
]  # fmt: skip


def problems(objects: Objects) -> list[str]:
    """Return everything that is wrong."""
    return [problem for check in CHECKS for problem in check(objects)]
