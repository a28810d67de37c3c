"""How kubelet's CPU Manager gives containers CPUs of their own: its static policy, and `none`.

Source: pkg/kubelet/cm/cpumanager/policy_static.go and policy_none.go of Kubernetes 1.36.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Self

from attrs import define, field

from numa_trio.simulator.cpus import Cpu, CpuSet, cpus_per_core, take
from numa_trio.simulator.hints import Hint, Hints, Nodes, hints_for
from numa_trio.workloads.pod import Container, ContainerKind, Pod, QosClass, peak_requests


class SmtAlignmentError(Exception):
    """Under `full-pcpus-only`, a container cannot get whole cores; the words are kubelet's."""


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

    `reserved` CPUs always stay in it. `full_cores` is the policy option `full-pcpus-only`. Under
    the policy `none`, which is not `static`, all CPUs stay in it, and there are no hints.
    """

    cpus: tuple[Cpu, ...]
    reserved: CpuSet
    shared: CpuSet
    full_cores: bool = False
    static: bool = True
    _exclusive: dict[tuple[str, str], CpuSet] = field(factory=dict)
    _reusable: dict[str, CpuSet] = field(factory=dict)  # of finished init containers, by pod

    @classmethod
    def reserving(
        cls,
        cpus: tuple[Cpu, ...],
        reserved: int | CpuSet,
        *,
        full_cores: bool = False,
        static: bool = True,
    ) -> Self:
        """With these CPUs reserved, or so many from the lowest cores up; raises `NotEnoughCpus`."""
        everything = frozenset(cpu.id for cpu in cpus)
        if isinstance(reserved, int):
            reserved = take(cpus, everything, reserved)
        return cls(cpus, reserved, everything, full_cores, static)

    def exclusive(self, pod: Pod, container: Container) -> CpuSet:
        """The CPUs that the container has for itself; empty if it runs in the shared pool."""
        return self._exclusive.get((pod.uid, container.name), frozenset())

    def hints(self, pod: Pod, container: Container) -> dict[str, Hints]:
        """The hints for a container; none if it gets no CPUs for itself."""
        count = self._wanted(pod, container)
        if not count:
            return {}
        if held := self.exclusive(pod, container):
            return {"cpu": self._hints(held, frozenset(), count) if len(held) == count else []}
        return {"cpu": self._hints(self._free(), self._left(pod), count)}

    def pod_hints(self, pod: Pod) -> dict[str, Hints]:
        """The hints for a pod as a whole; none if it gets no CPUs for itself."""
        needs = [(c.kind, {"cpu": Fraction(self._wanted(pod, c))}) for c in pod.containers]
        count = int(peak_requests(needs)["cpu"])
        if not count:
            return {}
        assigned: CpuSet = frozenset()
        for container in pod.containers:
            held = self.exclusive(pod, container)
            if held and len(held) != self._wanted(pod, container):
                return {"cpu": []}
            assigned |= held
        if len(assigned) == count:
            return {"cpu": self._hints(assigned, frozenset(), count)}
        return {"cpu": self._hints(self._free(), self._left(pod) | assigned, count)}

    def allocate(self, pod: Pod, container: Container, hint: Hint) -> None:
        """Give the container its CPUs, from the nodes of the hint as far as they have any.

        Raises `NotEnoughCpus` or `SmtAlignmentError`.
        """
        count = self._wanted(pod, container)
        if not count:
            return
        self._check_cores(count)
        chosen = self.exclusive(pod, container)
        reusable = self._left(pod)
        if not chosen:
            available = self._free() | reusable
            chosen = take(self.cpus, *self._aligned(available, hint.nodes, count))
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

    @property
    def assignments(self) -> Mapping[tuple[str, str], CpuSet]:
        """The CPUs that containers have for themselves, by the pod's uid and their name."""
        return self._exclusive

    def assign(self, uid: str, container: str, cpus: CpuSet) -> None:
        """Note that a container has these CPUs for itself, as the state file says."""
        self._exclusive[uid, container] = cpus
        self.shared -= cpus

    def restart(self) -> None:
        """Forget what the state file does not hold: which CPUs a pod may use again."""
        self._reusable.clear()

    @property
    def allocatable(self) -> CpuSet:
        """The CPUs that containers can get for themselves."""
        if not self.static:
            return frozenset()
        return frozenset(cpu.id for cpu in self.cpus) - self.reserved

    def _wanted(self, pod: Pod, container: Container) -> int:
        return whole_cpus(pod, container) if self.static else 0

    def _free(self) -> CpuSet:
        return self.shared - self.reserved

    def _left(self, pod: Pod) -> CpuSet:
        return self._reusable.get(pod.uid, frozenset())

    def _aligned(self, available: CpuSet, nodes: Nodes | None, count: int) -> tuple[CpuSet, int]:
        aligned = self._on(nodes or ()) & available
        return aligned, min(count, len(aligned))

    def _on(self, nodes: Iterable[int]) -> CpuSet:
        wanted = frozenset(nodes)
        return frozenset(cpu.id for cpu in self.cpus if cpu.node in wanted)

    def _check_cores(self, count: int) -> None:
        if not self.full_cores:
            return
        threads = cpus_per_core(self.cpus)
        if count % threads:
            raise SmtAlignmentError(
                f"SMT Alignment Error: requested {count} cpus not multiple cpus per core ="
                f" {threads}"
            )
        cores = {cpu.core for cpu in self.cpus if cpu.id in self.reserved}
        free = sum(cpu.core not in cores for cpu in self.cpus if cpu.id in self.shared)
        if count > free:
            raise SmtAlignmentError(
                "SMT Alignment Error: not enough free physical CPUs: available physical CPUs ="
                f" {free}, requested CPUs = {count}, CPUs per core = {threads}"
            )

    def _hints(self, available: CpuSet, reusable: CpuSet, count: int) -> list[Hint]:
        """Sets of NUMA nodes with enough CPUs; those that lack a reusable CPU are left out."""
        node_of = {cpu.id: cpu.node for cpu in self.cpus}
        installed = Counter(node_of.values())
        # Kubelet counts a CPU that is both available and reusable twice.
        free = Counter(node_of[cpu] for cpu in [*available, *reusable])
        anchors = {node_of[cpu] for cpu in reusable}

        def could(nodes: Nodes) -> bool:
            return sum(installed[node] for node in nodes) >= count

        def can(nodes: Nodes) -> bool:
            return nodes >= anchors and sum(free[node] for node in nodes) >= count

        return hints_for(installed, could=could, can=can)
