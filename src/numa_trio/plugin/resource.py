"""An extended resource of NUMA nodes: its name, its devices, and its answers to kubelet."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from attrs import evolve, field, frozen, validators

from numa_trio.plugin.annotations import Annotations
from numa_trio.plugin.device_choice import LONGEST_ID, prefer, shown
from numa_trio.plugin.environment import HostFacts, environment_of
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
)
from numa_trio.topology.lists import format_list

# Neither optional call would help: the devices of a resource are all alike.
_OPTIONS = PluginOptions()

# A call with more would keep others waiting.
_MOST_CONTAINERS = 1000

# What may follow the domain; kubelet.plugin_socket finds these names in the names of sockets.
_REST = r"[-A-Za-z0-9_.]*[A-Za-z0-9]"
_LOCAL_NAME = re.compile(rf"numa-[0-9]+(-{_REST})?|near-{_REST}")

_DEFAULT_DOMAIN = "numa-align"

_NOTHING: Mapping[int, tuple[int, ...]] = {}


NEAR = "near-"  # what the local name of a resource near something begins with

# Near a volume of the pod, which is known when the container runtime creates the container.
NEAR_VOLUME = f"{NEAR}volume"


def slots_name(node: int) -> str:
    """The local name of the plain slots of a node, as in `numa-1`."""
    return f"numa-{node}"


def _ascending(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(numbers)))


def _as_set(numbers: Iterable[int]) -> frozenset[int]:
    return frozenset(numbers)


@frozen
class NumaResource:
    """An extended resource whose devices are near NUMA nodes; a `DevicePlugin`.

    `local_name` is what follows the domain: `numa-1` for the plain slots of node 1, else a longer
    name (`numa-1-cpu`, `near-data`). Its devices are `<local_name>-<ordinal>`. Any of `numa_nodes`
    suits them; without nodes kubelet gets no hint. `healthy` is False while no pod could be placed
    by it: then no device is. `unhealthy` has the ordinals of those that are not while the rest is,
    `spared` of those that are healthy nonetheless. `left_behind` has, by ordinal, the nodes of
    devices that are still near others. What `host` says is no part of what is offered.
    """

    local_name: str = field()
    numa_nodes: tuple[int, ...] = field(converter=_ascending)
    capacity: int = field(validator=validators.ge(1))
    domain: str = _DEFAULT_DOMAIN
    healthy: bool = True
    unhealthy: frozenset[int] = field(default=frozenset(), converter=_as_set)
    spared: frozenset[int] = field(default=frozenset(), converter=_as_set)
    left_behind: Mapping[int, tuple[int, ...]] = field(factory=dict, hash=False)
    host: HostFacts | None = field(default=None, eq=False, repr=False)

    @classmethod
    def of_node(cls, node: int, capacity: int, domain: str = _DEFAULT_DOMAIN) -> Self:
        """The plain slots of a node."""
        return cls(slots_name(node), (node,), capacity, domain)

    @local_name.validator
    def _check_local_name(self, _attribute: object, name: str) -> None:
        if not _LOCAL_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a resource: expected numa-<N>, numa-<N>-… or"
                " near-… of letters, digits, '-', '_' or '.', with a letter or digit last"
            )

    @numa_nodes.validator
    def _check_numa_nodes(self, _attribute: object, nodes: tuple[int, ...]) -> None:
        if nodes and nodes[0] < 0:
            raise ValueError(f"{self.local_name}: NUMA nodes are numbered from 0, not {nodes[0]}")

    @capacity.validator
    def _check_capacity(self, _attribute: object, capacity: int) -> None:
        last = self._device_id(capacity - 1)
        if len(last) > LONGEST_ID:
            raise ValueError(f"{last} has {len(last)} characters; kubelet allows {LONGEST_ID}")

    @unhealthy.validator
    def _check_unhealthy(self, _attribute: object, ordinals: frozenset[int]) -> None:
        if ordinals and not 0 <= min(ordinals) <= max(ordinals) < self.capacity:
            raise ValueError(
                f"{self.local_name} has devices 0 to {self.capacity - 1}:"
                f" {sorted(ordinals)} cannot be unhealthy"
            )

    @property
    def name(self) -> str:
        """The name of the extended resource, as in `numa-align/numa-1`."""
        return f"{self.domain}/{self.local_name}"

    @property
    def plain(self) -> bool:
        """Whether these are the plain slots of one node."""
        return len(self.numa_nodes) == 1 and self.local_name == slots_name(self.numa_nodes[0])

    @property
    def sort_key(self) -> tuple[bool, tuple[int, ...], bool, list[str | int]]:
        """What it is sorted by for people: node, plain slots first, then by name, 2 before 10."""
        parts = re.split(r"([0-9]+)", self.local_name)  # what is odd is a number
        natural = [int(part) if odd % 2 else part for odd, part in enumerate(parts)]
        return not self.numa_nodes, self.numa_nodes, not self.plain, natural

    @property
    def healthy_count(self) -> int:
        """How many devices are healthy."""
        if not self.healthy:
            return len(self.spared)
        return self.capacity - len(self.unhealthy - self.spared)

    @property
    def options(self) -> PluginOptions:
        """The answer to GetDevicePluginOptions: kubelet need make no optional call."""
        return _OPTIONS

    def with_health(self, healthy: bool) -> Self:
        """The same resource, able to place pods or not; `unhealthy` stays as it is."""
        return evolve(self, healthy=healthy)

    def with_unhealthy(self, ordinals: Iterable[int]) -> Self:
        """The same resource with just these devices unhealthy by themselves."""
        return evolve(self, unhealthy=ordinals)

    def with_spared(self, ordinals: Iterable[int]) -> Self:
        """The same resource with just these devices, as far as it has them, healthy nonetheless."""
        return evolve(self, spared=(each for each in ordinals if each < self.capacity))

    def with_capacity(self, capacity: int) -> Self:
        """The same resource with so many devices, each as healthy as before; new ones healthy."""
        return evolve(
            self,
            capacity=capacity,
            unhealthy=(ordinal for ordinal in self.unhealthy if ordinal < capacity),
            spared=(ordinal for ordinal in self.spared if ordinal < capacity),
            left_behind={
                ordinal: nodes for ordinal, nodes in self.left_behind.items() if ordinal < capacity
            },
        )

    def with_nodes(
        self, numa_nodes: Iterable[int], given: Mapping[int, tuple[int, ...]] = _NOTHING
    ) -> Self:
        """The same resource near other nodes, but for devices that containers have.

        Those, `given` by their ordinals with the nodes that they had then, stay where they were:
        kubelet that starts again asks for the place of a container's device, and refuses the
        container if that is not where its CPUs are.
        """
        nodes = _ascending(numa_nodes)
        behind = {
            ordinal: then
            for ordinal, then in sorted(given.items())
            if ordinal < self.capacity and then != nodes
        }
        return evolve(self, numa_nodes=nodes, left_behind=behind)

    def nodes_of(self, ordinal: int) -> tuple[int, ...]:
        """The nodes of one device."""
        return self.left_behind.get(ordinal, self.numa_nodes)

    def devices(self) -> tuple[Device, ...]:
        """All devices, in order."""
        return tuple(
            Device(
                self._device_id(ordinal),
                self._is_healthy(ordinal),
                self.nodes_of(ordinal),
            )
            for ordinal in range(self.capacity)
        )

    def allocate(self, requests: Sequence[Sequence[str]]) -> list[ContainerAllocation]:
        """What each container is told, and what its runtime, however many devices it gets."""
        if len(requests) > _MOST_CONTAINERS:
            raise InvalidRequest(
                f"{self.name}: {len(requests)} container requests at once;"
                f" kubelet makes one, and up to {_MOST_CONTAINERS} are answered"
            )
        return [self._allocation(device_ids) for device_ids in requests]

    def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> list[list[str]]:
        """For each container what it must have, then the available devices of lowest number."""
        return [prefer(self.name, request, self.ordinal) for request in requests]

    def pre_start_container(self, device_ids: Sequence[str]) -> None:
        """Check the ids; a device needs no preparation."""
        self._check(device_ids)

    def ordinal(self, device_id: str) -> int:
        """The ordinal of one of our devices. Raises `InvalidRequest` for any other id."""
        prefix, _, digits = device_id.rpartition("-")
        if digits.isascii() and digits.isdigit() and prefix == self.local_name:
            number = int(digits) if len(digits) < 10 else self.capacity
            if number < self.capacity and device_id == self._device_id(number):
                return number
        raise InvalidRequest(
            f"{self.name} has no device {shown(device_id)}:"
            f" its devices are {self._device_id(0)} to {self._device_id(self.capacity - 1)}"
        )

    def _is_healthy(self, ordinal: int) -> bool:
        return ordinal in self.spared or (self.healthy and ordinal not in self.unhealthy)

    def _device_id(self, ordinal: int) -> str:
        return f"{self.local_name}-{ordinal}"

    def _allocation(self, device_ids: Sequence[str]) -> ContainerAllocation:
        self._check(device_ids)
        nodes = {node for each in device_ids for node in self.nodes_of(self.ordinal(each))}
        return ContainerAllocation(
            environment_of(sorted(nodes), self.host), self._annotations(nodes)
        )

    def _annotations(self, nodes: Iterable[int]) -> dict[str, str]:
        """What kubelet shall tell the container runtime."""
        keys = Annotations(self.domain)
        if self.local_name == NEAR_VOLUME:
            return {keys.near_volume: "true"}
        return {keys.node: listed} if (listed := format_list(nodes)) else {}

    def _check(self, device_ids: Sequence[str]) -> None:
        if not device_ids:
            raise InvalidRequest(f"{self.name}: a container request names no device")
        for device_id in device_ids:
            self.ordinal(device_id)
