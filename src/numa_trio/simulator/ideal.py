"""What should become of pods: a kubelet in memory, whose plugins answer as they should, at once."""

from collections.abc import Iterator, Sequence
from typing import Self

from attrs import define, field, frozen

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import (
    counted_name,
    cpu_room,
    held_ids,
    memory_room,
    ordinals,
    unhealthy_devices,
    why_not_counted,
)
from numa_trio.plugin.messages import ContainerAllocation, PreferredAllocationRequest
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, admit, admit_again, scheduler_verdict
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.node import Node
from numa_trio.simulator.pod_resources import allocatable_of, holdings_of
from numa_trio.topology.sizes import format_bytes
from numa_trio.workloads.pod import Pod


@frozen
class Offer:
    """What the agent has to offer on a machine: the `slots` of its nodes, and those `near` things.

    `counted` is what is counted next to them. `memory_unit` is in bytes.
    """

    slots: tuple[NumaResource, ...]
    counted: tuple[Counted, ...] = ()
    memory_unit: int = 1 << 30
    near: tuple[NumaResource, ...] = ()

    @property
    def domain(self) -> str:
        """The domain of all resources."""
        return self.slots[0].domain

    @property
    def all_slots(self) -> tuple[NumaResource, ...]:
        """All that aligns a container: the slots of nodes, then those near things."""
        return self.slots + self.near


@frozen
class _PerfectPlugins:
    """Plugins that answer as they should, at once."""

    resources: dict[str, NumaResource]

    def prefers(self, resource: str) -> bool:
        return self.resources[resource].options.preferred_allocation_available

    async def preferred(self, resource: str, request: PreferredAllocationRequest) -> Sequence[str]:
        return self.resources[resource].preferred_allocation([request])[0]

    async def allocate(self, resource: str, device_ids: Sequence[str]) -> ContainerAllocation:
        return self.resources[resource].allocate([device_ids])[0]

    def allocated(self) -> None:
        pass


@define(eq=False)
class IdealCluster:
    """A cluster of one node, whose agent sees at once what kubelet has given away.

    `reasons` say why something is not counted, by the full name of the resource.
    """

    node: Node
    offer: Offer
    reasons: dict[str, str] = field(init=False, factory=dict)
    _resources: dict[str, NumaResource] = field(factory=dict)

    @classmethod
    def create(cls, machine: SimulatedMachine, config: KubeletConfig, offer: Offer) -> Self:
        """With no pod yet; raises `KubeletWillNotStart`."""
        cluster = cls(Node.create(machine, config), offer)
        for resource in offer.all_slots:
            cluster._put(resource)
        cluster._look()
        return cluster

    @property
    def resources(self) -> tuple[NumaResource, ...]:
        """All that is advertised: the slots, then what is counted."""
        return tuple(self._resources.values())

    @property
    def counted(self) -> tuple[NumaResource, ...]:
        """What is counted, with as many devices healthy as can be asked for."""
        return self.resources[len(self.offer.all_slots) :]

    async def admit(self, pod: Pod) -> Verdict:
        """What the scheduler and kubelet say of a new pod."""
        plugins = _PerfectPlugins(self._resources)
        verdict = scheduler_verdict(self.node, pod) or await admit(self.node, pod, plugins)
        if verdict.admitted:
            self.node.started(pod)
        self._look()
        return verdict

    async def admit_again(self) -> tuple[Verdict, ...]:
        """What kubelet says of the running pods after its restart."""
        plugins = _PerfectPlugins(self._resources)
        verdicts = await admit_again(self.node, tuple(self.node.pods.values()), plugins)
        self._look()
        return tuple(verdicts)

    async def reboot(self, *, in_time: bool) -> tuple[Verdict, ...]:
        """What kubelet says of the pods after a reboot, and whether the plugins were `in_time`.

        They are there afterwards in any case.
        """
        node = self.node
        node.reboot()
        node.devices = DeviceManager(node.numa_nodes, node.devices.allocations)
        for resource in self.resources:
            node.devices.expect(resource.name)
            if in_time:
                self._put(resource)
        verdicts = await admit_again(
            node, tuple(node.pods.values()), _PerfectPlugins(self._resources)
        )
        for pod in list(node.pods.values()):
            node.started(pod)
        for resource in self.resources:
            self._put(resource)
        self._look()
        return tuple(verdicts)

    def remove(self, pod: Pod) -> None:
        """Delete a pod."""
        self.node.release(pod)
        self._look()

    def _look(self) -> None:
        if not self.offer.counted:
            return
        allocatable, holdings = allocatable_of(self.node), holdings_of(self.node)
        cpus_of = {node.id: node.cpus for node in self.node.machine.machine.nodes}
        unit = self.offer.memory_unit
        for base, kind, name in self._countable():
            (numa_node,) = base.numa_nodes
            full_name = f"{base.domain}/{name}"
            if kind is Counted.CPU:
                room = cpu_room(allocatable, holdings, cpus_of[numa_node], full_name)
            else:
                room = memory_room(allocatable, holdings, numa_node, unit, full_name)
            if reason := why_not_counted(kind, allocatable, room.total, format_bytes(unit)):
                self.reasons[full_name] = reason
                continue
            before = self._resources.get(full_name)
            resource = NumaResource(name, base.numa_nodes, room.total, base.domain)
            unhealthy = unhealthy_devices(
                room.total,
                room,
                held=ordinals(name, held_ids(full_name, holdings), room.total),
                spared=frozenset(),
                before=before.unhealthy if before else frozenset(),
            )
            resource = resource.with_unhealthy(unhealthy)
            if resource != before:
                self._put(resource)

    def _countable(self) -> Iterator[tuple[NumaResource, Counted, str]]:
        for base in self.offer.all_slots:
            for kind in self.offer.counted:
                name = counted_name(base.local_name, kind)
                if len(base.numa_nodes) == 1:
                    yield base, kind, name
                else:
                    obstacle = "it is near several NUMA nodes"
                    self.reasons[f"{base.domain}/{name}"] = (
                        obstacle if base.numa_nodes else "its node is unknown"
                    )

    def _put(self, resource: NumaResource) -> None:
        self._resources[resource.name] = resource
        self.node.devices.update(resource.name, resource.devices())
