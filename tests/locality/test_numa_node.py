"""The node of a device: its own, that of the device above, or the nearest with CPUs."""

import os

import pytest

from host_tree import HostTree, node
from numa_trio.locality.result import Outcome, Told
from numa_trio.topology.machine import Machine, NumaNode


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none", "held 'none', expected a node's number"),
        ("", "held '', expected a node's number"),
        ("1 2", "held '1 2', expected a node's number"),
        ("9" * 70000, "it has more than 65536 bytes"),
    ],
)
def test_numa_node_in_another_form(tree: HostTree, text: str, said: str) -> None:
    """The file is named with what it held."""
    card = tree.card("0000:17:00.0", node=None)
    tree.write(f"{card}/numa_node", text)
    resolution = tree.resolve("0000:17:00.0")
    assert resolution.outcome is Outcome.UNKNOWN
    assert resolution.reason == (
        f"{os.path.realpath(tree.sysfs / card)}/numa_node: cannot be read: {said}"
    )


def test_numa_node_that_cannot_be_read(tree: HostTree) -> None:
    """What is above may tell; if nothing does, the problem is the reason."""
    bridge = tree.card("0000:16:02.0", node=1)
    tree.folder(f"{bridge}/0000:17:00.0/numa_node")
    tree.link("bus/pci/devices/0000:17:00.0", f"{bridge}/0000:17:00.0")
    assert tree.resolve("0000:17:00.0").told == (Told("0000:16:02.0", 1),)
    tree.write(f"{bridge}/numa_node", "-1")
    reason = tree.resolve("0000:17:00.0").reason
    assert reason is not None
    assert reason.endswith("0000:17:00.0/numa_node: cannot be read: Is a directory")


def test_card_that_cannot_be_read_gives_no_name(tree: HostTree) -> None:
    """What told the node is then named itself."""
    card = tree.folder("devices/pci0000:16/0000:17:00.0")
    tree.folder(f"{card}/numa_node")
    tree.write(f"{card}/nvme/nvme0/numa_node", "1")
    tree.link("class/block/nvme0n1", tree.folder(f"{card}/nvme/nvme0/nvme0n1"))
    assert tree.resolve("nvme0n1").chain == ("nvme0n1", "nvme0")


def test_card_of_another_node_gives_no_name(tree: HostTree) -> None:
    """What told the node is named itself if the card above has another."""
    card = tree.card("0000:17:00.0", node=0)
    tree.write(f"{card}/nvme/nvme0/numa_node", "1")
    tree.link("class/block/nvme0n1", tree.folder(f"{card}/nvme/nvme0/nvme0n1"))
    resolution = tree.resolve("nvme0n1")
    assert (resolution.nodes, resolution.chain) == ((1,), ("nvme0n1", "nvme0"))


def test_device_without_numa_node_anywhere(server: HostTree) -> None:
    """Nothing from the device upwards has such a file."""
    assert server.resolve("ib:scif0").reason == "neither scif0 nor what it hangs on has a numa_node"


def test_node_that_is_not_online(tree: HostTree) -> None:
    """A node that the machine does not have cannot be near anything."""
    tree.card("0000:17:00.0", node=3)
    resolution = tree.resolve("0000:17:00.0")
    assert (resolution.outcome, resolution.nodes) == (Outcome.UNKNOWN, ())
    assert resolution.reason == "node 3 is not online"
    assert resolution.told == (Told("0000:17:00.0", 3),)


def near_node_8(*nodes: NumaNode, tree: HostTree) -> tuple[tuple[int, ...], str | None]:
    tree.card("0000:17:00.0", node=8)
    resolution = tree.resolve("0000:17:00.0", Machine(nodes))
    return resolution.nodes, resolution.reason


def test_nodes_with_cpus_that_are_equally_near(tree: HostTree) -> None:
    """All of them count, and its own distances before those of the others."""
    nodes = (node(0, "0", to_8=20), node(1, "1", to_8=20), node(2, "2", to_8=10))
    assert near_node_8(*nodes, node(8, to_2=30), tree=tree) == ((0, 1), None)
    assert tree.resolve("0000:17:00.0", Machine((*nodes, node(8, to_2=30)))).notes == (
        "node 8 has no CPUs; nearest with CPUs, at distance 20: nodes 0-1",
    )


def test_no_distance_to_a_node_with_cpus(tree: HostTree) -> None:
    """Without distances none is the nearest."""
    said = "node 8 has no CPUs, and no distance to one that has"
    assert near_node_8(node(0, "0"), node(1, "1"), node(8), tree=tree) == ((), said)


def test_node_of_which_the_cpus_are_unknown(tree: HostTree) -> None:
    """It is not taken to have none."""
    nodes = (node(0, "0", to_8=20), NumaNode(8, cpus_known=False))
    assert near_node_8(*nodes, tree=tree) == ((8,), None)
