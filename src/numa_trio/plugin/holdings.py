"""What kubelet can give away, and what containers have of it, in words of our own.

Source of meaning: k8s.io/kubelet/pkg/apis/podresources/v1. The bridge translates.
"""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class MemoryBlock:
    """`size_bytes` of memory of a type (`memory`, `hugepages-2Mi`), from these NUMA nodes.

    Of a block on several nodes, nobody says how much lies on which.
    """

    memory_type: str
    size_bytes: int
    numa_nodes: tuple[int, ...]


@frozen
class Allocatable:
    """What kubelet gives to containers for themselves; reserved CPUs and memory are left out.

    No CPUs: the CPU Manager's policy is not static. No memory: the Memory Manager's is not Static.
    """

    cpus: frozenset[int] = frozenset()
    memory: tuple[MemoryBlock, ...] = ()


@frozen
class ContainerHoldings:
    """What one container has for itself.

    `devices` are ids by resource name; no `cpus` means that it runs in the shared pool. Ordinary
    init containers are not listed, whatever they hold.
    """

    namespace: str
    pod: str
    container: str
    devices: Mapping[str, tuple[str, ...]] = field(factory=dict)
    cpus: frozenset[int] = frozenset()
    memory: tuple[MemoryBlock, ...] = ()
