"""What containers are told of the host's nodes, from a host."""

from pathlib import Path

import pytest

from host_tree import TWO_NODES, HostTree
from numa_trio.agent.host_facts import facts_of
from numa_trio.plugin.environment import NodeFacts


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    """A disk and an interface on each of two nodes, and a RAID over both disks."""
    tree = HostTree(tmp_path)
    for number in (0, 1):
        card = tree.card(f"0000:0{number}:00.0", node=number)
        tree.disk(f"nvme{number}n1", on=card, number=f"259:{number}")
        tree.interface(f"eth{number}", on=card)
    tree.stacked("md0", "class/block/nvme0n1", "class/block/nvme1n1")
    return tree


def test_each_node_has_its_own(tree: HostTree) -> None:
    """CPUs, distances, and the hardware near it; memory is unknown here."""
    assert facts_of(tree.survey()) == {
        number: NodeFacts(
            node.cpus, None, dict(node.distances), (f"nvme{number}n1",), (f"eth{number}",)
        )
        for number, node in enumerate(TWO_NODES.nodes)
    }


def test_interfaces_of_a_pod_are_not_the_hosts(tmp_path: Path) -> None:
    """Where only virtual ones are seen, nobody knows which the host has."""
    tree = HostTree(tmp_path)
    tree.interface("eth0")
    assert {each.interfaces for each in facts_of(tree.survey(rooted=False)).values()} == {None}
