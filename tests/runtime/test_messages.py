"""NRI's messages, read and written as Google's protobuf does."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_runtime import messages as google
from numa_trio.runtime import messages
from numa_trio.runtime.messages import (
    Adjustment,
    Container,
    CpuSet,
    Event,
    MemoryPolicyMode,
    Mount,
    Pod,
    Runtime,
    Snapshot,
    Update,
)

TEXTS = st.text(max_size=40)
MAPS = st.dictionaries(TEXTS, TEXTS, max_size=5)
CPU_SETS = st.builds(CpuSet, TEXTS, TEXTS)
MOUNTS = st.lists(st.builds(Mount, TEXTS, TEXTS, TEXTS), max_size=4).map(tuple)
PODS = st.builds(Pod, TEXTS, TEXTS, TEXTS, TEXTS, MAPS)
NAMES = st.text(st.characters(exclude_characters="=", codec="utf-8"), max_size=9)
VARIABLES = st.dictionaries(NAMES, TEXTS, max_size=3)
CONTAINERS = st.builds(Container, TEXTS, TEXTS, TEXTS, MAPS, MOUNTS, CPU_SETS, VARIABLES)

DECODERS = (
    messages.decode_configuration,
    messages.decode_container,
    messages.decode_creation,
    messages.decode_failed,
    messages.decode_pod,
    messages.decode_snapshot,
    messages.decode_update,
)


def pod_message(pod: Pod) -> Any:
    return google.PodSandbox(
        id=pod.id,
        name=pod.name,
        uid=pod.uid,
        namespace=pod.namespace,
        annotations=pod.annotations,
        labels={"not": "read"},
    )


def container_message(container: Container) -> Any:
    return google.Container(
        id=container.id,
        pod_sandbox_id=container.pod_id,
        name=container.name,
        state=3,
        annotations=container.annotations,
        labels={"not": "read"},
        env=[f"{name}={value}" for name, value in container.environment.items()],
        mounts=[
            {"destination": each.destination, "source": each.source, "type": each.type}
            for each in container.mounts
        ],
        linux={"resources": resources(container.cpu_set), "cgroups_path": "/not/read"},
        pid=7,
    )


def resources(cpu_set: CpuSet) -> Mapping[str, Any]:
    shares = {"value": 2}
    return {
        "memory": {"limit": {"value": 5}},
        "cpu": {"shares": shares, "cpus": cpu_set.cpus, "mems": cpu_set.mems},
    }


@given(pod=PODS, container=CONTAINERS, asked=CPU_SETS)
def test_what_the_runtime_says_is_read(pod: Pod, container: Container, asked: CpuSet) -> None:
    """The fields that matter; others are skipped."""
    both = {"pod": pod_message(pod), "container": container_message(container)}
    created = google.CreateContainerRequest(**both).SerializeToString()
    assert messages.decode_creation(created) == messages.Creation(pod, container)
    updated = google.UpdateContainerRequest(**both, linux_resources=resources(asked))
    assert messages.decode_update(updated.SerializeToString()) == Update(pod, container, asked)


@given(pods=st.lists(PODS, max_size=3), containers=st.lists(CONTAINERS, max_size=3))
def test_a_snapshot_is_taken_apart_and_read_later(
    pods: list[Pod], containers: list[Container]
) -> None:
    """Of hundreds of containers nearly none is to be read at all."""
    encoded = google.SynchronizeRequest(
        pods=map(pod_message, pods), containers=map(container_message, containers), more=True
    ).SerializeToString()
    snapshot = messages.decode_snapshot(encoded)
    assert snapshot.more
    assert [messages.decode_pod(each) for each in snapshot.pods] == pods
    assert [messages.decode_container(each) for each in snapshot.containers] == containers


def test_what_is_left_out_is_empty() -> None:
    """As proto3 has it."""
    assert messages.decode_creation(b"") == messages.Creation(Pod(), Container())
    assert messages.decode_snapshot(b"") == Snapshot((), (), more=False)
    assert messages.decode_configuration(b"") == Runtime()
    assert str(Runtime()) == "a runtime that tells no name"


@given(runtime=st.builds(Runtime, TEXTS, TEXTS, TEXTS))
def test_the_runtime_says_what_it_is(runtime: Runtime) -> None:
    """With the version of NRI, from 0.12 on."""
    message = google.ConfigureRequest(
        runtime_name=runtime.name,
        runtime_version=runtime.version,
        nri_version=runtime.nri_version,
        request_timeout=2000,
    )
    assert messages.decode_configuration(message.SerializeToString()) == runtime


def test_what_we_subscribe_to_is_a_bit_each() -> None:
    """0 would mean all that there is."""
    encoded = messages.encode_subscription((Event.CREATE_CONTAINER, Event.UPDATE_CONTAINER))
    assert google.ConfigureResponse.FromString(encoded).events == 0b10001000


@given(cpu_set=CPU_SETS, told=MAPS, nodes=st.none() | TEXTS, annotations=MAPS)
def test_what_we_want_is_read_by_the_runtime(
    cpu_set: CpuSet, told: dict[str, str], nodes: str | None, annotations: dict[str, str]
) -> None:
    """A container's cpuset, the memory policy of its processes, and what they are told."""
    policy = None if nodes is None else (MemoryPolicyMode.PREFERRED, nodes)
    adjustment = Adjustment(cpu_set, policy, told, annotations)
    encoded = messages.encode_adjustment(adjustment)
    adjust = google.CreateContainerResponse.FromString(encoded).adjust
    cpu = adjust.linux.resources.cpu
    assert CpuSet(cpu.cpus, cpu.mems) == cpu_set
    assert {each.key: each.value for each in adjust.env} == told
    assert dict(adjust.annotations) == annotations
    assert adjust.linux.memory_policy.mode == (0 if nodes is None else 1)
    assert adjust.linux.memory_policy.nodes == (nodes or "")
    assert bool(encoded) == bool(adjustment)


