"""Renders the kustomizations of deploy/kubernetes without kubectl: as much of kustomize as they use, and not more.

What it does not know is an error, not skipped. Generated names keep their plain form, without kustomize's hash.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

Manifest = dict[str, Any]

_KNOWN: Final = {
    "apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "secretGenerator", "labels",
    "images", "patches",
}  # fmt: skip
_CLUSTER_WIDE: Final = {"Namespace", "PriorityClass"}
_MERGED_BY: Final = {"containers": "name", "volumes": "name", "env": "name"}
_TEMPLATED: Final = {"Deployment", "Job"}


class KustomizationError(Exception):
    """A kustomization that cannot be rendered, or uses what this renderer does not know."""


def render(folder: Path) -> list[Manifest]:
    """Return the objects that a kustomization's folder stands for."""
    return _build(folder, [])


def _build(folder: Path, given: list[Manifest]) -> list[Manifest]:
    said: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := said.keys() - _KNOWN:
        raise KustomizationError(f"{folder.name}: does not know {sorted(unknown)}")
    found = deepcopy(given)
    for name in said.get("resources", []):
        path = folder / name
        found += render(path) if path.is_dir() else load(path)
    for generator in said.get("configMapGenerator", []):
        _generate(found, "ConfigMap", generator, _lines(folder, generator))
    for generator in said.get("secretGenerator", []):
        files = {Path(name).name: (folder / name).read_text(encoding="utf-8") for name in generator["files"]}
        _generate(found, "Secret", generator, files)
    for name in said.get("components", []):
        found = _build(folder / name, found)
    for patch in said.get("patches", []):
        _patch(folder, found, patch)
    for one in found:
        _adjust(one, said)
    return found


def load(path: Path) -> list[Manifest]:
    """Return a file's documents."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def name_of(one: Manifest) -> tuple[str, str]:
    """Return an object's kind and name."""
    return one["kind"], one["metadata"]["name"]


def _lines(folder: Path, generator: Manifest) -> dict[str, str]:
    lines = [line for name in generator["envs"] for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _generate(found: list[Manifest], kind: str, generator: Manifest, data: dict[str, str]) -> None:
    present = [one for one in found if name_of(one) == (kind, generator["name"])]
    if generator.get("behavior", "create") == "merge":
        present[0]["data"] |= data
    elif present:
        raise KustomizationError(f"{kind} {generator['name']} is generated twice")
    else:
        found.append({"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": data})


def _patch(folder: Path, found: list[Manifest], patch: Manifest) -> None:
    said = load(folder / patch["path"])[0] if "path" in patch else yaml.safe_load(patch["patch"])
    wanted = (patch["target"]["kind"], patch["target"]["name"]) if "target" in patch else name_of(said)
    matching = [one for one in found if name_of(one) == wanted]
    if not matching:
        raise KustomizationError(f"{folder.name}: nothing to patch is called {wanted}")
    for one in matching:
        _merge(one, said)


def _merge(onto: Manifest, said: Manifest) -> None:
    for key, value in said.items():
        if value is None:
            onto.pop(key, None)
        elif isinstance(value, dict) and isinstance(onto.get(key), dict):
            _merge(onto[key], value)
        elif isinstance(value, list) and key in onto and isinstance(value[0], dict):
            _merge_list(onto[key], value, _MERGED_BY[key])
        else:
            onto[key] = deepcopy(value)


def _merge_list(onto: list[Manifest], said: list[Manifest], by: str) -> None:
    for value in said:
        present = [one for one in onto if one[by] == value[by]]
        if present:
            _merge(present[0], value)
        else:
            onto.append(deepcopy(value))


def _adjust(one: Manifest, said: Manifest) -> None:
    if "namespace" in said and one["kind"] not in _CLUSTER_WIDE:
        one["metadata"]["namespace"] = said["namespace"]
    template = one["spec"]["template"] if one["kind"] in _TEMPLATED else None
    for labels in said.get("labels", []):
        one["metadata"].setdefault("labels", {}).update(labels["pairs"])
        if labels.get("includeTemplates") and template is not None:
            template["metadata"].setdefault("labels", {}).update(labels["pairs"])
    for image in said.get("images", []):
        for container in [] if template is None else template["spec"]["containers"]:
            if container["image"].rpartition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
