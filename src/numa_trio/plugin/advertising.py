"""Which NUMA nodes become resources, and why others do not."""

from enum import StrEnum

from attrs import frozen

from numa_trio.topology.machine import Machine, NumaNode

# Kubelet's sets of NUMA nodes are masks of 64 bits: k8s.io/kubernetes
# pkg/kubelet/cm/topologymanager/bitmask. It cannot align a container to a node above.
LARGEST_NODE = 63

_CPUS_UNKNOWN = "the file that lists its CPUs cannot be read"
_WITHOUT_CPUS = "no online CPUs, so no pod with pinned CPUs could ever be admitted there"
_BUT_ON_DEMAND = " (NUMA_CPULESS_NODES=advertise offers such nodes nonetheless)"
_ABOVE_THE_MASK = (
    f"kubelet knows NUMA nodes 0 to {LARGEST_NODE} only, so no container could be aligned to it"
)


class CpulessNodes(StrEnum):
    """What becomes of NUMA nodes without CPUs, where no pod with pinned CPUs can be admitted."""

    SKIP = "skip"
    ADVERTISE = "advertise"


@frozen
class Advertisement:
    """A node and the `reason` why it is not advertised, if it is not.

    Where `certain` is False, what decides cannot be read: what was so before may be so still.
    """

    node: NumaNode
    reason: str | None = None
    certain: bool = True

    @property
    def advertised(self) -> bool:
        """Whether the node becomes a resource."""
        return self.reason is None


def advertise(machine: Machine, cpuless_nodes: CpulessNodes) -> tuple[Advertisement, ...]:
    """The verdict on each node, in order of id."""
    return tuple(_verdict(node, cpuless_nodes) for node in machine.nodes)


def _verdict(node: NumaNode, cpuless_nodes: CpulessNodes) -> Advertisement:
    unusable = not node.has_cpus and cpuless_nodes is CpulessNodes.SKIP
    if node.id > LARGEST_NODE:
        without_cpus = f"{_WITHOUT_CPUS}; also, " if unusable and node.cpus_known else ""
        return Advertisement(node, without_cpus + _ABOVE_THE_MASK)
    if not unusable:
        return Advertisement(node)
    if not node.cpus_known:
        return Advertisement(node, _CPUS_UNKNOWN, certain=False)
    return Advertisement(node, _WITHOUT_CPUS + _BUT_ON_DEMAND)
