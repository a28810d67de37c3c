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

    `cpus` are its online CPUs; empty also where they are unknown (`cpus_known` is False), because
    the file that lists them cannot be read. Memory is in bytes, None where unknown. `distances`
    maps the id of each online node to the relative access cost from this one (ACPI SLIT: 10 is
    local); empty where unknown.
    """

    id: int
    cpus: frozenset[int] = frozenset()
    cpus_known: bool = field(default=True, kw_only=True)
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    distances: Mapping[int, int] = field(factory=dict)
    huge_pages: tuple[HugePages, ...] = ()

    @property
    def has_cpus(self) -> bool:
        """Whether a pod with pinned CPUs could ever run here."""
        return bool(self.cpus)

    @property
    def nodes_by_distance(self) -> dict[int, list[int]]:
        """The ids of the nodes at each distance that is known, this one included, nearest first."""
        found: dict[int, list[int]] = {}
        for other, distance in sorted(self.distances.items(), key=lambda each: (each[1], each[0])):
            found.setdefault(distance, []).append(other)
        return found

    @property
    def has_memory(self) -> bool:
        """Whether the node has memory of its own."""
        return bool(self.memory_bytes)


@frozen
class Remark:
    """A sentence for the operator on what the kernel left out, contradicted or garbled.

    The `detail` shows what a file held. That may differ from reading to reading while the remark
    stays the same, so that it does not count in a comparison.
    """

    text: str
    detail: str | None = field(default=None, eq=False)

    def __str__(self) -> str:
        return self.text if self.detail is None else f"{self.text}: {self.detail}"


@frozen
class Machine:
    """The online NUMA nodes in order of id.

    `numa_aware` is False for a kernel without NUMA, shown as one node 0, as kubelet sees it.
    """

    nodes: tuple[NumaNode, ...]
    numa_aware: bool = True
    remarks: tuple[Remark, ...] = ()

    @property
    def cpus(self) -> frozenset[int]:
        """The CPUs of all its nodes."""
        return frozenset[int]().union(*(node.cpus for node in self.nodes))