@given(container_id=TEXTS, cpu_set=CPU_SETS)
def test_an_update_names_its_container(container_id: str, cpu_set: CpuSet) -> None:
    """As the answer to an event, and as a request of our own."""
    encoded = messages.encode_update(container_id, cpu_set)
    for [update] in (
        google.UpdateContainerResponse.FromString(encoded).update,
        google.UpdateContainersRequest.FromString(encoded).update,
    ):
        cpu = update.linux.resources.cpu
        assert (update.container_id, cpu.cpus, cpu.mems) == (
            container_id,
            cpu_set.cpus,
            cpu_set.mems,
        )
    failed = google.UpdateContainersResponse(failed=[{"container_id": container_id}])
    assert messages.decode_failed(failed.SerializeToString()) == [container_id]


@given(first=CONTAINERS, second=CONTAINERS)
def test_a_message_in_pieces_is_one(first: Container, second: Container) -> None:
    """Protobuf lets a part of a message come several times; what comes later goes before."""
    pieces = (
        google.CreateContainerRequest(container=container_message(c)) for c in (first, second)
    )
    encoded = b"".join(piece.SerializeToString() for piece in pieces)
    whole = google.CreateContainerRequest.FromString(encoded).container
    read = messages.decode_creation(encoded).container
    assert (read.id, read.name) == (whole.id, whole.name)
    assert read.annotations == dict(whole.annotations)
    assert len(read.mounts) == len(whole.mounts)
    cpu = whole.linux.resources.cpu
    assert read.cpu_set == CpuSet(cpu.cpus, cpu.mems)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but `ValueError` comes of bytes that are no message."""
    for decode in DECODERS:
        with suppress(ValueError):
            decode(data)


@given(container=CONTAINERS, cut=st.integers(1, 400))
def test_a_message_that_was_cut_is_refused_or_shorter(container: Container, cut: int) -> None:
    """It never reads beyond its end."""
    encoded = container_message(container).SerializeToString()
    with suppress(ValueError):
        messages.decode_container(encoded[:-cut])


def test_a_message_of_too_many_fields_is_refused() -> None:
    """Reading it would keep everything else waiting."""
    with pytest.raises(ValueError, match="too many"):
        messages.decode_container(b"\x08\x01" * 600_000)


def test_a_path_of_any_bytes_is_kept() -> None:
    """Linux allows what is no UTF-8; protobuf should not, but the runtime may send it."""
    encoded = b"\x4a\x04\x1a\x02/\xff"
    assert messages.decode_container(encoded).mounts == (Mount("", "/\udcff"),)
