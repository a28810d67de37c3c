"""The nodes where a container can be near what the kernel says is near a NUMA node."""

from collections.abc import Mapping

from attrs import frozen

from numa_trio.topology.lists import format_nodes
from numa_trio.topology.machine import Machine, NumaNode


@frozen
class Usable:
    """The nodes, with a `note` if they are others than the kernel said; a `reason` if none."""

    nodes: tuple[int, ...]
    note: str | None = None
    reason: str | None = None


def usable_nodes(machine: Machine, told: int) -> Usable:
    """The node itself, or those with CPUs that are nearest to it."""
    nodes = {node.id: node for node in machine.nodes}
    if told not in nodes:
        return Usable((), reason=f"node {told} is not online")
    if nodes[told].has_cpus or not nodes[told].cpus_known:
        return Usable((told,))
    distances = _distances_to_cpus(nodes, nodes[told])
    if not distances:
        return Usable((), reason=f"node {told} has no CPUs, and no distance to one that has")
    nearest = min(distances.values())
    found = tuple(sorted(other for other, distance in distances.items() if distance == nearest))
    return Usable(
        found,
        note=f"node {told} has no CPUs; nearest with CPUs, at distance {nearest}:"
        f" {format_nodes(found)}",
    )


def only_node(machine: Machine) -> int | None:
    """The node of a machine that has just one."""
    return machine.nodes[0].id if len(machine.nodes) == 1 else None


def _distances_to_cpus(nodes: Mapping[int, NumaNode], here: NumaNode) -> dict[int, int]:
    """The distances to nodes with CPUs, as this node has them, or else as those have them."""
    found = {}
    for other in nodes.values():
        distance = here.distances.get(other.id, other.distances.get(here.id))
        if other.has_cpus and distance is not None:
            found[other.id] = distance
    return found
