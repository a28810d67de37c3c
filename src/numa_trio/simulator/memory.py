"""The memory of NUMA nodes, and how kubelet's static Memory Manager hands it out.

Source: pkg/kubelet/cm/memorymanager/policy_static.go of Kubernetes 1.36.
"""

from collections.abc import Mapping
from fractions import Fraction

from attrs import define, field, frozen

from numa_trio.simulator.hints import Hint, Hints, Nodes, hints_for, narrowness
from numa_trio.workloads.pod import (
    Container,
    ContainerKind,
    Pod,
    QosClass,
    Quantities,
    peak_requests,
)
from numa_trio.workloads.resource_names import is_huge_pages


class NoMemory(Exception):
    """No set of NUMA nodes may hold what a container needs."""


@frozen
class _Block:
    """Memory of some nodes that a container has; `taken` from each node and resource."""

    pod_uid: str
    container: str
    nodes: Nodes
    taken: Mapping[tuple[int, str], Fraction]


@define
class MemoryManager:
    """The static policy: Guaranteed containers get memory from the nodes of their hint.

    A node serves either containers that fit on it alone, or containers that span the same group
    of nodes. `allocatable` has bytes of `memory` and each `hugepages-<size>` by NUMA node.
    """

    allocatable: Mapping[int, Quantities]
    _blocks: list[_Block] = field(factory=list)
    _reusable: dict[tuple[str, Nodes], Quantities] = field(factory=dict)  # by pod and nodes

    def nodes_of(self, pod: Pod, container: Container) -> Nodes:
        """The nodes that the container's memory is bound to; empty if it is not bound."""
        owner = (pod.uid, container.name)
        blocks = (block for block in self._blocks if (block.pod_uid, block.container) == owner)
        return next((block.nodes for block in blocks), frozenset())

    def hints(self, pod: Pod, container: Container) -> dict[str, Hints]:
        """The hints for a container; none if its memory is not bound, or fits nowhere."""
        return self._by_resource(pod, _bound_memory(pod, container))

    def pod_hints(self, pod: Pod) -> dict[str, Hints]:
        """The hints for a pod as a whole; none if its memory is not bound, or fits nowhere."""
        needed = peak_requests([(c.kind, _bound_memory(pod, c)) for c in pod.containers])
        return self._by_resource(pod, needed)

    def allocate(self, pod: Pod, container: Container, hint: Hint) -> None:
        """Bind the container's memory to the hint's nodes, or more; raises `NoMemory`."""
        needed = _bound_memory(pod, container)
        if not needed:
            return
        nodes = self._choose(pod, needed, hint)
        reusable = self._reusable.get((pod.uid, nodes), {})
        taken = {}
        left = {}
        for resource, amount in needed.items():
            old = reusable.get(resource, Fraction())
            missing = max(Fraction(), amount - old)
            for node in sorted(nodes):
                taken[node, resource] = min(missing, self._free(node, resource))
                missing -= taken[node, resource]
            init = container.kind is ContainerKind.INIT
            left[resource] = max(old, amount) if init else max(Fraction(), old - amount)
        self._reusable[pod.uid, nodes] = {**reusable, **left}
        self._blocks.append(_Block(pod.uid, container.name, nodes, taken))

    def release(self, pod: Pod) -> None:
        """Return all memory of a pod."""
        self._blocks = [block for block in self._blocks if block.pod_uid != pod.uid]
        self._reusable = {key: left for key, left in self._reusable.items() if key[0] != pod.uid}

    def _by_resource(self, pod: Pod, needed: Quantities) -> dict[str, Hints]:
        # Where no nodes will do, kubelet's map stays empty, without even an empty list: to the
        # Topology Manager that is no preference, and it is the allocation that fails.
        hints = self._hints(pod, needed)
        return dict.fromkeys(needed, hints) if hints else {}

    def _hints(self, pod: Pod, needed: Quantities) -> list[Hint]:
        free = {
            (node, resource): self._free(node, resource)
            for node in self.allocatable
            for resource in needed
        }

        def could(nodes: Nodes) -> bool:
            return all(
                sum(self.allocatable[node].get(resource, 0) for node in nodes) >= amount
                for resource, amount in needed.items()
            )

        def can(nodes: Nodes) -> bool:
            reusable = self._reusable.get((pod.uid, nodes), {})
            return self._may_group(nodes) and all(
                sum(free[node, resource] for node in nodes) + reusable.get(resource, 0) >= amount
                for resource, amount in needed.items()
            )

        return hints_for(self.allocatable, could=could, can=can)

    def _choose(self, pod: Pod, needed: Quantities, hint: Hint) -> Nodes:
        """The hint's nodes if they have the memory, else the best ones that include them.

        The words of the errors are kubelet's.
        """
        if hint.nodes is None:
            best = self._best(pod, needed, frozenset())
            if best is None:
                raise NoMemory(
                    "[memorymanager] failed to get the default NUMA affinity,"
                    " no NUMA nodes with enough memory is available"
                )
            if hint.preferred and not best.preferred:
                raise NoMemory("[memorymanager] failed to find the default preferred hint")
            hint = best
        nodes = hint.nodes or frozenset()
        if not self._suffice(nodes, needed):
            best = self._best(pod, needed, nodes)
            if best is None:
                raise NoMemory(
                    "[memorymanager] failed to find NUMA nodes to extend the current topology hint"
                )
            if hint.preferred and not best.preferred:
                raise NoMemory("[memorymanager] failed to find the extended preferred hint")
            nodes = best.nodes or frozenset()
        if len(nodes) > 1 and not self._may_group(nodes):
            raise NoMemory("[memorymanager] preferred hint violates NUMA node allocation")
        return nodes

    def _best(self, pod: Pod, needed: Quantities, nodes: Nodes) -> Hint | None:
        hints = [h for h in self._hints(pod, needed) if h.nodes and h.nodes >= nodes]
        return min(
            hints, key=lambda h: (not h.preferred, narrowness(h.nodes or nodes)), default=None
        )

    def _suffice(self, nodes: Nodes, needed: Quantities) -> bool:
        return all(
            sum(self._free(node, resource) for node in nodes) >= amount
            for resource, amount in needed.items()
        )

    def _may_group(self, nodes: Nodes) -> bool:
        """Whether no node is already used in another group than this one."""
        if len(nodes) == 1:
            return all(len(block.nodes) == 1 for block in self._blocks if block.nodes & nodes)
        return all(block.nodes == nodes for block in self._blocks if block.nodes & nodes)

    def _free(self, node: int, resource: str) -> Fraction:
        taken = (block.taken.get((node, resource), Fraction()) for block in self._blocks)
        return self.allocatable[node].get(resource, Fraction()) - sum(taken, Fraction())


def _bound_memory(pod: Pod, container: Container) -> dict[str, Fraction]:
    """What is bound to nodes: nothing unless the pod is Guaranteed, by its containers."""
    if pod.qos is not QosClass.GUARANTEED or pod.resources:
        return {}
    return {
        name: quantity
        for name, quantity in container.resources.requests.items()
        if name == "memory" or is_huge_pages(name)
    }
