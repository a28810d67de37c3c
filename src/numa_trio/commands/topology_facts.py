"""What there is to show of each NUMA node, before it is drawn or written as a document."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from numa_trio.locality.listing import Listing
from numa_trio.plugin.resource import slots_name
from numa_trio.topology.cores import Core
from numa_trio.topology.machine import NumaNode
from numa_trio.topology.memory_kinds import NodeMemory

if TYPE_CHECKING:
    from numa_trio.commands.topology import Seen


class NodeKind(StrEnum):
    """What a node has."""

    CPUS_AND_MEMORY = "cpus-and-memory"
    CPUS_ONLY = "cpus-only"
    MEMORY_ONLY = "memory-only"  # CXL, HBM, persistent memory, that of a GPU
    NEITHER = "neither"  # the node of a card that accesses memory (a generic initiator), or spare
    UNKNOWN = "unknown"


@frozen
class NodeFacts:
    """A node with all that is known of it.

    `resource` is the name of its slots, None if it is not advertised for the `reason`. `cores` and
    `sockets` are empty where they are unknown. The `nearest` are the other nodes at the smallest
    distance, ascending.
    """

    node: NumaNode
    resource: str | None
    reason: str | None
    cores: tuple[Core, ...]
    sockets: tuple[int, ...]
    memory: NodeMemory
    nearest: tuple[int, ...]
    devices: Listing

    @property
    def kind(self) -> NodeKind:
        """What the node has, of CPUs and memory."""
        node = self.node
        if not node.cpus_known or node.memory_bytes is None:
            return NodeKind.UNKNOWN
        if node.has_cpus:
            return NodeKind.CPUS_AND_MEMORY if node.has_memory else NodeKind.CPUS_ONLY
        return NodeKind.MEMORY_ONLY if node.has_memory else NodeKind.NEITHER

    @property
    def memory_used_bytes(self) -> int | None:
        """The memory that is not free: of programs, of the kernel, and what it caches."""
        node = self.node
        if node.memory_bytes is None or node.memory_free_bytes is None:
            return None
        return node.memory_bytes - node.memory_free_bytes


@frozen
class Group:
    """The nodes of a socket, or of sockets that one node spans; of none where it is unknown."""

    sockets: tuple[int, ...]
    members: tuple[NodeFacts, ...]


def facts_of(seen: "Seen") -> list[NodeFacts]:
    """What there is to show of each node, in order of id."""
    return [
        NodeFacts(
            verdict.node,
            f"{seen.resource_domain}/{slots_name(verdict.node.id)}" if verdict.advertised else None,
            verdict.reason,
            seen.cores.of(verdict.node.cpus),
            seen.cores.sockets(verdict.node.cpus),
            seen.memories.get(verdict.node.id, NodeMemory()),
            _nearest(verdict.node),
            seen.listing.near(verdict.node.id),
        )
        for verdict in seen.advertisements
    ]


def _nearest(node: NumaNode) -> tuple[int, ...]:
    for others in node.nodes_by_distance.values():
        if found := tuple(other for other in others if other != node.id):
            return found
    return ()


def by_socket(nodes: Sequence[NodeFacts]) -> list[Group]:
    """The nodes by socket where a socket has several; else one group of all."""
    groups: dict[tuple[int, ...], list[NodeFacts]] = {}
    for each in nodes:
        groups.setdefault(each.sockets, []).append(each)
    if not any(sockets and len(members) > 1 for sockets, members in groups.items()):
        return [Group((), tuple(nodes))]
    ordered = sorted(groups.items(), key=lambda group: (not group[0], group[0]))
    return [Group(sockets, tuple(members)) for sockets, members in ordered]
