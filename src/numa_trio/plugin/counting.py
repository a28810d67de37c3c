"""How many devices stand for what kubelet could still give away of a NUMA node, and which.

The sum that must hold at every moment: healthy devices less those that pods have asked for is what
kubelet could still give to one more container on that node, whoever took the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from attrs import frozen

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock

# A list of more, with the longest names, would not fit the 4 MiB of a message to kubelet.
MAX_COUNTED = 49_900

_MEMORY = "memory"  # the type of ordinary memory, as opposed to huge pages


@frozen
class Room:
    """CPUs, or whole units of memory: what kubelet can give away in `total`, and what is `free`.

    `free` are those for which no container has a device of the resource in question, and which
    none has without a device.
    """

    total: int
    free: int


def counted_name(base: str, kind: Counted) -> str:
    """The local name of what is counted next to the slots named `base`, as in `numa-1-cpu`."""
    return f"{base}-{kind}"


def cpu_room(
    allocatable: Allocatable,
    holdings: Iterable[ContainerHoldings],
    cpus_of_node: AbstractSet[int],
    resource: str,
) -> Room:
    """The CPUs of a node, for the devices of the resource of this full name.

    A container counts with its CPUs or its devices, whichever are more. So what one has without
    devices is gone for all, and what one has asked for is its own even where it does not use it:
    whether others may have that does not hang on when it ends.
    """
    total = allocatable.cpus & cpus_of_node
    taken = sum(
        max(len(container.cpus & total), len(_devices(container, resource)))
        for container in holdings
    )
    return Room(len(total), max(0, len(total) - taken))


def memory_room(
    allocatable: Allocatable,
    holdings: Iterable[ContainerHoldings],
    node: int,
    unit: int,
    resource: str,
) -> Room:
    """The memory of a node in whole units of so many bytes, for the devices of this resource.

    A container counts with its memory or its devices, as with CPUs. Kubelet never puts a container
    for one node on a node that others use as one of several: while such a block is there, nothing
    is free.
    """
    total = sum(block.size_bytes for block in _blocks(allocatable.memory, node))
    taken = 0
    for container in holdings:
        blocks = tuple(_blocks(container.memory, node))
        if any(len(block.numa_nodes) > 1 for block in blocks):
            return Room(total // unit, 0)
        of_devices = unit * len(_devices(container, resource))
        taken += max(sum(block.size_bytes for block in blocks), of_devices)
    return Room(total // unit, max(0, total - taken) // unit)


def _devices(container: ContainerHoldings, resource: str) -> frozenset[str]:
    return frozenset(container.devices.get(resource, ()))


def _blocks(blocks: Iterable[MemoryBlock], node: int) -> Iterable[MemoryBlock]:
    return (each for each in blocks if each.memory_type == _MEMORY and node in each.numa_nodes)


def unhealthy_devices(
    capacity: int,
    room: Room,
    held: AbstractSet[int],
    spared: AbstractSet[int],
    before: AbstractSet[int],
    kept: AbstractSet[int] = frozenset(),
) -> frozenset[int]:
    """Which of the devices 0 to `capacity` - 1 kubelet must not give to anybody now.

    Healthy are those that containers have (`held`), and as many others as are free. What was
    unhealthy `before` stays so first, then the highest go.

    The `kept` never go: they are of init containers, which kubelet does not list, of pods that it
    does list. Kubelet kills a pod that it admits again while a device of its init container is
    unhealthy. Nobody else gets them, so that they make up for no device that is not free.

    The `spared` go last. They may be of such a pod too, or of one that is being admitted; but they
    may also be of one that has ended, and were they never to go, kubelet would be sent pods for
    which there is no room.
    """
    others = [each for each in range(capacity) if each not in held]
    surplus = max(0, len(others) - room.free)
    candidates = sorted(
        (each for each in others if each not in kept),
        key=lambda each: (each in spared, each not in before, -each),
    )
    return frozenset(candidates[:surplus])


def given_devices(
    resource: str,
    pods: Iterable[Mapping[str, frozenset[str]]],
    holdings: Sequence[ContainerHoldings],
) -> tuple[frozenset[str], frozenset[str]]:
    """Of the devices that kubelet takes for given: those of pods that it lists, and all others.

    A pod is listed if a container that is has one of its devices, of whichever resource.
    """
    listed = {
        (name, each)
        for container in holdings
        for name, ids in container.devices.items()
        for each in ids
    }
    of_listed: set[str] = set()
    of_others: set[str] = set()
    for pod in pods:
        is_listed = any((name, each) in listed for name, ids in pod.items() for each in ids)
        (of_listed if is_listed else of_others).update(pod.get(resource, ()))
    return frozenset(of_listed), frozenset(of_others)


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
    found = (ordinal_of(local_name, each) for each in device_ids)
    return frozenset(each for each in found if each is not None and each < capacity)


def nodes_by_ordinal(
    local_name: str, nodes: Mapping[str, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    """The nodes of the devices that are the resource's, by ordinal instead of by id."""
    found = ((ordinal_of(local_name, each), nodes[each]) for each in nodes)
    return {ordinal: of_device for ordinal, of_device in found if ordinal is not None}


def ordinal_of(local_name: str, device_id: str) -> int | None:
    """The ordinal of an id of the resource's; None of any other."""
    digits = device_id.removeprefix(f"{local_name}-")
    if digits == device_id or not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        return None
    return int(digits) if str(int(digits)) == digits else None


def held_ids(resource: str, holdings: Sequence[ContainerHoldings]) -> frozenset[str]:
    """The ids of a resource's devices that containers have."""
    return frozenset(each for container in holdings for each in container.devices.get(resource, ()))
