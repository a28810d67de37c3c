"""A sysfs tree of a machine with so many NUMA nodes, for plugins that are told to look there."""

from pathlib import Path

from numa_trio.simulator import sysfs_tree
from numa_trio.simulator.cpus import Cpu
from numa_trio.simulator.node import SimulatedMachine
from numa_trio.topology.machine import Machine, NumaNode

CPUS_PER_NODE = 8
BYTES_PER_NODE = 16 << 30


def write_sysfs(root: Path, nodes: int) -> None:
    """Write what a kernel tells of `nodes` equal NUMA nodes with CPUs and memory below `root`."""
    machine = Machine(tuple(_node(node, nodes) for node in range(nodes)))
    cpus = (
        Cpu(cpu, node=node.id, socket=node.id, core=cpu)
        for node in machine.nodes
        for cpu in sorted(node.cpus)
    )
    sysfs_tree.write_sysfs(root, SimulatedMachine("equal nodes", machine, tuple(cpus)))


def _node(node: int, nodes: int) -> NumaNode:
    first = node * CPUS_PER_NODE
    return NumaNode(
        node,
        frozenset(range(first, first + CPUS_PER_NODE)),
        memory_bytes=BYTES_PER_NODE,
        memory_free_bytes=BYTES_PER_NODE // 2,
        distances={other: 10 if other == node else 21 for other in range(nodes)},
    )
