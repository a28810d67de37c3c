"""What the stand-in says of who has what, as kubelet's pod-resources API does."""

from attrs import evolve

from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of
from numa_trio.topology.machine import HugePages, Machine
from simulated import GIB, cluster, container, init, machine, sidecar

MIB = 1 << 20
TWO_NODES = machine([0, 1, 2, 3], [4, 5, 6, 7])


def test_what_is_reserved_cannot_be_given_away() -> None:
    """CPUs and memory; huge pages are told apart, and taken off the memory."""
    pages = (HugePages(GIB, total=1, free=1),)
    nodes = tuple(evolve(node, huge_pages=pages) for node in TWO_NODES.machine.nodes[:1])
    nodes += TWO_NODES.machine.nodes[1:]
    node = cluster(evolve(TWO_NODES, machine=Machine(nodes)), reserved_cpus=2).node

    reserved = 512 * MIB  # of each node
    assert allocatable_of(node) == Allocatable(
        frozenset({2, 3, 4, 5, 6, 7}),
        (
            MemoryBlock("memory", 3 * GIB - reserved, (0,)),
            MemoryBlock("hugepages-1Gi", GIB, (0,)),
            MemoryBlock("memory", 4 * GIB - reserved, (1,)),
        ),
    )


async def test_lists_what_containers_have() -> None:
    """As seen with a kubelet 1.36: devices, exclusive CPUs, and memory with its node."""
    wide = cluster(TWO_NODES)
    await wide.admit(container(numa=[1], slots=2), name="pinned")
    await wide.admit(container(cpu="500m", limits=False), name="shared")

    block = MemoryBlock("memory", 128 * MIB, (1,))
    assert holdings_of(wide.node) == (
        ContainerHoldings(
            "default",
            "pinned",
            "app",
            {"numa-align/numa-1": ("numa-1-0", "numa-1-1")},
            frozenset({4}),
            (block,),
        ),
        ContainerHoldings("default", "shared", "app"),
    )


async def test_init_containers_are_left_out_and_sidecars_come_first() -> None:
    """What a larger init container has is kept from others, yet not listed."""
    wide = cluster(TWO_NODES)
    await wide.admit(init("3", numa=[1]), sidecar(numa=[1]), container(numa=[1]))

    assert [(each.container, each.cpus) for each in holdings_of(wide.node)] == [
        ("sidecar", {4}),
        ("app", {5}),
    ]
    assert wide.node.cpus.shared == {0, 1, 2, 3, 7}


async def test_a_block_may_span_nodes() -> None:
    """Memory that no single node has is told with all of its nodes."""
    wide = cluster(TWO_NODES, Policy.RESTRICTED)
    await wide.admit(container(cpu="5", memory="5Gi"))

    [holdings] = holdings_of(wide.node)
    assert holdings.memory == (MemoryBlock("memory", 5 * GIB, (0, 1)),)
