"""The counted resources next to each node's slots: from kubelet's answers to healthy devices."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import trio
from attrs import define, field

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.kubelet.device_checkpoint import DeviceNodes, PodDevices
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import (
    Room,
    counted_name,
    cpu_room,
    given_devices,
    held_ids,
    memory_room,
    nodes_by_ordinal,
    ordinals,
    unhealthy_devices,
    why_not_counted,
)
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings
from numa_trio.plugin.resource import NEAR_VOLUME, NumaResource
from numa_trio.settings import Settings
from numa_trio.topology.machine import Machine
from numa_trio.topology.sizes import format_bytes

log = logging.getLogger(__name__)

# A device that was given out so long ago, in seconds, is listed in kubelet's next answer, or was
# never used.
_ADMITTED_WITHIN = 30.0


@define(eq=False)
class CountedResources:
    """What is counted of each node whose slots are among the `resources`.

    `offer` makes what serves a resource; `machine` tells the CPUs of the nodes; `read_given` the
    ids that kubelet takes for given, by resource, of each pod; `read_nodes` the nodes that these
    had when they were given, by resource and id, if anybody can tell. `reasons` say, by local name,
    why a resource is not advertised.
    """

    settings: Settings
    resources: AdvertisedResources
    offer: Callable[[NumaResource], AdvertisedResource]
    machine: Callable[[], Machine | None]
    read_given: Callable[[], Iterable[PodDevices]]
    read_nodes: Callable[[], DeviceNodes | None] = lambda: None
    reasons: dict[str, str] = field(init=False, factory=dict)
    _names: set[str] = field(init=False, factory=set)
    _cpus: dict[int, frozenset[int]] = field(init=False, factory=dict)  # as last read, by node
    _given: dict[str, float] = field(init=False, factory=dict)
    _complete: bool = field(init=False, default=True)
    _answer: tuple[Allocatable, Sequence[ContainerHoldings]] | None = field(
        init=False, default=None
    )

    def given(self, device_ids: Sequence[Sequence[str]]) -> None:
        """Containers may have these devices from now on, although kubelet does not list them."""
        now = trio.current_time()
        self._given.update((each, now) for ids in device_ids for each in ids)

    def apply(
        self,
        allocatable: Allocatable,
        holdings: Sequence[ContainerHoldings],
        *,
        complete: bool = True,
    ) -> None:
        """Offer what kubelet could still give away. A `complete` answer has all containers."""
        self._answer, self._complete = (allocatable, holdings), complete
        if complete:
            oldest = trio.current_time() - _ADMITTED_WITHIN
            self._given = {each: at for each, at in self._given.items() if at >= oldest}
        self.refresh()

    def refresh(self) -> None:
        """Offer what kubelet could give away by its last answer, on the nodes as they are now."""
        machine = self.machine()
        if self._answer is None or machine is None:
            return
        self._cpus.update({node.id: node.cpus for node in machine.nodes if node.cpus_known})
        for base in list(self._bases()):
            for kind in self.settings.counted:
                self._count_if_possible(base, kind)

    def _bases(self) -> Iterator[NumaResource]:
        """The slots next to which something is counted."""
        for advertised in self.resources:
            if advertised.resource.local_name not in (*self._names, NEAR_VOLUME):
                yield advertised.resource

    def _count_if_possible(self, base: NumaResource, kind: Counted) -> None:
        name = counted_name(base.local_name, kind)
        obstacle = None
        if len(base.numa_nodes) != 1:
            obstacle = "it is near several NUMA nodes" if base.numa_nodes else "its node is unknown"
            self._stop_counting(name)
        elif name not in self._names and self.resources.get(name):
            obstacle = "another resource has that name"
        elif kind is Counted.CPU and base.numa_nodes[0] not in self._cpus:
            obstacle = "the node's CPUs cannot be read"
        if obstacle is None:
            try:
                self._count(base, kind, name)
            except ValueError as problem:  # its devices' ids would be too long
                obstacle = str(problem)
        if obstacle:
            self._tell(name, base, obstacle)

    def _left(
        self, resource: NumaResource, base: NumaResource, theirs: AbstractSet[str]
    ) -> Mapping[int, tuple[int, ...]]:
        """Where the devices that containers have were given, by ordinal, if its slots can move."""
        if base.plain:
            return {}
        nodes = self.read_nodes()
        if nodes is None:
            return resource.left_behind
        found = nodes.get(resource.name, {})
        return nodes_by_ordinal(
            resource.local_name, {each: found[each] for each in found.keys() & theirs}
        )

    def _theirs(
        self, held: AbstractSet[str], kept: AbstractSet[str], others: AbstractSet[str]
    ) -> AbstractSet[str]:
        """The devices that containers have, or may have although kubelet does not list them yet."""
        return held | kept | self._given.keys() | (frozenset() if self._complete else others)

    def _stop_counting(self, name: str) -> None:
        """Offer to nobody what was counted before, if anything was; who has some of it keeps it."""
        if self._answer and name in self._names and (before := self.resources.get(name)):
            resource, holdings = before.resource, self._answer[1]
            held = held_ids(resource.name, holdings)
            theirs = self._theirs(held, *given_devices(resource.name, self.read_given(), holdings))
            spared = ordinals(name, theirs, resource.capacity)
            before.update(resource.with_health(False).with_spared(spared))

    def _count(self, base: NumaResource, kind: Counted, name: str) -> None:
        assert self._answer is not None
        allocatable, holdings = self._answer
        full_name, unit_bytes = f"{base.domain}/{name}", self.settings.memory_unit
        if kind is Counted.CPU:
            room = cpu_room(allocatable, holdings, self._cpus[base.numa_nodes[0]], full_name)
        else:
            room = memory_room(allocatable, holdings, base.numa_nodes[0], unit_bytes, full_name)
        unit = format_bytes(unit_bytes)
        reason = why_not_counted(kind, allocatable, room.total, unit)
        before = self.resources.get(name)
        held = held_ids(full_name, holdings)
        if before is None and (reason or not (base.healthy or held)):
            self._tell(name, base, reason)
            return
        if reason:
            room = Room(0, 0)
        capacity = max(room.total, before.resource.capacity if before else 0)
        resource = (
            before.resource
            if before
            else NumaResource(name, base.numa_nodes, capacity, domain=base.domain)
        )
        scarce = room.free < room.total or room.total < capacity
        matters = scarce or not base.healthy or not base.plain
        kept, others = given_devices(full_name, self.read_given() if matters else (), holdings)
        theirs = self._theirs(held, kept, others)
        resource = (
            resource.with_capacity(capacity)
            .with_nodes(base.numa_nodes, self._left(resource, base, theirs))
            .with_health(base.healthy)
            .with_spared(() if base.healthy else ordinals(name, theirs, capacity))
        )
        self._tell(name, base, reason)
        unhealthy = unhealthy_devices(
            capacity,
            room,
            held=ordinals(name, held, capacity),
            spared=ordinals(name, {*self._given, *others}, capacity),
            before=before.resource.unhealthy if before else frozenset(),
            kept=ordinals(name, kept, capacity),
        )
        resource = resource.with_unhealthy(unhealthy)
        if before is not None:
            before.update(resource)
            return
        self._names.add(name)
        self.resources.add(self.offer(resource))
        log.info("Counting %s: %d, %d of them free", resource.name, room.total, room.free)

    def _tell(self, name: str, base: NumaResource, reason: str | None) -> None:
        """Log why a resource is not advertised, once, and when that is over."""
        if reason is None:
            if self.reasons.pop(name, None):
                log.info("%s/%s can be counted now", base.domain, name)
        elif self.reasons.get(name) != reason:
            self.reasons[name] = reason
            log.warning("Not counting %s/%s: %s", base.domain, name, reason)
