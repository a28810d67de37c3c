"""Reads the file in which kubelet keeps which devices containers have, init containers' too.

It is `kubelet_internal_checkpoint` in the device-plugin directory, an internal affair of kubelet's
(pkg/kubelet/cm/devicemanager/checkpoint), so nothing may depend on its being there or readable.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from attrs import define, field, frozen

CHECKPOINT = "kubelet_internal_checkpoint"

# In bytes. Some 200,000 device ids; what they take in memory is five times as much.
_LARGEST = 4 * 1024 * 1024


# Kubelet's number for devices without a node.
_WITHOUT_NODE = -1
_LARGEST_NODE = 1023  # of Linux

PodDevices = Mapping[str, frozenset[str]]
"""The ids that all containers of a pod have, by resource name."""

DeviceNodes = Mapping[str, Mapping[str, tuple[int, ...]]]
"""The NUMA nodes, ascending, that devices had when they were given, by resource name and id."""


class CheckpointUnreadable(Exception):
    """The file is not there, or not what is expected; the message says what is wrong."""


@define(eq=False)
class DeviceCheckpoint:
    """The file in kubelet's device-plugin directory; read again when it is another one.

    Kubelet never changes the file, but puts a new one in its place.
    """

    directory: Path
    _seen: "_Content | None" = field(init=False, default=None)

    def given_devices(self) -> tuple[PodDevices, ...]:
        """The devices that kubelet takes for given, of each pod.

        Pods that have ended stay there until kubelet gives out the next device. Raises
        `CheckpointUnreadable`.
        """
        return self._content().pods

    def device_nodes(self) -> DeviceNodes:
        """Where the devices that kubelet takes for given were when it gave them.

        As for pods that have ended, and errors: see `given_devices`.
        """
        return self._content().nodes

    def _content(self) -> "_Content":
        path = self.directory / CHECKPOINT
        try:
            with _open(path) as file:
                status = os.fstat(file.fileno())
                life = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
                if self._seen is None or self._seen.life != life:
                    self._seen = None  # before there is another: one of them is large enough
                    self._seen = _understood(_entries(path, _read(path, file)), life)
        except OSError as problem:
            raise CheckpointUnreadable(f"{path}: {problem.strerror or problem}") from problem
        return self._seen


_Life = tuple[int, int, int, int]  # of one file: device, inode, time of its last change, size


@frozen
class _Content:
    life: _Life
    pods: tuple[PodDevices, ...]
    nodes: DeviceNodes


@frozen
class _Entry:
    """The devices of one resource that one container has."""

    pod_uid: str
    resource: str
    nodes_by_id: Mapping[str, tuple[int, ...]]


def _understood(entries: Iterable[_Entry], life: _Life) -> _Content:
    pods: dict[str, dict[str, frozenset[str]]] = {}
    nodes: dict[str, dict[str, tuple[int, ...]]] = {}
    for entry in entries:
        devices = pods.setdefault(entry.pod_uid, {})
        devices[entry.resource] = devices.get(entry.resource, frozenset()) | {*entry.nodes_by_id}
        nodes.setdefault(entry.resource, {}).update(entry.nodes_by_id)
    return _Content(life, tuple(pods.values()), nodes)


def _entries(path: Path, content: bytes) -> list[_Entry]:
    try:
        return [
            _Entry(
                str(entry["PodUID"]), str(entry["ResourceName"]), _nodes_by_id(entry["DeviceIDs"])
            )
            for entry in json.loads(content)["Data"]["PodDeviceEntries"] or ()
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise CheckpointUnreadable(f"{path} is not what kubelet writes: {problem!r}") from problem


def _nodes_by_id(ids_by_node: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, ...]]:
    nodes: dict[str, set[int]] = {}
    for node, ids in ids_by_node.items():
        number = int(node)
        if not _WITHOUT_NODE <= number <= _LARGEST_NODE:
            raise ValueError(f"{node} is no NUMA node")
        for each in ids:
            nodes.setdefault(str(each), set()).add(number)
    return {each: tuple(sorted(found - {_WITHOUT_NODE})) for each, found in nodes.items()}


def _open(path: Path) -> BinaryIO:
    """The file, without waiting for anybody if it is not a file."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def _read(path: Path, file: BinaryIO) -> bytes:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise CheckpointUnreadable(f"{path} is not a regular file")
    content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise CheckpointUnreadable(f"{path} is larger than {_LARGEST} bytes")
    return content
