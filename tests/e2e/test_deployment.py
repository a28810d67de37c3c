"""The kustomization that the test puts on top of an overlay, rendered by the real kubectl."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from e2e.__main__ import COUNTING, NEAR, OVERLAYS
from e2e.cluster import Cluster
from e2e.kubectl import Json, Kubectl, run_kubectl
from e2e.plan import NAMES, Plan

pytestmark = pytest.mark.kubectl


class Applied:
    """kubectl without a cluster: keeps what would be applied."""

    def __init__(self) -> None:
        self.manifests = ""

    def run(self, arguments: Sequence[str], stdin: str | None) -> str:
        if arguments[0] == "kustomize":
            return run_kubectl(arguments, stdin)
        self.manifests = stdin or ""
        return ""


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("components", [(), (COUNTING, NEAR)], ids=["plain", "with all components"])
def test_image_and_capacity_reach_the_daemonset(
    overlay: Path, components: tuple[Path, ...]
) -> None:
    """On each overlay: our image, and a ConfigMap of a new name with the capacity."""
    plan = Plan(overlay, "registry.test:5000/x:dev", "x", "e2e", components=components)
    applied = Applied()
    cluster = Cluster(plan, Kubectl(applied.run))
    names = []
    for capacity in (100, 7):
        plugin = cluster.deploy(capacity)
        objects: list[Json] = list(yaml.safe_load_all(applied.manifests))
        (daemonset,) = (each for each in objects if each["kind"] == "DaemonSet")
        (config,) = (each for each in objects if "NUMA_CAPACITY" in each.get("data", {}))
        (container,) = daemonset["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "registry.test:5000/x:dev"
        *others, source = container["envFrom"]
        assert source == {"configMapRef": {"name": config["metadata"]["name"]}}
        assert len(others) == len(components)
        assert config["data"]["NUMA_CAPACITY"] == str(capacity)
        assert daemonset["metadata"]["name"] == plugin.daemonset
        assert daemonset["metadata"]["labels"]["app"] == "numa-resource-plugin"
        names.append(config["metadata"]["name"])
    assert len(set(names)) == 2, "a changed capacity has to roll the DaemonSet"


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def test_names_reach_the_daemonset_and_so_does_what_they_need(overlay: Path) -> None:
    """The settings as they are written, and the host's mount table where they say it is."""
    plan = Plan(overlay, "x:dev", "x", "e2e", components=(COUNTING, NEAR), near=NAMES)
    applied = Applied()
    Cluster(plan, Kubectl(applied.run)).deploy(100)
    objects: list[Json] = list(yaml.safe_load_all(applied.manifests))
    settings: dict[str, str] = {}
    for each in objects:
        if each["kind"] == "ConfigMap":
            settings |= each["data"]
    assert settings == {
        "NUMA_CAPACITY": "100",
        "NUMA_COUNTED": "cpu",
        "NUMA_NEAR": "root=/,cards=pci:*,nowhere=mount:/no/such/mount",
        "NUMA_NEAR_UNKNOWN": "any",
        "NUMA_HOST_ROOT": "/host",
    }
    (daemonset,) = (each for each in objects if each["kind"] == "DaemonSet")
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    assert "/host/proc/1/mountinfo" in {mount["mountPath"] for mount in container["volumeMounts"]}
