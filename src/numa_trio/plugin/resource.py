"""One NUMA node as an extended resource: its name, its slots, and its answers to kubelet."""

from collections.abc import Sequence

from attrs import evolve, field, frozen, validators

from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
)

# Neither optional call would help: the slots of a resource are all alike.
_OPTIONS = PluginOptions()

# Kubelet's own limit for a device's id.
_LONGEST_ID = 63

# A call with more would keep others waiting.
_MOST_CONTAINERS = 1000


@frozen
class NumaResource:
    """The slots of one NUMA node; a `DevicePlugin`.

    `healthy` is False while no pod could be placed on the node.
    """

    node: int = field(validator=validators.ge(0))
    capacity: int = field(validator=validators.ge(1))
    domain: str = "numa-align"
    healthy: bool = True

    @property
    def name(self) -> str:
        """The name of the extended resource, as in `numa-align/numa-1`."""
        return f"{self.domain}/numa-{self.node}"

    @property
    def options(self) -> PluginOptions:
        """The answer to GetDevicePluginOptions: kubelet need make no optional call."""
        return _OPTIONS

    def with_health(self, healthy: bool) -> "NumaResource":
        """The same resource with all slots healthy, or none."""
        return evolve(self, healthy=healthy)

    def devices(self) -> tuple[Device, ...]:
        """All slots, in order."""
        node = (self.node,)
        return tuple(
            Device(self._slot_id(number), self.healthy, node) for number in range(self.capacity)
        )

    def allocate(self, requests: Sequence[Sequence[str]]) -> list[ContainerAllocation]:
        """NUMA_NODE for each container, however many slots it gets."""
        if len(requests) > _MOST_CONTAINERS:
            raise InvalidRequest(
                f"{self.name}: {len(requests)} container requests at once;"
                f" kubelet makes one, and up to {_MOST_CONTAINERS} are answered"
            )
        for device_ids in requests:
            self._check(device_ids)
        return [ContainerAllocation({"NUMA_NODE": str(self.node)}) for _ in requests]

    def preferred_allocation(
        self, requests: Sequence[PreferredAllocationRequest]
    ) -> list[list[str]]:
        """For each container what it must have, then the available slots of lowest number."""
        return [self._prefer(request) for request in requests]

    def pre_start_container(self, device_ids: Sequence[str]) -> None:
        """Check the ids; a slot needs no preparation."""
        self._check(device_ids)

    def _slot_id(self, number: int) -> str:
        return f"numa-{self.node}-{number}"

    def _slot_number(self, device_id: str) -> int:
        prefix, _, digits = device_id.rpartition("-")
        if digits.isascii() and digits.isdigit() and prefix == f"numa-{self.node}":
            number = int(digits) if len(digits) < 10 else self.capacity
            if number < self.capacity and device_id == self._slot_id(number):
                return number
        raise InvalidRequest(
            f"{self.name} has no device {_shown(device_id)}:"
            f" its devices are {self._slot_id(0)} to {self._slot_id(self.capacity - 1)}"
        )

    def _check(self, device_ids: Sequence[str]) -> None:
        if not device_ids:
            raise InvalidRequest(f"{self.name}: a container request names no device")
        for device_id in device_ids:
            self._slot_number(device_id)

    def _prefer(self, request: PreferredAllocationRequest) -> list[str]:
        available = set(request.available)
        wanted = dict.fromkeys(request.must_include)  # a set that keeps their order
        for device_id in wanted:
            if device_id not in available:
                raise InvalidRequest(
                    f"{self.name}: {_shown(device_id)} must be included, yet is not available"
                )
        by_number = sorted(available, key=self._slot_number)
        if not len(wanted) <= request.size <= len(available):
            raise InvalidRequest(
                f"{self.name}: {request.size} devices are wanted, with {len(wanted)} that must be"
                f" included and {len(available)} available"
            )
        rest = [device_id for device_id in by_number if device_id not in wanted]
        return [*wanted, *rest[: request.size - len(wanted)]]


def _shown(device_id: str) -> str:
    return repr(device_id if len(device_id) <= _LONGEST_ID else f"{device_id[:_LONGEST_ID]}…")
