"""How many devices stand for what kubelet can still give away, and which of them are healthy."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.kubelet.api import v1beta1
from numa_trio.kubelet.rpc.messages import encode_device
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import (
    MAX_COUNTED,
    Room,
    counted_name,
    cpu_room,
    held_ids,
    memory_room,
    ordinals,
    unhealthy_devices,
    why_not_counted,
)
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.plugin.messages import Device

GIB = 1 << 30
CPUS = "numa-align/numa-1-cpu"
NEAR = "numa-align/near-data-cpu"
MEMORY = "numa-align/numa-1-memory"
NODE = frozenset({4, 5, 6, 7})
CAN_GIVE = Allocatable(
    frozenset({1, 2, 3, 5, 6, 7}),
    (MemoryBlock("memory", 9 * GIB, (0,)), MemoryBlock("memory", 10 * GIB + 5, (1,))),
)


def has(
    *cpus: int, memory: int = 0, nodes: Iterable[int] = (1,), **devices: int
) -> ContainerHoldings:
    """A container with these CPUs, so much memory, and so many devices of each resource."""
    names = {"cpu": CPUS, "near": NEAR, "units": MEMORY}
    blocks = (MemoryBlock("memory", memory, tuple(nodes)),) if memory else ()
    ids = {
        names[kind]: tuple(f"{names[kind].split('/')[1]}-{n}" for n in range(count))
        for kind, count in devices.items()
    }
    return ContainerHoldings("default", "pod", "app", ids, frozenset(cpus), blocks)


@pytest.mark.parametrize(
    ("containers", "free"),
    [
        ([], 3),
        ([has()], 3),
        ([has(1, 2)], 3),
        ([has(1, 5)], 2),
        ([has(4, 5, 6)], 1),
        ([has(5, 6, cpu=2)], 1),
        ([has(5, 6, cpu=1)], 1),
        ([has(5, cpu=2)], 1),
        ([has(5, near=1)], 2),
        ([has(5, cpu=1, near=1)], 2),
        ([has(5, 6, 7)], 0),
        ([has(5, 6, 7), has(cpu=2)], 0),
    ],
)
def test_cpus_are_gone_for_who_has_them_or_has_asked_for_them(
    containers: list[ContainerHoldings], free: int
) -> None:
    """CPUs of the node that can be given away count, once, whether with devices or without."""
    assert cpu_room(CAN_GIVE, containers, NODE, CPUS) == Room(3, free)


def test_each_resource_of_the_same_cpus_counts_its_own_devices() -> None:
    """Healthy are a resource's own devices and what nobody has; the others' are gone."""
    containers = [has(5, near=1), has(6, cpu=1)]

    for resource in (CPUS, NEAR):
        room = cpu_room(CAN_GIVE, containers, NODE, resource)
        local_name = resource.split("/")[1]
        held = ordinals(local_name, held_ids(resource, containers), room.total)
        unhealthy = unhealthy_devices(room.total, room, held, frozenset(), frozenset())
        assert (room.free, held, unhealthy) == (1, {0}, {2})


@pytest.mark.parametrize(
    ("containers", "free"),
    [
        ([], 5),
        ([has(memory=1)], 5),
        ([has(memory=6)], 4),
        ([has(memory=2 * GIB)], 4),
        ([has(memory=2 * GIB, units=1)], 4),
        ([has(memory=2 * GIB + 6), has(memory=2 * GIB)], 2),
        ([has(memory=1, units=1)], 4),
        ([has(memory=9 * GIB, nodes=(0,))], 5),
        ([has(memory=1, nodes=(0, 1))], 0),
        ([has(memory=20 * GIB)], 0),
    ],
)
def test_memory_is_counted_in_whole_units(containers: list[ContainerHoldings], free: int) -> None:
    """What is left is rounded down, after what containers have or have asked for."""
    assert memory_room(CAN_GIVE, containers, 1, 2 * GIB, MEMORY) == Room(5, free)


def test_huge_pages_are_not_counted() -> None:
    """Neither what kubelet can give away of them, nor what containers have."""
    pages = MemoryBlock("hugepages-1Gi", 4 * GIB, (1,))
    can_give = Allocatable(memory=(*CAN_GIVE.memory, pages))
    container = ContainerHoldings("default", "pod", "app", memory=(pages,))

    assert memory_room(can_give, [container], 1, GIB, MEMORY) == Room(10, 10)


def test_blocks_of_a_node_add_up() -> None:
    """Kubelet may tell the memory of one node in several blocks."""
    parts = Allocatable(memory=(MemoryBlock("memory", GIB, (1,)), MemoryBlock("memory", GIB, (1,))))

    assert memory_room(parts, [], 1, GIB, MEMORY) == Room(2, 2)


def test_what_goes_is_the_highest_that_nobody_has() -> None:
    """Never what a container has."""
    assert unhealthy_devices(6, Room(6, 2), {5}, frozenset(), frozenset()) == {4, 3, 2}


def test_what_was_unhealthy_stays_so() -> None:
    """The list changes as little as it can."""
    assert unhealthy_devices(6, Room(6, 3), frozenset(), frozenset(), {0, 2}) == {0, 2, 5}
    assert unhealthy_devices(6, Room(6, 5), frozenset(), frozenset(), {0, 2}) == {2}


def test_what_an_init_container_may_have_goes_last() -> None:
    """What kubelet takes for given without listing it goes only where nothing else is left."""
    assert unhealthy_devices(4, Room(4, 2), frozenset(), {2, 3}, {2, 3}) == {0, 1}
    assert unhealthy_devices(4, Room(4, 1), frozenset(), {2, 3}, frozenset()) == {0, 1, 3}


def test_devices_above_the_total_go_unless_somebody_has_them() -> None:
    """Kubelet was set up to give away less: what containers have still counts."""
    assert unhealthy_devices(8, Room(4, 4), frozenset(), frozenset(), frozenset()) == {4, 5, 6, 7}
    assert unhealthy_devices(8, Room(4, 2), {6, 7}, frozenset(), frozenset()) == {2, 3, 4, 5}


sets = st.frozensets(st.integers(0, 15), max_size=16)


@given(st.integers(0, 16), st.integers(0, 16), sets, sets, sets)
def test_as_many_are_healthy_as_are_held_or_free(
    capacity: int, free: int, held: frozenset[int], spared: frozenset[int], before: frozenset[int]
) -> None:
    """No held one is unhealthy, no more go than must, spared ones last, and again is the same."""
    held = frozenset(each for each in held if each < capacity)
    room = Room(capacity, free)

    unhealthy = unhealthy_devices(capacity, room, held, spared, before)

    others = set(range(capacity)) - held
    assert unhealthy <= others
    assert len(others) - len(unhealthy) == min(free, len(others))
    assert not unhealthy & spared or others - spared <= unhealthy
    assert unhealthy_devices(capacity, room, held, spared, unhealthy) == unhealthy


def test_ids_of_others_are_skipped() -> None:
    """An ordinal is written in one way only, and is below the capacity."""
    ids = ["3", "0", "03", "-1", "8", "9" * 5000, "x", "", "٣", "cpu-3"]

    named = [f"numa-1-cpu-{each}" for each in ids] + ["numa-1-3", "numa-11-cpu-2", "numa-1-cpu"]
    assert ordinals("numa-1-cpu", named, 8) == {0, 3}


@pytest.mark.parametrize(
    ("kind", "allocatable", "total", "words"),
    [
        (Counted.CPU, Allocatable(memory=CAN_GIVE.memory), 0, "cpuManagerPolicy: static"),
        (Counted.MEMORY, Allocatable(CAN_GIVE.cpus), 0, "memoryManagerPolicy: Static"),
        (
            Counted.MEMORY,
            Allocatable(memory=(MemoryBlock("hugepages-2Mi", GIB, (1,)),)),
            0,
            "memoryManagerPolicy: Static",
        ),
        (Counted.CPU, CAN_GIVE, 0, "reserved"),
        (Counted.MEMORY, CAN_GIVE, 0, "NUMA_MEMORY_UNIT (2Gi)"),
        (Counted.MEMORY, CAN_GIVE, MAX_COUNTED + 1, "NUMA_MEMORY_UNIT larger than 2Gi"),
    ],
)
def test_says_why_nothing_is_counted(
    kind: Counted, allocatable: Allocatable, total: int, words: str
) -> None:
    """And what to change."""
    assert words in (why_not_counted(kind, allocatable, total, "2Gi") or "")


@pytest.mark.parametrize("kind", Counted)
@pytest.mark.parametrize("total", [1, MAX_COUNTED])
def test_without_a_reason_it_is_counted(kind: Counted, total: int) -> None:
    """One device is enough, and the most that are possible are possible."""
    assert why_not_counted(kind, CAN_GIVE, total, "1Gi") is None


def test_names() -> None:
    """The counted resources are named after the slots."""
    assert [counted_name("numa-1", kind) for kind in Counted] == ["numa-1-cpu", "numa-1-memory"]


def test_the_most_devices_fit_one_message() -> None:
    """Kubelet accepts 4 MiB, however long the name of the resource and the number of the node."""
    last = Device("x" * 63, healthy=False, numa_nodes=(63,))
    one = v1beta1.ListAndWatchResponse(devices=[encode_device(last)])

    assert MAX_COUNTED * len(bytes(one)) <= 4 * 1024 * 1024
