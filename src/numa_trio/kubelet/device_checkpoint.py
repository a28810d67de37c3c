"""Reads the file in which kubelet keeps which devices containers have, init containers' too.

It is `kubelet_internal_checkpoint` in the device-plugin directory, an internal affair of kubelet's
(pkg/kubelet/cm/devicemanager/checkpoint), so nothing may depend on its being there or readable.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

CHECKPOINT = "kubelet_internal_checkpoint"

# In bytes. Some 200,000 device ids; what they take in memory is five times as much.
_LARGEST = 4 * 1024 * 1024


PodDevices = Mapping[str, frozenset[str]]
"""The ids that all containers of a pod have, by resource name."""


class CheckpointUnreadable(Exception):
    """The file is not there, or not what is expected; the message says what is wrong."""


def read_given_devices(directory: Path) -> tuple[PodDevices, ...]:
    """The devices that kubelet takes for given, of each pod.

    Pods that have ended stay there until kubelet gives out the next device. Raises
    `CheckpointUnreadable`.
    """
    path = directory / CHECKPOINT
    pods: dict[str, dict[str, frozenset[str]]] = {}
    try:
        content = _read(path)
        for entry in json.loads(content)["Data"]["PodDeviceEntries"] or ():
            devices = pods.setdefault(str(entry["PodUID"]), {})
            name = str(entry["ResourceName"])
            ids = {str(each) for node in entry["DeviceIDs"].values() for each in node}
            devices[name] = devices.get(name, frozenset()) | ids
    except OSError as problem:
        raise CheckpointUnreadable(f"{path}: {problem.strerror or problem}") from problem
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise CheckpointUnreadable(f"{path} is not what kubelet writes: {problem!r}") from problem
    return tuple(pods.values())


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
