"""The memory of NUMA nodes, and how kubelet's Memory Manager hands it out under `Static`.

Source: pkg/kubelet/cm/memorymanager/policy_static.go of Kubernetes 1.36.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field

from numa_trio.simulator.hints import Hint, Hints, Nodes, hints_for, narrowness
from numa_trio.simulator.memory_needs import (
    bound_memory,
    in_whole_bytes,
    ordinary_init_containers_before,
)
from numa_trio.simulator.memory_nodes import NodeMemory
from numa_trio.workloads.pod import (
    Container,
    ContainerKind,
    Pod,
    Quantities,
    peak_requests,
)

# A resource, the nodes it is on together, and how many bytes.
Assignment = tuple[str, Nodes, Fraction]


class NoMemory(Exception):
    """No set of NUMA nodes may hold what a container needs; the words are kubelet's."""


@define
class _Block:
    """Memory that a container has; less than it asked for where it uses an init container's."""

    nodes: Nodes
    size: Fraction


@define
class MemoryManager:
    """The static policy: Guaranteed containers get memory from the nodes of their hint.

    A node serves either containers that fit on it alone, or containers that span the same group
    of nodes. Under the policy `None`, which is not `static`, no memory is bound.
    """

    nodes: Mapping[int, NodeMemory]
    static: bool = True
    _blocks: dict[tuple[str, str], dict[str, _Block]] = field(factory=dict)
    # What finished init containers leave, by pod, nodes and resource.
    _reusable: dict[tuple[str, Nodes, str], Fraction] = field(factory=dict)

    @classmethod
    def of(cls, allocatable: Mapping[int, Quantities], *, static: bool = True) -> Self:
        """With bytes of `memory` and of each `hugepages-<size>` by NUMA node."""
        nodes = {node: NodeMemory.of(node, sizes) for node, sizes in allocatable.items()}
        return cls(nodes, static)

    def nodes_of(self, pod: Pod, container: Container) -> Nodes:
        """The nodes that the container's memory is bound to; empty if it is not bound."""
        blocks = self._blocks.get((pod.uid, container.name), {})
        return next((block.nodes for block in blocks.values()), frozenset())

    def blocks_of(self, pod: Pod, container: Container) -> list[Assignment]:
        """What the container has."""
        blocks = self._blocks.get((pod.uid, container.name), {})
        return [(name, block.nodes, block.size) for name, block in blocks.items()]

    def hints(self, pod: Pod, container: Container) -> dict[str, Hints]:
        """The hints for a container; none if its memory is not bound, or fits nowhere."""
        needed = self._bound(pod, container)
        if not in_whole_bytes(needed):
            return {}
        if blocks := self._blocks.get((pod.uid, container.name)):
            return _again(blocks, needed)
        return self._by_resource(pod, needed)

    def pod_hints(self, pod: Pod) -> dict[str, Hints]:
        """The hints for a pod as a whole; none if its memory is not bound, or fits nowhere."""
        bound = {container.name: self._bound(pod, container) for container in pod.containers}
        if not all(map(in_whole_bytes, bound.values())):
            return {}
        # Kubelet counts only what an app container names, however much the others ask for.
        apps = [c for c in pod.containers if c.kind is ContainerKind.APP]
        named = {name for app in apps for name in bound[app.name]}
        peak = peak_requests([(c.kind, bound[c.name]) for c in pod.containers])
        needed = {name: amount for name, amount in peak.items() if name in named}
        for container in pod.containers:
            if blocks := self._blocks.get((pod.uid, container.name)):
                return _again(blocks, needed)
        return self._by_resource(pod, needed)

    def allocate(self, pod: Pod, container: Container, hint: Hint) -> None:
        """Bind the container's memory to the hint's nodes, or more; raises `NoMemory`."""
        needed = self._bound(pod, container)
        if not needed:
            return
        blocks = self._blocks.get((pod.uid, container.name))
        if blocks is None:
            if not in_whole_bytes(needed):
                raise NoMemory("[memorymanager] failed to represent quantity as int64")
            nodes = self._choose(pod, needed, hint)
            blocks = {name: _Block(nodes, amount) for name, amount in needed.items()}
            for name, block in blocks.items():
                left = self._reusable.get((pod.uid, nodes, name), Fraction())
                self._take(nodes, name, max(Fraction(), block.size - left))
        self._note_reusable(pod, container, blocks)
        if (pod.uid, container.name) not in self._blocks:
            self._blocks[pod.uid, container.name] = blocks
            self._shrink_init_containers(pod, container, blocks)

    def free_init_containers(self, pod: Pod) -> None:
        """Return what ordinary init containers still have: once the apps run, they have ended."""
        for container in pod.containers:
            if container.kind is ContainerKind.INIT:
                self.remove(pod.uid, container.name)

    def release(self, pod: Pod) -> None:
        """Return all memory of a pod."""
        for container in pod.containers:
            self.remove(pod.uid, container.name)
        self._reusable = {key: left for key, left in self._reusable.items() if key[0] != pod.uid}

    def remove(self, uid: str, container: str) -> None:
        """Return the memory of a container."""
        for name, block in self._blocks.pop((uid, container), {}).items():
            size = block.size
            for node in sorted(block.nodes):
                size -= self.nodes[node].give_back(name, size)

    @property
    def assignments(self) -> Mapping[tuple[str, str], list[Assignment]]:
        """What containers have, by the pod's uid and their name."""
        return {
            key: [(name, block.nodes, block.size) for name, block in blocks.items()]
            for key, blocks in self._blocks.items()
        }

    def assign(self, uid: str, container: str, assignments: Iterable[Assignment]) -> None:
        """Note that a container has this memory, as the state file says."""
        blocks = {name: _Block(nodes, Fraction(size)) for name, nodes, size in assignments}
        for name, block in blocks.items():
            self._take(block.nodes, name, block.size)
        self._blocks[uid, container] = blocks

    def restart(self) -> None:
        """Forget what the state file does not hold: which memory a pod may use again."""
        self._reusable.clear()

    def _bound(self, pod: Pod, container: Container) -> dict[str, Fraction]:
        return bound_memory(pod, container) if self.static else {}

    def _by_resource(self, pod: Pod, needed: Quantities) -> dict[str, Hints]:
        # Where no nodes will do, kubelet's map stays empty, without even an empty list: to the
        # Topology Manager that means any node will do, and it is the allocation that fails.
        hints = self._hints(pod, needed)
        return dict.fromkeys(needed, hints) if hints else {}

    def _hints(self, pod: Pod, needed: Quantities) -> list[Hint]:
        def could(nodes: Nodes) -> bool:
            return all(
                sum(self.nodes[node].allocatable.get(name, 0) for node in nodes) >= amount
                for name, amount in needed.items()
            )

        def can(nodes: Nodes) -> bool:
            if len(nodes) == 1 and any(len(self.nodes[node].group) > 1 for node in nodes):
                return False
            return (
                not self._is_used_otherwise(nodes)
                and could(nodes)
                and all(
                    self._free(nodes, name) + self._reusable.get((pod.uid, nodes, name), Fraction())
                    >= amount
                    for name, amount in needed.items()
                )
            )

        return hints_for(self.nodes, could=could, can=can)

    def _choose(self, pod: Pod, needed: Quantities, hint: Hint) -> Nodes:
        """The hint's nodes if they have the memory, else the best ones that include them."""
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
        if any(self._free(nodes, name) < amount for name, amount in needed.items()):
            best = self._best(pod, needed, nodes)
            if best is None:
                raise NoMemory(
                    "[memorymanager] failed to find NUMA nodes to extend the current topology hint"
                )
            if hint.preferred and not best.preferred:
                raise NoMemory("[memorymanager] failed to find the extended preferred hint")
            nodes = best.nodes or frozenset()
        if self._is_used_otherwise(nodes):
            raise NoMemory("[memorymanager] preferred hint violates NUMA node allocation")
        return nodes

    def _best(self, pod: Pod, needed: Quantities, nodes: Nodes) -> Hint | None:
        hints = [h for h in self._hints(pod, needed) if h.nodes and h.nodes >= nodes]
        return min(
            hints, key=lambda h: (not h.preferred, narrowness(h.nodes or nodes)), default=None
        )

    def _is_used_otherwise(self, nodes: Nodes) -> bool:
        """Whether a node of several is already used alone, or in another group."""
        used = (self.nodes[node] for node in nodes if self.nodes[node].assignments)
        return len(nodes) > 1 and any(node.group != nodes for node in used)

    def _free(self, nodes: Nodes, resource: str) -> Fraction:
        return sum((self.nodes[node].free(resource) for node in nodes), Fraction())

    def _take(self, nodes: Nodes, resource: str, amount: Fraction) -> None:
        for node in sorted(nodes):
            amount -= self.nodes[node].take(nodes, resource, amount)

    def _note_reusable(self, pod: Pod, container: Container, blocks: Mapping[str, _Block]) -> None:
        """What later containers may use again of this pod's init containers."""
        for name, block in blocks.items():
            key = (pod.uid, block.nodes, name)
            left = self._reusable.get(key, Fraction())
            if container.kind is ContainerKind.INIT:
                self._reusable[key] = max(left, block.size)
            else:
                self._reusable[key] = max(Fraction(), left - block.size)

    def _shrink_init_containers(
        self, pod: Pod, container: Container, blocks: Mapping[str, _Block]
    ) -> None:
        """Take from the blocks of earlier init containers what this container uses of them."""
        for name, block in blocks.items():
            used = block.size
            for earlier in ordinary_init_containers_before(pod, container):
                old = self._blocks.get((pod.uid, earlier.name), {}).get(name)
                if old is not None and old.nodes == block.nodes:
                    common = min(old.size, used)
                    old.size -= common
                    used -= common


def _again(blocks: Mapping[str, _Block], needed: Quantities) -> dict[str, Hints]:
    """The nodes of memory that a container has already; no preference if that is not as asked."""
    if {name: block.size for name, block in blocks.items()} != dict(needed):
        return {}
    return {name: [Hint(block.nodes, preferred=True)] for name, block in blocks.items()}
