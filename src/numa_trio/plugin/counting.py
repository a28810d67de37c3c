"""How many devices stand for what kubelet could still give away of a NUMA node, and which.

The sum that must hold at every moment: healthy devices less those that pods have asked for is what
kubelet could still give to one more container on that node, whoever took the rest.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice

from attrs import frozen

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock

# A list of more would come near the 4 MiB that kubelet accepts in one message; a test encodes one.
MAX_COUNTED = 50_000

_MEMORY = "memory"  # the type of ordinary memory, as opposed to huge pages


@frozen
class Room:
    """What kubelet can give away in `total`, and what nobody has of it: CPUs, or whole units."""

    total: int
    free: int


def counted_name(base: str, kind: Counted) -> str:
    """The local name of what is counted next to the slots named `base`, as in `numa-1-cpu`."""
    return f"{base}-{kind}"


def cpu_room(
    allocatable: Allocatable, holdings: Iterable[ContainerHoldings], cpus_of_node: AbstractSet[int]
) -> Room:
    """The CPUs of a node."""
    total = allocatable.cpus & cpus_of_node
    taken: frozenset[int] = frozenset().union(*(each.cpus for each in holdings))
    return Room(len(total), len(total - taken))


def memory_room(
    allocatable: Allocatable, holdings: Iterable[ContainerHoldings], node: int, unit: int
) -> Room:
    """The memory of a node, in whole units of so many bytes.

    Kubelet never puts a container for one node on a node that others use as one of several: while
    such a block is there, nothing is free.
    """
    total = sum(block.size_bytes for block in _blocks(allocatable.memory, node))
    taken = 0
    for container in holdings:
        for block in _blocks(container.memory, node):
            taken += block.size_bytes if len(block.numa_nodes) == 1 else total
    return Room(total // unit, max(0, total - taken) // unit)


def _blocks(blocks: Iterable[MemoryBlock], node: int) -> Iterable[MemoryBlock]:
    return (each for each in blocks if each.memory_type == _MEMORY and node in each.numa_nodes)


def unhealthy_devices(
    capacity: int,
    room: Room,
    held: AbstractSet[int],
    spared: AbstractSet[int],
    before: AbstractSet[int],
) -> frozenset[int]:
    """Which of the devices 0 to `capacity` - 1 kubelet must not give to anybody now.

    Healthy are those that containers have (`held`), and as many others as there is room for. What
    was unhealthy `before` stays so first. The `spared` may belong to a container that kubelet does
    not list: an init container, or one that is being admitted. They stay healthy too, because
    kubelet kills a pod that it admits again while a device of its init container is unhealthy.
    """
    others = [each for each in range(min(capacity, room.total)) if each not in held]
    surplus = max(0, len(others) - room.free)
    candidates = sorted(
        (each for each in others if each not in spared),
        key=lambda each: (each not in before, -each),
    )
    beyond = (each for each in range(room.total, capacity) if each not in held | spared)
    return frozenset(islice(candidates, surplus)) | frozenset(beyond)


def why_not_counted(
    kind: Counted, allocatable: Allocatable, total: int, unit_name: str
) -> str | None:
    """Why nothing is advertised for a node of which `total` devices could be; None if it is.

    `unit_name` is the memory unit as it was set.
    """
    if kind is Counted.CPU and not allocatable.cpus:
        return (
            "kubelet gives no container CPUs of its own: its CPU Manager's policy is not static"
            " (set cpuManagerPolicy: static in kubelet's configuration)"
        )
    if kind is Counted.MEMORY and not any(
        each.memory_type == _MEMORY for each in allocatable.memory
    ):
        return (
            "kubelet binds no container's memory to NUMA nodes: its Memory Manager's policy is not"
            " Static (set memoryManagerPolicy: Static, or NUMA_COUNTED=cpu here)"
        )
    if not total and kind is Counted.CPU:
        return "all of its CPUs are reserved for the system (see reservedSystemCPUs)"
    if not total:
        return f"less than one NUMA_MEMORY_UNIT ({unit_name}) of its memory can be given away"
    if total > MAX_COUNTED:
        return (
            f"it would have {total} devices, and at most {MAX_COUNTED} are possible: choose a"
            f" NUMA_MEMORY_UNIT larger than {unit_name}"
        )
    return None


def ordinals(local_name: str, device_ids: Iterable[str], capacity: int) -> frozenset[int]:
    """The ordinals of those ids that are the resource's; others are skipped."""
    prefix = f"{local_name}-"
    digits = (each.removeprefix(prefix) for each in device_ids if each.startswith(prefix))
    numbers = (int(each) for each in digits if each.isascii() and each.isdigit() and len(each) < 10)
    return frozenset(number for number in numbers if number < capacity)


def held_ids(resource: str, holdings: Sequence[ContainerHoldings]) -> frozenset[str]:
    """The ids of a resource's devices that containers have."""
    return frozenset(each for container in holdings for each in container.devices.get(resource, ()))
