"""What kind of memory a node has, from files that may be missing or broken."""

from pathlib import Path

import pytest

from numa_trio.topology.memory_kinds import MemoryKind, NodeMemory, read_memories
from sysfs_tree import plant, plant_nodes

NDBUS = "devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region1/dax1.1"
CXL = "devices/platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0"
HMEM = "devices/platform/hmem.2"


def dax(root: Path, parent: str, name: str, node: str, driver: str = "kmem") -> None:
    """A device of memory that a driver has made a node's."""
    plant(root, {f"{parent}/{name}/target_node": node})
    drivers = root / "bus/dax/drivers" / driver
    drivers.mkdir(parents=True, exist_ok=True)
    (drivers / name).symlink_to(root / parent / name)


@pytest.mark.parametrize(
    ("parent", "kind"),
    [
        (CXL, MemoryKind.CXL),
        (NDBUS, MemoryKind.PERSISTENT),
        (HMEM, MemoryKind.SPECIFIC_PURPOSE),
    ],
)
def test_the_place_of_its_device_tells_the_kind(
    tmp_path: Path, parent: str, kind: MemoryKind
) -> None:
    """Of the node whose number the device has, and of no other."""
    dax(tmp_path, parent, "dax2.0", "4")
    assert read_memories(tmp_path, [0, 4]) == {0: NodeMemory(), 4: NodeMemory(kind)}


def test_memory_that_the_kernel_does_not_use_is_no_nodes(tmp_path: Path) -> None:
    """A device that programs open for themselves has a target node too."""
    dax(tmp_path, CXL, "dax0.0", "4", driver="device_dax")
    assert read_memories(tmp_path, [4]) == {4: NodeMemory()}


def test_reads_tiers(tmp_path: Path) -> None:
    """Each tier lists its nodes; one whose list is broken costs only what it says."""
    tiers = {"memory_tier4/nodelist": "0-1", "memory_tier22/nodelist": "4", "uevent": ""}
    broken = {"memory_tier7/nodelist": "4-", "memory_tiers/nodelist": "0"}
    plant(tmp_path / "devices/virtual/memory_tiering", tiers | broken)
    found = read_memories(tmp_path, [0, 1, 4])
    assert {node: memory.tier for node, memory in found.items()} == {0: 4, 1: 4, 4: 22}


def initiators(access: str, node: str, **files: str) -> dict[str, str]:
    here = f"node4/{access}/initiators"
    return {f"{here}/{node}/uevent": ""} | {f"{here}/{name}": text for name, text in files.items()}


def test_reads_how_fast_memory_is_for_cpus(tmp_path: Path) -> None:
    """Access class 1 is that of CPUs, whatever class 0 says of cards."""
    plant_nodes(tmp_path, initiators("access0", "node9", read_latency="1"))
    plant_nodes(
        tmp_path, initiators("access1", "node0", read_latency="250", read_bandwidth="64000")
    )
    assert read_memories(tmp_path, [4]) == {4: NodeMemory(None, None, (0,), 64000, 250)}


@pytest.mark.parametrize("text", ["", "fast", "-1", "9999999999", "0"])
def test_an_older_kernel_and_broken_numbers(tmp_path: Path, text: str) -> None:
    """Class 0 counts where it is all there is; what is no number is unknown."""
    plant_nodes(tmp_path, initiators("access0", "node1", read_latency=text, read_bandwidth="5"))
    assert read_memories(tmp_path, [4]) == {4: NodeMemory(None, None, (1,), 5, None)}
