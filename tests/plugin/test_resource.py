"""A NUMA node as an extended resource: its slots and its answers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.plugin.environment import HostFacts, NodeFacts, environment_of
from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
)
from numa_trio.plugin.resource import NumaResource
from numa_trio.setting_values import MAX_CAPACITY

NODE_1 = NumaResource.of_node(node=1, capacity=5)


def test_slots_are_named_by_node_and_number_and_lie_on_the_node() -> None:
    """`numa-<N>-<i>`, healthy, TopologyInfo of exactly node N."""
    assert NODE_1.name == "numa-align/numa-1"
    assert NODE_1.devices() == tuple(Device(f"numa-1-{i}", True, (1,)) for i in range(5))


def test_unhealthy_resource_keeps_its_slots() -> None:
    """A node that went away is Unhealthy; its slots do not vanish."""
    unhealthy = NODE_1.with_health(False)
    assert [device.id for device in unhealthy.devices()] == [
        device.id for device in NODE_1.devices()
    ]
    assert not any(device.healthy for device in unhealthy.devices())


def test_the_domain_is_part_of_the_name_only() -> None:
    """Slots keep their names, so that other domains need no other sockets."""
    resource = NumaResource.of_node(3, 1, domain="example.com")
    assert resource.name == "example.com/numa-3"
    assert resource.devices()[0].id == "numa-3-0"


def test_each_container_gets_numa_node_once() -> None:
    """One answer per container request, also for several slots; none for none."""
    answers = NODE_1.allocate([["numa-1-0", "numa-1-4"], ["numa-1-2"]])
    assert answers == [ContainerAllocation({"NUMA_NODE": "1"}, {"numa-align/node": "1"})] * 2
    assert NODE_1.allocate([]) == []


@pytest.mark.parametrize(
    "device_id",
    [
        "numa-1-5",
        "numa-0-1",
        "numa-11-1",
        "numa-1-01",
        "numa-1-",
        "numa-1--1",
        "numa-1-+1",
        "numa-1-٣",
        "numa-1-99999999999999999999",
        " numa-1-1",
        "numa-1-1\n",
        "",
        "gpu-1",
    ],
)
def test_an_id_that_is_not_ours_is_refused_by_name(device_id: str) -> None:
    """In Allocate, in PreStartContainer, and in a preference."""
    named = repr(device_id).replace("\\", "\\\\").replace("+", "\\+")
    with pytest.raises(InvalidRequest, match=named):
        NODE_1.allocate([["numa-1-0"], [device_id]])
    with pytest.raises(InvalidRequest, match=named):
        NODE_1.pre_start_container([device_id])
    with pytest.raises(InvalidRequest, match=named):
        NODE_1.preferred_allocation([PreferredAllocationRequest([device_id], [], 1)])


def test_a_refusal_says_which_ids_there_are() -> None:
    """Who asked for the wrong one sees the first and the last that would do."""
    with pytest.raises(InvalidRequest) as caught:
        NODE_1.allocate([["numa-1-5"]])
    assert str(caught.value) == (
        "numa-align/numa-1 has no device 'numa-1-5': its devices are numa-1-0 to numa-1-4"
    )


@pytest.mark.parametrize("length", [63, 64, 5000])
def test_a_refusal_shows_no_more_than_an_id_of_kubelets_length(length: int) -> None:
    """Neither message nor log grows with what was asked for; nor is a huge number computed."""
    device_id = "numa-1-".ljust(length, "9")
    shown = repr(device_id if length <= 63 else f"{device_id[:63]}…")
    with pytest.raises(InvalidRequest, match=f"has no device {shown}:"):
        NODE_1.allocate([[device_id]])


def test_containers_of_one_call_are_bounded() -> None:
    """Kubelet asks for one container at a time; a call for very many would keep others waiting."""
    assert len(NODE_1.allocate([["numa-1-0"]] * 1000)) == 1000
    with pytest.raises(InvalidRequest) as caught:
        NODE_1.allocate([["numa-1-0"]] * 1001)
    assert str(caught.value) == (
        "numa-align/numa-1: 1001 container requests at once;"
        " kubelet makes one, and up to 1000 are answered"
    )


def test_a_request_without_ids_is_refused() -> None:
    """Kubelet never sends one; an answer would hide that something is wrong."""
    with pytest.raises(InvalidRequest, match="names no device"):
        NODE_1.allocate([["numa-1-0"], []])


def test_options_ask_for_no_optional_call() -> None:
    """Slots are alike and need no preparation."""
    assert NODE_1.options == PluginOptions(False, False)


def test_preference_is_what_must_be_included_then_the_lowest_numbers() -> None:
    """By number, not by text."""
    resource = NumaResource.of_node(0, 20)
    request = PreferredAllocationRequest(
        available=["numa-0-10", "numa-0-9", "numa-0-2", "numa-0-15"],
        must_include=["numa-0-15"],
        size=3,
    )
    assert resource.preferred_allocation([request]) == [["numa-0-15", "numa-0-2", "numa-0-9"]]


@pytest.mark.parametrize(
    ("available", "must_include", "size"),
    [
        (["numa-1-0"], [], 2),
        (["numa-1-0", "numa-1-1"], ["numa-1-0", "numa-1-1"], 1),
        (["numa-1-0"], ["numa-1-1"], 1),
        (["numa-1-0"], [], -1),
    ],
)
def test_an_impossible_preference_is_refused(
    available: list[str], must_include: list[str], size: int
) -> None:
    """More than there are, fewer than must be, or an unavailable one."""
    with pytest.raises(InvalidRequest, match="numa-align/numa-1"):
        NODE_1.preferred_allocation([PreferredAllocationRequest(available, must_include, size)])


@given(st.data())
def test_preference_always_is_a_choice_that_kubelet_can_take(data: st.DataObject) -> None:
    """`size` distinct ids out of the available ones, all that must be included among them."""
    resource = NumaResource.of_node(2, 50)
    ids = [device.id for device in resource.devices()]
    available = data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1))
    must_include = data.draw(st.lists(st.sampled_from(available), unique=True))
    size = data.draw(st.integers(len(must_include), len(available)))
    [chosen] = resource.preferred_allocation(
        [PreferredAllocationRequest(available, must_include, size)]
    )
    assert len(chosen) == len(set(chosen)) == size
    assert set(must_include) <= set(chosen) <= set(available)


@given(st.integers(0, 1023), st.integers(1, 500))
def test_every_advertised_slot_can_be_allocated(node: int, capacity: int) -> None:
    """What devices() says, allocate() takes."""
    resource = NumaResource.of_node(node, capacity)
    ids = [device.id for device in resource.devices()]
    assert resource.allocate([[one] for one in ids]) == [
        ContainerAllocation({"NUMA_NODE": str(node)}, {"numa-align/node": str(node)})
    ] * len(ids)


@given(st.text())
def test_any_other_text_is_an_invalid_request(text: str) -> None:
    """No text makes it fail in another way."""
    if text in {device.id for device in NODE_1.devices()}:
        return
    with pytest.raises(InvalidRequest):
        NODE_1.allocate([[text]])


def test_advice_on_many_devices_takes_no_time() -> None:
    """Not the product of how many there are and how many must be included."""
    resource = NumaResource.of_node(1, MAX_CAPACITY)
    ids = [device.id for device in resource.devices()]
    request = PreferredAllocationRequest(ids, ids[1::2], len(ids) - 1)
    began = time.process_time()
    [preferred] = resource.preferred_allocation([request])
    assert time.process_time() - began < 10  # it was minutes
    assert len(set(preferred)) == len(ids) - 1


def test_an_endless_id_is_cut_short_in_messages() -> None:
    """Whoever asks for it gets its beginning back, not all of it."""
    resource = NumaResource.of_node(1, 3)
    endless = "x" * 100_000
    for request in (["numa-1-0"], [endless]):
        with pytest.raises(InvalidRequest) as refusal:
            resource.preferred_allocation([PreferredAllocationRequest(request, [endless], 1)])
        assert len(str(refusal.value)) < 300


def test_a_resource_of_several_nodes_is_near_any_of_them() -> None:
    """TopologyInfo has them all, in order; NUMA_NODE is a list as the kernel writes it."""
    resource = NumaResource("near-data", (3, 0, 1, 0), 2, "example.com")
    assert resource.name == "example.com/near-data"
    assert resource.devices() == (
        Device("near-data-0", True, (0, 1, 3)),
        Device("near-data-1", True, (0, 1, 3)),
    )
    assert resource.allocate([["near-data-1"]]) == [
        ContainerAllocation({"NUMA_NODE": "0-1,3"}, {"example.com/node": "0-1,3"})
    ]


def test_a_resource_of_no_node_gives_no_hint() -> None:
    """Neither to kubelet nor to the container."""
    resource = NumaResource("near-data", (), 1)
    assert resource.devices() == (Device("near-data-0", True, ()),)
    assert resource.allocate([["near-data-0"]]) == [ContainerAllocation({})]


def test_devices_that_containers_have_stay_behind() -> None:
    """Those that were given elsewhere are where they were; so is what their container is told."""
    moved = NumaResource("near-data", (0,), 4).with_nodes((1,), {0: (0,), 2: (1,), 3: (), 9: (0,)})
    assert [device.numa_nodes for device in moved.devices()] == [(0,), (1,), (1,), ()]
    assert moved.left_behind == {0: (0,), 3: ()}
    answers = moved.allocate([["near-data-0"], ["near-data-1"], ["near-data-0", "near-data-1"]])
    assert [each.environment["NUMA_NODE"] for each in answers] == ["0", "1", "0-1"]
    assert moved.with_capacity(2).left_behind == {0: (0,)}
    assert moved.with_nodes((1,)).left_behind == {}


def test_what_the_host_has_is_no_part_of_what_is_offered() -> None:
    """A list is not sent again because a disk has come; a container is told of it."""
    host = HostFacts()
    resource = NumaResource("near-data", (1,), 1, host=host)
    assert resource == NumaResource("near-data", (1,), 1)
    host.nodes = {1: NodeFacts(frozenset({2, 3}), 4096, {0: 21, 1: 10}, ("sda", "sdb"), ("eth0",))}
    (answer,) = resource.with_nodes((1,)).allocate([["near-data-0"]])
    assert answer.environment == {
        "NUMA_NODE": "1",
        "NUMA_HOST_NODE_CPUS": "2-3",
        "NUMA_HOST_NODE_MEMORY_BYTES": "4096",
        "NUMA_HOST_NODE_DISTANCES": "0=21,1=10",
        "NUMA_HOST_NODE_DISKS": "sda,sdb",
        "NUMA_HOST_NODE_INTERFACES": "eth0",
    }


def test_several_nodes_of_the_host_are_told_together() -> None:
    """Without distances; and without what is not known of each."""
    host = HostFacts(
        {
            0: NodeFacts(frozenset({0}), 1024, {0: 10}, ("md0", "sda")),
            1: NodeFacts(frozenset({1}), None, {1: 10}, ("md0",), ("eth0",)),
        }
    )
    assert environment_of((0, 1), host) == {
        "NUMA_NODE": "0-1",
        "NUMA_HOST_NODE_CPUS": "0-1",
        "NUMA_HOST_NODE_DISKS": "md0,sda",
    }
    assert environment_of((0, 2), host) == {"NUMA_NODE": "0,2"}
    assert environment_of((), host) == {}


def test_devices_of_a_longer_name_are_not_those_of_the_shorter() -> None:
    """`numa-1-cpu-0` is no slot of `numa-1`, nor the other way round."""
    cpus = NumaResource("numa-1-cpu", (1,), 5)
    assert cpus.allocate([["numa-1-cpu-4"]]) == [
        ContainerAllocation({"NUMA_NODE": "1"}, {"numa-align/node": "1"})
    ]
    assert cpus.ordinal("numa-1-cpu-4") == 4
    for resource, device_id in ((NODE_1, "numa-1-cpu-0"), (cpus, "numa-1-0")):
        with pytest.raises(InvalidRequest, match=f"has no device '{device_id}'"):
            resource.allocate([[device_id]])


def test_single_devices_can_be_unhealthy() -> None:
    """By ordinal, while the others are healthy; where all are unhealthy, they stay so after."""
    some = NODE_1.with_unhealthy([4, 1])
    assert [device.healthy for device in some.devices()] == [True, False, True, True, False]
    assert some.healthy_count == 3
    none = some.with_health(False)
    assert not any(device.healthy for device in none.devices())
    assert none.healthy_count == 0
    assert none.with_health(True) == some
    assert some.with_unhealthy(()) == NODE_1


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.data())
def test_the_count_of_healthy_devices_is_that_of_the_list(
    capacity: int, other: int, healthy: bool, data: st.DataObject
) -> None:
    """Also after a change of capacity, which leaves the health of every other device as it is."""
    unhealthy = data.draw(st.frozensets(st.integers(0, capacity - 1)))
    resource = NumaResource("numa-0-cpu", (0,), capacity, healthy=healthy, unhealthy=unhealthy)
    changed = resource.with_capacity(other)
    for each in (resource, changed):
        assert each.healthy_count == sum(device.healthy for device in each.devices())
    common = min(capacity, other)
    assert resource.devices()[:common] == changed.devices()[:common]
    assert all(device.healthy is healthy for device in changed.devices()[capacity:])


@pytest.mark.parametrize("ordinals", [[5], [-1], [0, 7]])
def test_a_device_that_is_not_there_cannot_be_unhealthy(ordinals: list[int]) -> None:
    """It would be counted as one of those that are there."""
    with pytest.raises(ValueError, match=r"numa-1 has devices 0 to 4: .* cannot be unhealthy"):
        NODE_1.with_unhealthy(ordinals)


@pytest.mark.parametrize(
    "name",
    ["", "numa", "numa-", "numa-x", "numa-1x", "numa-1-", "numa-1-cpu+", "near-", "near-a-", "gpu",
     "numa-1/cpu", "near-ä", "near-data\n", "numa-٣",],
)  # fmt: skip
def test_a_name_that_no_socket_could_have_is_refused(name: str) -> None:
    """The name of a resource is found again in that of its socket, so it has one of two forms."""
    with pytest.raises(ValueError, match="cannot be the name of a resource"):
        NumaResource(name, (0,), 1)


def test_ids_are_no_longer_than_kubelet_allows() -> None:
    """63 characters, also after the number of devices has grown by a digit."""
    longest = NumaResource("near-".ljust(61, "x"), (0,), 10)
    assert max(len(device.id) for device in longest.devices()) == 63
    with pytest.raises(ValueError, match=r"near-x+-10 has 64 characters; kubelet allows 63"):
        longest.with_capacity(11)


def test_nodes_have_numbers_from_0() -> None:
    """-1, as the kernel has for an unknown node, is none."""
    with pytest.raises(ValueError, match="near-data: NUMA nodes are numbered from 0, not -1"):
        NumaResource("near-data", (-1, 0), 1)


def test_resources_are_in_the_order_of_their_nodes() -> None:
    """Plain slots come first on each, then others by name, 2 before 10; those of no node last."""
    ordered = [
        NumaResource.of_node(0, 1),
        NumaResource("near-data-2", (0,), 1),
        NumaResource("near-data-10", (0,), 1),
        NumaResource("numa-0-cpu", (0,), 1),
        NumaResource("near-any", (0, 1), 1),
        NODE_1,
        NumaResource("numa-1-cpu", (1,), 1),
        NumaResource.of_node(10, 1),
        NumaResource("near-a", (), 1),
    ]
    shuffled = ordered[1::2] + ordered[::2]
    assert sorted(shuffled, key=lambda resource: resource.sort_key) == ordered
    assert [each for each in ordered if each.plain] == [ordered[0], NODE_1, ordered[-2]]


def test_a_resource_that_moves_keeps_its_devices() -> None:
    """What changes is their TopologyInfo."""
    moved = NumaResource("near-data", (0,), 2, unhealthy=frozenset({1})).with_nodes([2, 1])
    assert moved.devices() == (
        Device("near-data-0", True, (1, 2)),
        Device("near-data-1", False, (1, 2)),
    )
