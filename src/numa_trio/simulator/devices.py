"""The devices that plugins offer, and how kubelet's Device Manager picks them for containers.

Source: pkg/kubelet/cm/devicemanager of Kubernetes 1.36. No I/O happens here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, evolve, field, frozen

from numa_trio.plugin.messages import ContainerAllocation, Device, PreferredAllocationRequest
from numa_trio.simulator.hints import Hint, Hints, Nodes, hints_for
from numa_trio.workloads.pod import Container, ContainerKind, Pod, peak_requests


class NoDevices(Exception):
    """A container cannot get the devices that it asks for; the words are kubelet's."""


@frozen
class Holder:
    """Who has devices of a resource."""

    pod_uid: str
    container: str
    resource: str


@frozen
class Allocation:
    """The devices of one resource that a container has, and what the plugin answered.

    `places` has the NUMA nodes that the devices had then, by id.
    """

    device_ids: tuple[str, ...]
    answer: ContainerAllocation
    places: Mapping[str, tuple[int, ...]] = field(factory=dict, eq=False)


@frozen
class Choice:
    """Devices for a container: all of `taken`, and `missing` more out of `pool`."""

    taken: tuple[str, ...]
    missing: int
    pool: tuple[str, ...]

    @property
    def question(self) -> PreferredAllocationRequest:
        """What GetPreferredAllocation asks the plugin."""
        size = len(self.taken) + self.missing
        return PreferredAllocationRequest(self.taken + self.pool, self.taken, size)

    def complete(self, preferred: Sequence[str] = ()) -> tuple[str, ...]:
        """The devices, with those of the pool that the plugin prefers before the others."""
        pool = dict.fromkeys([*(each for each in preferred if each in self.pool), *self.pool])
        return self.taken + tuple(pool)[: self.missing]


