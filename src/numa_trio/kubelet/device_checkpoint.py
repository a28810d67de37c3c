"""Reads the file in which kubelet keeps which devices containers have, init containers' too.

It is `kubelet_internal_checkpoint` in the device-plugin directory, an internal affair of kubelet's
(pkg/kubelet/cm/devicemanager/checkpoint), so nothing may depend on its being there or readable.
"""

import json
import os
import stat
from pathlib import Path

CHECKPOINT = "kubelet_internal_checkpoint"

# In bytes. Some 200,000 device ids; what they take in memory is five times as much.
_LARGEST = 4 * 1024 * 1024


class CheckpointUnreadable(Exception):
    """The file is not there, or not what is expected; the message says what is wrong."""


def read_given_devices(directory: Path) -> dict[str, frozenset[str]]:
    """The ids of all devices that kubelet takes for given, by resource name.

    Those of pods that have ended stay there until kubelet gives out the next device. Raises
    `CheckpointUnreadable`.
    """
    path = directory / CHECKPOINT
    given: dict[str, set[str]] = {}
    try:
        content = _read(path)
        for entry in json.loads(content)["Data"]["PodDeviceEntries"] or ():
            for ids in entry["DeviceIDs"].values():
                given.setdefault(str(entry["ResourceName"]), set()).update(map(str, ids))
    except OSError as problem:
        raise CheckpointUnreadable(f"{path}: {problem.strerror or problem}") from problem
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise CheckpointUnreadable(f"{path} is not what kubelet writes: {problem!r}") from problem
    return {name: frozenset(ids) for name, ids in given.items()}


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
