"""What a container is told about its place, in environment variables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import define, field, frozen

from numa_trio.topology.lists import format_list


class Environment(StrEnum):
    """How much a container is told."""

    MINIMAL = "minimal"  # NUMA_NODE
    FULL = "full"  # and what that node of the host has


@frozen
class NodeFacts:
    """What a NUMA node of the host has, whoever uses it; None or empty where that is unknown.

    Memory is in bytes; `distances` are by node, 10 is local; disks and interfaces by kernel name.
    """

    cpus: frozenset[int] = frozenset()
    memory_bytes: int | None = None
    distances: Mapping[int, int] = field(factory=dict)
    disks: tuple[str, ...] = ()
    interfaces: tuple[str, ...] | None = None


@define(eq=False)
class HostFacts:
    """What is known of the host's nodes at present, by number; nothing where nobody is told."""

    nodes: Mapping[int, NodeFacts] = field(factory=dict)


def environment_of(numa_nodes: Sequence[int], host: HostFacts | None = None) -> dict[str, str]:
    """The variables of a container that gets devices near these nodes.

    `NUMA_NODE` is the node, or a list as the kernel writes it (`0-1`) where it may be any of
    several; it is left out where no node is known. The others begin with NUMA_HOST_NODE_: they say
    what the host's node has in all, not what the container was given.
    """
    if not numa_nodes:
        return {}
    variables = {"NUMA_NODE": format_list(numa_nodes)}
    facts = [host.nodes[node] for node in numa_nodes if node in host.nodes] if host else []
    if len(facts) == len(numa_nodes):
        variables.update(_host_variables(facts))
    return variables


def _host_variables(facts: Sequence[NodeFacts]) -> Iterator[tuple[str, str]]:
    """Of several nodes, what they have together; distances only where it is one."""
    prefix = "NUMA_HOST_NODE"
    yield f"{prefix}_CPUS", format_list(cpu for each in facts for cpu in each.cpus)
    memory = [each.memory_bytes for each in facts if each.memory_bytes is not None]
    if len(memory) == len(facts):
        yield f"{prefix}_MEMORY_BYTES", str(sum(memory))
    if len(facts) == 1 and facts[0].distances:
        distances = sorted(facts[0].distances.items())
        yield f"{prefix}_DISTANCES", ",".join(f"{node}={far}" for node, far in distances)
    yield f"{prefix}_DISKS", _together(each.disks for each in facts)
    interfaces = [each.interfaces for each in facts if each.interfaces is not None]
    if len(interfaces) == len(facts):
        yield f"{prefix}_INTERFACES", _together(interfaces)


def _together(names: Iterable[Sequence[str]]) -> str:
    return ",".join(dict.fromkeys(name for each in names for name in each))
