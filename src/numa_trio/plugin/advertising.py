"""Which NUMA nodes become resources, and why others do not."""

from attrs import frozen

from numa_trio.settings import CpulessNodes
from numa_trio.topology.machine import Machine, NumaNode

_WITHOUT_CPUS = (
    "no online CPUs, so no pod with pinned CPUs could ever be admitted there"
    " (NUMA_CPULESS_NODES=advertise offers such nodes nonetheless)"
)


@frozen
class Advertisement:
    """A node and the `reason` why it is not advertised, if it is not."""

    node: NumaNode
    reason: str | None = None

    @property
    def advertised(self) -> bool:
        """Whether the node becomes a resource."""
        return self.reason is None


def advertise(machine: Machine, cpuless_nodes: CpulessNodes) -> tuple[Advertisement, ...]:
    """The verdict on each node, in order of id."""
    skip = cpuless_nodes is CpulessNodes.SKIP
    return tuple(
        Advertisement(node, _WITHOUT_CPUS if skip and not node.has_cpus else None)
        for node in machine.nodes
    )
