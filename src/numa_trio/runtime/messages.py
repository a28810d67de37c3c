"""NRI's messages, as far as they matter here: read from their bytes, and written.

Source of the names and numbers: containerd/nri, package nri.pkg.api.v1alpha1. What is not read is
skipped.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

from attrs import field, frozen

from numa_trio.protobuf import (
    LENGTH_DELIMITED,
    VARINT,
    Budget,
    MalformedMessage,
    fields_of,
    integer_field,
    message_field,
    text_field,
)

# Bounds how long one message may keep everything else waiting: about a quarter of a second.
_MOST_FIELDS = 500_000


class Event(IntEnum):
    """What a plugin can be told of: those that it may answer with an adjustment."""

    CREATE_CONTAINER = 4
    UPDATE_CONTAINER = 8


class MemoryPolicyMode(IntEnum):
    """Where the kernel takes a process's memory from: MPOL_… of set_mempolicy(2), NRI's numbers."""

    PREFERRED = 1
    PREFERRED_MANY = 5


@frozen
class Runtime:
    """What the runtime says of itself; `nri_version` is empty before NRI 0.12."""

    name: str = ""
    version: str = ""
    nri_version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip() or "a runtime that tells no name"


@frozen
class Pod:
    """A pod's sandbox."""

    id: str = ""
    name: str = ""
    uid: str = ""
    namespace: str = ""
    annotations: Mapping[str, str] = field(factory=dict)


@frozen
class CpuSet:
    """CPUs and memory nodes as cpuset(7) lists them; empty for what is not set, or asked for."""

    cpus: str = ""
    mems: str = ""

    def __bool__(self) -> bool:
        return bool(self.cpus or self.mems)


NO_CPU_SET = CpuSet()


@frozen
class Mount:
    """What of the host is mounted where in a container."""

    destination: str = ""
    source: str = ""
    type: str = ""


@frozen
class Container:
    """A container that is created, or there already; `cpu_set` is what its specification has."""

    id: str = ""
    pod_id: str = ""
    name: str = ""
    annotations: Mapping[str, str] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    cpu_set: CpuSet = NO_CPU_SET
    environment: Mapping[str, str] = field(factory=dict)


@frozen
class Creation:
    """CreateContainer: there is no process yet."""

    pod: Pod
    container: Container


@frozen
class Update:
    """UpdateContainer: `asked` is what is to change."""

    pod: Pod
    container: Container
    asked: CpuSet


@frozen
class Snapshot:
    """A part of Synchronize, each of what there is still encoded; `more` parts may follow."""

    pods: tuple[bytes, ...]
    containers: tuple[bytes, ...]
    more: bool


@frozen
class Adjustment:
    """What a container gets besides, or instead of, what its specification has.

    An empty part of `cpu_set` leaves that as it is. The memory policy is for its processes.
    """

    cpu_set: CpuSet = NO_CPU_SET
    memory_policy: tuple[MemoryPolicyMode, str] | None = None
    environment: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cpu_set or self.memory_policy or self.environment or self.annotations)


NO_ADJUSTMENT = Adjustment()


def encode_registration(name: str, index: str) -> bytes:
    """RegisterPluginRequest."""
    return text_field(1, name) + text_field(2, index)


def decode_configuration(data: bytes) -> Runtime:
    """ConfigureRequest. Raises `ValueError`, as all that decode."""
    fields = _texts(data, 2, 3, 6)
    return Runtime(fields[2], fields[3], fields[6])


def encode_subscription(events: Sequence[Event]) -> bytes:
    """ConfigureResponse; of the events, there must be one."""
    return integer_field(2, sum(1 << (event - 1) for event in events))


def decode_snapshot(data: bytes) -> Snapshot:
    """SynchronizeRequest."""
    pods, containers, more = [], [], False
    for number, wire_type, value in fields_of(data, _budget()):
        if wire_type == LENGTH_DELIMITED and isinstance(value, bytes):
            if number == 1:
                pods.append(value)
            elif number == 2:
                containers.append(value)
        elif number == 3 and wire_type == VARINT:
            more = bool(value)
    return Snapshot(tuple(pods), tuple(containers), more)


def encode_snapshot_taken(*, more: bool) -> bytes:
    """SynchronizeResponse without updates; `more` is what the request said."""
    return integer_field(2, more)


def decode_creation(data: bytes) -> Creation:
    """CreateContainerRequest."""
    fields = _messages(data, 1, 2)
    return Creation(decode_pod(fields[1]), decode_container(fields[2]))


