"""The lean reader of pod-resources answers reads what the generated messages read."""

import contextlib

import pytest
from betterproto2 import Message
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.kubelet.api import v1 as api
from numa_trio.kubelet.rpc.limits import (
    MAX_ANSWER_ENTRIES,
    MAX_ANSWER_FIELDS,
    MAX_ANSWER_TEXT,
)
from numa_trio.kubelet.rpc.pod_resources_wire import HoldingsReader, decode_allocatable
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.protobuf import MalformedMessage, MessageTooLarge

int64 = st.integers(-(2**63), 2**63 - 1)
printable = st.characters(exclude_categories=["C", "Z"]) | st.just(" ")
texts = st.text(printable, max_size=10) | st.text(printable, max_size=300)
topologies = st.builds(
    api.TopologyInfo, nodes=st.lists(st.builds(api.NumaNode, id=int64), max_size=3)
)
memory = st.builds(
    api.ContainerMemory,
    memory_type=texts,
    size=st.integers(0, 2**64 - 1),
    topology=st.none() | topologies,
)
devices = st.builds(
    api.ContainerDevices,
    resource_name=texts,
    device_ids=st.lists(texts, max_size=2),
    topology=st.none() | topologies,
)
containers = st.builds(
    api.ContainerResources,
    name=texts,
    devices=st.lists(devices, max_size=2),
    cpu_ids=st.lists(int64, max_size=3),
    memory=st.lists(memory, max_size=2),
)
lists = st.builds(
    api.ListPodResourcesResponse,
    pod_resources=st.lists(
        st.builds(
            api.PodResources,
            name=texts,
            namespace=texts,
            containers=st.lists(containers, max_size=2),
        ),
        max_size=2,
    ),
)
allocatables = st.builds(
    api.AllocatableResourcesResponse,
    devices=st.lists(devices, max_size=2),
    cpu_ids=st.lists(int64, max_size=3),
    memory=st.lists(memory, max_size=2),
)


def block(message: api.ContainerMemory) -> MemoryBlock:
    nodes = message.topology.nodes if message.topology else []
    return MemoryBlock(message.memory_type, message.size, tuple(node.id for node in nodes))


def holdings(message: api.ListPodResourcesResponse) -> tuple[ContainerHoldings, ...]:
    found = []
    for pod in message.pod_resources:
        for container in pod.containers:
            ids: dict[str, tuple[str, ...]] = {}
            for entry in container.devices:
                listed = (*ids.get(entry.resource_name, ()), *entry.device_ids)
                ids[entry.resource_name] = tuple(dict.fromkeys(listed))
            found.append(
                ContainerHoldings(
                    pod.namespace,
                    pod.name,
                    container.name,
                    ids,
                    frozenset(container.cpu_ids),
                    tuple(map(block, container.memory)),
                )
            )
    return tuple(found)


@given(lists)
def test_reads_lists_as_the_generated_messages_do(message: api.ListPodResourcesResponse) -> None:
    """Names, devices, CPUs and memory of every container, whatever they are."""
    assert HoldingsReader().decode(bytes(message)) == holdings(message)


@given(lists, lists)
def test_reads_a_list_after_another_as_if_it_were_the_first(
    before: api.ListPodResourcesResponse, message: api.ListPodResourcesResponse
) -> None:
    """What is remembered of pods that are as they were changes nothing, good or bad."""
    reader = HoldingsReader()
    mixed = api.ListPodResourcesResponse(
        pod_resources=[*message.pod_resources, *before.pod_resources]
    )
    assert reader.decode(bytes(before)) == HoldingsReader().decode(bytes(before))
    with contextlib.suppress(MalformedMessage):
        reader.decode(bytes(before)[:-1])
    assert reader.decode(bytes(mixed)) == HoldingsReader().decode(bytes(mixed))


@given(allocatables)
def test_reads_allocatable_as_the_generated_messages_do(
    message: api.AllocatableResourcesResponse,
) -> None:
    """CPUs and memory, without the devices."""
    expected = Allocatable(frozenset(message.cpu_ids), tuple(map(block, message.memory)))
    assert decode_allocatable(bytes(message)) == expected


