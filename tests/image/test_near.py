"""The image with what the component `near` mounts: it sees the host, although it is elsewhere."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.manifests import component
from grpcio_kubelet import GrpcioKubelet
from image.conftest import Start
from image.container import mounts_of, output_of
from numa_trio.locality.host import Host
from numa_trio.locality.resolve import resolve
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import parse_target
from numa_trio.topology.sysfs import read_machine

pytestmark = pytest.mark.slow


@pytest.fixture
def parts(configuration: dict[str, Any]) -> dict[str, Any]:
    """The component's mounts and its setting, for `start`."""
    (patch,) = component("near/daemonset.yaml")
    (kustomization,) = component("near/kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    return {
        "mounts": mounts_of(patch),
        "Env": [*configuration["config"]["Env"], *generator["literals"]],
    }


@contextmanager
def mounted(path: Path) -> Iterator[None]:
    """A file system in memory is mounted there, as PID 1 sees it."""
    output_of("mount", "-t", "tmpfs", "numa-trio-test", path)
    try:
        assert str(path) in Path("/proc/1/mountinfo").read_text(), "not the namespace of PID 1"
        yield
    finally:
        output_of("umount", path)


def test_targets_are_found_as_on_the_host(start: Start, parts: dict[str, Any]) -> None:
    """The file system at `/` and the interfaces are the host's, not those of the container."""
    interfaces = [path.name for path in Path("/sys/class/net").iterdir()]
    targets = {"root": "mount:/", "disk": "/dev/vda"} | {
        f"interface-{number}": f"net:{name}" for number, name in enumerate(sorted(interfaces))
    }
    near = ",".join(f"{name}={target}" for name, target in targets.items())
    container = start(
        "topology", "--output=json", **parts | {"Env": [*parts["Env"], f"NUMA_NEAR={near}"]}
    )
    assert container.wait(60) == 0, container.log()
    found = {each["name"]: each for each in json.loads(container.log())["near"]}
    survey = Survey(Host(Path("/sys"), Path("/")), read_machine(Path("/sys")))
    for name, target in targets.items():
        expected = resolve(survey, parse_target(target))
        assert (tuple(found[name]["nodes"]), tuple(found[name]["chain"])) == (
            expected.nodes,
            expected.chain,
        ), found[name]


def test_late_mount_is_noticed(
    start: Start, parts: dict[str, Any], kubelet: GrpcioKubelet, tmp_path: Path
) -> None:
    """The host's mount table tells of it at once: the next sweep would be an hour later."""
    late = tmp_path / "late"
    late.mkdir()
    settings = [
        f"NUMA_NEAR=late=mount:{late}",
        "NUMA_NEAR_UNKNOWN=any",
        "NUMA_TOPOLOGY_INTERVAL=3600",
    ]
    start(**parts | {"Env": [*parts["Env"], *settings]})
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
    assert "numa-align/near-late" not in kubelet.allocatable()
    with mounted(late):
        kubelet.wait_for(lambda: kubelet.allocatable().get("numa-align/near-late") == 100, "slots")
    kubelet.wait_for(lambda: kubelet.allocatable().get("numa-align/near-late") == 0, "no slots")
