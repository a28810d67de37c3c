"""Manifests of what makes pods, folders of manifests, and standard input."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from numa_trio.workloads.fields import BadFile
from numa_trio.workloads.manifest import Manifests, load_manifests
from numa_trio.workloads.pod import Container

LIMITS = {"cpu": 2, "memory": "1Gi", "numa-align/numa-1": 1}
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "resources": {"limits": LIMITS}}]},
}


def controller(kind: str, **spec: Any) -> dict[str, Any]:
    version = {"ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}
    whole_spec = {"template": TEMPLATE, **spec}
    return {
        "apiVersion": version.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"jobTemplate": {"spec": whole_spec}} if kind == "CronJob" else whole_spec,
    }


def load(directory: Path, document: dict[str, Any], replicas: int = 1) -> Manifests:
    file = directory / "own.yaml"
    file.write_text(json.dumps(document))
    return load_manifests([file], replicas)


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
    ],
)
def test_kinds_that_make_pods(tmp_path: Path, kind: str) -> None:
    """The pod of the template is called as kubectl calls its maker, and is in its namespace."""
    manifests = load(tmp_path, controller(kind))

    (pod,) = manifests.pods
    assert (pod.namespace, pod.name) == ("shop", f"{kind.lower()}/web")
    assert pod.containers == (Container("app", pod.containers[0].resources),)
    assert pod.containers[0].devices == {"numa-align/numa-1": 1}
    assert manifests.remarks == ()


def test_replicas(tmp_path: Path) -> None:
    """There are as many pods as asked for, each with a name of its own; it is said which differ."""
    document = controller("StatefulSet", replicas=3)

    one, two, three = (load(tmp_path, document, count) for count in (1, 2, 3))

    assert [pod.name for pod in one.pods] == ["statefulset/web"]
    assert [pod.name for pod in two.pods] == ["statefulset/web-0", "statefulset/web-1"]
    assert len({pod.uid for pod in three.pods}) == 3
    place = f"{tmp_path}/own.yaml: statefulset/web has 3 pods, here"
    assert (one.remarks, two.remarks) == (
        (f"{place} 1 (--replicas)",),
        (f"{place} 2 (--replicas)",),
    )
    assert three.remarks == ()


def test_replicas_of_what_has_none(tmp_path: Path) -> None:
    """A DaemonSet has one pod on a server."""
    assert [pod.name for pod in load(tmp_path, controller("DaemonSet"), 3).pods] == [
        "daemonset/web"
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (controller("Deployment") | {"apiVersion": "apps/v2"}, "found 'apps/v2'; expected apps/v1"),
        (controller("Deployment", template=None), r"spec\.template: found nothing; expected a map"),
        (controller("Job", parallelism=-1), r"spec\.parallelism: found -1; expected a whole num"),
        (
            controller("CronJob", template={"spec": {"containers": [{"name": "A"}]}}),
            r"spec\.jobTemplate\.spec\.template\.spec\.containers\[0\]\.name: found 'A'",
        ),
    ],
)
def test_bad_controller(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    """The message names the place in the object as it is written."""
    with pytest.raises(BadFile, match=message):
        load(tmp_path, document)


def test_folder(tmp_path: Path) -> None:
    """Its files are read by name, whatever else lies there; only all together need have a pod."""
    for name, kind in {"b.yml": "Job", "a.json": "Deployment", "c.txt": "CronJob"}.items():
        (tmp_path / name).write_text(json.dumps(controller(kind)))
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization")

    manifests = load_manifests([tmp_path])

    assert [pod.name for pod in manifests.pods] == ["deployment/web", "job/web"]
    assert manifests.remarks == (
        f"{tmp_path}/kustomization.yaml: kind Kustomization: skipped, makes no pods",
    )


def test_folder_without_manifests(tmp_path: Path) -> None:
    """It is said which files are looked for."""
    with pytest.raises(BadFile, match=r"found no file in it that ends in \.json, \.yaml, \.yml"):
        load_manifests([tmp_path])


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads what is piped in, as `kubectl get -o yaml` writes it; messages say so."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [controller("Deployment")]}

    def pipe(document: object) -> Manifests:
        stream = io.TextIOWrapper(io.BytesIO(json.dumps(document).encode()))
        monkeypatch.setattr("sys.stdin", stream)
        return load_manifests([Path("-")])

    assert [pod.name for pod in pipe(listed).pods] == ["deployment/web"]
    with pytest.raises(BadFile, match="standard input: found no document of kind Pod, only of"):
        pipe({"kind": "Service"})