@given(lists.map(bytes) | st.binary(max_size=200), st.data())
def test_damaged_answers_are_malformed_or_read(data: bytes, draw: st.DataObject) -> None:
    """Whatever the bytes are, nothing but `MalformedMessage` comes of them."""
    changed = bytearray(data)
    for place in draw.draw(st.lists(st.integers(0, max(0, len(data) - 1)), max_size=3)):
        if changed:
            changed[place] = draw.draw(st.integers(0, 255))
    for decode in (HoldingsReader().decode, decode_allocatable):
        with contextlib.suppress(MalformedMessage):
            decode(bytes(changed))


@pytest.mark.parametrize(
    ("data", "cpus"),
    [
        (b"\x10\x03\x10\x05", {3, 5}),  # not packed, as an older encoder has it
        (b"\x12\x01\x03\x12\x02\x05\x06", {3, 5, 6}),  # packed, in two parts
        (b"\x12\x00", set()),
        (b"\x12\x0a" + b"\xff" * 9 + b"\x01", {-1}),
    ],
)
def test_numbers_come_packed_or_not(data: bytes, cpus: set[int]) -> None:
    """Both forms of a repeated number are read, as the protobuf rules ask."""
    assert decode_allocatable(data).cpus == cpus


@pytest.mark.parametrize("data", [b"\x12\x01\x80", b"\x12\x0b" + b"\xff" * 10 + b"\x01", b"\x15"])
def test_numbers_that_are_none_are_malformed(data: bytes) -> None:
    """A number that does not end, or has more than 64 bits, is no number."""
    with pytest.raises(MalformedMessage):
        decode_allocatable(data)


def test_unknown_fields_are_skipped() -> None:
    """What a later kubelet adds, and what we do not read, does not matter."""
    container = bytes(api.ContainerResources(name="app", cpu_ids=[1])) + b"\x2a\x02\x08\x01"
    pod = bytes(api.PodResources(name="p", namespace="n")) + b"\x1a" + bytes([len(container)])
    pod += container + b"\x98\x06\x01"
    assert HoldingsReader().decode(b"\x0a" + bytes([len(pod)]) + pod) == (
        ContainerHoldings("n", "p", "app", {}, frozenset({1}), ()),
    )
    assert issubclass(api.ListPodResourcesResponse, Message)


def field(number: int, content: bytes) -> bytes:
    """A field that is text or a message."""
    length, encoded = len(content), b""
    while length >= 0x80:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


def one_container(content: bytes) -> bytes:
    return field(1, field(3, content))


@pytest.mark.parametrize(
    "answer",
    [
        b"\x78\x01" * (MAX_ANSWER_FIELDS + 1),
        one_container(field(3, bytes(MAX_ANSWER_FIELDS))),
        one_container(field(2, b"\x12\0") * (MAX_ANSWER_FIELDS // 2 + 1)),
        field(1, b"") * (MAX_ANSWER_ENTRIES + 1),
        field(1, field(3, b"") * MAX_ANSWER_ENTRIES),
        one_container(field(4, b"") * MAX_ANSWER_ENTRIES),
        one_container(field(2, field(2, b"x" * (MAX_ANSWER_TEXT + 1)))),
        field(1, field(1, b"x" * 2048)) * (MAX_ANSWER_TEXT // 2048 + 1),
    ],
    ids=["unknown", "cpus", "ids", "pods", "containers", "blocks", "a text", "texts"],
)
def test_an_answer_with_too_much_in_it_is_refused(answer: bytes) -> None:
    """In 16 MiB there is room for 8 million containers, or 4 s of reading."""
    with pytest.raises(MessageTooLarge):
        HoldingsReader().decode(answer)


def test_the_largest_answers_are_read() -> None:
    """As many fields and entries as are taken."""
    assert decode_allocatable(field(1, b"") * MAX_ANSWER_FIELDS) == Allocatable()
    pods = MAX_ANSWER_ENTRIES // 2
    assert len(HoldingsReader().decode(bytearray(field(1, field(3, b"")) * pods))) == pods


def test_a_device_of_two_nodes_counts_once() -> None:
    """Kubelet lists it once for each of its NUMA nodes."""
    entry = field(2, field(1, b"gpu") + field(2, b"gpu-0"))
    (found,) = HoldingsReader().decode(one_container(entry * 2))
    assert found.devices == {"gpu": ("gpu-0",)}
