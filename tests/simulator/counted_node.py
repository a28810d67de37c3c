"""A node whose CPUs and memory are counted, with the stand-in's managers behind it.

What the scheduler sees (healthy devices less those that pods request) is compared with the books of
the CPU and the Memory Manager, which the counting itself does not see.
"""

from collections.abc import Coroutine, Iterator
from fractions import Fraction
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import (
    Room,
    counted_name,
    cpu_room,
    given_devices,
    held_ids,
    memory_room,
    ordinals,
    unhealthy_devices,
)
from numa_trio.plugin.holdings import ContainerHoldings
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, admit, admit_again, scheduler_verdict
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.node import Node
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of
from numa_trio.workloads.pod import Pod, Resources, peak_requests
from simulated import Answering

T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waited")


@frozen
class Kind:
    """A counted resource: what it counts of which node."""

    counted: Counted
    node: int


@define
class Account:
    """A counted resource as kubelet's books have it: CPUs, or bytes, all of one node.

    `kept` is what the node's pods have that no request accounts for and that was not seen: what
    ordinary init containers keep. `idle` is what pods have asked for and do not have.
    """

    offered: int  # by the scheduler's sums; below 0 if more is requested
    left: int
    kept: int
    idle: int


@define
class Plugins(Answering):
    """Answers at once; `given` is what kubelet's checkpoint shows, which is written then."""

    devices: DeviceManager | None = None
    given: list[dict[str, frozenset[str]]] = field(factory=list)

    def allocated(self) -> None:
        assert self.devices is not None
        pods: dict[str, dict[str, frozenset[str]]] = {}
        for holder, allocation in self.devices.allocations.items():
            devices = pods.setdefault(holder.pod_uid, {})
            before = devices.get(holder.resource, frozenset())
            devices[holder.resource] = before | {*allocation.device_ids}
        self.given = [*pods.values()]


