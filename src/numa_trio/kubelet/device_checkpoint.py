"""Reads the file in which kubelet keeps which devices containers have, init containers' too.

It is `kubelet_internal_checkpoint` in the device-plugin directory, an internal affair of kubelet's
(pkg/kubelet/cm/devicemanager/checkpoint), so nothing may depend on its being there or readable.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

CHECKPOINT = "kubelet_internal_checkpoint"

# In bytes. Some 200,000 device ids; what they take in memory is five times as much.
_LARGEST = 4 * 1024 * 1024


# Kubelet's number for devices without a node.
_WITHOUT_NODE = -1

PodDevices = Mapping[str, frozenset[str]]
"""The ids that all containers of a pod have, by resource name."""

DeviceNodes = Mapping[str, Mapping[str, tuple[int, ...]]]
"""The NUMA nodes, ascending, that devices had when they were given, by resource name and id."""


class CheckpointUnreadable(Exception):
    """The file is not there, or not what is expected; the message says what is wrong."""


def read_given_devices(directory: Path) -> tuple[PodDevices, ...]:
    """The devices that kubelet takes for given, of each pod.

    Pods that have ended stay there until kubelet gives out the next device. Raises
    `CheckpointUnreadable`.
    """
    pods: dict[str, dict[str, frozenset[str]]] = {}
    for entry in _entries(directory):
        devices = pods.setdefault(entry.pod_uid, {})
        devices[entry.resource] = devices.get(entry.resource, frozenset()) | {*entry.nodes_by_id}
    return tuple(pods.values())


def read_device_nodes(directory: Path) -> DeviceNodes:
    """Where the devices that kubelet takes for given were when it gave them.

    As for pods that have ended, and errors: see `read_given_devices`.
    """
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for entry in _entries(directory):
        found.setdefault(entry.resource, {}).update(entry.nodes_by_id)
    return found


@frozen
class _Entry:
    """The devices of one resource that one container has."""

    pod_uid: str
    resource: str
    nodes_by_id: Mapping[str, tuple[int, ...]]


def _entries(directory: Path) -> list[_Entry]:
    path = directory / CHECKPOINT
    try:
        content = json.loads(_read(path))["Data"]["PodDeviceEntries"] or ()
        return [
            _Entry(
                str(entry["PodUID"]), str(entry["ResourceName"]), _nodes_by_id(entry["DeviceIDs"])
            )
            for entry in content
        ]
    except OSError as problem:
        raise CheckpointUnreadable(f"{path}: {problem.strerror or problem}") from problem
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise CheckpointUnreadable(f"{path} is not what kubelet writes: {problem!r}") from problem


def _nodes_by_id(ids_by_node: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, ...]]:
    nodes: dict[str, set[int]] = {}
    for node, ids in ids_by_node.items():
        for each in ids:
            nodes.setdefault(str(each), set()).add(int(node))
    return {each: tuple(sorted(found - {_WITHOUT_NODE})) for each, found in nodes.items()}


def _read(path: Path) -> bytes:
    """What the file holds, without waiting for anybody if it is not a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CheckpointUnreadable(f"{path} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST:
        raise CheckpointUnreadable(f"{path} is larger than {_LARGEST} bytes")
    return content
