"""The CPUs of a machine, and how kubelet's static CPU Manager hands them out.

Source: pkg/kubelet/cm/cpumanager of Kubernetes 1.36, with no policy options.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Self

from attrs import define, field, frozen

from numa_trio.simulator.hints import Hints, Nodes, hints_for
from numa_trio.workloads.pod import Container, ContainerKind, Pod, QosClass, peak_requests

CpuSet = frozenset[int]


class NotEnoughCpus(Exception):
    """Fewer CPUs are free than a container needs."""


@frozen
class Cpu:
    """A logical CPU and where it is. `core` is the lowest id of the CPUs that share its core."""

    id: int
    node: int
    socket: int
    core: int


Unit = Callable[[Cpu], int]  # which NUMA node, socket, core or CPU a CPU belongs to


def _node(cpu: Cpu) -> int:
    return cpu.node


def _socket(cpu: Cpu) -> int:
    return cpu.socket


def _core(cpu: Cpu) -> int:
    return cpu.core


def take(cpus: Iterable[Cpu], available: CpuSet, count: int) -> CpuSet:
    """Choose `count` of the available CPUs, close together.

    Whole sockets and NUMA nodes go first (whichever contains the other), then whole cores, then
    single CPUs; what has the fewest free CPUs is filled before the rest. Raises `NotEnoughCpus`.
    """
    if count > len(available):
        raise NotEnoughCpus(
            "not enough cpus available to satisfy request:"
            f" requested={count}, available={len(available)}"
        )
    machine = tuple(cpus)
    nodes_outermost = len(set(map(_socket, machine))) >= len(set(map(_node, machine)))
    levels = [_node, _socket, _core] if nodes_outermost else [_socket, _node, _core]
    free = {cpu for cpu in machine if cpu.id in available}
    taken: set[Cpu] = set()
    for depth, level in enumerate(levels, start=1):
        for unit in _fullest_first(free, levels[:depth]):
            whole = {cpu for cpu in machine if level(cpu) == unit}
            if whole <= free and len(whole) <= count - len(taken):
                taken |= whole
                free -= whole
    singles = list(_fullest_first(free, [*levels, lambda cpu: cpu.id]))
    return frozenset({cpu.id for cpu in taken} | set(singles[: count - len(taken)]))


def _fullest_first(free: set[Cpu], levels: Sequence[Unit]) -> Iterator[int]:
    """The units of the last level, ordered level by level by how few free CPUs they have."""
    sizes = [Counter(map(level, free)) for level in levels]

    def order(cpu: Cpu) -> list[tuple[int, int]]:
        units = [level(cpu) for level in levels]
        return [(size[unit], unit) for size, unit in zip(sizes, units, strict=True)]

    return iter(dict.fromkeys(levels[-1](cpu) for cpu in sorted(free, key=order)))


def whole_cpus(pod: Pod, container: Container) -> int:
    """How many CPUs the container gets for itself; 0 if it runs in the shared pool.

    That takes a Guaranteed pod without pod-level resources, and a whole number of CPUs.
    """
    cpus = container.resources.requests.get("cpu", Fraction())
    if pod.qos is not QosClass.GUARANTEED or pod.resources or cpus.denominator != 1:
        return 0
    return int(cpus)


@define
class CpuManager:
    """The static policy: `shared` is the pool of all CPUs that no container has for itself.

    `reserved` CPUs always stay in it.
    """

    cpus: tuple[Cpu, ...]
    reserved: CpuSet
    shared: CpuSet
    _exclusive: dict[tuple[str, str], CpuSet] = field(factory=dict)
    _reusable: dict[str, CpuSet] = field(factory=dict)  # of finished init containers, by pod

    @classmethod
    def reserving(cls, cpus: tuple[Cpu, ...], count: int) -> Self:
        """With so many CPUs reserved, from the lowest cores up; raises `NotEnoughCpus`."""
        everything = frozenset(cpu.id for cpu in cpus)
        return cls(cpus, reserved=take(cpus, everything, count), shared=everything)

    def exclusive(self, pod: Pod, container: Container) -> CpuSet:
        """The CPUs that the container has for itself; empty if it runs in the shared pool."""
        return self._exclusive.get((pod.uid, container.name), frozenset())

    def hints(self, pod: Pod, container: Container) -> dict[str, Hints]:
        """The hints for a container; none if it gets no CPUs for itself."""
        return self._hints(pod, whole_cpus(pod, container))

    def pod_hints(self, pod: Pod) -> dict[str, Hints]:
        """The hints for a pod as a whole; none if it gets no CPUs for itself."""
        needs = [(c.kind, {"cpu": Fraction(whole_cpus(pod, c))}) for c in pod.containers]
        return self._hints(pod, int(peak_requests(needs)["cpu"]))

    def allocate(self, pod: Pod, container: Container, nodes: Nodes | None) -> None:
        """Give the container its CPUs, from these NUMA nodes as far as they have any.

        Raises `NotEnoughCpus`.
        """
        count = whole_cpus(pod, container)
        if not count:
            return
        reusable = self._reusable.get(pod.uid, frozenset())
        available = (self.shared - self.reserved) | reusable
        aligned = frozenset(c.id for c in self.cpus if nodes and c.node in nodes) & available
        chosen = take(self.cpus, aligned, min(count, len(aligned)))
        chosen |= take(self.cpus, available - chosen, count - len(chosen))
        self.shared -= chosen
        self._exclusive[pod.uid, container.name] = chosen
        if container.kind is ContainerKind.INIT:
            self._reusable[pod.uid] = reusable | chosen
        else:
            self._reusable[pod.uid] = reusable - chosen

    def release(self, pod: Pod) -> None:
        """Return all CPUs of a pod to the shared pool."""
        self._reusable.pop(pod.uid, None)
        for container in pod.containers:
            self.shared |= self._exclusive.pop((pod.uid, container.name), frozenset())

    def _hints(self, pod: Pod, count: int) -> dict[str, Hints]:
        """Sets of NUMA nodes with enough CPUs; those that lack a reusable CPU are left out."""
        if not count:
            return {}
        node_of = {cpu.id: cpu.node for cpu in self.cpus}
        installed = Counter(node_of.values())
        reusable = self._reusable.get(pod.uid, frozenset())
        free = Counter(node_of[cpu] for cpu in (self.shared - self.reserved) | reusable)
        anchors = {node_of[cpu] for cpu in reusable}

        def could(nodes: Nodes) -> bool:
            return sum(installed[node] for node in nodes) >= count

        def can(nodes: Nodes) -> bool:
            return nodes >= anchors and sum(free[node] for node in nodes) >= count

        return {"cpu": hints_for(installed, could=could, can=can)}
