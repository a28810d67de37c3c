"""Rows of the table in docs/near.md: network interfaces, InfiniBand and PCI devices."""

import pytest

from host_tree import ONE_NODE, HostTree, near, node, unknown
from numa_trio.topology.machine import Machine


def test_machine_with_one_node(server: HostTree) -> None:
    """Where there is one node only, whatever is there is near it, also if the kernel knows none."""
    resolution = server.resolve("nvme0n1", ONE_NODE, rooted=False)
    assert near(resolution) == ((0,), ("nvme0n1",))
    assert resolution.notes == ("the machine has one NUMA node only",)


GPU_MACHINE = Machine(
    (node(0, "01", to_250=80), node(8, "23", to_250=40), node(250, to_0=80, to_8=40))
)


def test_device_near_a_node_without_cpus(tree: HostTree) -> None:
    """Near the memory of a GPU counts the nearest node with CPUs, and that is said."""
    tree.card("0004:04:00.0", node=250)
    resolution = tree.resolve("0004:04:00.0", GPU_MACHINE)
    assert near(resolution) == ((8,), ("0004:04:00.0",))
    assert resolution.notes == ("node 250 has no CPUs; nearest with CPUs, at distance 40: node 8",)


@pytest.mark.parametrize("target", ["eth1", "net:eth1"])
def test_network_interface(vm: HostTree, target: str) -> None:
    """An interface is near its card."""
    assert near(vm.resolve(target)) == ((1,), ("eth1", "0000:84:00.0"))


def test_bond(vm: HostTree) -> None:
    """A bond is near the nodes of all its interfaces."""
    assert near(vm.resolve("bond0")) == (
        (0, 1),
        ("bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )


def test_vlan_on_a_bond(vm: HostTree) -> None:
    """A VLAN is where the interface below is, and so is that."""
    assert near(vm.resolve("net:bond0.100")) == (
        (0, 1),
        ("bond0.100", "bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )


def test_bridge_without_its_pods(vm: HostTree) -> None:
    """A bridge is near its hardware; the pods that come and go on it count for nothing."""
    resolution = vm.resolve("br0")
    assert near(resolution) == (
        (0, 1),
        ("br0", "bond0.100", "bond0", "eth1+eth2", "0000:84:00.0+0000:44:00.0"),
    )
    assert resolution.notes == vm.resolve("bond0").notes


def test_virtual_function(tree: HostTree) -> None:
    """A virtual function that knows no node is where its card is."""
    card = tree.card("0000:5e:00.0", node=1)
    function = tree.card("0000:5e:02.1", node=-1)
    tree.link(f"{function}/physfn", card)
    tree.interface("eth5", on=function)
    assert near(tree.resolve("eth5")) == ((1,), ("eth5", "0000:5e:02.1"))


def test_interface_without_hardware(vm: HostTree) -> None:
    """A loopback or dummy interface is near no node."""
    assert unknown(vm.resolve("lo")).startswith("lo is virtual")


@pytest.mark.parametrize("target", ["ib:mlx4_0", "mlx4_0"])
def test_infiniband_device(server: HostTree, target: str) -> None:
    """An InfiniBand device is near its card."""
    assert near(server.resolve(target, rooted=False)) == ((1,), ("mlx4_0", "0000:82:00.0"))


def test_infiniband_in_software(tree: HostTree) -> None:
    """RoCE in software is where the interface is on which it was built."""
    tree.interface("eth2", on=tree.card("0000:5e:00.0", node=1))
    device = "devices/virtual/infiniband/rxe0"
    tree.write(f"{device}/parent", "eth2")
    tree.link("class/infiniband/rxe0", device)
    assert near(tree.resolve("ib:rxe0")) == ((1,), ("rxe0", "eth2", "0000:5e:00.0"))


@pytest.mark.parametrize("target", ["0000:83:00.0", "pci:0000:83:00.0", "83:00.0"])
def test_pci_device(server: HostTree, target: str) -> None:
    """A card by its address, in domain 0 also without it."""
    assert near(server.resolve(target, rooted=False)) == ((1,), ("0000:83:00.0",))
