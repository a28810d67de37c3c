"""The book that kubelet's Memory Manager keeps of one NUMA node: its `machineState`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field

from numa_trio.simulator.hints import Nodes
from numa_trio.workloads.pod import Quantities


@define
class NodeMemory:
    """What a node has of each resource, and how it is used.

    `group` are the nodes of the latest block on it, until it has no `assignments` any more; there
    is one for each block, so for each resource of each container.
    """

    id: int
    allocatable: Quantities
    group: Nodes
    assignments: int = 0
    _reserved: dict[str, Fraction] = field(factory=dict)

    @classmethod
    def of(cls, node: int, allocatable: Mapping[str, Fraction]) -> Self:
        """A node that nobody uses."""
        return cls(node, dict(allocatable), frozenset({node}))

    def free(self, resource: str) -> Fraction:
        """How much is left; nothing of a size of huge pages that the node does not know.

        (A real kubelet panics there; the scheduler keeps such pods from it.)
        """
        return self.allocatable.get(resource, Fraction()) - self._reserved.get(resource, Fraction())

    def take(self, group: Nodes, resource: str, amount: Fraction) -> Fraction:
        """Assign a block that spans `group`; gives how much of the amount came from here."""
        self.assignments += 1
        self.group = group
        taken = min(amount, self.free(resource))
        self._reserved[resource] = self._reserved.get(resource, Fraction()) + taken
        return taken

    def give_back(self, resource: str, amount: Fraction) -> Fraction:
        """Remove a block; gives how much of the amount is free here again."""
        self.assignments -= 1
        if not self.assignments:
            self.group = frozenset({self.id})
        reserved = self._reserved.get(resource, Fraction())
        given = min(amount, reserved)
        self._reserved[resource] = reserved - given
        return given

    def restore(self, group: Nodes, assignments: int, reserved: Mapping[str, int]) -> None:
        """Note how the node is used, as the state file says."""
        self.group = group
        self.assignments = assignments
        self._reserved = {name: Fraction(amount) for name, amount in reserved.items()}
