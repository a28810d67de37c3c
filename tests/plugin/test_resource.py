"""A NUMA node as an extended resource: its slots and its answers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.plugin.messages import (
    ContainerAllocation,
    Device,
    InvalidRequest,
    PluginOptions,
    PreferredAllocationRequest,
)
from numa_trio.plugin.resource import NumaResource
from numa_trio.setting_values import MAX_CAPACITY

NODE_1 = NumaResource(node=1, capacity=5)


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
    resource = NumaResource(3, 1, domain="example.com")
    assert resource.name == "example.com/numa-3"
    assert resource.devices()[0].id == "numa-3-0"


def test_each_container_gets_numa_node_once() -> None:
    """One answer per container request, also for several slots; none for none."""
    answers = NODE_1.allocate([["numa-1-0", "numa-1-4"], ["numa-1-2"]])
    assert answers == [ContainerAllocation({"NUMA_NODE": "1"})] * 2
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
    resource = NumaResource(0, 20)
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
    resource = NumaResource(2, 50)
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
    resource = NumaResource(node, capacity)
    ids = [device.id for device in resource.devices()]
    assert resource.allocate([[one] for one in ids]) == [
        ContainerAllocation({"NUMA_NODE": str(node)})
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
    resource = NumaResource(1, MAX_CAPACITY)
    ids = [device.id for device in resource.devices()]
    request = PreferredAllocationRequest(ids, ids[1::2], len(ids) - 1)
    began = time.process_time()
    [preferred] = resource.preferred_allocation([request])
    assert time.process_time() - began < 10  # it was minutes
    assert len(set(preferred)) == len(ids) - 1


def test_an_endless_id_is_cut_short_in_messages() -> None:
    """Whoever asks for it gets its beginning back, not all of it."""
    resource = NumaResource(1, 3)
    endless = "x" * 100_000
    for request in (["numa-1-0"], [endless]):
        with pytest.raises(InvalidRequest) as refusal:
            resource.preferred_allocation([PreferredAllocationRequest(request, [endless], 1)])
        assert len(str(refusal.value)) < 300
