"""The kustomization that the test puts on top of an overlay, rendered by the real kubectl."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from e2e.__main__ import COUNTING, OVERLAYS
from e2e.cluster import Cluster, Plan
from e2e.kubectl import Json, Kubectl, run_kubectl

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
@pytest.mark.parametrize("components", [(), (COUNTING,)], ids=["plain", "counting"])
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
