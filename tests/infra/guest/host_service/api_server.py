"""What the API server knows of the node's pods: a folder of manifests, and what became of each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numa_trio.workloads.manifest import load_manifests
from numa_trio.workloads.pod import Pod

PODS = Path("/var/lib/api-server/pods")
STATUSES = Path("/var/lib/api-server/statuses")


def create(name: str, resource: str, *, in_init_container: bool = False) -> None:
    """A bare pod whose containers ask for a CPU and one device each, after all that are there."""
    requests = {"cpu": 1, "memory": "64Mi", resource: 1}
    container = {"name": "app", "image": "none", "resources": {"limits": requests}}
    spec: dict[str, Any] = {"containers": [container]}
    if in_init_container:
        spec["initContainers"] = [{**container, "name": "init"}]
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    PODS.mkdir(parents=True, exist_ok=True)
    _write(PODS / f"{len(list(PODS.iterdir())):03}-{name}.json", manifest)


def names() -> set[str]:
    """The names of all pods."""
    return {file.stem.partition("-")[2] for file in PODS.glob("*.json")}


def pods() -> list[Pod]:
    """All pods in the order of their creation."""
    return list(load_manifests(sorted(PODS.glob("*.json"))).pods) if any(PODS.glob("*")) else []


def statuses() -> dict[str, dict[str, Any]]:
    """What kubelet last said of each pod of which it has said something, by name."""
    return {file.stem: json.loads(file.read_text()) for file in STATUSES.glob("*.json")}


def report(name: str, status: Mapping[str, Any]) -> None:
    """Kubelet says what became of a pod."""
    STATUSES.mkdir(parents=True, exist_ok=True)
    _write(STATUSES / f"{name}.json", status)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Replace the file at one stroke, for whoever looks at the same time."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.rename(file)
