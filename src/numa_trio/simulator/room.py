"""What kubelet could still give to pods of each NUMA node, at some moment."""

from collections.abc import Mapping
from fractions import Fraction

from attrs import frozen

from numa_trio.simulator.node import Node
from numa_trio.topology.sizes import format_bytes


@frozen
class NodeRoom:
    """CPUs, and bytes of memory, of a NUMA node: what pods can have in all, and what is free.

    `reserved_cpus` are those that kubelet keeps for the system.
    """

    reserved_cpus: int
    cpus: int
    free_cpus: int
    memory: int
    free_memory: int

    def has(self, cpus: Fraction, memory: Fraction) -> bool:
        """Whether so much is free."""
        return self.free_cpus >= cpus and self.free_memory >= memory

    def __str__(self) -> str:
        free, total = format_bytes(self.free_memory), format_bytes(self.memory)
        return f"{self.free_cpus} of {self.cpus} CPUs, {free} of {total} of memory"


def room_of(node: Node) -> Mapping[int, NodeRoom]:
    """The room of each NUMA node now."""
    allocatable = node.cpus.allocatable
    free = node.cpus.shared & allocatable
    rooms = {}
    for each in node.machine.machine.nodes:
        memory = node.memory.nodes[each.id]
        rooms[each.id] = NodeRoom(
            len(each.cpus & node.cpus.reserved),
            len(each.cpus & allocatable),
            len(each.cpus & free),
            int(memory.allocatable.get("memory", 0)),
            int(memory.free("memory")),
        )
    return rooms