@define
class DeviceManager:
    """The devices by resource, and who has them. `nodes` are all NUMA nodes of the machine."""

    nodes: Nodes
    allocations: dict[Holder, Allocation] = field(factory=dict)
    _listed: dict[str, dict[str, Device]] = field(factory=dict)
    _healthy: dict[str, frozenset[str]] = field(factory=dict)
    _capacity: dict[str, int] = field(factory=dict)
    _reusable: dict[tuple[str, str], tuple[str, ...]] = field(factory=dict)  # by pod and resource

    @property
    def resources(self) -> tuple[str, ...]:
        """The resources that are registered, or were."""
        return tuple(self._healthy)

    def capacity(self, resource: str) -> int:
        """How many devices there are, healthy or not."""
        return self._capacity.get(resource, 0)

    def allocatable(self, resource: str) -> int:
        """How many devices are healthy, given to containers or not."""
        return len(self.healthy(resource))

    def allocated(self, resource: str) -> int:
        """How many devices containers have."""
        return len(self._used(resource))

    def healthy(self, resource: str) -> frozenset[str]:
        """The ids of the healthy devices."""
        return self._healthy.get(resource, frozenset())

    def place(self, resource: str, device_id: str) -> tuple[int, ...]:
        """The NUMA nodes of a device; none if it has none or is not listed any more."""
        device = self._listed.get(resource, {}).get(device_id)
        return device.numa_nodes if device else ()

    def expect(self, resource: str) -> None:
        """Know a resource by name before its plugin has registered."""
        self._healthy[resource] = frozenset()
        self._capacity[resource] = 0

    def update(self, resource: str, devices: Iterable[Device]) -> None:
        """Replace all that was known about the devices of a resource."""
        self._listed[resource] = {device.id: device for device in devices}
        listed = self._listed[resource].values()
        self._healthy[resource] = frozenset(device.id for device in listed if device.healthy)
        self._capacity[resource] = len(listed)

    def disconnect(self, resource: str) -> None:
        """Take all devices of a resource for unhealthy."""
        self._healthy[resource] = frozenset()

    def forget(self, resource: str) -> None:
        """Drop a resource whose plugin has been gone for long."""
        self._healthy.pop(resource, None)
        self._capacity.pop(resource, None)

    def wanted(self, container: Container) -> dict[str, int]:
        """What the container asks of the resources known here; others are none of kubelet's.

        A resource of which it asks for 0 is among them.
        """
        limits = container.resources.limits
        return {name: int(n) for name, n in limits.items() if self._knows(name)}

    def hints(self, pod: Pod, container: Container) -> dict[str, Hints]:
        """The hints for the devices of a container."""
        hints: dict[str, Hints] = {}
        for resource, count in self.wanted(container).items():
            held = self._held(pod, container, resource)
            reusable = self._reusable.get((pod.uid, resource), ())
            hints[resource] = self._hints(resource, count, held, reusable)
        return hints

    def pod_hints(self, pod: Pod) -> dict[str, Hints]:
        """The hints for the devices of a pod as a whole."""
        peak = peak_requests([(c.kind, c.resources.limits) for c in pod.containers])
        wanted = {resource for c in pod.containers for resource in self.wanted(c)}
        hints: dict[str, Hints] = {}
        for resource in wanted:
            ids = (each for c in pod.containers for each in self._held(pod, c, resource))
            held = tuple(dict.fromkeys(ids))
            hints[resource] = self._hints(resource, int(peak[resource]), held, ())
        return hints

    def lacks(self, pod: Pod, container: Container, resource: str, *, running: bool) -> bool:
        """Whether the container must still get devices; raises `NoDevices` if it cannot.

        A container that is known to be running has all it needs, whatever the plugin says now.
        """
        if running:
            return False
        if resource not in self._healthy:
            raise NoDevices(f"cannot allocate unregistered device {resource}")
        if not self._healthy[resource]:
            raise NoDevices(
                f"no healthy devices present; cannot allocate unhealthy devices {resource}"
            )
        held = self._held(pod, container, resource)
        if not self._healthy[resource].issuperset(held):
            raise NoDevices(
                "previously allocated devices are no longer healthy;"
                f" cannot allocate unhealthy devices {resource}"
            )
        return not held and bool(self.wanted(container)[resource])

    def choose(self, pod: Pod, container: Container, resource: str, nodes: Nodes | None) -> Choice:
        """Devices for a container, from these NUMA nodes first; raises `NoDevices`."""
        count = self.wanted(container)[resource]
        reused = self._reusable.get((pod.uid, resource), ())[:count]
        missing = count - len(reused)
        free = self._free(resource) if missing else []
        if missing > len(free):
            raise NoDevices(
                f"requested number of devices unavailable for {resource}."
                f" Requested: {missing}, Available: {len(free)}"
            )
        aligned = tuple(d.id for d in free if nodes and not nodes.isdisjoint(d.numa_nodes))
        if missing < len(aligned):
            return Choice(reused, missing, aligned)
        others = [d for d in free if d.id not in aligned]
        others.sort(key=lambda device: not device.numa_nodes)
        return Choice(reused + aligned, missing - len(aligned), tuple(d.id for d in others))

    def allocate(
        self, pod: Pod, container: Container, resource: str, allocation: Allocation
    ) -> None:
        """Note that the container has these devices now."""
        ids = allocation.device_ids
        places = {each: self.place(resource, each) for each in ids}
        holder = Holder(pod.uid, container.name, resource)
        self.allocations[holder] = evolve(allocation, places=places)
        others = [each for each in self._reusable.get((pod.uid, resource), ()) if each not in ids]
        if container.kind is ContainerKind.INIT:
            others = [*ids, *others]
        self._reusable[pod.uid, resource] = tuple(others)

    def allocations_of(self, pod: Pod, container: Container) -> dict[str, Allocation]:
        """What the container has, by resource."""
        return {
            holder.resource: allocation
            for holder, allocation in self.allocations.items()
            if (holder.pod_uid, holder.container) == (pod.uid, container.name)
        }

    def release(self, pod: Pod) -> None:
        """Return all devices of a pod."""
        for holder in [holder for holder in self.allocations if holder.pod_uid == pod.uid]:
            del self.allocations[holder]
            self._reusable.pop((pod.uid, holder.resource), None)

    def _knows(self, resource: str) -> bool:
        return resource in self._healthy or any(h.resource == resource for h in self.allocations)

    def _used(self, resource: str) -> set[str]:
        return {
            device_id
            for holder, allocation in self.allocations.items()
            if holder.resource == resource
            for device_id in allocation.device_ids
        }

    def _free(self, resource: str) -> list[Device]:
        used = self._used(resource)
        healthy = self.healthy(resource)
        listed = self._listed.get(resource, {}).values()
        return [device for device in listed if device.id in healthy and device.id not in used]

    def _held(self, pod: Pod, container: Container, resource: str) -> tuple[str, ...]:
        allocation = self.allocations.get(Holder(pod.uid, container.name, resource))
        return allocation.device_ids if allocation else ()

    def _hints(
        self, resource: str, count: int, held: Sequence[str], reusable: Sequence[str]
    ) -> list[Hint] | None:
        """Sets of the nodes that have devices of the resource, with enough of them.

        What is `held` already counts alone. Sets that lack a reusable device are left out.
        """
        listed = self._listed.get(resource, {})
        if not any(device.numa_nodes for device in listed.values()):
            return None
        if held:
            reusable = ()
            available = held if len(held) == count else ()
        else:
            available = [device.id for device in self._free(resource)]
        if len(available) + len(reusable) < count:
            return []
        places = Counter(device.numa_nodes for device in listed.values())
        anchors = [place for each in reusable if (place := self.place(resource, each))]
        open_places = Counter([self.place(resource, each) for each in available] + anchors)

        def could(nodes: Nodes) -> bool:
            return _within(nodes, places) >= count

        def can(nodes: Nodes) -> bool:
            anchored = not any(nodes.isdisjoint(place) for place in anchors)
            return anchored and _within(nodes, open_places) >= count

        used = frozenset(node for place in places for node in place) & self.nodes
        return hints_for(used, could=could, can=can)


def _within(nodes: Nodes, places: Mapping[tuple[int, ...], int]) -> int:
    """How many devices of these places may be on one of the nodes."""
    return sum(count for place, count in places.items() if not nodes.isdisjoint(place))
