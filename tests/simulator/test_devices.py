"""Which devices the Device Manager gives to containers."""

import pytest

from numa_trio.plugin.messages import ContainerAllocation, Device
from numa_trio.simulator.devices import Allocation, DeviceManager, NoDevices
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity
from simulated import pod

NODES = frozenset({0, 1})
RESOURCE = "example.com/device"


def asking(count: int, name: str = "pod") -> tuple[Pod, Container]:
    devices = {RESOURCE: parse_quantity(count)}
    app = Container("app", Resources(devices, devices))
    return pod(app, name=name), app


def manager(*places: tuple[int, ...]) -> DeviceManager:
    devices = DeviceManager(NODES)
    devices.update(RESOURCE, [Device(f"d{n}", True, place) for n, place in enumerate(places)])
    return devices


def hints(devices: DeviceManager, count: int) -> list[tuple[set[int], bool]] | None:
    found = devices.hints(*asking(count))[RESOURCE]
    return None if found is None else [(set(h.nodes or ()), h.preferred) for h in found]


def test_device_of_one_node_gives_the_hint_of_that_node() -> None:
    """A device with topology {1} prefers {1}; nodes without such devices are not tried."""
    assert hints(manager((1,)), 1) == [({1}, True)]


def test_asking_for_none_gives_hints_all_the_same() -> None:
    """A quantity of 0 is a request that any node with such devices can serve."""
    assert hints(manager((1,), (0,)), 0) == [({0}, True), ({1}, True), ({0, 1}, False)]
    assert manager((1,)).lacks(*asking(0), RESOURCE, running=False) is False


def test_what_a_container_has_gives_its_hints_again() -> None:
    """After kubelet's start the hints are those of the devices that the container has."""
    devices = manager((0,), (1,))
    one, app = asking(1)
    devices.allocate(one, app, RESOURCE, Allocation(("d1",), ContainerAllocation()))

    for found in devices.hints(one, app)[RESOURCE], devices.pod_hints(one)[RESOURCE]:
        assert [(set(h.nodes or ()), h.preferred) for h in found or ()] == [
            ({1}, True),
            ({0, 1}, False),
        ]


def test_device_that_fell_ill_meanwhile() -> None:
    """A container that does not run cannot be admitted again with a device that is unhealthy."""
    devices = manager((0,), (1,))
    one, app = asking(1)
    devices.allocate(one, app, RESOURCE, Allocation(("d1",), ContainerAllocation()))
    devices.update(RESOURCE, [Device("d0", True, (0,)), Device("d1", False, (1,))])

    with pytest.raises(NoDevices, match="previously allocated devices are no longer healthy"):
        devices.lacks(one, app, RESOURCE, running=False)
    assert devices.lacks(one, app, RESOURCE, running=True) is False


def test_device_of_several_nodes_may_be_on_any() -> None:
    """A device that lists two nodes gives a hint for each of them."""
    assert hints(manager((0, 1)), 1) == [({0}, True), ({1}, True), ({0, 1}, False)]


def test_unknown_numa_node_gives_no_hint() -> None:
    """NUMA ids that kubelet does not know are dropped; then nothing is possible."""
    assert hints(manager((7,)), 1) == []


def test_no_topology_no_preference() -> None:
    """Devices without topology do not care."""
    assert hints(manager(()), 1) is None


def test_too_many_are_impossible() -> None:
    """More devices than there are give no hint at all."""
    assert hints(manager((0,)), 2) == []


def test_devices_of_the_hint_come_first() -> None:
    """Devices on the hinted node go first, then others, and last those without topology."""
    devices = manager((), (0,), (1,), (1,))

    choice = devices.choose(*asking(4), RESOURCE, frozenset({1}))

    assert choice.complete() == ("d2", "d3", "d1", "d0")


def test_plugin_prefers_among_the_devices_of_the_hint() -> None:
    """What the plugin prefers counts only where kubelet left the choice open."""
    choice = manager((0,), (1,), (1,)).choose(*asking(1), RESOURCE, frozenset({1}))

    assert choice.question.available == ("d1", "d2")
    assert choice.complete(["d0", "d2"]) == ("d2",)


def test_unhealthy_devices_are_not_given() -> None:
    """An unhealthy device counts as capacity, but is not allocatable."""
    devices = manager((0,), (0,))
    devices.update(RESOURCE, [Device("d0", False, (0,)), Device("d1", True, (0,))])

    assert (devices.capacity(RESOURCE), devices.allocatable(RESOURCE)) == (2, 1)
    assert devices.choose(*asking(1), RESOURCE, None).complete() == ("d1",)


def test_devices_in_use_are_not_given_again() -> None:
    """A device has one owner until its pod is gone."""
    devices = manager((0,), (0,))
    first, app = asking(1, "first")
    devices.allocate(first, app, RESOURCE, Allocation(("d0",), ContainerAllocation()))

    assert devices.choose(*asking(1), RESOURCE, None).complete() == ("d1",)
    with pytest.raises(NoDevices, match="Requested: 2, Available: 1"):
        devices.choose(*asking(2), RESOURCE, None)

    devices.release(first)
    assert devices.choose(*asking(2), RESOURCE, None).complete() == ("d0", "d1")


def test_hints_include_devices_of_the_init_container() -> None:
    """Sets of nodes without the device that the init container leaves behind are left out."""
    devices = manager((0,), (1,))
    wanted = {RESOURCE: parse_quantity(1)}
    first = Container("init", Resources(wanted, wanted), ContainerKind.INIT)
    app = Container("app", Resources(wanted, wanted))
    both = pod(first, app)
    devices.allocate(both, first, RESOURCE, Allocation(("d1",), ContainerAllocation()))

    found = devices.hints(both, app)[RESOURCE]

    assert [set(hint.nodes or ()) for hint in found or ()] == [{1}, {0, 1}]


def test_words_for_a_resource_without_devices() -> None:
    """Unregistered and unhealthy resources are told apart, in kubelet's words."""
    devices = manager((0,))
    devices.disconnect(RESOURCE)
    with pytest.raises(NoDevices, match="no healthy devices present; cannot allocate unhealthy"):
        devices.lacks(*asking(1), RESOURCE, running=False)

    devices.forget(RESOURCE)
    with pytest.raises(NoDevices, match=f"cannot allocate unregistered device {RESOURCE}"):
        devices.lacks(*asking(1), RESOURCE, running=False)
