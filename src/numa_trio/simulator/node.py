"""A node of the cluster as kubelet sees it: what the machine has, and which pods use it."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field, frozen

from numa_trio.simulator.cpu_policy import CpuManager
from numa_trio.simulator.cpus import Cpu, CpuSet
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.hints import Distances, Nodes, Policy, Scope
from numa_trio.simulator.memory import MemoryManager
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.workloads.pod import Container, Pod, Quantities
from numa_trio.workloads.quantity import milli, whole
from numa_trio.workloads.resource_names import is_extended_resource

MAX_NUMA_NODES = 8  # the default of the policy option max-allowable-numa-nodes, and its minimum
MAX_NUMA_NODE_ID = 63  # the Topology Manager's masks have 64 bits
MAX_PODS = 110

_ENDLESS_NUMA_NODES = 16


class KubeletWillNotStart(Exception):
    """Kubelet cannot run on this machine with this configuration."""


@frozen
class SimulatedMachine:
    """A machine: its NUMA nodes, and how their CPUs form cores and sockets."""

    name: str
    machine: Machine
    cpus: tuple[Cpu, ...]


@frozen
class KubeletConfig:
    """What kubelet is configured to do; the CPU and Memory Managers are always static.

    `reserved_cpus` is a number of CPUs, of which kubelet chooses the lowest, or the CPUs of
    `reservedSystemCPUs`. `reserved_memory` is how many bytes are kept from pods on each NUMA node
    that has CPUs, an eighth of its memory at the most. The last three are policy options of the
    CPU and the Topology Manager, under their own names.
    """

    policy: Policy = Policy.SINGLE_NUMA_NODE
    scope: Scope = Scope.CONTAINER
    reserved_cpus: int | CpuSet = 1
    reserved_memory: int = 512 << 20
    full_pcpus_only: bool = False
    prefer_closest_numa_nodes: bool = False
    max_allowable_numa_nodes: int = MAX_NUMA_NODES


@frozen
class Placement:
    """Where a container runs, and with what.

    `cpus` are its own if `exclusive`, else the shared pool. `memory_nodes` are all nodes with
    memory unless `memory_bound`.
    """

    container: Container
    cpus: CpuSet
    exclusive: bool
    memory_nodes: Nodes
    memory_bound: bool
    devices: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]


@frozen
class Shortfall:
    """A resource of which a pod asks for more than is left; CPUs count in thousandths."""

    resource: str
    requested: int
    used: int
    capacity: int


@define
class Node:
    """The resource managers of kubelet, and the pods that were admitted."""

    machine: SimulatedMachine
    config: KubeletConfig
    cpus: CpuManager
    memory: MemoryManager
    devices: DeviceManager
    pods: dict[str, Pod] = field(factory=dict)

    @classmethod
    def create(cls, machine: SimulatedMachine, config: KubeletConfig) -> Self:
        """The node with nothing on it; raises `KubeletWillNotStart`."""
        _check_start(machine, config)
        return cls(
            machine,
            config,
            CpuManager.reserving(
                machine.cpus, config.reserved_cpus, full_cores=config.full_pcpus_only
            ),
            MemoryManager.of(_allocatable_memory(machine.machine, config)),
            DeviceManager(frozenset(node.id for node in machine.machine.nodes)),
        )

    @property
    def numa_nodes(self) -> Nodes:
        """All NUMA nodes, with CPUs or without."""
        return self.devices.nodes

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
        for allocation in allocations.values():
            environment = {**allocation.answer.environment, **environment}  # the first one counts
        return Placement(
            container,
            cpus=own or self.cpus.shared,
            exclusive=bool(own),
            memory_nodes=bound or with_memory,
            memory_bound=bool(bound),
            devices={name: each.device_ids for name, each in allocations.items()},
            environment=environment,
        )

    def release(self, pod: Pod) -> None:
        """Take a pod off the node, or what it got before it was refused."""
        self.pods.pop(pod.uid, None)
        self.cpus.release(pod)
        self.memory.release(pod)
        self.devices.release(pod)

    def started(self, pod: Pod) -> None:
        """All containers of the pod have been started, so its ordinary init containers ended."""
        self.memory.free_init_containers(pod)

    def restart(self) -> None:
        """Start kubelet anew: no pod is admitted yet, but containers keep what they have."""
        self.pods.clear()
        self.cpus.restart()
        self.memory.restart()


def _check_start(machine: SimulatedMachine, config: KubeletConfig) -> None:
    nodes = frozenset(node.id for node in machine.machine.nodes)
    most = config.max_allowable_numa_nodes
    if most < MAX_NUMA_NODES:
        raise KubeletWillNotStart(
            f"the policy option max-allowable-numa-nodes is {most}: kubelet allows no less than"
            f" {MAX_NUMA_NODES}"
        )
    if len(nodes) > most and config.policy is not Policy.NONE:
        raise KubeletWillNotStart(
            f"{machine.name} has {len(nodes)} NUMA nodes: with a topology policy, kubelet runs"
            f" on at most {most} (its policy option max-allowable-numa-nodes);"
            " choose another machine, the policy none, or a higher number"
        )
    if len(nodes) > _ENDLESS_NUMA_NODES:
        raise KubeletWillNotStart(
            f"{machine.name} has {len(nodes)} NUMA nodes: kubelet's static Memory Manager"
            " tries every set of nodes, which would take it for ever; choose another machine"
        )
    if max(nodes, default=0) > MAX_NUMA_NODE_ID:
        raise KubeletWillNotStart(
            f"{machine.name} has a NUMA node {max(nodes)}: kubelet's Topology and Memory"
            f" Managers know the numbers 0 to {MAX_NUMA_NODE_ID}; choose another machine"
        )
    _check_reserved_cpus(machine, config.reserved_cpus)
    if not sum(_reserved_memory(node, config) for node in machine.machine.nodes):
        raise KubeletWillNotStart(
            f"no memory is reserved on {machine.name}, as no NUMA node with CPUs has any: kubelet's"
            " static Memory Manager does not start without; choose another machine"
        )


def _check_reserved_cpus(machine: SimulatedMachine, reserved: int | CpuSet) -> None:
    count = reserved if isinstance(reserved, int) else len(reserved)
    if not 1 <= count <= len(machine.cpus):
        raise KubeletWillNotStart(
            f"{count} CPUs are reserved of the {len(machine.cpus)} that"
            f" {machine.name} has: the static CPU Manager needs at least 1, and has no more"
            " than all"
        )
    if not isinstance(reserved, int) and (strays := reserved - {cpu.id for cpu in machine.cpus}):
        raise KubeletWillNotStart(
            f"CPU {format_list(strays)} is reserved, but {machine.name} has only the CPUs"
            f" {format_list(cpu.id for cpu in machine.cpus)}"
        )


def _reserved_memory(node: NumaNode, config: KubeletConfig) -> Fraction:
    eighth = Fraction(node.memory_bytes or 0) / 8
    return min(Fraction(config.reserved_memory), eighth) if node.has_cpus else Fraction()


def _allocatable_memory(machine: Machine, config: KubeletConfig) -> dict[int, Quantities]:
    allocatable: dict[int, Quantities] = {}
    for node in machine.nodes:
        pages = {
            f"hugepages-{_binary(size.size_bytes)}": Fraction(size.size_bytes * size.total)
            for size in node.huge_pages
        }
        kept = _reserved_memory(node, config) + sum(pages.values())
        left = max(Fraction(), Fraction(node.memory_bytes or 0) - kept)
        allocatable[node.id] = {"memory": Fraction(int(left)), **pages}
    return allocatable


def _rank(resource: str) -> int:
    """The order in which the scheduler's code looks at resources, for kubelet too."""
    order = ("pods", "cpu", "memory")
    return order.index(resource) if resource in order else len(order)


def _binary(size: int) -> str:
    """A size as in the names of huge pages: 2Mi, 1Gi."""
    for suffix, shift in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size % (1 << shift) == 0:
            return f"{size >> shift}{suffix}"
    return str(size)


def _in_units(*pods: Pod) -> dict[str, int]:
    """What pods request, themselves included; CPUs in thousandths."""
    total = {"pods": len(pods)}
    for pod in pods:
        for name, quantity in pod.total_requests().items():
            amount = milli(quantity) if name == "cpu" else whole(quantity)
            total[name] = total.get(name, 0) + amount
    return total
