"""A node of the cluster as kubelet sees it: what the machine has, and which pods use it."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field, frozen

from numa_trio.simulator.cpus import Cpu, CpuManager, CpuSet
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.hints import Nodes, Policy, Scope
from numa_trio.simulator.memory import MemoryManager
from numa_trio.topology.machine import Machine
from numa_trio.workloads.pod import Container, Pod, Quantities
from numa_trio.workloads.quantity import milli, whole

MAX_NUMA_NODES = 8  # the default of the policy option max-allowable-numa-nodes
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

    `reserved_memory` is how many bytes are kept from pods on each NUMA node that has CPUs, an
    eighth of its memory at the most.
    """

    policy: Policy = Policy.SINGLE_NUMA_NODE
    scope: Scope = Scope.CONTAINER
    reserved_cpus: int = 1
    reserved_memory: int = 512 << 20


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
        nodes = frozenset(node.id for node in machine.machine.nodes)
        if len(nodes) > MAX_NUMA_NODES and config.policy is not Policy.NONE:
            raise KubeletWillNotStart(
                f"{machine.name} has {len(nodes)} NUMA nodes: with a topology policy, kubelet runs"
                f" on at most {MAX_NUMA_NODES} (its policy option max-allowable-numa-nodes);"
                " choose another machine, or the policy none"
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
        if not 1 <= config.reserved_cpus <= len(machine.cpus):
            raise KubeletWillNotStart(
                f"{config.reserved_cpus} CPUs are reserved of the {len(machine.cpus)} that"
                f" {machine.name} has: the static CPU Manager needs at least 1, and has no more"
                " than all"
            )
        return cls(
            machine,
            config,
            CpuManager.reserving(machine.cpus, config.reserved_cpus),
            MemoryManager(_allocatable_memory(machine.machine, config)),
            DeviceManager(nodes),
        )

    @property
    def numa_nodes(self) -> Nodes:
        """All NUMA nodes, with CPUs or without."""
        return self.devices.nodes

    def allocatable(self) -> dict[str, int]:
        """What pods can have in all; CPUs in thousandths."""
        total = {
            "pods": MAX_PODS,
            "cpu": 1000 * (len(self.machine.cpus) - self.config.reserved_cpus),
        }
        for amounts in self.memory.allocatable.values():
            for resource, amount in amounts.items():
                total[resource] = total.get(resource, 0) + whole(amount)
        return total | {name: self.devices.allocatable(name) for name in self.devices.resources}

    def shortfalls(self, pod: Pod) -> list[Shortfall]:
        """The resources that do not suffice for one more pod, pods themselves first."""
        used = _in_units(*self.pods.values())
        requested = _in_units(pod)
        capacity = self.allocatable()
        return [
            Shortfall(name, amount, used.get(name, 0), capacity.get(name, 0))
            for name, amount in requested.items()
            if amount > capacity.get(name, 0) - used.get(name, 0) and name != "ephemeral-storage"
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


def _allocatable_memory(machine: Machine, config: KubeletConfig) -> dict[int, Quantities]:
    allocatable: dict[int, Quantities] = {}
    for node in machine.nodes:
        total = Fraction(node.memory_bytes or 0)
        reserved = min(Fraction(config.reserved_memory), total / 8) if node.has_cpus else Fraction()
        pages = {
            f"hugepages-{_binary(size.size_bytes)}": Fraction(size.size_bytes * size.total)
            for size in node.huge_pages
        }
        left = max(Fraction(), total - reserved - sum(pages.values()))
        allocatable[node.id] = {"memory": Fraction(int(left)), **pages}
    return allocatable


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