@define
class CountedNode:
    """`counted` are the counted resources by full name; `unit` is that of memory, in bytes.

    `stale` are those of which more may be offered than there is, with the reason, until the next
    look: a stranger came, or a pod went in whose devices a stranger had squeezed itself.
    """

    machine: SimulatedMachine
    config: KubeletConfig
    unit: int
    near: bool
    node: Node = field(init=False)
    plugins: Plugins = field(init=False)
    counted: dict[str, Kind] = field(init=False, factory=dict)
    stale: dict[str, str] = field(init=False, factory=dict)
    again: set[str] = field(init=False, factory=set)  # the pods that were admitted again, by uid
    fresh: bool = field(init=False, default=False)  # nothing has happened since the last look

    def __attrs_post_init__(self) -> None:
        self.node = Node.create(self.machine, self.config)
        self.plugins = Plugins({}, devices=self.node.devices)
        for base, number in self.bases.items():
            self._offer(NumaResource(base, (number,), 100))
            for counted in Counted:
                name = counted_name(base, counted)
                self.counted[f"numa-align/{name}"] = Kind(counted, number)
                total = self.room(f"numa-align/{name}", ()).total
                if total:
                    self._offer(NumaResource(name, (number,), total))
        self.look()

    @property
    def bases(self) -> dict[str, int]:
        """The slots by local name, each with its node."""
        numbers = [each.id for each in self.machine.machine.nodes]
        return {f"numa-{n}": n for n in numbers} | ({"near-data": 0} if self.near else {})

    def room(self, resource: str, holdings: tuple[ContainerHoldings, ...]) -> Room:
        """What the counting makes of what kubelet says."""
        kind, allocatable = self.counted[resource], allocatable_of(self.node)
        if kind.counted is Counted.MEMORY:
            return memory_room(allocatable, holdings, kind.node, self.unit, resource)
        cpus = frozenset(cpu.id for cpu in self.machine.cpus if cpu.node == kind.node)
        return cpu_room(allocatable, holdings, cpus, resource)

    def look(self) -> None:
        """Ask kubelet what it has given away, and say what is healthy."""
        holdings = holdings_of(self.node)
        for resource in self.counted.keys() & self.plugins.resources.keys():
            before = self.plugins.resources[resource]
            name, capacity = before.local_name, before.capacity
            held = ordinals(name, held_ids(resource, holdings), capacity)
            of_listed, of_others = given_devices(resource, self.plugins.given, holdings)
            kept = ordinals(name, of_listed, capacity)
            spared = ordinals(name, of_others, capacity)
            room = self.room(resource, holdings)
            unhealthy = unhealthy_devices(capacity, room, held, spared, before.unhealthy, kept)
            assert not unhealthy & (held | kept)
            self._offer(before.with_unhealthy(unhealthy))
        self.stale.clear()
        self.fresh = True

    def settle(self) -> None:
        """Look twice: in between kubelet hears of the new lists and writes its checkpoint anew.

        Until then that shows devices of pods that have ended, which spares them like an init
        container's.
        """
        self.look()
        self.plugins.allocated()
        self.look()

    def schedule(self, pod: Pod) -> Verdict | None:
        """What the scheduler says, if it does not send the pod here."""
        return scheduler_verdict(self.node, pod)

    def admit(self, pod: Pod) -> Verdict:
        """What kubelet says; all containers start."""
        verdict = at_once(admit(self.node, pod, self.plugins))
        if verdict.admitted:
            self.fresh = False
            self.node.started(pod)
            for resource in self.counted:
                if any(self._excess(resource, each) > 0 for each in self._listed(pod)):
                    self.stale[resource] = "a stranger came"
        return verdict

    def leave(self, pod: Pod) -> None:
        """The pod ends."""
        for resource in self.counted:
            if any(each.devices.get(resource) for each in self._listed(pod)) and (
                self.account(resource).idle
            ):
                self.stale[resource] = "a pod went that did not use what it had asked for"
        self.node.release(pod)
        self.fresh = False

    def restart(self) -> list[Verdict]:
        """Kubelet starts anew, and the plugins register in time."""
        node, self.fresh = self.node, False
        node.devices = DeviceManager(node.numa_nodes, node.devices.allocations)
        self.plugins.devices = node.devices
        for resource in self.plugins.resources.values():
            node.devices.update(resource.name, resource.devices())
        self.again |= node.pods.keys()
        return at_once(admit_again(node, [*node.pods.values()], self.plugins))

    def account(self, resource: str) -> Account:
        """What is offered of a counted resource, next to kubelet's own books."""
        kind = self.counted[resource]
        pods = [*self.node.pods.values()]
        requested = {pod.uid: self._asked(pod, resource) for pod in pods}
        return Account(
            offered=self._unit(kind) * self.node.devices.allocatable(resource)
            - sum(requested.values()),
            left=self._left(kind),
            kept=sum(self.unseen(pod, resource) for pod in pods),
            idle=sum(max(0, requested[pod.uid] - self._had(kind, pod)) for pod in pods),
        )

    def unseen(self, pod: Pod, resource: str) -> int:
        """What a pod has beyond its request, less what its containers are seen to have so."""
        more = self._had(self.counted[resource], pod) - self._asked(pod, resource)
        seen = sum(max(0, self._excess(resource, each)) for each in self._listed(pod))
        return max(0, more) - seen

    def _offer(self, resource: NumaResource) -> None:
        self.plugins.resources[resource.name] = resource
        self.node.devices.update(resource.name, resource.devices())

    def _listed(self, pod: Pod) -> Iterator[ContainerHoldings]:
        return (each for each in holdings_of(self.node) if each.pod == pod.name)

    def _asked(self, pod: Pod, resource: str) -> int:
        requests = [(c.kind, c.resources.requests) for c in pod.containers]
        peak = int(peak_requests(requests).get(resource, 0))
        return peak * self._unit(self.counted[resource])

    def _unit(self, kind: Kind) -> int:
        return self.unit if kind.counted is Counted.MEMORY else 1

    def _had(self, kind: Kind, pod: Pod) -> int:
        """What a pod has of the node, init containers included."""
        if kind.counted is Counted.CPU:
            cpus = (self.node.cpus.exclusive(pod, each) for each in pod.containers)
            return len(self._cpus(kind.node) & frozenset().union(*cpus))
        blocks = (b for c in pod.containers for b in self.node.memory.blocks_of(pod, c))
        return int(sum(size for name, nodes, size in blocks if (name, nodes) == _alone(kind.node)))

    def _left(self, kind: Kind) -> int:
        """What kubelet could still give away."""
        if kind.counted is Counted.CPU:
            return len(self._cpus(kind.node) & self.node.cpus.shared)
        memory = self.node.memory.nodes[kind.node]
        return int(memory.free("memory")) if memory.group == {kind.node} else 0

    def _cpus(self, node: int) -> frozenset[int]:
        cpus = frozenset(cpu.id for cpu in self.machine.cpus if cpu.node == node)
        return cpus - self.node.cpus.reserved

    def _excess(self, resource: str, holdings: ContainerHoldings) -> int:
        """What a container has of the node beyond what it asked for; below 0 if it has less."""
        kind, count = self.counted[resource], len(holdings.devices.get(resource, ()))
        if kind.counted is Counted.CPU:
            return len(holdings.cpus & self._cpus(kind.node)) - count
        blocks = (each for each in holdings.memory if kind.node in each.numa_nodes)
        return sum(each.size_bytes for each in blocks) - count * self.unit


def _alone(node: int) -> tuple[str, frozenset[int]]:
    return "memory", frozenset({node})


def without_counts(pod: Pod, counted: CountedNode) -> Pod:
    """The pod as it was before anybody gave it counts: with the slots alone."""

    def stripped(quantities: dict[str, Fraction]) -> dict[str, Fraction]:
        bases = {f"numa-align/{base}" for base in counted.bases}
        kept = {name: n for name, n in quantities.items() if name not in counted.counted}
        slots = {name.rpartition("-")[0] for name in quantities if name in counted.counted}
        return kept | dict.fromkeys(slots & bases, Fraction(1))

    containers = tuple(
        evolve(
            each,
            resources=Resources(
                stripped(dict(each.resources.requests)), stripped(dict(each.resources.limits))
            ),
        )
        for each in pod.containers
    )
    return evolve(pod, containers=containers)
