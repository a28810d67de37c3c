"""The machine as its kernel describes it: NUMA nodes with CPUs, memory and distances."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class HugePages:
    """Huge pages of one size on one node: `size_bytes` each, counts of pages."""

    size_bytes: int
    total: int
    free: int


@frozen
class NumaNode:
    """An online NUMA node.

    `cpus` are its online CPUs. Memory is in bytes, None where the kernel tells none. `distances`
    maps the id of each online node to the relative access cost from this one (ACPI SLIT: 10 is
    local); empty where unknown.
    """

    id: int
    cpus: frozenset[int] = frozenset()
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    distances: Mapping[int, int] = field(factory=dict)
    huge_pages: tuple[HugePages, ...] = ()

    @property
    def has_cpus(self) -> bool:
        """Whether a pod with pinned CPUs could ever run here."""
        return bool(self.cpus)

    @property
    def has_memory(self) -> bool:
        """Whether the node has memory of its own."""
        return bool(self.memory_bytes)


@frozen
class Machine:
    """The online NUMA nodes in order of id.

    `numa_aware` is False for a kernel without NUMA, shown as one node 0, as kubelet sees it.
    `remarks` are sentences for the operator on what the kernel left out or contradicted.
    """

    nodes: tuple[NumaNode, ...]
    numa_aware: bool = True
    remarks: tuple[str, ...] = ()
