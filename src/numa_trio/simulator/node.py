"""A node of the cluster as kubelet sees it: what the machine has, and which pods use it."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field, frozen

from numa_trio.simulator.cpu_policy import CpuManager
from numa_trio.simulator.cpus import CpuSet, SimulatedMachine
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.hints import Distances, Nodes
from numa_trio.simulator.kubelet_config import (
    CpuManagerPolicy,
    KubeletConfig,
    MemoryManagerPolicy,
    check_start,
    reserved_memory,
)
from numa_trio.simulator.memory import MemoryManager
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.workloads.pod import Container, Pod, Quantities
from numa_trio.workloads.quantity import binary, milli, whole
from numa_trio.workloads.resource_names import is_extended_resource

MAX_PODS = 110


@frozen
class Placement:
    """Where a container runs, and with what.

    `cpus` are its own if `exclusive`, else the shared pool. `memory_nodes` are all nodes with
    memory unless `memory_bound`. The `annotations` are what its runtime is told.
    """

    container: Container
    cpus: CpuSet
    exclusive: bool
    memory_nodes: Nodes
    memory_bound: bool
    devices: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    annotations: Mapping[str, str] = field(factory=dict)


@frozen
class Shortfall:
    """A resource of which a pod asks for more than is left; CPUs count in thousandths."""

    resource: str
    requested: int
    used: int
    capacity: int


@define
class Node:
    """The resource managers of kubelet, and the pods that were admitted.

    `down` are the pods, by uid, whose containers a reboot ended and that were not started since;
    `restarts` counts how often each pod was started again.
    """

    machine: SimulatedMachine
    config: KubeletConfig
    cpus: CpuManager
    memory: MemoryManager
    devices: DeviceManager
    pods: dict[str, Pod] = field(factory=dict)
    down: set[str] = field(factory=set)
    restarts: Counter[str] = field(factory=Counter)

    @classmethod
    def create(cls, machine: SimulatedMachine, config: KubeletConfig) -> Self:
        """The node with nothing on it; raises `KubeletWillNotStart`."""
        check_start(machine, config)
        return cls(
            machine,
            config,
            _cpu_manager(machine, config),
            _memory_manager(machine, config),
            DeviceManager(frozenset(node.id for node in machine.machine.nodes)),
        )

    @property
    def numa_nodes(self) -> Nodes:
        """All NUMA nodes, with CPUs or without."""
        return self.devices.nodes

    @property
    def memory_totals(self) -> dict[int, dict[str, int]]:
        """The bytes of memory, and of each size of huge pages, that each NUMA node has in all."""
        return {
            node.id: {"memory": node.memory_bytes or 0, **_huge_pages(node)}
            for node in self.machine.machine.nodes
        }

    @property
    def distances(self) -> Distances | None:
        """How far NUMA nodes are from each other, where the Topology Manager goes by that."""
        if not self.config.prefer_closest_numa_nodes:
            return None
        return {node.id: node.distances for node in self.machine.machine.nodes}

    def allocatable(self) -> dict[str, int]:
        """What pods can have in all; CPUs in thousandths."""
        total = {
            "pods": MAX_PODS,
            "cpu": 1000 * (len(self.machine.cpus) - len(self.cpus.reserved)),
        }
        for node in self.memory.nodes.values():
            for resource, amount in node.allocatable.items():
                total[resource] = total.get(resource, 0) + whole(amount)
        return total | {name: self.devices.allocatable(name) for name in self.devices.resources}

    def shortfalls(self, pod: Pod, *, by_kubelet: bool = False) -> list[Shortfall]:
        """The resources that do not suffice for one more pod: pods, CPUs, memory, then others.

        As the scheduler counts them, or `by_kubelet`: it does not mind extended resources that no
        plugin ever offered, and takes for allocatable at least what containers have.
        """
        used = _in_units(*self.pods.values())
        requested = _in_units(pod)
        capacity = self.allocatable()
        if by_kubelet:
            for holder in self.devices.allocations:
                held = self.devices.allocated(holder.resource)
                capacity[holder.resource] = max(held, capacity.get(holder.resource, 0))
        return [
            Shortfall(name, amount, used.get(name, 0), capacity.get(name, 0))
            for name, amount in sorted(requested.items(), key=lambda each: _rank(each[0]))
            if 0 < amount > capacity.get(name, 0) - used.get(name, 0)
            and name != "ephemeral-storage"
            and not (by_kubelet and is_extended_resource(name) and name not in capacity)
        ]

    def placement(self, pod: Pod, container: Container) -> Placement:
        """Where a container of an admitted pod runs, and with what."""
        own = self.cpus.exclusive(pod, container)
        bound = self.memory.nodes_of(pod, container)
        with_memory = frozenset(node.id for node in self.machine.machine.nodes if node.has_memory)
        allocations = self.devices.allocations_of(pod, container)
        environment: dict[str, str] = {}
        annotations: dict[str, str] = {}
        for allocation in allocations.values():
            environment = {**allocation.answer.environment, **environment}  # the first one counts
            annotations = {**allocation.answer.annotations, **annotations}
        return Placement(
            container,
            cpus=own or self.cpus.shared,
            exclusive=bool(own),
            memory_nodes=bound or with_memory,
            memory_bound=bool(bound),
            devices={name: each.device_ids for name, each in allocations.items()},
            environment=environment,
            annotations=annotations,
        )

    def release(self, pod: Pod) -> None:
        """Take a pod off the node, or what it got before it was refused."""
        self.pods.pop(pod.uid, None)
        self.down.discard(pod.uid)
        self.cpus.release(pod)
        self.memory.release(pod)
        self.devices.release(pod)

    def started(self, pod: Pod) -> None:
        """All containers of the pod have been started, so its ordinary init containers ended."""
        self.memory.free_init_containers(pod)
        if pod.uid in self.down:
            self.down.discard(pod.uid)
            self.restarts[pod.uid] += 1

    def reboot(self) -> None:
        """End the containers of all pods; what they have is written down, and stays theirs."""
        self.down.update(self.pods)

    def forget(self) -> None:
        """Take all CPUs and memory for free: what is whose is to be read from the disk."""
        self.cpus = _cpu_manager(self.machine, self.config)
        self.memory = _memory_manager(self.machine, self.config)

    def restart(self) -> None:
        """Start kubelet anew: no pod is admitted yet, but containers keep what they have."""
        self.pods.clear()
        self.cpus.restart()
        self.memory.restart()


def _cpu_manager(machine: SimulatedMachine, config: KubeletConfig) -> CpuManager:
    return CpuManager.reserving(
        machine.cpus,
        config.reserved_cpus,
        full_cores=config.full_pcpus_only,
        static=config.cpu_manager is CpuManagerPolicy.STATIC,
    )


def _memory_manager(machine: SimulatedMachine, config: KubeletConfig) -> MemoryManager:
    return MemoryManager.of(
        _allocatable_memory(machine.machine, config),
        static=config.memory_manager is MemoryManagerPolicy.STATIC,
    )


def _huge_pages(node: NumaNode) -> dict[str, int]:
    """The bytes of each size, by the name of the resource."""
    return {
        f"hugepages-{binary(size.size_bytes)}": size.size_bytes * size.total
        for size in node.huge_pages
    }


def _allocatable_memory(machine: Machine, config: KubeletConfig) -> dict[int, Quantities]:
    allocatable: dict[int, Quantities] = {}
    for node in machine.nodes:
        pages = {name: Fraction(size) for name, size in _huge_pages(node).items()}
        kept = reserved_memory(node, config) + sum(pages.values())
        left = max(Fraction(), Fraction(node.memory_bytes or 0) - kept)
        allocatable[node.id] = {"memory": Fraction(int(left)), **pages}
    return allocatable


def _rank(resource: str) -> int:
    """The order in which the scheduler's code looks at resources, for kubelet too."""
    order = ("pods", "cpu", "memory")
    return order.index(resource) if resource in order else len(order)


def _in_units(*pods: Pod) -> dict[str, int]:
    """What pods request, themselves included; CPUs in thousandths."""
    total = {"pods": len(pods)}
    for pod in pods:
        for name, quantity in pod.total_requests().items():
            amount = milli(quantity) if name == "cpu" else whole(quantity)
            total[name] = total.get(name, 0) + amount
    return total