def encode_adjustment(adjustment: Adjustment) -> bytes:
    """CreateContainerResponse; nothing for an adjustment of nothing."""
    parts = _pairs(2, adjustment.annotations) + _pairs(4, adjustment.environment)
    linux = b""
    if adjustment.cpu_set:
        linux += message_field(2, _resources(adjustment.cpu_set))
    if adjustment.memory_policy:
        mode, nodes = adjustment.memory_policy
        linux += message_field(12, integer_field(1, mode) + text_field(2, nodes))
    if linux:
        parts += message_field(6, linux)
    return message_field(1, parts) if parts else b""


def decode_update(data: bytes) -> Update:
    """UpdateContainerRequest."""
    fields = _messages(data, 1, 2, 3)
    return Update(decode_pod(fields[1]), decode_container(fields[2]), _cpu_set(fields[3]))


def encode_update(container_id: str, cpu_set: CpuSet) -> bytes:
    """UpdateContainerResponse, and likewise UpdateContainersRequest: what one container gets."""
    resources = message_field(1, _resources(cpu_set))
    return message_field(1, text_field(1, container_id) + message_field(2, resources))


def decode_failed(data: bytes) -> list[str]:
    """UpdateContainersResponse: the ids of the containers that could not be updated."""
    return [_texts(value, 1)[1] for number, value in _delimited(data) if number == 1]


def decode_pod(data: bytes) -> Pod:
    """PodSandbox."""
    texts: dict[int, str] = {}
    annotations: dict[str, str] = {}
    for number, value in _delimited(data):
        if number in (1, 2, 3, 4):
            texts[number] = _text(value)
        elif number == 6:
            annotations.update(_entry(value))
    return Pod(texts.get(1, ""), texts.get(2, ""), texts.get(3, ""), texts.get(4, ""), annotations)


def decode_container(data: bytes) -> Container:
    """Container."""
    texts: dict[int, str] = {}
    annotations: dict[str, str] = {}
    mounts = []
    linux = b""
    environment: dict[str, str] = {}
    for number, value in _delimited(data):
        if number in (1, 2, 3):
            texts[number] = _text(value)
        elif number == 6:
            annotations.update(_entry(value))
        elif number == 8:
            name, _, told = _text(value).partition("=")
            environment[name] = told
        elif number == 9:
            fields = _texts(value, 1, 2, 3)
            mounts.append(Mount(fields[1], fields[3], fields[2]))
        elif number == 11:
            linux += value
    cpu_set = _cpu_set(_messages(linux, 3)[3])
    return Container(
        texts.get(1, ""),
        texts.get(2, ""),
        texts.get(3, ""),
        annotations,
        tuple(mounts),
        cpu_set,
        environment,
    )


def _pairs(number: int, pairs: Mapping[str, str]) -> bytes:
    """A message of this number for each: entries of a map, or variables."""
    return b"".join(
        message_field(number, text_field(1, name) + text_field(2, value))
        for name, value in pairs.items()
    )


def _cpu_set(resources: bytes) -> CpuSet:
    fields = _texts(_messages(resources, 2)[2], 6, 7)
    return CpuSet(fields[6], fields[7])


def _resources(cpu_set: CpuSet) -> bytes:
    return message_field(2, text_field(6, cpu_set.cpus) + text_field(7, cpu_set.mems))


def _entry(data: bytes) -> dict[str, str]:
    """An entry of a map."""
    fields = _texts(data, 1, 2)
    return {fields[1]: fields[2]}


def _texts(data: bytes, *numbers: int) -> dict[int, str]:
    """The fields of these numbers, which are strings; empty where they are left out."""
    found = dict.fromkeys(numbers, "")
    found.update({number: _text(value) for number, value in _delimited(data) if number in found})
    return found


def _messages(data: bytes, *numbers: int) -> dict[int, bytes]:
    """The fields of these numbers, which are messages; of one in several pieces, all together."""
    found = dict.fromkeys(numbers, b"")
    for number, value in _delimited(data):
        if number in found:
            found[number] += value
    return found


def _delimited(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number, wire_type, value in fields_of(data, _budget()):
        if wire_type == LENGTH_DELIMITED:
            if not isinstance(value, bytes):
                raise MalformedMessage("bytes that are not given as such")
            yield number, value


def _text(value: bytes) -> str:
    """A string, which may be a path of any bytes."""
    return os.fsdecode(value)


def _budget() -> Budget:
    return Budget(_MOST_FIELDS, 0, 0)
